"""A confidence sequence for a proportion: it holds at every look."""

from __future__ import annotations

from math import inf, lgamma, log

from airflow_guardrails.domain.judge.statistics.interval import Interval

_BISECTION_STEPS = 60


def share_interval(hits: int, trials: int, *, alpha: float) -> Interval:
    """
    Return the confidence interval of the share of *hits* among independent *trials*, 0 to 1.

    A share p is inside as long as the mixture of all likelihoods, with Jeffreys's prior, is less than
    1 / *alpha* times the likelihood of p (Robbins, "Statistical methods related to the law of the iterated
    logarithm", Annals of Mathematical Statistics 41, 1970; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform,
    nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49(2), 2021).

    :param alpha: probability, 0 to 1, that the true share is ever outside, on either side.
    """
    if trials == 0:
        return Interval(measured=0.0, low=0.0, high=1.0)
    measured = hits / trials
    low = 0.0 if hits == 0 else _end(hits, trials, 0.0, measured, alpha)
    high = 1.0 if hits == trials else _end(hits, trials, 1.0, measured, alpha)
    return Interval(measured=measured, low=low, high=high)


def _end(hits: int, trials: int, outside: float, inside: float, alpha: float) -> float:
    for _ in range(_BISECTION_STEPS):
        middle = (outside + inside) / 2
        if _log_e_value(middle, hits, trials) >= -log(alpha):
            outside = middle
        else:
            inside = middle
    return outside


def _log_e_value(share: float, hits: int, trials: int) -> float:
    """Return the log likelihood ratio of the mixture to *share*."""
    misses = trials - hits
    # The beta-binomial likelihood with Jeffreys's prior, Beta(1/2, 1/2).
    mixture = _log_beta(hits + 0.5, misses + 0.5) - _log_beta(0.5, 0.5)
    return mixture - _log_power(share, hits) - _log_power(1 - share, misses)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_power(base: float, exponent: int) -> float:
    if exponent == 0:
        return 0.0
    return exponent * log(base) if base > 0 else -inf
