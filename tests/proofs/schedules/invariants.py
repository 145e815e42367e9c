"""
What must hold whatever happens, each as a function that says what is wrong, or None.

Those of ``AT_CALLS`` are asked when AWS carries out a call, those of ``AT_ENDS`` when a try of a task has
ended, those of ``AT_REST`` when nothing has happened any more for hours. What is let through is in
``excuses``, with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.exceptions import (
    AbortTooLate,
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointConfigNotFound,
    EndpointNotFound,
    GuardrailsError,
    LaunchUnknown,
    NothingToAbort,
    PreflightFailed,
    ReportedError,
    RolloutError,
    RolloutUnwatched,
    TaskKilled,
    UnexpectedAnswer,
    UpdateRejected,
    UpdateUnanswered,
)
from tests.proofs.schedules import excuses
from tests.proofs.schedules.account import Account, Update, is_guard, is_switch
from tests.proofs.schedules.actors import AbortTask, Actor, SensorTask, TryEnd, UpdateTask

# A reset is seen by the alarm when the period of 10 s it falls into is over.
SWITCH_SETTLES = timedelta(seconds=60)
# A mark is heeded within a minute, and so many seconds until a triggerer notices.
HEEDED_WITHIN = timedelta(seconds=90)


# At calls.


def an_owner_asks_once_for_a_target(account: Account, by: str, update: Update) -> str | None:
    actor = account.actors.get(by)
    if actor is None or actor.run.arguments["relaunch"]:
        return None
    if len(actor.accepted) > 1 and not excuses.nothing_was_written_down(actor, before=update):
        return f"{by} has launched {len(actor.accepted)} times"
    return None


def an_update_begins_with_its_switch_ok(account: Account, by: str, update: Update) -> str | None:
    actor = account.actors.get(by)
    if actor is None or not actor.run.arguments["abort_switch"]:
        return None
    switch = AbortSwitch.of(update.endpoint, owner=actor.owner, target=update.target).alarm_name
    if switch not in update.alarms:
        return f"the update of {by} does not carry its own switch"
    if any(is_switch(name) and name != switch for name in update.alarms):
        return f"the update of {by} carries somebody else's switch"
    if (state := account.world.alarms.state(switch)) != "OK":
        return f"the update of {by} begins while its switch is {state}"
    return None


def nobody_else_s_intent_is_changed(account: Account, by: str, owners: list[str]) -> str | None:
    own = account.actors[by].owner
    return f"{by} changed the intent of another owner" if set(owners) - {own} else None


def a_throw_is_of_the_thrower_s_own_rollout(account: Account, by: str, switch: AbortSwitch) -> str | None:
    actor = account.actors[by]
    if isinstance(actor, AbortTask):
        updates = account.truths[actor.endpoint].updates
        carried = [update for update in updates if switch.alarm_name in update.alarms]
        return None if carried else f"{by} threw a switch that no update has carried"
    own = AbortSwitch.of(actor.endpoint, owner=actor.owner, target=actor.target or "")
    return None if switch == own else f"{by} threw a switch that is not its own"


def a_throw_is_wanted(account: Account, by: str, switch: AbortSwitch) -> str | None:
    actor = account.actors[by]
    if actor.may_throw(switch) or excuses.cleared_while_the_throw_was_on_its_way(actor):
        return None
    return f"{by} threw its switch, and nobody wanted that"


def a_throw_hits_nobody_else(account: Account, by: str, switch: AbortSwitch) -> str | None:
    actor, update = account.actors[by], account.truths[switch.endpoint_name].in_flight
    if update is None or switch.alarm_name not in update.alarms or update.by == by:
        return None
    if isinstance(actor, AbortTask) and actor.target in {None, update.target}:
        return None
    if excuses.has_ended_unseen(account, actor, switch):
        return None
    return f"{by} threw a switch that undoes the update to {update.target} of {update.by}"


def no_alarm_of_people_is_deleted(account: Account, by: str, name: str) -> str | None:
    return None if is_switch(name) or is_guard(name) else f"{by} deleted {name}, which is not of this package"


def no_guard_of_an_update_in_flight_is_deleted(account: Account, by: str, name: str) -> str | None:
    for truth in account.truths.values():
        update = truth.in_flight
        if update is None:
            continue
        if excuses.is_its_own_and_unknown(account, by, update):
            continue
        if name in update.alarms:
            return f"{by} deleted {name} of the update to {update.target} of {update.by} in flight"
    return None


AT_CALLS: dict[str, tuple[Callable[..., str | None], ...]] = {
    "accepted": (an_owner_asks_once_for_a_target, an_update_begins_with_its_switch_ok),
    "tagged": (nobody_else_s_intent_is_changed,),
    "threw": (a_throw_is_of_the_thrower_s_own_rollout, a_throw_is_wanted, a_throw_hits_nobody_else),
    "deleted": (no_alarm_of_people_is_deleted, no_guard_of_an_update_in_flight_is_deleted),
}


# At the end of a try.


def nothing_is_raised_but_named_errors(end: TryEnd) -> str | None:
    error = end.result
    if not isinstance(error, Exception) or isinstance(error, AirflowSkipException):
        return None
    if isinstance(error, UnexpectedAnswer):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, GuardrailsError):
        return None
    if isinstance(error, (ClientError, BotoCoreError)) and not _asked_in(end):
        # AWS did not answer before there was anything to tell of, or to an abort's throw; Airflow retries.
        return None
    return f"raised {type(error).__name__}: {error}"


def a_report_is_pushed(end: TryEnd) -> str | None:
    report, row = report_in(end), end.actor.row
    if report and row.xcom_works and "rollout_report" not in row.xcoms:
        return "there is no XCom rollout_report"
    return None


def what_it_claims_to_serve_serves(end: TryEnd) -> str | None:
    report = report_in(end)
    if report is None or report["outcome"] in {None, "TimedOut"}:
        return None
    served = {look.get("EndpointConfigName") for look in looks(end)}
    serving = report["serving_endpoint_config_name"]
    return None if serving in served else f"said that {serving} serves, and {served} did"


def the_outcome_agrees_with_the_endpoint(end: TryEnd) -> str | None:
    report = report_in(end)
    if report is None or report["outcome"] is None or isinstance(end.result, RolloutUnwatched):
        return None
    claims, seen = _CLAIMS[report["outcome"]], looks(end)
    if any(claims(look, report) for look in seen):
        return None
    return f"{report['outcome']}, but the endpoint is {seen[-1]}"


def rolled_back_is_what_became_of_an_accepted_update(end: TryEnd) -> str | None:
    report = report_in(end)
    if report is None or report["outcome"] != "RolledBack":
        return None
    watched = _watched(end, report)
    if any(update.ended_at and not update.served for update in watched):
        return None
    if excuses.was_updated_back_unseen(end.actor, watched):
        return None
    return "RolledBack, but no such update was undone"


def not_started_was_never_accepted(end: TryEnd) -> str | None:
    report = report_in(end)
    if report and report["outcome"] == "NotStarted" and end.actor.accepted:
        return "NotStarted, but SageMaker has accepted the update"
    return None


def a_time_out_is_true_on_awss_clock(end: TryEnd) -> str | None:
    report, actor = report_in(end), end.actor
    if not report or report["outcome"] != "TimedOut" or not isinstance(actor, UpdateTask):
        return None
    if any(actor.is_out_of_time(update) for update in _watched(end, report)):
        return None
    return f"TimedOut, but {actor.limit} were not over"


def its_own_success_is_not_somebody_else_s(end: TryEnd) -> str | None:
    if not isinstance(end.result, ConfigAlreadyLive):
        return None
    actor = end.actor
    last = actor.account.truths[actor.endpoint].updates[-1:]
    if last and last[0].by == actor.who and not excuses.nothing_was_written_down(actor):
        return "ConfigAlreadyLive, but this very task has launched what is live"
    if not any(look.get("EndpointConfigName") == actor.target for look in looks(end)):
        return "ConfigAlreadyLive, but it is not"
    return None


def a_refusal_is_true(end: TryEnd) -> str | None:
    actor, error = end.actor, end.result
    nothing_asked = not _asked_in(end)
    true = {
        UpdateUnanswered: end.update_lost or bool(end.worker.failures),
        EndpointConfigNotFound: actor.target in actor.account.deleted_configs,
        EndpointNotFound: actor.account.gone(actor.endpoint),
        LaunchUnknown: actor.attempt > 1,
        NothingToAbort: not all(_pending(look) for look in looks(end)),
    }
    if isinstance(error, _NOTHING_ASKED) and not nothing_asked:
        return f"{type(error).__name__}, but SageMaker has accepted the update"
    return None if true.get(type(error), True) else f"{type(error).__name__} is not true"


def an_abort_succeeds_only_by_a_rollback(end: TryEnd) -> str | None:
    if not isinstance(end.actor, AbortTask):
        return None
    report = report_in(end) or {}
    if isinstance(end.result, dict) and report["outcome"] != "RolledBack":
        return f"the abort succeeded with {report['outcome']}"
    if isinstance(end.result, RolloutError):
        if report.get("outcome") == "RolledBack":
            return "the abort failed with RolledBack"
        if isinstance(end.result, AbortTooLate) != (report.get("outcome") == "Succeeded"):
            return f"{type(end.result).__name__} with {report.get('outcome')}"
    return None


def a_task_succeeds_only_if_its_target_serves(end: TryEnd) -> str | None:
    if isinstance(end.actor, AbortTask) or not isinstance(end.result, dict):
        return None
    outcome, arguments = end.result["outcome"], end.actor.run.arguments
    if outcome == "Succeeded" or (outcome == "RolledBack" and arguments.get("on_rollback") == "return"):
        return None
    return f"the task succeeded with {outcome}"


AT_ENDS: tuple[Callable[[TryEnd], str | None], ...] = (
    nothing_is_raised_but_named_errors,
    a_report_is_pushed,
    what_it_claims_to_serve_serves,
    the_outcome_agrees_with_the_endpoint,
    rolled_back_is_what_became_of_an_accepted_update,
    not_started_was_never_accepted,
    a_time_out_is_true_on_awss_clock,
    its_own_success_is_not_somebody_else_s,
    a_refusal_is_true,
    an_abort_succeeds_only_by_a_rollback,
    a_task_succeeds_only_if_its_target_serves,
)


# At rest.


def no_switch_stays_in_alarm(account: Account) -> str | None:
    late = timedelta(seconds=account.simulation.knobs.metric_delay_seconds)
    for switch in account.switches():
        if account.world.alarms.state(switch.alarm_name) != "ALARM":
            continue
        thrown = [each.at for each in account.throws if each.switch == switch.alarm_name and each.value >= 1]
        concluded = [
            at
            for actor in account.actors.values()
            for at, report in actor.reports
            if _concludes(report, switch) and at >= thrown[-1] + SWITCH_SETTLES + late
        ]
        if concluded:
            return f"{switch.alarm_name} stays in ALARM although a report said that the rollout is over"
    return None


def a_mark_is_heeded(account: Account) -> str | None:
    for actor in account.actors.values():
        for mark in actor.marks:
            if actor.on_kill_aborts and not _heeded(account, actor, mark):
                return f"{actor.who} was marked failed while it was deferred, and nothing was aborted"
    return None


AT_REST: tuple[Callable[[Account], str | None], ...] = (no_switch_stays_in_alarm, a_mark_is_heeded)


def _heeded(account: Account, actor: Any, mark: Any) -> bool:
    update, until = mark.update, mark.at + HEEDED_WITHIN
    if update is None:
        return True
    switch = AbortSwitch.of(actor.endpoint, owner=actor.owner, target=actor.target).alarm_name
    thrown = any(t.switch == switch and t.value >= 1 and t.at <= until for t in account.throws)
    over = update.ended_at is not None and update.ended_at <= until
    cleared = mark.cleared_at is not None and mark.cleared_at <= until
    return thrown or over or cleared or bool(excuses.nobody_could_act_on_the_mark(actor, mark, until))


def _concludes(report: dict[str, Any], switch: AbortSwitch) -> bool:
    failed = any("could not be reset" in warning for warning in report["warnings"])
    over = report["outcome"] not in {None, "TimedOut"}
    return over and not failed and report.get("abort_switch") == switch.alarm_name and _at_rest(report)


def _at_rest(report: dict[str, Any]) -> bool:
    """Superseded may be said while somebody else's update is in flight; then nothing is reset."""
    is_settled = {None, "InService", "Failed", "OutOfService", "UpdateRollbackFailed"}
    return report["endpoint_status"] in is_settled and report["outcome"] != "Superseded"


# What they are made of.

_NOTHING_ASKED = (
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointConfigNotFound,
    EndpointNotFound,
    LaunchUnknown,
    PreflightFailed,
    TaskKilled,
    UpdateRejected,
)


def report_in(end: TryEnd) -> dict[str, Any] | None:
    if isinstance(end.result, ReportedError):
        return end.result.report or None
    return end.result if isinstance(end.result, dict) else None


def looks(end: TryEnd) -> list[dict[str, Any]]:
    """
    How the endpoint was while the task looked at it.

    What others did a moment ago a look may not show; what this task itself did it knows.
    """
    actor, now = end.actor, end.actor.account.now()
    window = now - end.line.looked_at + actor.account.staleness
    own = [now - update.at - timedelta(seconds=1) for update in actor.accepted]
    window = max(min([window, *own]), timedelta(0))
    return actor.account.truths[actor.endpoint].looks(window, now)


def _watched(end: TryEnd, report: dict[str, Any]) -> list[Update]:
    """The updates that the report may be about."""
    actor, target = end.actor, report["endpoint_config_name"]
    updates = [u for u in actor.account.truths[actor.endpoint].updates if u.target == target]
    anybody_s = isinstance(actor, (SensorTask, AbortTask)) or report["adopted"] == "foreign"
    return updates if anybody_s else [update for update in updates if update.by == actor.who]


def _asked_in(end: TryEnd) -> bool:
    return any(update.attempt == end.actor.attempt for update in end.actor.accepted)


def _pending(look: dict[str, Any]) -> str | None:
    return look.get("PendingDeploymentSummary", {}).get("EndpointConfigName")


_ON_THE_WAY = {"InService", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
_CLAIMS: dict[str, Callable[[dict[str, Any], dict[str, Any]], bool]] = {
    "Succeeded": lambda look, report: (
        look.get("EndpointConfigName") == report["endpoint_config_name"]
        and look["EndpointStatus"] in _ON_THE_WAY
    ),
    "RolledBack": lambda look, report: (
        look.get("EndpointConfigName") == report["previous_endpoint_config_name"]
        and report["previous_endpoint_config_name"] != report["endpoint_config_name"]
        and look["EndpointStatus"] in _ON_THE_WAY
        and _pending(look) != report["endpoint_config_name"]
    ),
    "NotStarted": lambda look, report: (
        look.get("EndpointConfigName") != report["endpoint_config_name"]
        and _pending(look) != report["endpoint_config_name"]
    ),
    "Superseded": lambda look, report: bool(
        {look.get("EndpointConfigName"), _pending(look)} - {None, report["previous_endpoint_config_name"]}
    ),
    "RollbackFailed": lambda look, _: look.get("EndpointStatus") == "UpdateRollbackFailed",
    "Failed": lambda look, _: look.get("EndpointStatus") in {None, "Failed", "OutOfService", "Deleting"},
    "TimedOut": lambda *_: True,
}

__all__ = ["AT_CALLS", "AT_ENDS", "AT_REST", "Actor"]
