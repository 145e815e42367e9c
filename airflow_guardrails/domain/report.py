"""The report of a rollout: one JSON document, the same from operator, sensor and trigger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.alarms import AlarmTransition
from airflow_guardrails.domain.cause import Cause
from airflow_guardrails.domain.endpoint import Endpoint
from airflow_guardrails.domain.findings import UNGUARDING
from airflow_guardrails.domain.rollout import Outcome, StageChange, Watch

SCHEMA_VERSION = 1

Report = dict[str, Any]


def rollout_report(watch: Watch, *, cause: Cause | None = None, warnings: Sequence[str] = ()) -> Report:
    """
    Say what became of a rollout, or how far it is where *outcome* is null.

    Times are ISO 8601 on AWS's clock. What is not known is null: nothing is made up.
    """
    unguarded_because = _unguarded_because(watch)
    look = watch.last_look if isinstance(watch.last_look, Endpoint) else None
    return {
        "schema_version": SCHEMA_VERSION,
        "outcome": watch.outcome.value if watch.outcome else None,
        "endpoint_name": watch.rollout.endpoint_name,
        "endpoint_config_name": watch.rollout.target,
        "previous_endpoint_config_name": watch.rollout.previous,
        "serving_endpoint_config_name": look.endpoint_config_name if look else None,
        "endpoint_status": look.status.value if look else None,
        "started_at": _iso(watch.started_at or watch.rollout.launched_at),
        "ended_at": _iso(watch.ended_at),
        "adopted": watch.rollout.adopted,
        "guarded": unguarded_because is None,
        "unguarded_because": unguarded_because,
        "alarms": list(watch.alarms),
        "abort_switch": watch.switch.alarm_name if watch.switch else None,
        "abort_switch_thrown_at": _iso(watch.thrown_at),
        "stages": [_stage(change) for change in watch.stages],
        "stages_complete": watch.stages_complete,
        "findings": [finding.as_dict() for finding in watch.findings],
        "warnings": [*watch.warnings, *warnings, *_analysis_warnings(watch)],
        "failure_reason": look.failure_reason if look else None,
        "cause": _cause(cause) if cause else None,
        "analysis": watch.analysis.as_dict() if watch.analysis else None,
    }


def _unguarded_because(watch: Watch) -> str | None:
    if unguarding := [finding.text for finding in watch.findings if finding.code in UNGUARDING]:
        return unguarding[0]
    if watch.rollout.guardrails is not None:
        return watch.rollout.guardrails.unguarded_because
    if watch.alarms:
        return "the update's strategy cannot be read here, so nobody here knows whether it bakes"
    return "the update was not seen with its alarms, so nobody here knows whether it had any"


def _analysis_warnings(watch: Watch) -> tuple[str, ...]:
    if watch.analysis is None:
        return ()
    return watch.analysis.warnings(succeeded=watch.outcome is Outcome.SUCCEEDED)


def _stage(change: StageChange) -> dict[str, Any]:
    return {
        "stage": change.stage.value,
        "at": _iso(change.at),
        "instances": change.instances,
        "desired_instances": change.desired_instances,
    }


def _cause(cause: Cause) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": cause.kind.value, "alarms": [_alarm(alarm) for alarm in cause.alarms]}
    return {**told, "reasons": list(cause.reasons)} if cause.reasons else told


def _alarm(alarm: AlarmTransition) -> dict[str, Any]:
    return {"name": alarm.name, "state": alarm.state.value, "at": _iso(alarm.at), "reason": alarm.reason}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
