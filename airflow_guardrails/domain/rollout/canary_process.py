"""How an update is analysed between the looks at it: by a generator, as ``domain.follow`` has them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.canary.evidence import Trial, judge_trial, published_until
from airflow_guardrails.domain.canary.schedule import Bake, last_chance
from airflow_guardrails.domain.effects import Effect, GetMetricData, LogMessage, NoResponse
from airflow_guardrails.domain.judge.verdict import Label
from airflow_guardrails.domain.rollout.abort import throw_switch
from airflow_guardrails.domain.rollout.canary_state import Analysis
from airflow_guardrails.domain.rollout.messages import when_an_abort_acts
from airflow_guardrails.domain.rollout.report import rollout_report
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, Stage, Variant

# In these the new fleet has traffic, and may still be undone.
_WITH_TRAFFIC = frozenset({Stage.ACTIVATING_TRAFFIC, Stage.BAKING})

Steps = Generator[Effect, Any, RolloutState]


def analyse(watch: RolloutState) -> Steps:
    """Judge if it is time to, and undo the update if that follows; return the watch that knows of it."""
    trial, analysis = trial_of(watch), watch.analysis
    if trial is None or analysis is None or watch.last_look is None:
        return watch
    now, left = watch.last_look.seen_at, time_left(watch)
    abort_cutoff = left is not None and left <= analysis.wish.abort_cutoff
    if analysis.due(now) or (abort_cutoff and analysis.passed_at is None):
        watch = yield from _judged(watch, analysis, trial, now, abort_cutoff=abort_cutoff)
    if watch.analysis is not None and watch.analysis.wants_abort(abort_cutoff=abort_cutoff):
        return (yield from _undo(watch, watch.analysis, now))
    return watch


def longest_pause(watch: RolloutState) -> float:
    """Seconds after which the next look is due for the sake of the analysis; infinity: not for that."""
    analysis = watch.analysis
    if analysis is None or analysis.over or watch.timed_out:
        return float("inf")
    every, left = analysis.wish.every, time_left(watch)
    if left is not None and left > analysis.wish.abort_cutoff:
        every = min(every, left - analysis.wish.abort_cutoff)
    return max(1.0, every.total_seconds())


def judged_at(watch: RolloutState, thrown_at: datetime) -> Steps:
    """
    Say what the judge had to say when somebody threw the switch: this very analysis, perhaps.

    Whoever did it may have been restarted since, and it keeps nothing that could be lost.
    """
    look, analysis = watch.last_look, watch.analysis
    if not isinstance(look, Endpoint):
        return watch
    trial, ours = _trial(watch, look.variants), watch.rollout.launched_at is not None
    if trial is None or analysis is None or analysis.over or not (ours and analysis.wish.may_abort):
        return watch
    rules = analysis.wish.rules_under_way
    answer = yield GetMetricData(
        trial.queries(rules), trial.reads_from(look.seen_at), published_until(thrown_at)
    )
    if isinstance(answer, NoResponse):
        return watch
    try:
        verdict = judge_trial(trial, answer, analysis.wish, rules)
    except Exception:  # noqa: BLE001 - this only explains
        return watch
    judged = analysis.judged(verdict, thrown_at)
    if judged.label is Label.FAIL:
        judged = replace(judged, acted_at=thrown_at, refused=None)
    elif analysis.looks:
        return watch
    return replace(watch, analysis=judged)


def trial_of(watch: RolloutState) -> Trial | None:
    """Tell the two fleets; ``None`` while there are no two of them with traffic, or nobody knows."""
    look = watch.last_look
    if not (watch.is_analysed and isinstance(look, Endpoint) and look.pending and look.changing):
        return None
    if look.pending_config_name != watch.rollout.target:
        return None
    if look.current_stage is None or look.current_stage.stage not in _WITH_TRAFFIC:
        return None
    return _trial(watch, look.pending.variants)


def _trial(watch: RolloutState, variants: Iterable[Variant]) -> Trial | None:
    previous, start = watch.rollout.previous, watch.started_at or watch.rollout.launched_at
    if previous is None or start is None:
        return None
    return Trial(
        endpoint_name=watch.rollout.endpoint_name,
        # A variant of weight 0 is not meant to get any request.
        variants=tuple(variant.name for variant in variants if variant.desired_weight != 0),
        previous=previous,
        target=watch.rollout.target,
        start=start,
    )


def time_left(watch: RolloutState) -> timedelta | None:
    """Say how long the update can still be undone, if it is in the last of its bakes."""
    look, analysis, guardrails = watch.last_look, watch.analysis, watch.rollout.guardrails
    if not isinstance(look, Endpoint) or look.pending is None or analysis is None or guardrails is None:
        return None
    mark = look.current_stage
    if mark is None or mark.stage is not Stage.BAKING:
        return None
    seen = [change for change in watch.stages if change.stage is Stage.BAKING]
    bake = Bake(
        instances=look.pending.instances,
        desired_instances=look.pending.desired_instances,
        earlier_bakes=len(seen) - 1,
    )
    lasts = last_chance(guardrails.strategy, bake, needed=analysis.wish.abort_cutoff)
    since = mark.since or (seen[-1].at if seen else look.seen_at)
    return None if lasts is None else since + lasts - look.seen_at


def _judged(
    watch: RolloutState, analysis: Analysis, trial: Trial, now: datetime, *, abort_cutoff: bool
) -> Steps:
    """Judge; whatever fails in it decides nothing, so it must not end the watch."""
    try:
        return (yield from _judge(watch, analysis, trial, now, abort_cutoff=abort_cutoff))
    except Exception as error:  # noqa: BLE001 - a judge may fail by whatever data there are
        failing = replace(watch, analysis=analysis.failing(error, now))
    if not analysis.fails and failing.analysis is not None:
        told = f"No verdict: {failing.analysis.unanswered}; the update is watched, and judged again"
        yield LogMessage(told, rollout_report(failing))
    return failing


def _judge(
    watch: RolloutState, analysis: Analysis, trial: Trial, now: datetime, *, abort_cutoff: bool
) -> Steps:
    # At the last call what is missing is missing for good, and each rule says what that means.
    wish = analysis.wish
    rules = tuple(wish.rules) if abort_cutoff else wish.rules_under_way
    until = published_until(now)
    if until <= trial.start:
        return watch
    answer = yield GetMetricData(trial.queries(rules), trial.reads_from(now), until)
    if isinstance(answer, NoResponse):
        silent = replace(watch, analysis=analysis.without_answer(answer.reason, now))
        if not analysis.unanswered:
            yield LogMessage(
                f"CloudWatch gives no answer ({answer.reason}); judging on", rollout_report(silent)
            )
        return silent
    verdict = judge_trial(trial, answer, wish, rules)
    judged = replace(watch, analysis=analysis.judged(verdict, now))
    if verdict.label is not analysis.label:
        yield LogMessage(f"The new fleet beside the old one: {verdict.describe()}", rollout_report(judged))
    return judged


def _undo(watch: RolloutState, analysis: Analysis, now: datetime) -> Steps:
    if analysis.wish.observe_only:
        seen = replace(watch, analysis=replace(analysis, would_have_acted_at=now))
        told = f"The analysis would throw the abort switch now ({analysis.why_in_words()}); it only observes"
        yield LogMessage(told, rollout_report(seen))
        return seen
    thrown = yield from throw_switch(watch, now)
    if isinstance(thrown, NoResponse):
        return (yield from _refused(watch, analysis, thrown.reason))
    undone = replace(thrown, analysis=replace(analysis, acted_at=now, refused=None))
    when = when_an_abort_acts(watch.last_look, watch.rollout.guardrails)
    told = f"The analysis throws the abort switch ({analysis.why_in_words()}); {when}"
    yield LogMessage(told, rollout_report(undone))
    return undone


def _refused(watch: RolloutState, analysis: Analysis, why: str) -> Steps:
    """Keep in mind why not; the next look may find it otherwise."""
    refused = replace(watch, analysis=replace(analysis, refused=why))
    if analysis.refused != why:
        told = f"The analysis would abort the rollout ({analysis.why_in_words()}), but {why}"
        yield LogMessage(told, rollout_report(refused))
    return refused
