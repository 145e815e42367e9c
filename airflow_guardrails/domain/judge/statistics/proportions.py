"""How large a share is, with an interval that holds at every look."""

from __future__ import annotations

from math import inf, lgamma, log

from airflow_guardrails.domain.judge.statistics.means import Interval

_HALVINGS = 60


def share_interval(hits: int, trials: int, *, alpha: float) -> Interval:
    """
    Bound the share of *hits* among independent *trials*.

    A share p is within as long as the mixture of all shares' likelihoods, by Jeffreys's prior, is less than
    one over *alpha* times p's own (Robbins, "Statistical methods related to the law of the iterated
    logarithm", Annals of Mathematical Statistics 41, 1970; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform,
    nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49(2), 2021, proposition 7).

    :param alpha: the chance that the share is ever outside, on either side.
    """
    if trials == 0:
        return Interval(measured=0.0, low=0.0, high=1.0)
    measured = hits / trials
    low = 0.0 if hits == 0 else _end(hits, trials, 0.0, measured, alpha)
    high = 1.0 if hits == trials else _end(hits, trials, 1.0, measured, alpha)
    return Interval(measured=measured, low=low, high=high)


def _end(hits: int, trials: int, outside: float, inside: float, alpha: float) -> float:
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if _evidence_against(middle, hits, trials) >= -log(alpha):
            outside = middle
        else:
            inside = middle
    return outside


def _evidence_against(share: float, hits: int, trials: int) -> float:
    misses = trials - hits
    mixture = _log_beta(hits + 0.5, misses + 0.5) - _log_beta(0.5, 0.5)
    return mixture - _log_power(share, hits) - _log_power(1 - share, misses)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_power(base: float, exponent: int) -> float:
    if exponent == 0:
        return 0.0
    return exponent * log(base) if base > 0 else -inf
