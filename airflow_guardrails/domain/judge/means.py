"""How much worse the candidate's minutes are: in their mean, and in what a typical one is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from math import exp, inf, log, log1p

from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.autocorrelation import LEAST_PAST, autocorrelation
from airflow_guardrails.domain.judge.statistics.means import Interval, Ratio, ratio_of, t_bound
from airflow_guardrails.domain.judge.statistics.sign_test import Scale, log_e_value_of_signs

# How much minutes resemble each other cannot be told from fewer.
LEAST_MINUTES = 15

# Where the past tells it, so many have a spread.
LEAST_MINUTES_WITH_PAST = 5

# Part of the chance of a false alarm that the mean gets; typical minutes, which find most harm sooner, get
# the rest.
OF_THE_MEAN = 0.3

_HALVINGS = 24


def least_minutes(past: int, *, alpha: float) -> int:
    """
    Say how many minutes any interval takes, where so many minutes of production's *past* are known.

    :param alpha: the chance that it is ever wrong.
    """
    least = LEAST_MINUTES_WITH_PAST if past >= LEAST_PAST else LEAST_MINUTES
    return next(count for count in itertools.count(least) if t_bound(count, alpha=alpha) < inf)


def interval_of_means(rule: MetricRule, pairs: Pairs, *, alpha_fail: float, alpha_pass: float) -> Interval:
    """
    Bound the candidate's mean: how many times production's it is, or how far above it.

    The end that passes is the mean's. The end that fails takes the mean's evidence and that of typical
    minutes together, each with its part of the chance of a false alarm: so either may find harm, and what
    both find is found almost as soon as by one. But nothing fails by typical minutes if its mean, as
    measured, is within the margin.
    """
    ratio = _ratio(rule, pairs)
    least = least_minutes(len(pairs.past), alpha=max(alpha_fail, alpha_pass))
    if len(pairs) < least:
        return Interval(measured=ratio.measured, low=-inf, high=inf, needed=least)
    above = rule.worse_is_more
    low, high = (alpha_fail, alpha_pass) if above else (alpha_pass, alpha_fail)
    interval = ratio.interval(alpha_low=low, alpha_high=high)
    typical = _typical(rule, pairs, ratio.measured)
    if typical is None:
        return interval
    end = _end_by_both(ratio, typical, alpha_fail, above=above)
    low, high = (end, interval.high) if above else (interval.low, end)
    return replace(interval, low=low, high=high)


def _ratio(rule: MetricRule, pairs: Pairs) -> Ratio:
    weights = pairs.weights()
    control = [weight * value for weight, value in zip(weights, pairs.control, strict=True)]
    candidate = [weight * value for weight, value in zip(weights, pairs.candidate, strict=True)]
    if rule.relative:
        tops, bottoms = candidate, control
    else:
        tops = [one - other for one, other in zip(candidate, control, strict=True)]
        bottoms = weights
    measured = sum(tops) / sum(bottoms)
    rest = [one - measured * other for one, other in zip(tops, bottoms, strict=True)]
    return ratio_of(tops, bottoms, weights, autocorrelation=autocorrelation(rest, pairs.past))


def _typical(rule: MetricRule, pairs: Pairs, measured: float) -> Callable[[float], float] | None:
    """Give the evidence that typical minutes are worse than by so much, if they can be compared."""
    scale = Scale.of(pairs.past) if pairs.typical_minutes_compare else None
    if scale is None or (rule.relative and measured <= 0):
        return None

    def apart(by: float) -> list[float]:
        moved = [value / by if rule.relative else value - by for value in pairs.candidate]
        sides = (moved, pairs.control) if rule.worse_is_more else (pairs.control, moved)
        return scale.differences(*sides)

    alike = autocorrelation(apart(measured), scale.past)
    usual = scale.usual(alike)
    if usual <= 0:
        return None

    def worth(by: float) -> float:
        if rule.relative and by <= 0:
            return inf if rule.worse_is_more else -inf
        return log_e_value_of_signs(apart(by), usual=usual, autocorrelation=alike)

    return worth


def _end_by_both(ratio: Ratio, typical: Callable[[float], float], alpha: float, *, above: bool) -> float:
    enough = -log(alpha)

    def excluded(by: float) -> bool:
        mean = log(OF_THE_MEAN) + ratio.log_e_value(by, above=above)
        less, more = sorted((mean, log(1 - OF_THE_MEAN) + typical(by)))
        return more == inf or (more > -inf and more + log1p(exp(less - more)) >= enough)

    outside, inside = ratio.far(above=above), ratio.measured
    if not excluded(outside):
        return -inf if above else inf
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excluded(middle) else (outside, middle)
    return outside
