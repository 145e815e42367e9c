"""The words of a rollout's end: outcome, cause, and whose update it was. Reports have their values."""

from __future__ import annotations

from enum import Enum


class Outcome(str, Enum):
    """How a rollout ended; report key ``outcome``."""

    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_FAILED = "RollbackFailed"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    NOT_STARTED = "NotStarted"
    TIMED_OUT = "TimedOut"


class CauseKind(str, Enum):
    """Why an update was rolled back or failed; report key ``cause.kind``."""

    ALARM = "alarm"
    ABORT = "abort"
    JUDGE = "judge"
    TIMEOUT = "timeout"
    HEALTH_CHECK = "health_check"
    CAPACITY = "capacity"
    UNKNOWN = "unknown"


class Adopted(str, Enum):
    """Who started an update that a task found instead of starting it; report key ``adopted``."""

    # An earlier try of the same task instance, with proof.
    OWN = "own"
    # Another task or a person, or there is no proof.
    FOREIGN = "foreign"


class TimeoutAction(str, Enum):
    """What to do with an update that is still in flight when the wait times out."""

    # Leave the update as it is.
    FAIL = "fail"
    # Throw the abort switch, then wait for the rollback.
    ABORT = "abort"
