"""
Confidence bounds for a share of runs: the exact binomial interval (Clopper and Pearson, "The use of
confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26, 1934).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log

_BISECTION_STEPS = 50


def at_least(hits: int, runs: int, *, alpha: float) -> float:
    """Return the lower bound of the share, 0 to 1: below it, *hits* or more have a probability < *alpha*."""
    if hits == 0:
        return 0.0
    return _solve(lambda share: 1 - _probability_up_to(hits - 1, runs, share) < alpha)


def at_most(hits: int, runs: int, *, alpha: float) -> float:
    """Return the upper bound of the share, 0 to 1: above it, *hits* or fewer have a probability < *alpha*."""
    if hits == runs:
        return 1.0
    return _solve(lambda share: _probability_up_to(hits, runs, share) >= alpha)


def _solve(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low


def _probability_up_to(hits: int, runs: int, share: float) -> float:
    # By logarithms, because the binomial coefficients of thousands of runs are too large for a float.
    return sum(
        exp(
            lgamma(runs + 1)
            - lgamma(count + 1)
            - lgamma(runs - count + 1)
            + count * log(share)
            + (runs - count) * log(1 - share)
        )
        for count in range(hits + 1)
    )
