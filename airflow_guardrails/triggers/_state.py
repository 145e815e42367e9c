"""A watch as plain JSON and back: what a trigger carries, and what survives a restarted triggerer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.aws.clock import HEADER_CLOCK
from airflow_guardrails.aws.deployment_config import deployment_config_request, parse_deployment_config
from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.preflight.findings import Code, Finding, Severity
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState, StageChange
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import AlarmDefinition
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus, Stage
from airflow_guardrails.domain.times import format_time, parse_time

StatePayload = dict[str, Any]


# 1: until the switch became that of one rollout; it has no version, and no times of the rollout's own.
VERSION = 2


def dump_state(watch: RolloutState) -> StatePayload:
    """
    Write down a watch that has no outcome yet.

    Its last look is not kept, a new one is taken first; nor is what an analysis has found: it judges anew
    from all that there is.
    """
    return {
        "version": VERSION,
        "rollout": _rollout(watch.rollout),
        "seen_in_flight": watch.seen_in_flight,
        "first_look_at": format_time(watch.first_look_at),
        "as_of": format_time(watch.as_of),
        "stages": [_stage(change) for change in watch.stages],
        "stages_complete": watch.stages_complete,
        "rollback_alarms": list(watch.rollback_alarms),
        "definitions": {each.name: dict(each.settings) for each in watch.definitions},
        "timed_out": watch.timed_out,
        "thrown_at": format_time(watch.thrown_at),
        "unanswered": watch.unanswered,
        "warnings": list(watch.warnings),
        "findings": [finding.as_dict() for finding in watch.findings],
        "suspected": watch.suspected.value if watch.suspected else None,
        "analysis": watch.analysis.config.as_dict() if watch.analysis else None,
    }


def load_state(memory: StatePayload) -> RolloutState:
    """
    Read a watch, of this release or of an older one.

    What an older one did not know is unknown, so a rollout that was deferred before an upgrade is watched to
    its end, and is not aborted. AWS's clock goes on from the last look, until an answer says how late it is.
    """
    as_of = parse_time(memory.get("as_of"))
    HEADER_CLOCK.go_on_from(as_of)
    analysis, unread = _recall_analysis(memory.get("analysis"))
    return RolloutState(
        rollout=_recall_rollout(memory["rollout"], started_at=memory.get("started_at")),
        seen_in_flight=memory["seen_in_flight"],
        first_look_at=parse_time(memory["first_look_at"]),
        as_of=as_of,
        stages=tuple(_recall_stage(stage) for stage in memory["stages"]),
        stages_complete=memory["stages_complete"],
        rollback_alarms=tuple(memory["rollback_alarms"]),
        definitions=_recall_definitions(memory.get("definitions") or {}),
        timed_out=memory["timed_out"],
        thrown_at=parse_time(memory.get("thrown_at")),
        unanswered=memory["unanswered"],
        warnings=(*memory["warnings"], *unread),
        findings=_recall_findings(memory.get("findings") or ()),
        suspected=Outcome(memory["suspected"]) if memory["suspected"] else None,
        analysis=analysis,
    )


def _recall_definitions(memory: StatePayload) -> tuple[AlarmDefinition, ...]:
    return tuple(
        AlarmDefinition(name=name, settings=tuple(settings.items())) for name, settings in memory.items()
    )


def _recall_analysis(memory: StatePayload | None) -> tuple[AnalysisState | None, tuple[str, ...]]:
    """Return the analysis, and what to warn of: one that this release refuses must not end the watch."""
    if not memory:
        return None, ()
    # Not used: older releases had a choice of judges, and wrote it down.
    config = {name: value for name, value in memory.items() if name != "judge"}
    try:
        return AnalysisState(config=CanaryAnalysis(**config)), ()
    except (TypeError, ValueError) as error:
        return None, (f"The update is watched on without its analysis, which cannot be read ({error})",)


def _recall_findings(memories: Iterable[StatePayload]) -> tuple[Finding, ...]:
    """Read findings; one that this release does not have any more is left out."""
    codes = {code.value for code in Code}
    return tuple(
        Finding(
            code=Code(memory["code"]),
            severity=Severity(memory["severity"]),
            text=memory["text"],
            fix=memory["fix"],
        )
        for memory in memories
        if memory["code"] in codes
    )


def _rollout(rollout: Rollout) -> StatePayload:
    return {
        "endpoint_name": rollout.endpoint_name,
        "target": rollout.target,
        "previous": rollout.previous,
        "asked_at": format_time(rollout.asked_at),
        "launched_at": format_time(rollout.launched_at),
        "started_at": format_time(rollout.started_at),
        "status_before": rollout.status_before.value if rollout.status_before else None,
        "guardrails": deployment_config_request(rollout.guardrails) if rollout.guardrails else None,
        "switch": rollout.switch.rollout if rollout.switch else None,
        "grace": rollout.grace.total_seconds(),
        "max_wait": rollout.max_wait.total_seconds() if rollout.max_wait is not None else None,
        "deadline": format_time(rollout.deadline),
        "adopted": rollout.adopted.value if rollout.adopted else None,
        "require_alarms_ok": rollout.require_alarms_ok,
    }


def _recall_rollout(memory: StatePayload, *, started_at: str | None) -> Rollout:
    """:param started_at: where version 1 kept the StartTime."""
    name, switch = memory["endpoint_name"], memory.get("switch")
    return Rollout(
        endpoint_name=name,
        target=memory["target"],
        previous=memory["previous"],
        asked_at=parse_time(memory.get("asked_at")),
        launched_at=parse_time(memory["launched_at"]),
        started_at=parse_time(memory.get("started_at") or started_at),
        status_before=EndpointStatus(memory["status_before"]) if memory["status_before"] else None,
        guardrails=_recall_guardrails(memory["guardrails"]),
        switch=AbortSwitch(endpoint_name=name, rollout=switch) if switch else None,
        grace=timedelta(seconds=memory["grace"]),
        max_wait=timedelta(seconds=memory["max_wait"]) if memory["max_wait"] is not None else None,
        deadline=parse_time(memory.get("deadline")),
        adopted=Adopted(memory["adopted"]) if memory["adopted"] else None,
        require_alarms_ok=memory.get("require_alarms_ok", False),
    )


def _recall_guardrails(deployment_config: StatePayload | None) -> Guardrails | None:
    # An empty dict is an update without strategy and alarms; None is one nobody has told us of.
    return None if deployment_config is None else parse_deployment_config(deployment_config)


def _stage(change: StageChange) -> StatePayload:
    return {
        "stage": change.stage.value,
        "at": format_time(change.at),
        "instances": change.instances,
        "desired_instances": change.desired_instances,
    }


def _recall_stage(memory: StatePayload) -> StageChange:
    return StageChange(
        stage=Stage(memory["stage"]),
        at=_aware(memory["at"]),
        instances=memory["instances"],
        desired_instances=memory["desired_instances"],
    )


def _aware(text: str) -> datetime:
    moment = parse_time(text)
    if moment is None:
        raise ValueError(f"{text!r} is no time")
    return moment
