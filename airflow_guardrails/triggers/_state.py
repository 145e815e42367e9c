"""
The state of a wait as JSON and back. A trigger carries it, so it survives a restart of the triggerer.

Stored triggers outlive an upgrade: keys do not change, and payloads of older releases stay readable.
"""

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


# Version 1 has no key "version", no switch of this rollout alone, and no times of the rollout.
VERSION = 2


def dump_state(state: RolloutState) -> StatePayload:
    """
    Return the state of a wait without an outcome as JSON.

    The last look is left out, because the trigger takes a new one first. The results of an analysis are left
    out, because it judges again from all metrics.
    """
    return {
        "version": VERSION,
        "rollout": _dump_rollout(state.rollout),
        "seen_in_flight": state.seen_in_flight,
        "first_look_at": format_time(state.first_look_at),
        "as_of": format_time(state.as_of),
        "stages": [_dump_stage(change) for change in state.stages],
        "stages_complete": state.stages_complete,
        "rollback_alarms": list(state.rollback_alarms),
        "definitions": {each.name: dict(each.settings) for each in state.definitions},
        "timed_out": state.timed_out,
        "thrown_at": format_time(state.thrown_at),
        "unanswered": state.unanswered,
        "warnings": list(state.warnings),
        "findings": [finding.as_dict() for finding in state.findings],
        "suspected": state.suspected.value if state.suspected else None,
        "analysis": state.analysis.config.as_dict() if state.analysis else None,
        "power": dict(state.analysis.power) if state.analysis and state.analysis.power else None,
        "approval": dict(state.approval) if state.approval else None,
    }


def load_state(payload: StatePayload) -> RolloutState:
    """
    Return the state from a payload of this release or of an older one.

    A key that an older release did not write is unknown: a rollout that was deferred before an upgrade is
    followed to its end, but not aborted. AWS's clock continues from the last look, until a response shows
    AWS's time.

    :raises KeyError, ValueError: if the payload was not written by :func:`dump_state`.
    """
    as_of = parse_time(payload.get("as_of"))
    HEADER_CLOCK.go_on_from(as_of)
    analysis, warnings = _load_analysis(payload.get("analysis"), power=payload.get("power"))
    return RolloutState(
        rollout=_load_rollout(payload["rollout"], started_at=payload.get("started_at")),
        seen_in_flight=payload["seen_in_flight"],
        first_look_at=parse_time(payload["first_look_at"]),
        as_of=as_of,
        stages=tuple(_load_stage(stage) for stage in payload["stages"]),
        stages_complete=payload["stages_complete"],
        rollback_alarms=tuple(payload["rollback_alarms"]),
        definitions=_load_definitions(payload.get("definitions") or {}),
        timed_out=payload["timed_out"],
        thrown_at=parse_time(payload.get("thrown_at")),
        unanswered=payload["unanswered"],
        warnings=(*payload["warnings"], *warnings),
        findings=_load_findings(payload.get("findings") or ()),
        suspected=Outcome(payload["suspected"]) if payload["suspected"] else None,
        analysis=analysis,
        approval=payload.get("approval") or None,
    )


def _load_definitions(payload: StatePayload) -> tuple[AlarmDefinition, ...]:
    return tuple(
        AlarmDefinition(name=name, settings=tuple(settings.items())) for name, settings in payload.items()
    )


def _load_analysis(
    payload: StatePayload | None, *, power: StatePayload | None
) -> tuple[AnalysisState | None, tuple[str, ...]]:
    """Return the analysis and warnings: an analysis that this release cannot read must not end the wait."""
    if not payload:
        return None, ()
    # Older releases had a choice of judges; the key is not used any more.
    settings = {name: value for name, value in payload.items() if name != "judge"}
    try:
        return AnalysisState(config=CanaryAnalysis(**settings), power=power), ()
    except (TypeError, ValueError) as error:
        return None, (f"The analysis cannot be read ({error}); the wait continues without it",)


def _load_findings(payloads: Iterable[StatePayload]) -> tuple[Finding, ...]:
    """Return the findings, without those whose code this release does not have any more."""
    codes = {code.value for code in Code}
    return tuple(
        Finding(
            code=Code(payload["code"]),
            severity=Severity(payload["severity"]),
            text=payload["text"],
            fix=payload["fix"],
        )
        for payload in payloads
        if payload["code"] in codes
    )


def _dump_rollout(rollout: Rollout) -> StatePayload:
    return {
        "endpoint_name": rollout.endpoint_name,
        "target": rollout.target,
        "previous": rollout.previous,
        "asked_at": format_time(rollout.asked_at),
        "launched_at": format_time(rollout.launched_at),
        "started_at": format_time(rollout.started_at),
        "status_before": rollout.status_before.value if rollout.status_before else None,
        # In the API's form, which does not change when this package renames its own classes.
        "guardrails": deployment_config_request(rollout.guardrails) if rollout.guardrails else None,
        "switch": rollout.switch.rollout if rollout.switch else None,
        "grace": rollout.grace.total_seconds(),
        "max_wait": rollout.max_wait.total_seconds() if rollout.max_wait is not None else None,
        "deadline": format_time(rollout.deadline),
        "adopted": rollout.adopted.value if rollout.adopted else None,
        "require_alarms_ok": rollout.require_alarms_ok,
        "creates": rollout.creates,
    }


def _load_rollout(payload: StatePayload, *, started_at: str | None) -> Rollout:
    """:param started_at: the StartTime from a payload of version 1, which has it outside of ``rollout``."""
    name, switch = payload["endpoint_name"], payload.get("switch")
    return Rollout(
        endpoint_name=name,
        target=payload["target"],
        previous=payload["previous"],
        asked_at=parse_time(payload.get("asked_at")),
        launched_at=parse_time(payload["launched_at"]),
        started_at=parse_time(payload.get("started_at") or started_at),
        status_before=EndpointStatus(payload["status_before"]) if payload["status_before"] else None,
        guardrails=_load_guardrails(payload["guardrails"]),
        switch=AbortSwitch(endpoint_name=name, rollout=switch) if switch else None,
        grace=timedelta(seconds=payload["grace"]),
        max_wait=timedelta(seconds=payload["max_wait"]) if payload["max_wait"] is not None else None,
        deadline=parse_time(payload.get("deadline")),
        adopted=Adopted(payload["adopted"]) if payload["adopted"] else None,
        require_alarms_ok=payload.get("require_alarms_ok", False),
        creates=payload.get("creates", False),
    )


def _load_guardrails(deployment_config: StatePayload | None) -> Guardrails | None:
    # An empty dict: an update without strategy and alarms. None: unknown.
    return None if deployment_config is None else parse_deployment_config(deployment_config)


def _dump_stage(change: StageChange) -> StatePayload:
    return {
        "stage": change.stage.value,
        "at": format_time(change.at),
        "instances": change.instances,
        "desired_instances": change.desired_instances,
    }


def _load_stage(payload: StatePayload) -> StageChange:
    return StageChange(
        stage=Stage(payload["stage"]),
        at=_aware(payload["at"]),
        instances=payload["instances"],
        desired_instances=payload["desired_instances"],
    )


def _aware(text: str) -> datetime:
    moment = parse_time(text)
    if moment is None:
        raise ValueError(f"stage time must be in ISO 8601 (got {text!r})")
    return moment
