"""A rollout in sentences: what a person reads in the task log, and in the error that ends the task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, AllAtOnce, Canary, Rolling, Strategy
from airflow_guardrails.domain.rollout.state import Outcome, StageChange
from airflow_guardrails.domain.snapshots.alarms import Alarm, summarize_states
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook, PendingDeployment, Stage
from airflow_guardrails.domain.text import duration_in_words

_DOING = {
    Stage.CREATING: "launching the green fleet",
    Stage.UPDATING: "changing instances",
    Stage.ACTIVATING_TRAFFIC: "shifting traffic",
}


def stage_message(change: StageChange, *, strategy: Strategy | None, alarms: Sequence[Alarm] | None) -> str:
    """
    Say where a rollout stands: ``canary: 1 of 4 instances serve green; baking 10 min; 3 alarms OK``.

    :param alarms: None if nobody knows how they stand.
    """
    name = strategy.name if strategy else "update"
    standing = "alarms unknown" if alarms is None else summarize_states(alarms)
    return f"{name}: {_served(change)}; {_doing(change, strategy)}; {standing}"


def _served(change: StageChange) -> str:
    if change.desired_instances == 0:
        return "green fleet without instances"  # serverless, or going
    if change.instances == 0:
        return "no instance serves green"
    return f"{change.instances} of {change.desired_instances} instances serve green"


def _doing(change: StageChange, strategy: Strategy | None) -> str:
    if change.stage is Stage.DELETING:
        return _removing(change, strategy)
    if change.stage is not Stage.BAKING:
        return _DOING[change.stage]
    if strategy is None:
        return "baking"
    return f"baking {duration_in_words(_bake_of(change, strategy))}"


def _removing(change: StageChange, strategy: Strategy | None) -> str:
    if isinstance(strategy, Rolling) or change.desired_instances == 0:
        return "removing instances"  # of either fleet: nobody can tell which by those that serve
    # Whichever fleet serves nothing is the one that goes; while both do, nobody can tell.
    if 0 < change.instances < change.desired_instances:
        return "removing instances"
    return "removing the blue fleet" if change.instances else "rolling back: removing the green fleet"


def _bake_of(change: StageChange, strategy: Strategy) -> timedelta:
    if isinstance(strategy, AllAtOnce):
        return strategy.termination_wait
    if isinstance(strategy, Canary) and change.instances >= change.desired_instances:
        return strategy.termination_wait
    return strategy.bake


def when_an_abort_acts(look: EndpointLook | None, guardrails: Guardrails | None) -> str:
    """
    Say when SageMaker will act on the thrown switch: ``it acts in the next bake, of 10 min``.

    SageMaker looks at alarms while it bakes, so an abort may come too late for an update without another
    bake.
    """
    if not isinstance(look, Endpoint) or look.pending is None or guardrails is None:
        return "it acts in the next bake, if there is another"
    mark = look.current_stage
    if mark is not None and mark.stage is Stage.BAKING:
        return "it acts now, for the update bakes"
    bake = _next_bake(
        guardrails.strategy, look.pending, going=mark is not None and mark.stage is Stage.DELETING
    )
    if not bake:
        return "no bake is left in which it could act, so SageMaker will finish the update"
    return f"it acts in the next bake, of {duration_in_words(bake)}"


def _next_bake(strategy: Strategy | None, green: PendingDeployment, *, going: bool) -> timedelta:
    if isinstance(strategy, Rolling):
        return strategy.bake
    if strategy is None or going:
        return NO_WAIT
    if isinstance(strategy, AllAtOnce) or green.instances >= green.desired_instances > 0:
        return strategy.termination_wait
    # A canary's first step is over once instances serve; of a linear update another one may come.
    first_is_over = isinstance(strategy, Canary) and green.instances > 0
    return strategy.termination_wait if first_is_over else strategy.bake or strategy.termination_wait


def outcome_message(report: dict[str, Any]) -> str:
    """Say how a rollout ended, why, and what to do."""
    outcome = report["outcome"]
    if outcome is None:
        return f"{_update(report)} is under way."
    return " ".join(filter(None, (_SENTENCE[Outcome(outcome)].format(**_fields(report)), _why(report))))


_SENTENCE = {
    Outcome.SUCCEEDED: "Endpoint {endpoint} serves {target}.",
    Outcome.ROLLED_BACK: "Endpoint {endpoint} was rolled back: it serves {serving} again, not {target}.",
    Outcome.ROLLBACK_FAILED: (
        "Endpoint {endpoint} is stuck between {previous} and {target}: the update and its rollback both "
        "failed, and it serves a mix of the two. Calling UpdateEndpoint again with the configuration you "
        "want is the repair."
    ),
    Outcome.FAILED: "The update of endpoint {endpoint} to {target} failed: its status is {status}.",
    Outcome.SUPERSEDED: (
        "The update of endpoint {endpoint} to {target} was overtaken: somebody else has updated the endpoint "
        "since (it serves {serving}, and served {previous} before). Find out who updates this endpoint "
        "besides this task."
    ),
    Outcome.NOT_STARTED: (
        "No update of endpoint {endpoint} to {target} was ever seen: it serves {serving}. Check that the "
        "update was asked for, in this region and account."
    ),
    Outcome.TIMED_OUT: (
        "The update of endpoint {endpoint} to {target} did not end in time (status {status}); {left}. A "
        "retry of this task goes on watching it."
    ),
}

_LEFT_RUNNING = "it was left running"
_ABORTED = "its abort switch was thrown at {at}, and it was not rolled back yet"


def _fields(report: dict[str, Any]) -> dict[str, str]:
    # Nobody waits out the time of an endpoint that is gone: without a status, there was no answer.
    no_status = "unknown" if report["outcome"] == Outcome.TIMED_OUT else "not found"
    return {
        "endpoint": report["endpoint_name"],
        "target": report["endpoint_config_name"],
        "previous": report["previous_endpoint_config_name"] or "its former configuration",
        "serving": report["serving_endpoint_config_name"] or "an unknown configuration",
        "status": report["endpoint_status"] or no_status,
        "left": _ABORTED.format(at=thrown)
        if (thrown := report.get("abort_switch_thrown_at"))
        else _LEFT_RUNNING,
    }


def _update(report: dict[str, Any]) -> str:
    return f"The update of endpoint {report['endpoint_name']} to {report['endpoint_config_name']}"


def _why(report: dict[str, Any]) -> str:
    cause, reason = report["cause"], report["failure_reason"]
    parts = [_judged(cause["reasons"])] if cause and cause.get("reasons") else []
    parts += [_alarm(alarm) for alarm in (cause or {}).get("alarms", ())]
    if cause and not parts:
        parts.append(f"Cause: {cause['kind'].replace('_', ' ')}.")
    if reason:
        parts.append(f"SageMaker says: {reason}")
    return " ".join(parts)


def _judged(reasons: Sequence[str]) -> str:
    return f"The analysis had it undone: {'; '.join(reasons)}."


def _alarm(alarm: dict[str, Any]) -> str:
    reason = f": {alarm['reason']}" if alarm["reason"] else ""
    return f"Alarm {alarm['name']} was in ALARM since {alarm['at']}{reason}".removesuffix(".") + "."
