"""
How the analysis works between two looks at the endpoint.

The functions are generators that yield effects and are sent the results, as in ``domain.rollout.process``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from airflow_guardrails.domain.canary.evidence import Trial, TrialHistory, judge_trial, published_until
from airflow_guardrails.domain.canary.sample_ratio import steps_after
from airflow_guardrails.domain.canary.schedule import Bake, last_bake_length
from airflow_guardrails.domain.effects import (
    Compute,
    ComputeFailed,
    Effect,
    GetMetricData,
    LogMessage,
    NoResponse,
)
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.tails import is_counted_by_limit
from airflow_guardrails.domain.judge.verdict import Label, Verdict
from airflow_guardrails.domain.rollout.abort import throw_switch
from airflow_guardrails.domain.rollout.canary_state import AnalysisState, not_aborted
from airflow_guardrails.domain.rollout.publishing import publish_verdict
from airflow_guardrails.domain.rollout.report import rollout_report
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.rollout.stopping import when_an_abort_acts
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, Stage, Variant
from airflow_guardrails.domain.snapshots.metrics import MetricQuery, Points

# In these stages the new fleet has traffic, and the update can still be aborted.
_WITH_TRAFFIC = frozenset({Stage.ACTIVATING_TRAFFIC, Stage.BAKING})

_Steps = Generator[Effect, Any, RolloutState]


def analyse(state: RolloutState) -> _Steps:
    """Judge the new fleet if it is time to, and abort the update if that follows; return the next state."""
    trial, analysis, look = _trial_in_flight(state), state.analysis, state.last_look
    if trial is None or analysis is None or not isinstance(look, Endpoint):
        return state
    analysis = replace(analysis, steps=steps_after(analysis.steps, look))
    state = replace(state, analysis=analysis)
    now, left = look.seen_at, _time_left(state)
    abort_cutoff = left is not None and left <= analysis.config.abort_cutoff
    if analysis.due(now) or (abort_cutoff and not analysis.pass_stands):
        state = yield from _judge(state, analysis, trial, now, abort_cutoff=abort_cutoff)
    if state.analysis is not None and state.analysis.wants_abort(abort_cutoff=abort_cutoff):
        state = yield from _abort(state, state.analysis, now)
    if state.analysis is not None and state.analysis.looks > analysis.looks:
        # After the abort, which must not wait for it.
        return (yield from publish_verdict(state))
    return state


def longest_pause(state: RolloutState) -> float:
    """Return the seconds until the analysis needs the next look, at least 1; infinity: it needs none."""
    analysis = state.analysis
    if analysis is None or analysis.over or state.timed_out:
        return float("inf")
    every, left = analysis.config.every, _time_left(state)
    if left is not None and left > analysis.config.abort_cutoff:
        every = min(every, left - analysis.config.abort_cutoff)
    return max(1.0, every.total_seconds())


def judged_at(state: RolloutState, thrown_at: datetime) -> _Steps:
    """
    Judge again by the metrics of *thrown_at*, when the abort switch was thrown.

    This task may have thrown it before a restart, and the analysis is not part of the serialized state. If
    the verdict is Fail, the returned state has ``acted_at`` set.
    """
    look, analysis = state.last_look, state.analysis
    if not isinstance(look, Endpoint):
        return state
    trial, ours = _trial(state, look.variants), state.rollout.launched_at is not None
    if trial is None or analysis is None or analysis.over or not (ours and analysis.config.may_abort):
        return state
    rules = analysis.config.interim_rules
    series = yield GetMetricData(
        trial.queries(rules), trial.history_start(look.seen_at), published_until(thrown_at)
    )
    if isinstance(series, NoResponse):
        return state
    series = yield from _with_slow_requests(trial, rules, series, published_until(thrown_at))
    verdict = yield Compute(judge_trial, (trial, series, analysis.config, rules, analysis.steps))
    if isinstance(verdict, ComputeFailed):
        # The verdict would only explain the rollback, so no error may end the wait.
        return state
    judged = analysis.judged(verdict, thrown_at)
    if judged.label is Label.FAIL:
        judged = replace(judged, acted_at=thrown_at, refused=None)
    elif analysis.looks:
        return state
    return replace(state, analysis=judged)


def _trial_in_flight(state: RolloutState) -> Trial | None:
    """Return what to compare; None if the two fleets are unknown, or do not both have traffic now."""
    look = state.last_look
    if not (state.is_analysed and isinstance(look, Endpoint) and look.pending and look.changing):
        return None
    if look.pending_config_name != state.rollout.target:
        return None
    if look.current_stage is None or look.current_stage.stage not in _WITH_TRAFFIC:
        return None
    return _trial(state, look.pending.variants)


def _trial(state: RolloutState, variants: Iterable[Variant]) -> Trial | None:
    previous, start = state.rollout.previous, state.started_at or state.rollout.launched_at
    if previous is None or start is None:
        return None
    return Trial(
        endpoint_name=state.rollout.endpoint_name,
        # A variant of weight 0 gets no requests.
        variants=tuple(variant.name for variant in variants if variant.desired_weight != 0),
        previous=previous,
        target=state.rollout.target,
        start=start,
    )


def _time_left(state: RolloutState) -> timedelta | None:
    """Return how long the update can still be aborted; None if it is not in its last bake, or unknown."""
    look, analysis, guardrails = state.last_look, state.analysis, state.rollout.guardrails
    if not isinstance(look, Endpoint) or look.pending is None or analysis is None or guardrails is None:
        return None
    mark = look.current_stage
    if mark is None or mark.stage is not Stage.BAKING:
        return None
    bakes = [change for change in state.stages if change.stage is Stage.BAKING]
    bake = Bake(
        instances=look.pending.instances,
        desired_instances=look.pending.desired_instances,
        earlier_bakes=len(bakes) - 1,
    )
    length = last_bake_length(guardrails.strategy, bake, needed=analysis.config.abort_cutoff)
    # A stage may come without its StartTime. Then the first look at the bake counts.
    since = mark.since or (bakes[-1].at if bakes else look.seen_at)
    return None if length is None else since + length - look.seen_at


def _judge(
    state: RolloutState, analysis: AnalysisState, trial: Trial, now: datetime, *, abort_cutoff: bool
) -> _Steps:
    until = published_until(now)
    # At the last look in time no more data will come, so each rule's on_missing applies.
    rules = tuple(analysis.config.rules) if abort_cutoff else analysis.config.interim_rules
    if until <= trial.start:
        return state
    # The history of another trial is not used: the update's start may become known between two looks.
    history = analysis.history if analysis.history and analysis.history.trial == trial else None
    start = trial.start if history else trial.history_start(now)
    series = yield GetMetricData(trial.queries(rules, with_history=history is None), start, until)
    if isinstance(series, NoResponse):
        return (yield from _without_response(state, analysis, series.reason, now))
    if history is None:
        history = yield Compute(TrialHistory.of, (trial, series, rules))
        if isinstance(history, ComputeFailed):
            return (yield from _after_error(state, analysis, history.error, now))
        analysis = replace(analysis, history=history)
    series = yield from _with_slow_requests(trial, rules, series, until, history)
    verdict = yield Compute(
        partial(_judge_with_history, history, series, trial=trial, analysis=analysis, rules=rules)
    )
    if isinstance(verdict, ComputeFailed):
        # The judge may fail on any data, and that must not end the wait.
        return (yield from _after_error(state, analysis, verdict.error, now))
    after = analysis.judged(verdict, now)
    judged = replace(state, analysis=after)
    if verdict.label is not analysis.label or after.share_fell_at != analysis.share_fell_at:
        yield _new_label(judged, verdict, trial.start)
    return judged


def _with_slow_requests(
    trial: Trial,
    rules: Sequence[MetricRule],
    series: Mapping[MetricQuery, Points],
    until: datetime,
    history: TrialHistory | None = None,
) -> Generator[Effect, Any, Mapping[MetricQuery, Points]]:
    """Return *series* with the counts of slow requests, if rules need them and CloudWatch has them."""
    if not any(is_counted_by_limit(rule) for rule in rules):
        return series
    queries = yield Compute(_slow_queries, (trial, rules, series, history))
    # What made this fail makes the judge fail too, which is told then.
    if isinstance(queries, ComputeFailed) or not queries:
        return series
    # A request of its own: if CloudWatch does not have this statistic, everything else can still be judged.
    counts = yield GetMetricData(queries, trial.start, until)
    return series if isinstance(counts, NoResponse) else {**series, **counts}


def _slow_queries(
    trial: Trial,
    rules: Sequence[MetricRule],
    series: Mapping[MetricQuery, Points],
    history: TrialHistory | None,
) -> tuple[MetricQuery, ...]:
    return trial.slow_queries(rules, history.joined_with(series) if history else series)


def _judge_with_history(
    history: TrialHistory,
    series: Mapping[MetricQuery, Points],
    *,
    trial: Trial,
    analysis: AnalysisState,
    rules: Sequence[MetricRule],
) -> Verdict:
    return judge_trial(trial, history.joined_with(series), analysis.config, rules, analysis.steps)


def _new_label(state: RolloutState, verdict: Verdict, start: datetime) -> LogMessage:
    analysis, text = state.analysis, verdict.describe()
    if analysis and analysis.passed_at and verdict.label is not Label.PASS:
        text = f"{analysis.course(start)}: {text}"
    return LogMessage(f"Analysis of the new fleet: {text}", rollout_report(state))


def _without_response(state: RolloutState, analysis: AnalysisState, reason: str, now: datetime) -> _Steps:
    unanswered = replace(state, analysis=analysis.without_response(reason, now))
    if not analysis.unanswered:
        text = f"No response from CloudWatch ({reason}); trying again"
        yield LogMessage(text, rollout_report(unanswered))
    return unanswered


def _after_error(state: RolloutState, analysis: AnalysisState, error: Exception, now: datetime) -> _Steps:
    failed = analysis.after_error(error, now)
    after = replace(state, analysis=failed)
    if not analysis.failing:
        text = f"No verdict: {failed.unanswered}. The update continues and will be judged again"
        yield LogMessage(text, rollout_report(after))
    return after


def _abort(state: RolloutState, analysis: AnalysisState, now: datetime) -> _Steps:
    if analysis.config.observe_only:
        observed = replace(state, analysis=replace(analysis, would_have_acted_at=now))
        text = f"The analysis would throw the abort switch now; it only observes ({analysis.summary()})"
        yield LogMessage(text, rollout_report(observed))
        return observed
    thrown = yield from throw_switch(state, now)
    if isinstance(thrown, NoResponse):
        return (yield from _refused(state, analysis, thrown.reason))
    aborted = replace(thrown, analysis=replace(analysis, acted_at=now, refused=None))
    when = when_an_abort_acts(state.last_look, state.rollout.guardrails)
    text = f"The analysis threw the abort switch; {when} ({analysis.summary()})"
    yield LogMessage(text, rollout_report(aborted))
    return aborted


def _refused(state: RolloutState, analysis: AnalysisState, why: str) -> _Steps:
    """Record why the switch could not be thrown; the next look tries again."""
    refused = replace(state, analysis=replace(analysis, refused=why))
    if analysis.refused != why:
        yield LogMessage(not_aborted(analysis, why), rollout_report(refused))
    return refused
