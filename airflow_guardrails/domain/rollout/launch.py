"""
What to do before an update is started, so that neither a crash nor a retry starts it twice.

Every decision about an earlier try needs proof that it is about *this* rollout: SageMaker's response 200, the
StartTime of the update, its abort switch among the alarms of the last deployment, or requests that the new
fleet has answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointLook,
    EndpointStatus,
    MissingEndpoint,
)
from airflow_guardrails.domain.times import format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """
    A record, written before UpdateEndpoint is called, that its owner will call it. Times are on AWS's clock.

    :param previous: name of the configuration served then.
    :param modified_at: LastModifiedTime of the endpoint then.
    :param written_at: when the record was written; UpdateEndpoint was called after it.
    :param accepted_at: when SageMaker accepted the update; ``None`` if it is unknown whether it was called.
    :param started_at: StartTime of the update, which identifies it; ``None`` until it was seen in flight.
    :param logical_date: logical date of the DAG run, which is not on AWS's clock; ``None`` without one.
    :param withdrawn: whether the update was refused, or was not started in the end.
    :param creates: whether it is about CreateEndpoint, because there was no endpoint.
    """

    previous: str | None
    modified_at: datetime | None
    written_at: datetime
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    logical_date: datetime | None = None
    withdrawn: bool = False
    creates: bool = False

    def changed_since(self, look: Endpoint) -> bool:
        """Whether the endpoint has changed since. It is no proof of a launch: scaling changes it too."""
        return bool(look.last_modified_at and self.modified_at and look.last_modified_at > self.modified_at)


def latest_intent(found: Iterable[Intent | None]) -> Intent | None:
    """
    Merge the copies of one owner's intent; None if there is none, or it was withdrawn.

    A write may have failed in one store and not in the other, so a value of any copy counts.
    """
    known = [intent for intent in found if intent is not None]
    if not known:
        return None
    written_at = max(intent.written_at for intent in known)
    same = [intent for intent in known if intent.written_at == written_at]
    if any(intent.withdrawn for intent in same):
        return None
    return Intent(
        previous=same[0].previous,
        modified_at=same[0].modified_at,
        written_at=written_at,
        accepted_at=next((intent.accepted_at for intent in same if intent.accepted_at), None),
        started_at=next((intent.started_at for intent in same if intent.started_at), None),
        logical_date=next((intent.logical_date for intent in same if intent.logical_date), None),
        creates=same[0].creates,
    )


def owner_of(*, dag_id: str, run_id: str, task_id: str, map_index: int, endpoint_name: str) -> str:
    """
    Return an id (20 hex digits) of the task instance that updates an endpoint, the same for all its tries.

    So a retry and a cleared task own what the first try started. Another task, mapped instance or endpoint
    has another id.
    """
    # No part can contain this character, so two identities never join to the same text.
    identity = "\x00".join((dag_id, run_id, task_id, str(map_index), endpoint_name))
    return hashlib.sha256(identity.encode()).hexdigest()[:20]


# An update is the documented repair of UpdateRollbackFailed.
UPDATABLE = frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED})

# Longest time between the intent and the call: in between, the abort switch must become OK.
CALLED_WITHIN = timedelta(minutes=5)


class Move(Enum):
    """What to do next, given a look at the endpoint and the intent of an earlier try."""

    LAUNCH = "start the update"
    ADOPT = "wait for the update to the target that is in flight"
    FINISH = "the target serves, and this owner's update brought it into service"
    ALREADY_LIVE = "the target serves, and this owner did not bring it into service"
    PERHAPS_LIVE = "the target serves, and it is unknown whether this owner's update did that"
    RESUME = "SageMaker accepted this owner's update: continue to wait for its end"
    INQUIRE = "this owner may have started an update, and another configuration serves: find out if it ran"
    WAIT = "something else is changing the endpoint"
    REFUSE = "an endpoint in this status accepts no update"
    MISSING = "there is no endpoint"
    CREATE = "there is no endpoint, and this owner creates it"
    ADOPT_CREATION = "wait for the end of the creation of the endpoint with the target, or report it"


def next_move(
    look: EndpointLook,
    *,
    target: str,
    own: Intent | None,
    switch_named: bool,
    has_switch: bool = True,
    creates: bool = False,
) -> Move:
    """
    Decide from one look.

    :param own: the intent of an earlier try of this owner; ``None`` if there is none.
    :param switch_named: whether the endpoint's last deployment names this rollout's abort switch. This proves
        that SageMaker accepted an update of this owner to the target at some time.
    :param has_switch: whether this owner's updates have an abort switch.
    :param creates: whether this owner creates the endpoint if there is none.
    """
    if _is_creation(look, target=target, own=own, creates=creates):
        return Move.ADOPT_CREATION
    if isinstance(look, MissingEndpoint):
        return Move.CREATE if creates else Move.MISSING
    # Never a second call: SageMaker refuses an update of an endpoint that is changing.
    if look.changing and look.pending_config_name == target:
        return Move.ADOPT
    if look.status is EndpointStatus.IN_SERVICE and look.endpoint_config_name == target:
        return _move_at_target(own, switch_named=switch_named, has_switch=has_switch)
    return _move_at_another(look, own, switch_named=switch_named)


def _is_creation(look: EndpointLook, *, target: str, own: Intent | None, creates: bool) -> bool:
    """Whether this owner's CreateEndpoint, or one with the same target, made the endpoint."""
    if own is not None and own.creates and own.accepted_at:
        return True
    if isinstance(look, MissingEndpoint) or target not in {
        look.endpoint_config_name,
        look.pending_config_name,
    }:
        return False
    if own is not None and own.creates:
        return True
    return creates and look.status is EndpointStatus.CREATING


def _move_at_another(look: Endpoint, own: Intent | None, *, switch_named: bool) -> Move:
    if own and (own.accepted_at or switch_named):
        return Move.RESUME
    if look.changing:
        return Move.WAIT
    if switch_named or (own and own.changed_since(look)):
        return Move.INQUIRE
    return Move.LAUNCH if look.status in UPDATABLE else Move.REFUSE


def _move_at_target(own: Intent | None, *, switch_named: bool, has_switch: bool) -> Move:
    if switch_named or (own and own.accepted_at):
        return Move.FINISH
    # After an update with a switch, the endpoint's last deployment would name the switch.
    return Move.ALREADY_LIVE if own is None or has_switch else Move.PERHAPS_LIVE


class UpdateOwner(Enum):
    """Who started the update in flight, as far as there is proof."""

    OWN = "this owner"
    PERHAPS = "perhaps this owner, without proof"
    FOREIGN = "somebody else"


def owner_of_update(look: Endpoint, *, own: Intent | None, switch_named: bool) -> UpdateOwner:
    """
    Return who started the update to the target that *look* shows in flight.

    *switch_named* alone is no proof: SageMaker may still name the alarms of an update that has ended, and
    ``RetainDeploymentConfig`` passes them on to the next one.
    """
    started = look.pending.started_at if look.pending else None
    if own is None:
        return UpdateOwner.PERHAPS if switch_named else UpdateOwner.FOREIGN
    if started is None:
        return UpdateOwner.OWN if switch_named else UpdateOwner.PERHAPS
    if own.started_at is not None:
        return UpdateOwner.OWN if started == own.started_at else UpdateOwner.FOREIGN
    if started < own.written_at:
        return UpdateOwner.FOREIGN
    # An accepted update is seen within the grace period; otherwise the outcome is NotStarted.
    latest = own.accepted_at or own.written_at + CALLED_WITHIN
    in_time = started <= latest + DEFAULT_GRACE
    return UpdateOwner.OWN if in_time and (own.accepted_at or switch_named) else UpdateOwner.PERHAPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    The proof that an update ran between its intent and now: requests that the target's fleet answered.

    True if there were any.

    :param since: when the intent was written, on AWS's clock.
    :param requests: number of requests answered by the target's fleet since; ``None``: not countable.
    :param unread: why they could not be counted.
    """

    since: datetime
    requests: float | None = None
    unread: str | None = None

    def __bool__(self) -> bool:
        return bool(self.requests)

    def describe(self) -> str:
        """Return a text for error messages: what was counted, and the result."""
        since = f"since {format_time(self.since)}"
        if self.requests is None:
            return f"the requests answered by the target {since} could not be counted ({self.unread})"
        return f"requests answered by the target {since}: {self.requests:g}"


def infer_outcome(look: Endpoint, previous: str | None) -> Outcome:
    """Return the outcome of an update that is proven to have run, from a look after its end."""
    if look.status is EndpointStatus.UPDATE_ROLLBACK_FAILED:
        return Outcome.ROLLBACK_FAILED
    if look.status is not EndpointStatus.IN_SERVICE:
        return Outcome.FAILED
    return Outcome.ROLLED_BACK if look.endpoint_config_name == previous else Outcome.SUPERSEDED
