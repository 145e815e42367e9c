"""Whether the new fleet could be judged beside the old one before the update is over, and then undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from math import ceil
from operator import itemgetter

from airflow_guardrails.domain.canary.config import METRICS_LAG, CanaryAnalysis
from airflow_guardrails.domain.canary.schedule import Comparison, comparison
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, Canary, Linear, Rolling, Strategy
from airflow_guardrails.domain.judge.counts import requests_to_pass
from airflow_guardrails.domain.judge.evidence import MAX_HISTORY, requests_needed
from airflow_guardrails.domain.judge.means import minutes_needed
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.autocorrelation import MIN_HISTORY_MINUTES
from airflow_guardrails.domain.judge.statistics.overdispersion import MIN_MINUTES as MINUTES_FOR_BURSTS
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, warning
from airflow_guardrails.domain.preflight.guards import inf1, marketplace, variant_names
from airflow_guardrails.domain.text import count_in_words, duration_in_words

INSTANCE_METRICS = "/aws/sagemaker/Endpoints"
_MINUTE = timedelta(minutes=1)
_LONGEST_BAKE = 60  # minutes; WaitIntervalInSeconds is at most 3600


def no_switch(facts: PreflightContext) -> Iterator[Finding]:
    analysis = facts.analysis
    if analysis and analysis.may_abort and facts.switch is None:
        text = "an analysis undoes the update by the abort switch, and there is none (abort_switch=False)"
        yield error(Code.ANALYSIS_NO_SWITCH, text, fix="keep the abort switch, or set observe_only=True")


def bakes(facts: PreflightContext) -> Iterator[Finding]:
    analysis, strategy = facts.analysis, facts.guardrails.strategy
    if analysis is None:
        return
    # Without allow_unguarded they stop the update themselves.
    ignored = [*inf1(facts), *marketplace(facts), *variant_names(facts)] if facts.allow_unguarded else []
    if ignored:
        text = f"there is nothing to compare without bakes, and {ignored[0].text}"
        yield error(Code.ANALYSIS_NO_BAKE, text, fix=f"{ignored[0].fix}, or leave the analysis out")
    elif not _compared(strategy, analysis, facts).shares:
        name = strategy.name if strategy else "all at once, SageMaker's default,"
        text = f"{name} has no bake in which both fleets have traffic, so there is nothing to compare"
        fix = "use Canary, Linear or Rolling with a bake, or leave the analysis out"
        yield error(Code.ANALYSIS_NO_BAKE, text, fix=fix)
    elif _minutes(strategy, analysis, facts) < (needed := _minutes_needed(analysis, facts)):
        text = (
            f"the rules need {count_in_words(needed, 'minute')} with data, and the bakes leave "
            f"{_minutes(strategy, analysis, facts):.3g}: {_less(analysis)}"
        )
        fix = f"{_shortest(facts, analysis)}; or shorten {_shortened(analysis)}"
        yield error(Code.ANALYSIS_BAKE_SHORT, text, fix=fix)


def past(facts: PreflightContext) -> Iterator[Finding]:
    """Find an endpoint that has not served for long enough to know how its errors come."""
    analysis, strategy = facts.analysis, facts.guardrails.strategy
    if analysis is None or not _compared(strategy, analysis, facts).shares:
        return
    counted = [f"{rule.metric} {rule.stat}" for rule in analysis.rules if rule.counted]
    known, left = _known(facts), _minutes(strategy, analysis, facts)
    if counted and max(known, left) < MINUTES_FOR_BURSTS:
        text = (
            f"the endpoint had requests in {count_in_words(known, 'minute')} of the last "
            f"{duration_in_words(MAX_HISTORY)}, and the bakes leave {left:.3g}: whether errors come in "
            f"bursts takes {MINUTES_FOR_BURSTS} of either, and {', '.join(counted)} cannot pass without"
        )
        fix = f"update when it has served for {count_in_words(MINUTES_FOR_BURSTS - known, 'minute')} more"
        yield _low(Code.ANALYSIS_PAST_SHORT, analysis, text, fix=fix)


def traffic(facts: PreflightContext) -> Iterator[Finding]:
    analysis = facts.analysis
    if analysis is None or not _compared(facts.guardrails.strategy, analysis, facts).shares:
        return
    if facts.traffic_unread:
        text = f"how many requests the endpoint gets cannot be read ({facts.traffic_unread})"
        fix = "allow cloudwatch:GetMetricData; without it the analysis never says Pass, nor Fail"
        yield warning(Code.ANALYSIS_UNREADABLE, text, fix=fix)
        return
    long_enough = _minutes(facts.guardrails.strategy, analysis, facts) >= _minutes_needed(analysis, facts)
    for name, requests in _traffic(facts):
        # Where bakes are too short, the shortest that would do is long enough for the traffic, too.
        if long_enough:
            yield from _too_few(facts, analysis, name, requests)
        yield from _too_thin(facts, analysis, name, requests)


def by_instances(facts: PreflightContext) -> Iterator[Finding]:
    rules = facts.analysis.rules if facts.analysis else ()
    names = [f"{rule.metric} {rule.stat}" for rule in rules if rule.namespace == INSTANCE_METRICS]
    if names:
        text = f"AWS does not say whether {', '.join(names)} is published for each fleet (EndpointConfigName)"
        fix = 'judge by the metrics of requests, or set on_missing="ignore"'
        yield warning(Code.ANALYSIS_BY_INSTANCES, text, fix=fix)


def _too_few(
    facts: PreflightContext, analysis: CanaryAnalysis, name: str, requests: float
) -> Iterator[Finding]:
    needed = _requests_needed(analysis)
    new, old = _requests(facts.guardrails.strategy, analysis, facts, requests)
    least = min(new, old)
    had = f"{name} had {_count(requests)} in the last hour, of which"
    if least < needed:
        text = f"{had} a fleet would get about {least:,.0f} while both are compared < {needed} (min_requests)"
        fix = f"{_shortest(facts, analysis)}; or move more at a time, or lower min_requests"
        yield _low(Code.ANALYSIS_TRAFFIC_LOW, analysis, text, fix=fix)
        return
    to_pass, rule = _requests_to_pass(analysis, new / old)
    if new < to_pass:
        text = (
            f"{had} the new fleet would get about {new:,.0f} while both are compared < {to_pass:,}, which "
            f"{rule.metric} {rule.stat} takes to pass even if none fails"
        )
        fix = f"{_shortest(facts, analysis)}; or move more at a time, or allow more than {rule.margin}"
        yield _low(Code.ANALYSIS_TRAFFIC_LOW, analysis, text, fix=fix)


def _too_thin(
    facts: PreflightContext, analysis: CanaryAnalysis, name: str, requests: float
) -> Iterator[Finding]:
    """Find percentiles that no bake is long enough for, because each minute has too few requests."""
    shares = _compared(facts.guardrails.strategy, analysis, facts).shares
    least = requests / 60 * max(min(share, 1 - share) for share in shares)
    thin = [(rule, requests_needed(rule.quantile, similar=False)) for rule in analysis.rules if rule.quantile]
    for rule, needed in thin:
        if least < needed:
            text = (
                f"{name} had {_count(requests)} in the last hour, of which a fleet would get about "
                f"{least:,.3g} a minute < {ceil(needed)}, which {rule.metric} {rule.stat} takes"
            )
            fix = "move more at a time, or judge by a mean (Average) or a percentile nearer to p50"
            yield _low(Code.ANALYSIS_TRAFFIC_LOW, analysis, text, fix=fix)


def _low(code: Code, analysis: CanaryAnalysis, text: str, *, fix: str) -> Finding:
    say = error if analysis.holds and analysis.may_abort else warning
    return say(code, text, fix=fix)


def _count(requests: float) -> str:
    return f"{requests:,.0f} requests"


def _less(analysis: CanaryAnalysis) -> str:
    parts = [
        f"{duration_in_words(analysis.warm_up)} of warm_up",
        f"{duration_in_words(METRICS_LAG + _MINUTE)} for CloudWatch",
    ]
    if analysis.may_abort:
        parts.append(f"{duration_in_words(analysis.abort_cutoff)} for the switch to act")
    return f"less {', '.join(parts)}"


def _shortened(analysis: CanaryAnalysis) -> str:
    return "warm_up or min_minutes" if analysis.looks_as_often_as_it_may else "warm_up, every or min_minutes"


# What a strategy leaves to judge by.


def _suffices(strategy: Strategy, analysis: CanaryAnalysis, facts: PreflightContext) -> bool:
    fleets = [_requests(strategy, analysis, facts, requests) for _, requests in _traffic(facts)]
    return _minutes(strategy, analysis, facts) >= _minutes_needed(analysis, facts) and all(
        min(new, old) >= _requests_needed(analysis) and new >= _requests_to_pass(analysis, new / old)[0]
        for new, old in fleets
    )


def _traffic(facts: PreflightContext) -> Iterator[tuple[str, float]]:
    """Variants and their requests of the last hour; one of weight 0 is not meant to get any."""
    for name, requests in facts.traffic.items():
        live = facts.live(name)
        if live is None or live.desired_weight != 0:
            yield name, requests


def _requests_needed(analysis: CanaryAnalysis) -> int:
    return max(rule.min_requests for rule in analysis.rules)


def _requests_to_pass(analysis: CanaryAnalysis, share: float) -> tuple[int, MetricRule]:
    """Say how many of the new fleet's a Pass takes, and for which rule."""
    needed = [requests_to_pass(rule, share=share, alpha=analysis.alpha) for rule in analysis.rules]
    return max(zip(needed, analysis.rules, strict=True), key=itemgetter(0))


def _minutes_needed(analysis: CanaryAnalysis, facts: PreflightContext) -> int:
    return max(_minutes_of(rule, analysis, _known(facts)) for rule in analysis.rules)


def _minutes_of(rule: MetricRule, analysis: CanaryAnalysis, known: int) -> int:
    # How many minutes counts take, which may come in unknown bursts, is checked by past().
    if rule.counted:
        return rule.min_minutes
    return max(rule.min_minutes, minutes_needed(known, alpha=analysis.alpha))


def _known(facts: PreflightContext) -> int:
    """Count the minutes of the last hours in which every variant that gets requests had some."""
    return min(
        (facts.past.get(name, MIN_HISTORY_MINUTES) for name, _ in _traffic(facts)),
        default=MIN_HISTORY_MINUTES,
    )


def _minutes(strategy: Strategy | None, analysis: CanaryAnalysis, facts: PreflightContext) -> float:
    return sum((part for _, part in _parts(strategy, analysis, facts)), NO_WAIT) / _MINUTE


def _requests(
    strategy: Strategy | None, analysis: CanaryAnalysis, facts: PreflightContext, in_an_hour: float
) -> tuple[float, float]:
    """Foresee how many the new fleet and the old one get, in the time that is judged."""
    parts = _parts(strategy, analysis, facts)
    new = sum(share * (part / _MINUTE) for share, part in parts)
    old = sum((1 - share) * (part / _MINUTE) for share, part in parts)
    return in_an_hour / 60 * new, in_an_hour / 60 * old


def _parts(
    strategy: Strategy | None, analysis: CanaryAnalysis, facts: PreflightContext
) -> tuple[tuple[float, timedelta], ...]:
    # A minute is there once it is over, and CloudWatch has published it.
    reserve = METRICS_LAG + _MINUTE + (analysis.abort_cutoff if analysis.may_abort else NO_WAIT)
    return _compared(strategy, analysis, facts).within(skip=analysis.warm_up, reserve=reserve)


def _compared(strategy: Strategy | None, analysis: CanaryAnalysis, facts: PreflightContext) -> Comparison:
    smallest = min((count for _, count in facts.fleets), default=None)
    return comparison(strategy, instances=smallest, needed=analysis.abort_cutoff)


def _shortest(facts: PreflightContext, analysis: CanaryAnalysis) -> str:
    """Name the shortest bake that would do, as far as SageMaker has one."""
    strategy = facts.guardrails.strategy
    if isinstance(strategy, Canary | Linear | Rolling):
        for minutes in range(1, _LONGEST_BAKE + 1):
            # Whether that is within its max_duration is another question.
            longer = replace(strategy, bake=minutes * _MINUTE, max_duration=None)
            if _suffices(longer, analysis, facts):
                return f"bake for {minutes} min at least"
    return "no bake of up to an hour would do"


CHECKS = (no_switch, bakes, past, traffic, by_instances)
