"""Intervals for values: how much worse the candidate's minutes are, in their mean and in a typical minute."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from math import exp, inf, log, log1p

from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.autocorrelation import MIN_HISTORY_MINUTES, autocorrelation
from airflow_guardrails.domain.judge.statistics.means import Interval, Ratio, ratio_of, t_bound
from airflow_guardrails.domain.judge.statistics.sign_test import RankScale, log_e_value_of_signs

# With fewer minutes the autocorrelation is too uncertain.
MIN_MINUTES = 15

# If the history shows the autocorrelation, the trial only has to show a variance.
_MIN_MINUTES_WITH_HISTORY = 5

# Share of alpha_fail for the test of the mean. The sign test, which mostly finds harm sooner, gets the rest.
MEAN_ALPHA_SHARE = 0.3

_BISECTION_STEPS = 24


def minutes_needed(history: int, *, alpha: float) -> int:
    """
    Return how many minutes a trial needs before any interval is finite.

    :param history: minutes of production that are known from before the trial.
    :param alpha: probability, 0 to 1, that the interval is ever wrong.
    """
    least = _MIN_MINUTES_WITH_HISTORY if history >= MIN_HISTORY_MINUTES else MIN_MINUTES
    return next(count for count in itertools.count(least) if t_bound(count, alpha=alpha) < inf)


def interval_of_means(rule: MetricRule, pairs: Pairs, *, alpha_fail: float, alpha_pass: float) -> Interval:
    """
    Return the interval of the candidate's mean minus production's, or of their ratio if *rule* is relative.

    The end that passes is that of the mean. The end that fails is where the mixture of two e-values, of the
    mean and of the sign test, reaches 1 / *alpha_fail*: either test alone can find harm. A measured mean
    within the margin never fails, because the end that fails is never beyond the measured mean.

    :param alpha_fail: probability, 0 to 1, of a false Fail.
    :param alpha_pass: probability, 0 to 1, of a false Pass.
    """
    ratio = _ratio(rule, pairs)
    least = minutes_needed(len(pairs.history), alpha=max(alpha_fail, alpha_pass))
    if len(pairs) < least:
        return Interval(measured=ratio.measured, low=-inf, high=inf, minutes_needed=least)
    above = rule.worse_is_more
    low, high = (alpha_fail, alpha_pass) if above else (alpha_pass, alpha_fail)
    interval = ratio.interval(alpha_low=low, alpha_high=high)
    sign_test = _sign_test(rule, pairs, ratio.measured)
    if sign_test is None:
        return interval
    end = _combined_end(ratio, sign_test, alpha_fail, above=above)
    low, high = (end, interval.high) if above else (interval.low, end)
    return replace(interval, low=low, high=high)


def _ratio(rule: MetricRule, pairs: Pairs) -> Ratio:
    weights = pairs.weights()
    control = [weight * value for weight, value in zip(weights, pairs.control, strict=True)]
    candidate = [weight * value for weight, value in zip(weights, pairs.candidate, strict=True)]
    if rule.relative:
        numerators, denominators = candidate, control
    else:
        # A difference is the ratio of the weighted differences to the weights.
        numerators = [one - other for one, other in zip(candidate, control, strict=True)]
        denominators = weights
    measured = sum(numerators) / sum(denominators)
    residuals = [one - measured * other for one, other in zip(numerators, denominators, strict=True)]
    rho = autocorrelation(residuals, pairs.history)
    return ratio_of(numerators, denominators, weights, autocorrelation=rho)


def _sign_test(rule: MetricRule, pairs: Pairs, measured: float) -> Callable[[float], float] | None:
    """
    Return the log e-value of the sign test as a function of the difference (or ratio) that is tested.

    ``None`` if minutes of the two sides cannot be compared one by one, or the history has no scale.
    """
    scale = RankScale.of(pairs.history) if pairs.allows_sign_test else None
    if scale is None or (rule.relative and measured <= 0):
        return None

    def differences(by: float) -> list[float]:
        shifted = [value / by if rule.relative else value - by for value in pairs.candidate]
        sides = (shifted, pairs.control) if rule.worse_is_more else (pairs.control, shifted)
        return scale.differences(*sides)

    rho = autocorrelation(differences(measured), scale.history)
    typical_difference = scale.typical_difference(rho)
    if typical_difference <= 0:
        return None

    def log_e_value(by: float) -> float:
        # A candidate cannot be divided by such a ratio, and a ratio of positive means is never below 0.
        if rule.relative and by <= 0:
            return inf if rule.worse_is_more else -inf
        return log_e_value_of_signs(
            differences(by), typical_difference=typical_difference, autocorrelation=rho
        )

    return log_e_value


def _combined_end(ratio: Ratio, sign_test: Callable[[float], float], alpha: float, *, above: bool) -> float:
    """Find by bisection where the weighted mean of both e-values reaches 1 / *alpha*."""
    threshold = -log(alpha)

    def excluded(by: float) -> bool:
        mean = log(MEAN_ALPHA_SHARE) + ratio.log_e_value(by, above=above)
        less, more = sorted((mean, log(1 - MEAN_ALPHA_SHARE) + sign_test(by)))
        # log(exp(mean) + exp(sign test)), without an overflow.
        return more == inf or (more > -inf and more + log1p(exp(less - more)) >= threshold)

    outside, inside = ratio.search_limit(above=above), ratio.measured
    if not excluded(outside):
        return -inf if above else inf
    for _ in range(_BISECTION_STEPS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excluded(middle) else (outside, middle)
    return outside
