"""
What to do about an endpoint before an update of it is asked for, so that no crash and no retry asks twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from airflow_guardrails.domain.alarms import AlarmTransition
from airflow_guardrails.domain.endpoint import Endpoint, EndpointLook, EndpointStatus, MissingEndpoint
from airflow_guardrails.domain.intent import Intent
from airflow_guardrails.domain.rollout import Outcome

# An update is the documented repair of UpdateRollbackFailed.
UPDATABLE = frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED})


class Move(Enum):
    """What a look at the endpoint, and an intent of our own if there is one, call for."""

    LAUNCH = "ask for the update"
    ADOPT = "watch the update to the target that is in flight"
    FINISH = "the target of our own intent serves: it was launched, and went well"
    ALREADY_LIVE = "the target serves, and it was not us"
    RESUME = "our own update was accepted: go on watching how it ends"
    INQUIRE = "our own intent, another configuration serving: find out whether the update ran and was undone"
    WAIT = "something else is changing the endpoint"
    REFUSE = "an endpoint in this status takes no update"
    MISSING = "there is no endpoint"


def next_move(look: EndpointLook, *, target: str, own: Intent | None) -> Move:
    """
    Decide by one look.

    :param own: the intent found at the target, if it is this task instance's own.
    """
    if isinstance(look, MissingEndpoint):
        return Move.MISSING
    if look.changing and look.pending_config_name == target:
        return Move.ADOPT
    if look.status is EndpointStatus.IN_SERVICE and look.endpoint_config_name == target:
        return Move.FINISH if own else Move.ALREADY_LIVE
    if own and own.launched_at:
        return Move.RESUME
    return _move_at_another(look, own)


def _move_at_another(look: Endpoint, own: Intent | None) -> Move:
    if look.changing:
        return Move.WAIT
    if own and own.changed_since(look):
        return Move.INQUIRE
    return Move.LAUNCH if look.status in UPDATABLE else Move.REFUSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Traces that an update left while nobody looked, between its intent and now."""

    since: datetime
    requests: float = 0
    tripped: tuple[AlarmTransition, ...] = ()
    failure_reason: str | None = None

    def __bool__(self) -> bool:
        return bool(self.requests or self.tripped or self.failure_reason)

    def describe(self) -> str:
        """Say what was looked at, and what was there."""
        alarms = ", ".join(alarm.name for alarm in self.tripped) or "none"
        return (
            f"requests answered by the target since {self.since.isoformat()}: {self.requests:g}; "
            f"alarms that went off: {alarms}; FailureReason: {self.failure_reason or 'none'}"
        )


def outcome_unwatched(look: Endpoint, own: Intent) -> Outcome:
    """How an update ended that there is evidence of, seen only from after its end."""
    if look.status is EndpointStatus.UPDATE_ROLLBACK_FAILED:
        return Outcome.ROLLBACK_FAILED
    if look.status is not EndpointStatus.IN_SERVICE:
        return Outcome.FAILED
    return Outcome.ROLLED_BACK if look.endpoint_config_name == own.previous else Outcome.SUPERSEDED
