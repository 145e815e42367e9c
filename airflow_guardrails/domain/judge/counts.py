"""How much more often something happens to the candidate, events that come in bursts being one."""

from __future__ import annotations

from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.means import Interval
from airflow_guardrails.domain.judge.statistics.overdispersion import LEAST_MINUTES, dispersion, is_known
from airflow_guardrails.domain.judge.statistics.rates import (
    NEVER,
    NEVER_AGAIN,
    difference_interval,
    ratio_of_rates_interval,
    requests_without_events,
)
from airflow_guardrails.domain.judge.text import minutes_in_words


def interval_of_counts(rule: MetricRule, pairs: Pairs, *, alpha_fail: float, alpha_pass: float) -> Interval:
    """Bound how much larger the candidate's rate is, or how many times production's."""
    low, high = (alpha_fail, alpha_pass) if rule.worse_is_more else (alpha_pass, alpha_fail)
    bound = ratio_of_rates_interval if rule.relative else difference_interval
    as_rate = rule.stat != "Sum"
    minutes = pairs.minutes(as_rate=as_rate)
    past = [
        (value * requests if as_rate else value, requests)
        for value, requests in zip(pairs.past, pairs.past_requests, strict=True)
    ]
    return bound(
        minutes,
        burst=dispersion(minutes, past),
        never=NEVER_AGAIN if any(pairs.past) else NEVER,
        alpha_low=low,
        alpha_high=high,
    )


def requests_to_pass(rule: MetricRule, *, share: float, alpha: float) -> int:
    """
    Say how many requests of the candidate's *rule* takes to pass if nothing ever fails.

    :param share: requests of the candidate for each of production's.
    :return: 0 where that cannot be foreseen: it depends on what production does, or nothing is counted.
    """
    foreseen = rule.counted and rule.worse_is_more and not rule.relative and rule.allowed > 0
    return requests_without_events(rule.allowed, share=share, alpha=alpha) if foreseen else 0


def dispersion_is_unknown(rule: MetricRule, pairs: Pairs) -> tuple[str, str] | None:
    """Say that nobody knows yet how events come; harm that is beyond any burst is one all the same."""
    if not rule.counted or is_known(len(pairs), len(pairs.past)):
        return None
    seen = max(len(pairs), len(pairs.past))
    wait = minutes_in_words(LEAST_MINUTES - len(pairs))
    return (
        f"production was seen for {seen} < {LEAST_MINUTES} minutes, too few to know bursts of its events",
        f"about {wait} more with requests; or as many of production's before the trial",
    )
