"""Intervals for counts: how much more often an event happens to the candidate than to production."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite

from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.result import Result
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.onsets import WHOLE_TRIAL_WEIGHT
from airflow_guardrails.domain.judge.statistics.overdispersion import (
    MIN_MINUTES,
    dispersion,
    history_dispersion,
    is_estimable,
)
from airflow_guardrails.domain.judge.statistics.rates import (
    ZERO_RATE_WEIGHT,
    ZERO_RATE_WEIGHT_AFTER_EVENTS,
    difference_interval,
    harm_beyond,
    measured,
    ratio_of_rates_interval,
    requests_to_exclude,
)
from airflow_guardrails.domain.judge.text import wait_in_words

# The median trial passes at this part of the requests at which the expected evidence suffices (calibrated).
_EARLIER = 0.88


def judge_counts(rule: MetricRule, pairs: Pairs, *, alpha_fail: float, alpha_pass: float) -> Result:
    """
    Compare the candidate's events per request with production's.

    The end of the interval beyond the margin has half of the probability of a false Fail. It fails only if
    the evidence over all onsets does, see :data:`WHOLE_TRIAL_WEIGHT`: so both together have a false Fail with
    a probability of at most *alpha_fail*.

    :param alpha_fail: probability, 0 to 1, of a false Fail.
    :param alpha_pass: probability, 0 to 1, of a false Pass.
    """
    # The average of an error metric is a rate, see ERROR_METRICS; the formulas need counts.
    as_rate = rule.stat != "Sum"
    minutes = pairs.counts(as_rate=as_rate)
    history = [
        (value * requests if as_rate else value, requests)
        for value, requests in zip(pairs.history, pairs.history_requests, strict=True)
    ]
    size = dispersion(minutes, history)
    zero_rate_weight = ZERO_RATE_WEIGHT_AFTER_EVENTS if any(pairs.history) else ZERO_RATE_WEIGHT
    alphas = WHOLE_TRIAL_WEIGHT * alpha_fail, alpha_pass
    # The low end decides a Fail if an increase is worse, and a Pass if a decrease is worse.
    low, high = alphas if rule.worse_is_more else reversed(alphas)
    bound = ratio_of_rates_interval if rule.relative else difference_interval
    allowed = rule.allowed if rule.worse_is_more else -rule.allowed
    harm = harm_beyond(
        1 + allowed if rule.relative else allowed,
        minutes,
        relative=rule.relative,
        more=rule.worse_is_more,
        dispersion=size,
        zero_rate_weight=zero_rate_weight,
    )
    return Result(
        interval=bound(
            minutes, dispersion=size, zero_rate_weight=zero_rate_weight, alpha_low=low, alpha_high=high
        ),
        fails=harm.fails(alpha_fail),
        onset=harm.onset,
        measured_since_onset=measured(minutes[harm.onset :], relative=rule.relative),
    )


def requests_to_pass(
    rule: MetricRule, *, share: float, alpha: float, rate: float = 0.0, dispersion: float = 1.0
) -> int:
    """
    Predict how many requests the candidate needs so that *rule* can pass, if it is just as production.

    Without events this is exact. With events it is the median within 30 %: a tenth of the trials needs
    a third of that, another tenth more than twice as much.

    :param share: the candidate's requests for each of production's.
    :param alpha: probability, 0 to 1, of a false Pass.
    :param rate: production's events per request, see :func:`rate_and_dispersion`.
    :param dispersion: how many events come together, at least 1.
    :return: 0 if that cannot be predicted: the rule counts no events, or cannot pass at this rate.
    """
    # What should not become rarer happens in production: without a rate there is nothing to predict.
    if not rule.counted or (rate == 0 and not rule.worse_is_more):
        return 0
    allowed = rule.allowed if rule.worse_is_more else -rule.allowed
    needed = requests_to_exclude(
        1 + allowed if rule.relative else allowed,
        rate=rate,
        share=share,
        relative=rule.relative,
        more=not rule.worse_is_more,
        dispersion=dispersion,
        zero_rate_weight=ZERO_RATE_WEIGHT_AFTER_EVENTS if rate > 0 else ZERO_RATE_WEIGHT,
        alpha=alpha,
    )
    return ceil(needed * (_EARLIER if rate > 0 else 1)) if isfinite(needed) else 0


def rate_and_dispersion(history: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """
    Return production's events per request, and how many of them come together.

    :param history: events and requests of production in each minute; at least one request.
    """
    requests = sum(served for _, served in history)
    return sum(events for events, _ in history) / requests, history_dispersion(history)


def unknown_dispersion(rule: MetricRule, pairs: Pairs, *, minutes_run: int) -> tuple[str, str] | None:
    """
    Return the reason, and what is missing, if there are too few minutes to estimate the overdispersion.

    :param minutes_run: duration of the trial in minutes.
    """
    if not rule.counted or is_estimable(len(pairs), len(pairs.history)):
        return None
    seen = max(len(pairs), len(pairs.history))
    missing = MIN_MINUTES - len(pairs)
    wait = wait_in_words(pairs.least_requests, minutes_run, missing * minutes_run / len(pairs))
    return (
        f"only {seen} < {MIN_MINUTES} minutes of production: too few to know how its errors come in bursts",
        f"{missing} more minutes with requests: {wait}; or {MIN_MINUTES} minutes of production before it",
    )
