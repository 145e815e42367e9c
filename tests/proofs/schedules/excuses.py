"""
Every excuse that the invariants let through, with its reason: something that nothing can know.

docs/outcomes.md lists the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.triggers._stopping import LONGEST_RESPONSE
from tests.proofs.schedules.account import Account, Update

# A worker has five seconds from its kill, and in these asks and throws.
ON_ITS_WAY = timedelta(seconds=10)


def nothing_was_written_down(actor: Any, *, before: Update | None = None) -> bool:
    """
    A task that can neither tag the configuration nor use Airflow's task state leaves nothing for its retry.

    The same is so where the configuration was deleted, and its tags with it, and made anew. The abort switch
    in the endpoint's last deployment helps while that is the endpoint's last.

    :param before: the update that the retry asks for; the last deployment is the one before it.
    """
    run, account = actor.run, actor.account
    others = [other for other in account.actors.values() if other.target == actor.target]
    full = any(other.run.tags == "full" for other in others)
    no_tags = full or run.tags != "allowed" or actor.target in account.deleted_configs
    no_state = run.task_state != "kept"
    updates = [each for each in account.truths[actor.endpoint].updates if each is not before]
    named = updates[-1].by == actor.who and run.arguments["abort_switch"]
    return no_tags and no_state and not named


def is_its_own_and_unknown(account: Account, by: str, update: Update) -> bool:
    """The same, where the retry takes away what it takes for its own try's switch."""
    return update.by == by and nothing_was_written_down(account.actors[by])


def cleared_while_the_throw_was_on_its_way(actor: Any) -> bool:
    """Between Airflow's answer that a task is failed and the call to CloudWatch somebody may clear it."""
    cleared, now = actor.cleared_at, actor.account.now()
    return cleared is not None and now - cleared <= ON_ITS_WAY


def its_start_was_unseen(actor: Any, update: Update) -> bool:
    """
    Where SageMaker accepts an update and does not answer after it, or none of the task's looks shows its
    StartTime, the task cannot know when the update started.

    The time counts from the acceptance then.
    """
    return update.started_at not in actor.starts_seen or any(at >= update.at for at in actor.unanswered)


def has_ended_unseen(account: Account, actor: Any, switch: AbortSwitch) -> bool:
    """A rollout that has ended within the age of a look is in flight as far as anybody can see."""
    own = [u for u in account.truths[actor.endpoint].updates if switch.alarm_name in u.alarms]
    age = account.staleness + timedelta(seconds=8 * account.latency)
    return any(u.ended_at is not None and account.now() - u.ended_at <= age for u in own)


def was_updated_back_unseen(actor: Any, watched: list[Update]) -> bool:
    """
    Whoever updates an endpoint back to the configuration before, after ours has succeeded and before anybody
    looked, makes it look rolled back: SageMaker tells the two in the same words.
    """
    updates = actor.account.truths[actor.endpoint].updates
    return any(
        mine.served and any(u.at >= (mine.ended_at or u.at) and u.target == mine.previous for u in updates)
        for mine in watched
    )


def nobody_could_act_on_the_mark(actor: Any, mark: Any, until: datetime) -> str | None:
    """A deferred task is stopped if its triggerer runs, Airflow and AWS respond, and a look shows it."""
    account, run = actor.account, actor.run
    if run.xcom != "works" or run.supervisor_late > LONGEST_RESPONSE:
        return "Airflow does not say whether the task was marked failed"
    if mark.run.supervisor.stopped:
        return "the triggerer is gone"
    if any(mark.at <= at <= until for at, _ in mark.run.line.failures):
        return "AWS does not answer"
    if account.staleness:
        return "reads lag"
    if not actor.run.arguments["abort_switch"]:
        return "there is no switch"
    return None
