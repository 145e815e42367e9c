"""Checks of the analysis: whether bakes, traffic and history suffice to judge the new fleet in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from operator import itemgetter

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.canary.schedule import ComparisonPlan, plan_comparison
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, Canary, Linear, Rolling, Strategy
from airflow_guardrails.domain.judge.counts import requests_to_pass
from airflow_guardrails.domain.judge.evidence import MAX_HISTORY, requests_needed
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.harm import minutes_needed
from airflow_guardrails.domain.judge.statistics.overdispersion import MIN_MINUTES as MINUTES_FOR_BURSTS
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, warning
from airflow_guardrails.domain.preflight.guards import exclusions, strategy_name
from airflow_guardrails.domain.snapshots.metrics import INSTANCE_NAMESPACE, METRICS_LAG
from airflow_guardrails.domain.text import count_in_words, duration_in_words

_MINUTE = timedelta(minutes=1)
# A minute can be judged once it has ended and CloudWatch has published it.
_PUBLISHED_AFTER = METRICS_LAG + _MINUTE
_LONGEST_BAKE = 60  # minutes; WaitIntervalInSeconds is at most 3600


def _no_switch(context: PreflightContext) -> Iterator[Finding]:
    analysis = context.analysis
    if analysis and analysis.may_abort and context.switch is None:
        text = "the analysis needs the abort switch to roll back, and there is none (abort_switch=False)"
        yield error(Code.ANALYSIS_NO_SWITCH, text, fix="keep the abort switch, or set observe_only=True")


def _bakes(context: PreflightContext) -> Iterator[Finding]:
    forecast = _forecast_of(context)
    if forecast is None:
        return
    # Without allow_unguarded, the exclusions are errors of their own.
    excluded = [*exclusions(context)] if context.allow_unguarded else []
    if excluded:
        text = f"there is nothing to compare without bakes, and {excluded[0].text}"
        yield error(Code.ANALYSIS_NO_BAKE, text, fix=f"{excluded[0].fix}, or remove the analysis")
    elif not forecast.plan.shares:
        name = strategy_name(forecast.strategy)
        text = f"{name} has no bake in which both fleets have traffic, so there is nothing to compare"
        fix = "use Canary, Linear or Rolling with a bake, or remove the analysis"
        yield error(Code.ANALYSIS_NO_BAKE, text, fix=fix)
    elif forecast.minutes < (needed := forecast.minutes_needed):
        text = (
            f"the rules need {count_in_words(needed, 'minute')} with data, and the bakes leave "
            f"{forecast.minutes:.3g}: {_subtracted(forecast.analysis)}"
        )
        fix = f"{_shortest_bake(forecast)}; or shorten {_shortenable(forecast.analysis)}"
        yield error(Code.ANALYSIS_BAKE_SHORT, text, fix=fix)


def _past(context: PreflightContext) -> Iterator[Finding]:
    """Find an endpoint whose history is too short to estimate the overdispersion of its errors."""
    forecast = _forecast_of(context)
    if forecast is None or not forecast.plan.shares:
        return
    counted = [f"{rule.metric} {rule.stat}" for rule in forecast.analysis.rules if rule.counted]
    known, left = forecast.minutes_known, forecast.minutes
    if counted and max(known, left) < MINUTES_FOR_BURSTS:
        text = (
            f"the endpoint had requests in {count_in_words(known, 'minute')} of the last "
            f"{duration_in_words(MAX_HISTORY)}, and the bakes leave {left:.3g}: whether errors come in "
            f"bursts takes {MINUTES_FOR_BURSTS} of either, and {', '.join(counted)} cannot pass without"
        )
        fix = f"update when it has served for {count_in_words(MINUTES_FOR_BURSTS - known, 'minute')} more"
        yield _too_low(Code.ANALYSIS_PAST_SHORT, forecast.analysis, text, fix=fix)


def _traffic(context: PreflightContext) -> Iterator[Finding]:
    forecast = _forecast_of(context)
    if forecast is None or not forecast.plan.shares:
        return
    if context.traffic_unread:
        text = f"the traffic of the endpoint cannot be read ({context.traffic_unread})"
        fix = "allow cloudwatch:GetMetricData; without it the verdict is never Pass or Fail"
        yield warning(Code.ANALYSIS_UNREADABLE, text, fix=fix)
        return
    long_enough = forecast.minutes >= forecast.minutes_needed
    for name, requests in forecast.traffic:
        # If the bakes are too short, the fix of that finding already contains a bake long enough for the
        # traffic.
        if long_enough:
            yield from _too_few_requests(forecast, name, requests)
        yield from _too_few_per_minute(forecast, name, requests)


def _by_instances(context: PreflightContext) -> Iterator[Finding]:
    rules = context.analysis.rules if context.analysis else ()
    names = [f"{rule.metric} {rule.stat}" for rule in rules if rule.namespace == INSTANCE_NAMESPACE]
    if names:
        text = (
            f"AWS does not document whether {', '.join(names)} is published for each fleet "
            "(EndpointConfigName)"
        )
        fix = 'judge by the metrics of requests, or set on_missing="ignore"'
        yield warning(Code.ANALYSIS_BY_INSTANCES, text, fix=fix)


def _too_few_requests(forecast: _Forecast, name: str, requests: float) -> Iterator[Finding]:
    needed = forecast.requests_needed
    new, old = forecast.requests(requests)
    least = min(new, old)
    had = f"{name} had {_count(requests)} in the last hour, of which"
    if least < needed:
        text = f"{had} a fleet would get about {least:,.0f} while both are compared < {needed} (min_requests)"
        fix = f"{_shortest_bake(forecast)}; or use larger steps, or lower min_requests"
        yield _too_low(Code.ANALYSIS_TRAFFIC_LOW, forecast.analysis, text, fix=fix)
        return
    to_pass, rule = forecast.requests_to_pass(new / old)
    if new < to_pass:
        text = (
            f"{had} the new fleet would get about {new:,.0f} while both are compared < {to_pass:,}, which "
            f"{rule.metric} {rule.stat} needs to pass even if none fails"
        )
        fix = f"{_shortest_bake(forecast)}; or use larger steps, or allow more than {rule.margin}"
        yield _too_low(Code.ANALYSIS_TRAFFIC_LOW, forecast.analysis, text, fix=fix)


def _too_few_per_minute(forecast: _Forecast, name: str, requests: float) -> Iterator[Finding]:
    """Find percentiles for which each minute has too few requests, however long the bake is."""
    least = requests / 60 * max(min(share, 1 - share) for share in forecast.plan.shares)
    for rule in forecast.analysis.rules:
        if rule.quantile and least < (needed := requests_needed(rule.quantile, similar=False)):
            text = (
                f"{name} had {_count(requests)} in the last hour, of which a fleet would get about "
                f"{least:,.3g} a minute < {ceil(needed)}, which {rule.metric} {rule.stat} needs"
            )
            fix = "use larger steps, or judge by a mean (Average) or a percentile nearer to p50"
            yield _too_low(Code.ANALYSIS_TRAFFIC_LOW, forecast.analysis, text, fix=fix)


def _too_low(code: Code, analysis: CanaryAnalysis, text: str, *, fix: str) -> Finding:
    # Without a Pass, such an analysis would abort every update.
    finding = error if analysis.holds and analysis.may_abort else warning
    return finding(code, text, fix=fix)


def _count(requests: float) -> str:
    return f"{requests:,.0f} requests"


def _subtracted(analysis: CanaryAnalysis) -> str:
    parts = [
        f"{duration_in_words(analysis.warm_up)} of warm_up",
        f"{duration_in_words(_PUBLISHED_AFTER)} for CloudWatch",
    ]
    if analysis.may_abort:
        parts.append(f"{duration_in_words(analysis.abort_cutoff)} for the switch to act")
    return f"less {', '.join(parts)}"


def _shortenable(analysis: CanaryAnalysis) -> str:
    return "warm_up or min_minutes" if analysis.has_shortest_interval else "warm_up, every or min_minutes"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forecast:
    """What an update with *strategy* gives the analysis to judge, at the traffic of the last hour."""

    strategy: Strategy | None
    analysis: CanaryAnalysis
    context: PreflightContext

    @property
    def plan(self) -> ComparisonPlan:
        smallest = min((count for _, count in self.context.fleets), default=None)
        return plan_comparison(self.strategy, instances=smallest, needed=self.analysis.abort_cutoff)

    @property
    def parts(self) -> tuple[tuple[float, timedelta], ...]:
        reserve = _PUBLISHED_AFTER + (self.analysis.abort_cutoff if self.analysis.may_abort else NO_WAIT)
        return self.plan.within(skip=self.analysis.warm_up, reserve=reserve)

    @property
    def minutes(self) -> float:
        """Minutes that can be judged."""
        return sum((part for _, part in self.parts), NO_WAIT) / _MINUTE

    @property
    def minutes_needed(self) -> int:
        return max(self._minutes_of(rule) for rule in self.analysis.rules)

    def _minutes_of(self, rule: MetricRule) -> int:
        # _past() checks the minutes that counts need because of their overdispersion.
        if rule.counted:
            return rule.min_minutes
        return max(rule.min_minutes, minutes_needed(self.analysis.alpha))

    @property
    def minutes_known(self) -> int:
        """Minutes of history in which every variant with traffic had requests."""
        past, enough = self.context.past, MINUTES_FOR_BURSTS
        return min((past.get(name, enough) for name, _ in self.traffic), default=enough)

    @property
    def traffic(self) -> list[tuple[str, float]]:
        """Variant names and requests of the last hour, without variants of weight 0, which get none."""
        live = {variant.name: variant.desired_weight for variant in self.context.endpoint.variants}
        return [(name, count) for name, count in self.context.traffic.items() if live.get(name) != 0]

    def requests(self, per_hour: float) -> tuple[float, float]:
        """Return the requests to the new and to the old fleet in the judged minutes."""
        new = sum(share * (part / _MINUTE) for share, part in self.parts)
        old = sum((1 - share) * (part / _MINUTE) for share, part in self.parts)
        return per_hour / 60 * new, per_hour / 60 * old

    @property
    def requests_needed(self) -> int:
        return max(rule.min_requests for rule in self.analysis.rules)

    def requests_to_pass(self, share: float) -> tuple[int, MetricRule]:
        """Return how many requests the new fleet needs for a Pass, and the rule that needs most."""
        rules, alpha = self.analysis.rules, self.analysis.alpha
        needed = [requests_to_pass(rule, share=share, alpha=alpha) for rule in rules]
        return max(zip(needed, rules, strict=True), key=itemgetter(0))

    @property
    def suffices(self) -> bool:
        """Whether there are enough minutes and requests for a Pass."""
        fleets = [self.requests(count) for _, count in self.traffic]
        return self.minutes >= self.minutes_needed and all(
            min(new, old) >= self.requests_needed and new >= self.requests_to_pass(new / old)[0]
            for new, old in fleets
        )


def _forecast_of(context: PreflightContext) -> _Forecast | None:
    if context.analysis is None:
        return None
    return _Forecast(strategy=context.guardrails.strategy, analysis=context.analysis, context=context)


def _shortest_bake(forecast: _Forecast) -> str:
    """Return as a fix the shortest bake that suffices."""
    strategy = forecast.strategy
    if isinstance(strategy, Canary | Linear | Rolling):
        for minutes in range(1, _LONGEST_BAKE + 1):
            # max_duration is left out here, because the checks of the schedule compare it.
            longer = replace(strategy, bake=minutes * _MINUTE, max_duration=None)
            if replace(forecast, strategy=longer).suffices:
                return f"bake for at least {minutes} min"
    return "no bake of up to an hour suffices"


CHECKS = (_no_switch, _bakes, _past, _traffic, _by_instances)
