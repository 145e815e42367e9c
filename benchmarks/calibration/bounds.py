"""How sure a share of runs is: Clopper and Pearson's interval."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log

_HALVINGS = 50


def at_least(hits: int, runs: int, *, alpha: float) -> float:
    """Give the share below which *hits* or more of *runs* would have a chance of less than *alpha*."""
    if hits == 0:
        return 0.0
    return _solve(lambda share: 1 - _up_to(hits - 1, runs, share) < alpha)


def at_most(hits: int, runs: int, *, alpha: float) -> float:
    """Give the share above which *hits* or fewer of *runs* would have a chance of less than *alpha*."""
    if hits == runs:
        return 1.0
    return _solve(lambda share: _up_to(hits, runs, share) >= alpha)


def _solve(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low


def _up_to(hits: int, runs: int, share: float) -> float:
    # By logarithms: the binomial coefficients of thousands of runs are no floats.
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
