"""
What a wait for a shadow test has seen so far, and when it is over.

SageMaker never moves a test back from Completed or Cancelled, so one look at those is enough. That there is
no such test needs a second one, for reads may lag behind its creation, and that it has had too few requests
waits for CloudWatch's last minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from airflow_guardrails.domain.shadow.spec import LONGEST
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentLook, ExperimentStatus, Phase


class Until(str, Enum):
    """What is waited for. ``ENDED`` takes either way of ending."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    ENDED = "Ended"


class ShadowTestOutcome(str, Enum):
    """How a wait ended."""

    REACHED = "Reached"
    CANCELLED = "Cancelled"
    NOT_FOUND = "NotFound"
    # Over, and a variant has had fewer requests than wanted.
    TOO_FEW_REQUESTS = "TooFewRequests"
    TIMED_OUT = "TimedOut"


# A test that has run and is over has been running.
_REACHED_IN = {
    Until.RUNNING: frozenset({Phase.RUNNING, Phase.COMPLETED}),
    Until.COMPLETED: frozenset({Phase.COMPLETED}),
    Until.ENDED: frozenset({Phase.COMPLETED, Phase.CANCELLED}),
}

GRACE = timedelta(seconds=120)

# A test runs for 30 days at most; a day is for its coming and going.
LONGEST_WAIT = LONGEST + timedelta(days=1)

# How late CloudWatch may show the last requests; AWS documents no bound.
METRICS_SETTLE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTestState:
    """
    A wait for the shadow test *name*; :meth:`after` gives the next one.

    :param min_requests: instead of *until*, wait until each variant has had so many requests.
    :param requests: those that each variant has had, by name, as far as they were counted.
    :param counted: whether *requests* are as of the last look.
    :param as_of: when SageMaker last answered, on AWS's clock.
    :param deadline: when to stop waiting, on AWS's clock; ``None``: never.
    """

    name: str
    until: Until = Until.COMPLETED
    min_requests: int | None = None
    adopted: bool = False
    warnings: tuple[str, ...] = ()
    look: Experiment | None = None
    missing_since: datetime | None = None
    requests: Mapping[str, float] | None = None
    counted: bool = False
    unanswered: bool = False
    as_of: datetime | None = None
    deadline: datetime | None = None
    outcome: ShadowTestOutcome | None = None

    def after(self, look: ExperimentLook) -> ShadowTestState:
        if isinstance(look, Experiment):
            seen = replace(self, look=look, as_of=look.seen_at, missing_since=None, counted=False)
            return _judged(seen)
        since = self.missing_since or look.seen_at
        gone = look.seen_at - since >= GRACE
        outcome = ShadowTestOutcome.NOT_FOUND if gone else None
        return replace(self, as_of=look.seen_at, missing_since=since, outcome=outcome)

    def waiting(self, longest: timedelta, *, otherwise: datetime) -> ShadowTestState:
        """
        Stop waiting so long after the last answer.

        :param otherwise: what this machine takes for the time; it counts only if AWS has not answered yet.
        """
        return replace(self, deadline=(self.as_of or otherwise) + longest)

    def having(self, requests: Mapping[str, float]) -> ShadowTestState:
        """Take what has been counted since the last look."""
        return _judged(replace(self, requests=requests, counted=True))

    def give_up(self) -> ShadowTestState:
        return replace(self, outcome=ShadowTestOutcome.TIMED_OUT)

    @property
    def is_to_count(self) -> bool:
        """Whether the requests decide, and are not known for this look."""
        if self.min_requests is None or self.counted or self.look is None:
            return False
        return self.look.phase in {Phase.RUNNING, Phase.CHANGING, Phase.STOPPING, Phase.COMPLETED}

    @property
    def expected(self) -> ExperimentStatus | None:
        """
        A status in which the test may be listed without that being news; None if a look is worth it anyway.
        """
        if self.look is None or self.missing_since or self.min_requests is not None:
            return None
        return None if self.look.phase.over else self.look.status

    @property
    def is_settled(self) -> bool:
        """Whether CloudWatch shows all requests of a test that is over."""
        over_at = (self.look.completed_at or self.look.last_modified_at) if self.look else None
        return over_at is None or (self.look is not None and self.look.seen_at - over_at >= METRICS_SETTLE)

    @property
    def has_enough(self) -> bool:
        return bool(self.requests) and self.fewest >= (self.min_requests or 0)

    @property
    def fewest(self) -> float:
        """The requests of the variant that has had fewer."""
        return min((self.requests or {"": 0.0}).values())


def _judged(watch: ShadowTestState) -> ShadowTestState:
    assert watch.look is not None
    phase = _phase_of(watch.look)
    return replace(
        watch, outcome=_by_requests(watch, phase) if watch.min_requests else _by_phase(watch, phase)
    )


def _phase_of(look: Experiment) -> Phase:
    """A test that was stopped before it began has completed nothing, whatever it is called."""
    over_at, starts_at = look.completed_at, look.starts_at
    began = over_at is None or starts_at is None or starts_at <= over_at
    return Phase.CANCELLED if look.phase is Phase.COMPLETED and not began else look.phase


def _by_phase(watch: ShadowTestState, phase: Phase) -> ShadowTestOutcome | None:
    if phase in _REACHED_IN[watch.until]:
        return ShadowTestOutcome.REACHED
    return ShadowTestOutcome.CANCELLED if phase is Phase.CANCELLED else None


def _by_requests(watch: ShadowTestState, phase: Phase) -> ShadowTestOutcome | None:
    if phase is Phase.CANCELLED:
        return ShadowTestOutcome.CANCELLED
    if not watch.counted:
        return None
    if watch.has_enough:
        return ShadowTestOutcome.REACHED
    return ShadowTestOutcome.TOO_FEW_REQUESTS if phase is Phase.COMPLETED and watch.is_settled else None
