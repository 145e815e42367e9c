"""The texts about a rollout in the task log, and in the error that ends the task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary, Rolling, Strategy
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import AlarmReport, RolloutReport
from airflow_guardrails.domain.rollout.state import StageChange
from airflow_guardrails.domain.snapshots.alarms import Alarm, summarize_states
from airflow_guardrails.domain.snapshots.endpoint import Stage
from airflow_guardrails.domain.text import duration_in_words

_ACTIVITY = {
    Stage.CREATING: "launching the green fleet",
    Stage.UPDATING: "changing instances",
    Stage.ACTIVATING_TRAFFIC: "shifting traffic",
}


def stage_message(change: StageChange, *, strategy: Strategy | None, alarms: Sequence[Alarm] | None) -> str:
    """
    Describe the progress: ``canary: 1 of 4 instances serve green; baking 10 min; 3 alarms OK``.

    :param strategy: ``None`` if it is unknown.
    :param alarms: the update's alarms now; ``None`` if their states are unknown.
    """
    name = strategy.name if strategy else "update"
    states = "alarms unknown" if alarms is None else summarize_states(alarms)
    return f"{name}: {_served(change)}; {_activity(change, strategy)}; {states}"


def _served(change: StageChange) -> str:
    if change.desired_instances == 0:
        return "green fleet without instances"  # serverless, or being removed
    if change.instances == 0:
        return "no instance serves green"
    return f"{change.instances} of {change.desired_instances} instances serve green"


def _activity(change: StageChange, strategy: Strategy | None) -> str:
    if change.stage is Stage.DELETING:
        return _removing(change, strategy)
    if change.stage is not Stage.BAKING:
        return _ACTIVITY[change.stage]
    if strategy is None:
        return "baking"
    return f"baking {duration_in_words(_bake_of(change, strategy))}"


def _removing(change: StageChange, strategy: Strategy | None) -> str:
    if isinstance(strategy, Rolling) or change.desired_instances == 0:
        return "removing instances"  # of either fleet: the counts do not show which
    # The fleet without traffic is the one that is removed; while both have traffic, it is unknown.
    if 0 < change.instances < change.desired_instances:
        return "removing instances"
    return "removing the blue fleet" if change.instances else "rolling back: removing the green fleet"


def _bake_of(change: StageChange, strategy: Strategy) -> timedelta:
    if isinstance(strategy, AllAtOnce):
        return strategy.termination_wait
    if isinstance(strategy, Canary) and change.instances >= change.desired_instances:
        return strategy.termination_wait
    return strategy.bake


def outcome_message(outcome: Outcome, report: RolloutReport) -> str:
    """
    Describe how a rollout ended, why, and what to do; *outcome* is the one of *report*.

    The summary comes first, because the UI shows only the beginning of a long line.
    """
    text = _OUTCOME_TEXTS[outcome].format(**_fields(report)) if outcome in _OUTCOME_TEXTS else ""
    return " ".join(filter(None, (f"{report['summary']}.", text, _why(report))))


# Of success, the summary says all.
_OUTCOME_TEXTS = {
    Outcome.ROLLED_BACK: "Endpoint {endpoint} was rolled back: it serves {serving} again, not {target}.",
    Outcome.ROLLBACK_FAILED: (
        "Rollback of endpoint {endpoint} failed: it serves a mix of {previous} and {target}. Call "
        "UpdateEndpoint again with the configuration you want."
    ),
    Outcome.FAILED: "Update of {endpoint} to {target} failed: {condition}.",
    Outcome.SUPERSEDED: (
        "Update of {endpoint} to {target} was superseded by another update: it serves {serving} (before: "
        "{previous}). Find out who else updates this endpoint."
    ),
    Outcome.NOT_STARTED: (
        "No update of {endpoint} to {target} was seen: it serves {serving}. Check that the update was "
        "started in this region and account."
    ),
    Outcome.TIMED_OUT: (
        "Update of {endpoint} to {target} timed out (status {status}); {left}. A retry continues to wait."
    ),
}


def _fields(report: RolloutReport) -> dict[str, str]:
    status, thrown_at = report["endpoint_status"], report["abort_switch_thrown_at"]
    return {
        "endpoint": report["endpoint_name"],
        "target": report["endpoint_config_name"],
        "previous": report["previous_endpoint_config_name"] or "its previous configuration",
        "serving": report["serving_endpoint_config_name"] or "an unknown configuration",
        # Only a time-out may have no status without the endpoint being deleted: there was no response.
        "status": status or "unknown",
        "condition": f"its status is {status}" if status else "it does not exist any more",
        "left": f"its abort switch was thrown at {thrown_at}, and it is not rolled back yet"
        if thrown_at
        else "it was left running",
    }


def _why(report: RolloutReport) -> str:
    cause, reason = report["cause"], report["failure_reason"]
    parts = []
    if cause:
        if reasons := cause.get("reasons"):
            course = _course(report)
            parts.append(f"The comparison rolled the update back: {course}{'; '.join(reasons)}.")
        parts += [_alarm(alarm) for alarm in cause["alarms"]]
        if not parts:
            parts.append(f"Cause: {cause['kind'].replace('_', ' ')}.")
    if reason:
        parts.append(f"SageMaker says: {reason}")
    return " ".join(parts)


def _course(report: RolloutReport) -> str:
    """Return what happened after a Pass of the analysis; without a Pass the reasons alone are clear."""
    analysis = report["analysis"] or {}
    course = analysis.get("course") if analysis.get("passed_at") else None
    return f"{course}: " if course else ""


def _alarm(alarm: AlarmReport) -> str:
    reason = f": {alarm['reason']}" if alarm["reason"] else ""
    return f"Alarm {alarm['name']} was in ALARM since {alarm['at']}{reason}".removesuffix(".") + "."
