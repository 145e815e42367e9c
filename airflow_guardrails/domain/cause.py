"""Why a rollout was undone: only what there is evidence for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from airflow_guardrails.domain.alarms import AlarmTransition


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
