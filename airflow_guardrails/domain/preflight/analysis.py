"""Checks of the analysis: whether bakes, traffic and history suffice to judge the new fleet in time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from math import ceil

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.canary.power import EVEN, VariantPower, chance_in_words, power_report
from airflow_guardrails.domain.canary.schedule import ComparisonPlan, plan_comparison
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, Canary, Linear, Rolling, Strategy
from airflow_guardrails.domain.judge.evidence import MAX_HISTORY, requests_needed
from airflow_guardrails.domain.judge.power import power
from airflow_guardrails.domain.judge.rules import InvalidRule, MetricRule
from airflow_guardrails.domain.judge.statistics.harm import minutes_needed
from airflow_guardrails.domain.judge.statistics.overdispersion import MIN_MINUTES as MINUTES_FOR_BURSTS
from airflow_guardrails.domain.judge.tails import is_counted_by_limit
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, note, warning
from airflow_guardrails.domain.preflight.guards import exclusions, strategy_name
from airflow_guardrails.domain.snapshots.metrics import INSTANCE_NAMESPACE, METRICS_LAG
from airflow_guardrails.domain.text import count_in_words, duration_in_words

_MINUTE = timedelta(minutes=1)
# A minute can be judged once it has ended and CloudWatch has published it.
_PUBLISHED_AFTER = METRICS_LAG + _MINUTE
_NO_BAKE_SUFFICES = "no bake of up to an hour suffices"
_LONGEST_BAKE = 60  # minutes; WaitIntervalInSeconds is at most 3600

# A rule with this chance is not what keeps a good model from passing.
_LIKELY = 0.9
# Wider margins that are tried, in margins; a margin of 0 in these.
_WIDER = (1.25, 1.5, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 100)
_SMALLEST_RATE, _SMALLEST_PART = 0.001, 0.01


def with_power(context: PreflightContext) -> PreflightContext:
    """Add what the analysis can find in each variant; it takes about a second for each."""
    forecast = _forecast_of(context)
    if forecast is None or not forecast.parts:
        return context
    return replace(context, power=forecast.power())


def _no_switch(context: PreflightContext) -> Iterator[Finding]:
    analysis = context.analysis
    if analysis and analysis.may_abort and context.switch is None:
        text = "the analysis needs the abort switch to roll back, and there is none (abort_switch=False)"
        yield error(Code.ANALYSIS_NO_SWITCH, text, fix="keep the abort switch, or set observe_only=True")


def _enough(context: PreflightContext) -> Iterator[Finding]:
    found = [*_bakes(context), *_past(context), *_traffic(context)]
    # What is missing explains why a good model would not pass.
    yield from found or _pass_chance(context)


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


def _pass_chance(context: PreflightContext) -> Iterator[Finding]:
    """Find rules that even a good model would hardly pass, at the noise and the errors of the past."""
    forecast, unlikely = _forecast_of(context), [one for one in context.power if one.is_unlikely]
    if forecast is None or not unlikely:
        return
    worst = min(unlikely, key=lambda one: (not one.is_surely_unlikely, one.pass_chance))
    chances = ", ".join(
        f"{_name(one.rule)} {chance_in_words(one.pass_chance)}: {one.because}"
        for one in worst.rules
        if one.rule in forecast.unlikely
    )
    text = (
        f"a model as good as production {worst.chance_in_words()} ({chances}), at {worst.traffic_in_words()}"
    )
    bake = _shortest_bake(forecast)
    share = _larger_share(forecast) if bake == _NO_BAKE_SUFFICES else None
    fixes = [bake, share, _wider_margins(forecast)]
    if forecast.analysis.needs_pass:
        text = f"{text}; an update without a Pass is rolled back"
        fixes.append('set on_inconclusive="continue"')
    fix = "; or ".join(filter(None, fixes))
    if worst.is_surely_unlikely:
        yield _too_low(Code.ANALYSIS_PASS_UNLIKELY, forecast.analysis, text, fix=fix)
    else:
        yield warning(Code.ANALYSIS_PASS_UNLIKELY, text, fix=fix)


def _power(context: PreflightContext) -> Iterator[Finding]:
    if report := power_report(context.power):
        yield note(Code.ANALYSIS_POWER, report["text"])


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


def _too_few_per_minute(forecast: _Forecast, name: str, requests: float) -> Iterator[Finding]:
    """Find percentiles for which each minute has too few requests, however long the bake is."""
    least = requests / 60 * max(min(share, 1 - share) for share in forecast.plan.shares)
    for rule in forecast.analysis.rules:
        # Slow requests are counted over all minutes.
        if is_counted_by_limit(rule):
            continue
        if rule.quantile and least < (needed := requests_needed(rule.quantile, similar=False)):
            text = (
                f"{name} had {_count(requests)} in the last hour, of which a fleet would get about "
                f"{least:,.3g} a minute < {ceil(needed)}, which {rule.metric} {rule.stat} needs"
            )
            fix = "use larger steps, or judge by a mean (Average) or a percentile nearer to p50"
            yield _too_low(Code.ANALYSIS_TRAFFIC_LOW, forecast.analysis, text, fix=fix)


def _too_low(code: Code, analysis: CanaryAnalysis, text: str, *, fix: str) -> Finding:
    # Without a Pass, such an analysis would abort every update.
    finding = error if analysis.needs_pass else warning
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
        past = self.context.past
        served = [past[name].requests.values() for name, _ in self.traffic if name in past]
        return min((sum(count > 0 for count in counts) for counts in served), default=MINUTES_FOR_BURSTS)

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

    @property
    def suffices(self) -> bool:
        """Whether there are enough minutes and requests to judge."""
        fleets = [self.requests(count) for _, count in self.traffic]
        return self.minutes >= self.minutes_needed and all(
            min(new, old) >= self.requests_needed for new, old in fleets
        )

    def power(self, rules: Collection[MetricRule] | None = None) -> tuple[VariantPower, ...]:
        """Return what the analysis can find in each variant with traffic, by these *rules* or by all."""
        return tuple(
            VariantPower(
                variant=name,
                requests=requests,
                shares=tuple(share for share, _ in self.parts),
                delay=self.analysis.warm_up + _PUBLISHED_AFTER,
                rules=power(
                    self.analysis.rules,
                    self.context.past[name],
                    self.parts,
                    # The variants share alpha, as in judge_trial().
                    alpha=self.analysis.alpha / len(self.context.traffic),
                    requests=requests / 60,
                    only=rules,
                ),
            )
            for name, requests in self.traffic
            if name in self.context.past
        )

    @property
    def unlikely(self) -> frozenset[MetricRule]:
        """The rules that may keep a good model from passing."""
        rules = [one for variant in self.context.power for one in variant.rules]
        return frozenset(
            one.rule for one in rules if one.pass_chance is not None and one.pass_chance < _LIKELY
        )

    def passes_instead(self, rule: MetricRule, other: MetricRule) -> bool:
        """Whether a good model probably passes *other*, in place of *rule* for the same metric."""
        past = {
            name: replace(history, metrics={**history.metrics, other: history.metrics.get(rule, {})})
            for name, history in self.context.past.items()
        }
        rules = [other if one == rule else one for one in self.analysis.rules]
        instead = replace(
            self,
            analysis=replace(self.analysis, rules=rules),
            context=replace(self.context, past=past),
        )
        return instead.passes({other}, chance=_LIKELY)

    def passes(self, rules: Collection[MetricRule], *, chance: float) -> bool:
        """Whether a good model passes these rules with at least that *chance*, where it is known."""
        return all(one.pass_chance is None or one.pass_chance >= chance for one in self.power(rules))


def _forecast_of(context: PreflightContext) -> _Forecast | None:
    if context.analysis is None:
        return None
    return _Forecast(strategy=context.guardrails.strategy, analysis=context.analysis, context=context)


def _shortest_bake(forecast: _Forecast) -> str:
    """Return as a fix the shortest bake that suffices, also for a good model to pass."""
    strategy = forecast.strategy
    if not isinstance(strategy, Canary | Linear | Rolling):
        return _NO_BAKE_SUFFICES
    # max_duration is left out here, because the checks of the schedule compare it.
    bakes = [
        replace(forecast, strategy=replace(strategy, bake=minutes * _MINUTE, max_duration=None))
        for minutes in range(1, _LONGEST_BAKE + 1)
    ]
    judged = next((at for at, longer in enumerate(bakes) if longer.suffices), len(bakes))
    doubtful = forecast.unlikely
    # The longest bake first, because the search takes time.
    if judged == len(bakes) or not bakes[-1].passes(doubtful, chance=EVEN):
        return _NO_BAKE_SUFFICES
    bake = 1 + bisect_left(bakes, True, lo=judged, key=lambda one: one.passes(doubtful, chance=EVEN))
    return f"bake for at least {bake} min"


def _larger_share(forecast: _Forecast) -> str | None:
    """Return as a fix the smallest canary with which a good model passes; None if none is known."""
    strategy = forecast.strategy
    if not isinstance(strategy, Canary) or strategy.percent is None:
        return None
    percents = [percent for percent in (10, 20, 30, 40, 50) if percent > strategy.percent]
    larger = [replace(forecast, strategy=replace(strategy, percent=percent)) for percent in percents]
    doubtful = forecast.unlikely
    at = bisect_left(larger, True, key=lambda one: one.passes(doubtful, chance=EVEN))
    return f"use percent={percents[at]}" if at < len(percents) else None


def _wider_margins(forecast: _Forecast) -> str | None:
    """Return as a fix the smallest margins with which a good model passes; None if none is known."""
    allowed = []
    for rule in forecast.analysis.rules:
        if rule not in forecast.unlikely:
            continue
        wider = _wider(rule)
        at = bisect_left(wider, True, key=partial(forecast.passes_instead, rule))
        if at == len(wider):
            return None
        allowed.append(f"{_name(rule)} a margin of {wider[at].margin}")
    return f"allow {', '.join(allowed)}" if allowed else None


def _wider(rule: MetricRule) -> list[MetricRule]:
    least = rule.allowed or (_SMALLEST_PART if rule.relative else _SMALLEST_RATE)
    rules = []
    for times in _WIDER:
        margin = float(f"{least * times:.2g}")
        try:
            rules.append(replace(rule, margin=f"{margin * 100:.4g}%" if rule.relative else margin))
        except InvalidRule:
            break
    return rules


def _name(rule: MetricRule) -> str:
    return f"{rule.metric} {rule.shown_stat}"


CHECKS = (_no_switch, _enough, _power, _by_instances)
