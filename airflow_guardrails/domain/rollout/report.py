"""The report of a rollout: one JSON document, the same from operator, sensor and trigger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_guardrails.domain.preflight.findings import UNGUARDING
from airflow_guardrails.domain.rollout.state import Outcome, RolloutState, StageChange
from airflow_guardrails.domain.snapshots.alarms import AlarmTransition
from airflow_guardrails.domain.snapshots.endpoint import Endpoint


class CauseKind(str, Enum):
    ALARM = "alarm"
    ABORT = "abort"
    JUDGE = "judge"
    TIMEOUT = "timeout"
    HEALTH_CHECK = "health_check"
    CAPACITY = "capacity"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What undid a rollout; *alarms* are those in ALARM while it ran, *reasons* those of a judge."""

    kind: CauseKind
    alarms: tuple[AlarmTransition, ...] = ()
    reasons: tuple[str, ...] = ()


# Parts of FailureReason texts seen in public reports. They name a cause; they never decide an outcome.
_KIND_BY_WORDS = (
    ("did not pass the ping health check", CauseKind.HEALTH_CHECK),
    ("Unable to provision requested ML compute capacity", CauseKind.CAPACITY),
    ("InsufficientInstanceCapacity", CauseKind.CAPACITY),
    ("service limit", CauseKind.CAPACITY),
)


def find_cause(
    tripped: tuple[AlarmTransition, ...],
    failure_reason: str | None,
    *,
    switch: str | None = None,
    thrown_for: CauseKind = CauseKind.ABORT,
) -> Cause:
    """
    Name the cause.

    :param tripped: alarms that were in ALARM while the rollout ran, first come first; the first is taken as
        the cause.
    :param switch: name of the abort switch's alarm.
    :param thrown_for: what it means where the switch came first.
    """
    if tripped:
        kind = thrown_for if tripped[0].name == switch else CauseKind.ALARM
        return Cause(kind=kind, alarms=tripped)
    for words, kind in _KIND_BY_WORDS:
        if words in (failure_reason or ""):
            return Cause(kind=kind)
    return Cause(kind=CauseKind.UNKNOWN)


SCHEMA_VERSION = 1

Report = dict[str, Any]


def rollout_report(
    watch: RolloutState, *, cause: Cause | None = None, warnings: Sequence[str] = ()
) -> Report:
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


def _unguarded_because(watch: RolloutState) -> str | None:
    if unguarding := [finding.text for finding in watch.findings if finding.code in UNGUARDING]:
        return unguarding[0]
    if watch.rollout.guardrails is not None:
        return watch.rollout.guardrails.unguarded_because
    if watch.alarms:
        return "the update's strategy cannot be read here, so nobody here knows whether it bakes"
    return "the update was not seen with its alarms, so nobody here knows whether it had any"


def _analysis_warnings(watch: RolloutState) -> tuple[str, ...]:
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
