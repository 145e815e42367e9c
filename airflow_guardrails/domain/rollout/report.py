"""
The report of a rollout: one JSON document, the same from operator, sensor and trigger.

:func:`rollout_report` writes it and :func:`parse_report` reads it back; no other code knows its keys as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, cast

from airflow_guardrails.domain.preflight.findings import UNGUARDING
from airflow_guardrails.domain.rollout.outcome import Adopted, CauseKind, Outcome
from airflow_guardrails.domain.rollout.progress import (
    LinksReport,
    StageReport,
    StrategyReport,
    TrafficReport,
    WatchedAlarm,
    alarm_report,
    alarm_reports,
    links_report,
    stage_reports,
    strategy_report,
    traffic_report,
)
from airflow_guardrails.domain.rollout.stages import are_stages_complete, bake_ends_at
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.rollout.stopping import StoppingReport, stopping_of
from airflow_guardrails.domain.rollout.summary import summary_of
from airflow_guardrails.domain.snapshots.alarms import AlarmTransition
from airflow_guardrails.domain.snapshots.arn import place_of
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.times import format_time, parse_time

# Written by rollout_report only. Readers accept every version up to this one.
SCHEMA_VERSION = 2


class AlarmReport(TypedDict):
    """An alarm that was in ALARM during the rollout; *at* is ISO 8601."""

    name: str
    state: str
    at: str
    reason: str


class _CauseReasons(TypedDict, total=False):
    reasons: list[str]


class CauseReport(_CauseReasons):
    """Why the update was rolled back or failed; *reasons* only where the analysis rolled it back."""

    kind: str
    alarms: list[AlarmReport]


class RolloutReport(TypedDict):
    """
    The keys of a report. Times are ISO 8601 on AWS's clock; null means unknown.

    *summary* has at most 100 characters: what happened, why, and what serves. *outcome* is null while the
    rollout is in flight. *as_of* is when SageMaker last answered, *deadline* when the wait ends, and
    *next_change_at* when the bake under way ends by the schedule. *approval* is what an approval task of the
    same run has found out, see ``docs/approval.md``.
    """

    schema_version: int
    summary: str
    outcome: str | None
    endpoint_name: str
    endpoint_config_name: str
    previous_endpoint_config_name: str | None
    serving_endpoint_config_name: str | None
    endpoint_status: str | None
    region: str | None
    account: str | None
    started_at: str | None
    ended_at: str | None
    as_of: str | None
    deadline: str | None
    adopted: str | None
    guarded: bool
    unguarded_because: str | None
    strategy: StrategyReport | None
    next_change_at: str | None
    stages: list[StageReport]
    stages_complete: bool
    traffic: TrafficReport
    alarms: list[WatchedAlarm]
    alarms_as_of: str | None
    abort_switch: str | None
    abort_switch_thrown_at: str | None
    stopping: StoppingReport | None
    findings: list[dict[str, str]]
    warnings: list[str]
    failure_reason: str | None
    cause: CauseReport | None
    analysis: dict[str, Any] | None
    approval: dict[str, Any] | None
    links: LinksReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a rollout was undone: alarms in ALARM while it ran, in order of time; reasons of the analysis."""

    kind: CauseKind
    alarms: tuple[AlarmTransition, ...] = ()
    reasons: tuple[str, ...] = ()


# Parts of FailureReason texts in public bug reports. They name a cause; they never decide an outcome.
_KIND_BY_FAILURE_TEXT = (
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
    Name the cause: the first alarm that went into ALARM, else what FailureReason says.

    :param tripped: alarms that were in ALARM while the rollout ran, first come first.
    :param switch: name of the abort switch's alarm.
    :param thrown_for: the cause if the abort switch is the first alarm.
    """
    # Alarms first: no source shows the FailureReason of a rollback by alarm, and it may be empty.
    if tripped:
        kind = thrown_for if tripped[0].name == switch else CauseKind.ALARM
        return Cause(kind=kind, alarms=tripped)
    for text, kind in _KIND_BY_FAILURE_TEXT:
        if text in (failure_reason or ""):
            return Cause(kind=kind)
    return Cause(kind=CauseKind.UNKNOWN)


def rollout_report(
    state: RolloutState, *, cause: Cause | None = None, warnings: Sequence[str] = ()
) -> RolloutReport:
    """Return the report of a rollout that has ended or is in flight; unknown values are null."""
    unguarded_because = _unguarded_because(state)
    # Without an endpoint (deleted, or never seen) its keys are null.
    look = state.last_look if isinstance(state.last_look, Endpoint) else None
    place = place_of(look.arn if look else None)
    adopted, start = state.rollout.adopted, state.started_at or state.rollout.launched_at
    report: RolloutReport = {
        "schema_version": SCHEMA_VERSION,
        "summary": "",
        "outcome": state.outcome.value if state.outcome else None,
        "endpoint_name": state.rollout.endpoint_name,
        "endpoint_config_name": state.rollout.target,
        "previous_endpoint_config_name": state.rollout.previous,
        "serving_endpoint_config_name": look.endpoint_config_name if look else None,
        "endpoint_status": look.status.value if look else None,
        "region": place.region,
        "account": place.account,
        "started_at": format_time(start),
        "ended_at": format_time(state.ended_at),
        "as_of": format_time(state.as_of),
        "deadline": format_time(state.deadline),
        "adopted": adopted.value if adopted else None,
        "guarded": unguarded_because is None,
        "unguarded_because": unguarded_because,
        "strategy": strategy_report(state),
        "next_change_at": format_time(bake_ends_at(state)),
        "stages": stage_reports(state),
        "stages_complete": are_stages_complete(state),
        "traffic": traffic_report(state),
        "alarms": alarm_reports(state),
        "alarms_as_of": format_time(state.alarms_as_of),
        "abort_switch": state.switch.alarm_name if state.switch else None,
        "abort_switch_thrown_at": format_time(state.thrown_at),
        "stopping": stopping_of(state),
        "findings": [finding.as_dict() for finding in state.findings],
        "warnings": [*state.warnings, *warnings, *_analysis_warnings(state)],
        "failure_reason": look.failure_reason if look else None,
        "cause": _cause(cause) if cause else None,
        "analysis": state.analysis.as_dict(start) if state.analysis else None,
        "approval": dict(state.approval) if state.approval else None,
        "links": links_report(place, endpoint_name=state.rollout.endpoint_name, alarms=state.alarms),
    }
    return {**report, "summary": summary_of(report)}


def parse_report(value: Mapping[str, Any]) -> RolloutReport:
    """
    Read a report from an XCom or from the event of a trigger, of this release or an older one.

    A key that the older release did not write gets the value that means unknown.
    """
    unknown: RolloutReport = {
        "schema_version": SCHEMA_VERSION,
        "summary": "",
        "outcome": None,
        "endpoint_name": "",
        "endpoint_config_name": "",
        "previous_endpoint_config_name": None,
        "serving_endpoint_config_name": None,
        "endpoint_status": None,
        "region": None,
        "account": None,
        "started_at": None,
        "ended_at": None,
        "as_of": None,
        "deadline": None,
        "adopted": None,
        "guarded": False,
        "unguarded_because": None,
        "strategy": None,
        "next_change_at": None,
        "stages": [],
        "stages_complete": False,
        "traffic": {"percent": None, "course": []},
        "alarms": [],
        "alarms_as_of": None,
        "abort_switch": None,
        "abort_switch_thrown_at": None,
        "stopping": None,
        "findings": [],
        "warnings": [],
        "failure_reason": None,
        "cause": None,
        "analysis": None,
        "approval": None,
        "links": {"endpoint": None, "alarms": {}},
    }
    report = cast("RolloutReport", {**unknown, **_upgraded(value)})
    return report if report["summary"] else {**report, "summary": _summary_if_readable(report)}


def _upgraded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *value* in the form of this version. Version 1 had names of alarms, and only stages seen."""
    version = value.get("schema_version")
    if version != 1 or isinstance(version, bool):
        return value
    return {
        **value,
        "schema_version": SCHEMA_VERSION,
        "stages": [{**stage, "seen": True} for stage in value.get("stages") or ()],
        "alarms": [
            alarm_report(name, kind="switch" if name == value.get("abort_switch") else "theirs")
            for name in value.get("alarms") or ()
        ],
    }


def _summary_if_readable(report: RolloutReport) -> str:
    try:
        return summary_of(report)
    except (ValueError, LookupError, TypeError, AttributeError):
        # Of a later release, or no report at all; what reads its other keys says so.
        return ""


def reported_outcome(report: RolloutReport) -> Outcome:
    """
    Return the outcome of a rollout that has ended.

    :raises ValueError: if the report has no outcome, or one that this release does not know.
    """
    return Outcome(report["outcome"])


def reported_adoption(report: RolloutReport) -> Adopted | None:
    """Return who started the update, if the task found it instead of starting it; else None."""
    adopted = report["adopted"]
    return Adopted(adopted) if adopted else None


def reported_start(report: RolloutReport) -> datetime | None:
    """Return when the update started, or was accepted by SageMaker; None if unknown."""
    return parse_time(report["started_at"])


FIRST_DEPLOYMENT = "first deployment: there was no endpoint to go back to"


def _unguarded_because(state: RolloutState) -> str | None:
    if state.rollout.creates:
        return FIRST_DEPLOYMENT
    if unguarding := [finding.text for finding in state.findings if finding.code in UNGUARDING]:
        return unguarding[0]
    if state.rollout.guardrails is not None:
        return state.rollout.guardrails.unguarded_because
    if state.alarms:
        return "the strategy of this update cannot be read, so it is unknown whether it bakes"
    return "the alarms of this update were not seen, so it is unknown whether it has any"


def _analysis_warnings(state: RolloutState) -> tuple[str, ...]:
    if state.analysis is None:
        return ()
    return state.analysis.warnings(succeeded=state.outcome is Outcome.SUCCEEDED)


def _cause(cause: Cause) -> CauseReport:
    report: CauseReport = {"kind": cause.kind.value, "alarms": [_alarm(alarm) for alarm in cause.alarms]}
    if cause.reasons:
        report["reasons"] = list(cause.reasons)
    return report


def _alarm(alarm: AlarmTransition) -> AlarmReport:
    return {
        "name": alarm.name,
        "state": alarm.state.value,
        "at": format_time(alarm.at),
        "reason": alarm.reason,
    }
