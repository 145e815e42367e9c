"""
What to do about an endpoint before an update of it is asked for, so that no crash and no retry asks twice.

Every statement about an earlier try rests on proof that it is about *this* rollout: SageMaker's own 200, the
rollout's StartTime, its abort switch among the alarms of the last deployment, or requests that the target's
fleet has answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Outcome
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointLook,
    EndpointStatus,
    MissingEndpoint,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """
    That its owner was about to update an endpoint. All times are on AWS's clock.

    :param previous: name of the configuration served then.
    :param modified_at: when the endpoint had last changed then.
    :param written_at: when this was written; UpdateEndpoint was called after it.
    :param accepted_at: when SageMaker accepted the update; ``None`` while nobody knows whether it was called.
    :param started_at: the update's own StartTime, which identifies it; ``None`` while it was not seen.
    :param withdrawn: whether the update was refused, or never asked for.
    """

    previous: str | None
    modified_at: datetime | None
    written_at: datetime
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    withdrawn: bool = False

    def changed_since(self, look: Endpoint) -> bool:
        """Whether the endpoint has changed since; scaling changes it too, so it alone proves no launch."""
        return bool(look.last_modified_at and self.modified_at and look.last_modified_at > self.modified_at)


def latest_intent(found: Iterable[Intent | None]) -> Intent | None:
    """
    Return what several places know together of one owner's intent; None if there is none, or it was
    withdrawn.

    One place may have missed what another was told, so of the same intent the most that any knows counts.
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
    )


def owner_of(*, dag_id: str, run_id: str, task_id: str, map_index: int, endpoint_name: str) -> str:
    """
    Identify the task instance that updates an endpoint, over all of its tries.

    A retry and a cleared task own what the first try launched; another task, another mapped instance and
    another endpoint do not.
    """
    identity = "\x00".join((dag_id, run_id, task_id, str(map_index), endpoint_name))
    return hashlib.sha256(identity.encode()).hexdigest()[:20]


# An update is the documented repair of UpdateRollbackFailed.
UPDATABLE = frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED})

# The abort switch is waited for between the intent and the call, see operators.switch.
CALLED_WITHIN = timedelta(minutes=5)


class Move(Enum):
    """What a look at the endpoint, and what this owner has left of an earlier try, call for."""

    LAUNCH = "ask for the update"
    ADOPT = "watch the update to the target that is in flight"
    FINISH = "the target serves, and this owner's own update has brought it"
    ALREADY_LIVE = "the target serves, and it was not this owner"
    PERHAPS_LIVE = "the target serves, and nothing tells whether this owner's update has brought it"
    RESUME = "SageMaker has accepted this owner's update: go on watching how it ends"
    INQUIRE = "this owner may have asked, and another configuration serves: find out whether the update ran"
    WAIT = "something else is changing the endpoint"
    REFUSE = "an endpoint in this status takes no update"
    MISSING = "there is no endpoint"


def next_move(
    look: EndpointLook, *, target: str, own: Intent | None, switch_named: bool, has_switch: bool = True
) -> Move:
    """
    Decide by one look.

    :param own: what an earlier try of this owner has written down, if anything.
    :param switch_named: whether the endpoint's last deployment names this rollout's abort switch, which
        proves that SageMaker has accepted an update of this owner to the target at some time.
    :param has_switch: whether this owner's updates carry the switch.
    """
    if isinstance(look, MissingEndpoint):
        return Move.MISSING
    if look.changing and look.pending_config_name == target:
        return Move.ADOPT
    if look.status is EndpointStatus.IN_SERVICE and look.endpoint_config_name == target:
        return _move_at_target(own, switch_named=switch_named, has_switch=has_switch)
    return _move_at_another(look, own, switch_named=switch_named)


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
    # An update that carries the switch would be named as the last deployment once it has ended.
    return Move.ALREADY_LIVE if own is None or has_switch else Move.PERHAPS_LIVE


class Whose(Enum):
    """Whose the update in flight is, as far as there is proof."""

    OWN = "proven to be this rollout"
    PERHAPS = "may be this rollout, and nothing proves it"
    FOREIGN = "not this rollout"


def whose_update(look: Endpoint, *, own: Intent | None, switch_named: bool) -> Whose:
    """
    Say whose the update to the target is that *look* shows in flight.

    *switch_named* alone is no proof: SageMaker may go on naming the alarms of an update that has ended, and
    ``RetainDeploymentConfig`` hands them to the next one.
    """
    started = look.pending.started_at if look.pending else None
    if own is None:
        return Whose.PERHAPS if switch_named else Whose.FOREIGN
    if started is None:
        return Whose.OWN if switch_named else Whose.PERHAPS
    if own.started_at is not None:
        return Whose.OWN if started == own.started_at else Whose.FOREIGN
    if started < own.written_at:
        return Whose.FOREIGN
    # An update that was accepted shows within the grace period, or has not started (NotStarted).
    latest = own.accepted_at or own.written_at + CALLED_WITHIN
    in_time = started <= latest + DEFAULT_GRACE
    return Whose.OWN if in_time and (own.accepted_at or switch_named) else Whose.PERHAPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What proves that an update ran between its intent and now, while nobody looked.

    :param since: when the intent was written, on AWS's clock.
    :param requests: those that the target's fleet has answered since; ``None``: they could not be counted.
    :param unread: why not.
    """

    since: datetime
    requests: float | None = None
    unread: str | None = None

    def __bool__(self) -> bool:
        return bool(self.requests)

    def describe(self) -> str:
        """Say what was looked at, and what was there."""
        since = f"since {self.since.isoformat()}"
        if self.requests is None:
            return f"the requests answered by the target {since} could not be counted ({self.unread})"
        return f"requests answered by the target {since}: {self.requests:g}"


def outcome_unwatched(look: Endpoint, previous: str | None) -> Outcome:
    """Return how an update ended that is proven to have run, seen only from after its end."""
    if look.status is EndpointStatus.UPDATE_ROLLBACK_FAILED:
        return Outcome.ROLLBACK_FAILED
    if look.status is not EndpointStatus.IN_SERVICE:
        return Outcome.FAILED
    return Outcome.ROLLED_BACK if look.endpoint_config_name == previous else Outcome.SUPERSEDED
