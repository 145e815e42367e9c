"""
The state of a wait for a shadow test, and how each look at the test changes it.

Completed and Cancelled are final, so one look at them is enough. A missing test needs a second look,
because reads may lag behind its creation. Too few requests need a count after CloudWatch has published the
last minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from airflow_guardrails.domain.shadow.spec import LONGEST
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentLook, ExperimentStatus, Phase


class Until(str, Enum):
    """What the wait is for. ``ENDED`` is Completed or Cancelled."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    ENDED = "Ended"


class ShadowTestOutcome(str, Enum):
    """How a wait ended."""

    REACHED = "Reached"
    CANCELLED = "Cancelled"
    NOT_FOUND = "NotFound"
    # The test has ended, and a variant had fewer than min_requests.
    TOO_FEW_REQUESTS = "TooFewRequests"
    TIMED_OUT = "TimedOut"


# A completed test was running before.
_REACHED_IN = {
    Until.RUNNING: frozenset({Phase.RUNNING, Phase.COMPLETED}),
    Until.COMPLETED: frozenset({Phase.COMPLETED}),
    Until.ENDED: frozenset({Phase.COMPLETED, Phase.CANCELLED}),
}

# How long reads may lag behind the creation of a test.
GRACE = timedelta(seconds=120)

# A test runs for at most 30 days. The extra day is for its start and end.
LONGEST_WAIT = LONGEST + timedelta(days=1)

# How late CloudWatch may publish the last requests. AWS documents no limit. It is longer than METRICS_LAG,
# because a count that is too low ends the wait.
METRICS_SETTLE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTestState:
    """
    What is known about the shadow test *name* between two looks; an immutable value. All times are on AWS's
    clock.

    :param min_requests: wait until each variant had this many requests; *until* then does not matter.
        ``None``: do not count.
    :param warm_up: requests count from so long after the first request to the shadow, as the judge does it.
    :param counts_from: when that is; ``None`` if it is not known yet, or without a warm-up.
    :param on_kill: what marking the task failed does to the test: ``"leave"`` it alone or ``"stop"`` it.
    :param adopted: whether the task found the test instead of creating it.
    :param look: the last description of the test; ``None`` before the first one.
    :param missing_since: when the test was first missing; ``None`` if the last look found it.
    :param requests: variant name -> requests so far; ``None`` before the first count.
    :param counted: whether *requests* were counted after the last look.
    :param unanswered: whether the last call got no response.
    :param as_of: when SageMaker last answered.
    :param deadline: when to stop waiting; ``None``: never.
    :param outcome: set once the wait has ended.
    """

    name: str
    until: Until = Until.COMPLETED
    min_requests: int | None = None
    warm_up: timedelta = timedelta(0)
    counts_from: datetime | None = None
    on_kill: str = "leave"
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
        """Return the next state: record *look*, and set the outcome if it is certain."""
        if isinstance(look, Experiment):
            return _with_outcome(
                replace(self, look=look, as_of=look.seen_at, missing_since=None, counted=False)
            )
        since = self.missing_since or look.seen_at
        gone = look.seen_at - since >= GRACE
        outcome = ShadowTestOutcome.NOT_FOUND if gone else None
        return replace(self, as_of=look.seen_at, missing_since=since, outcome=outcome)

    def with_timeout(self, timeout: timedelta, *, now: datetime) -> ShadowTestState:
        """
        Set the deadline to *timeout* after the last response.

        :param now: time on this machine's clock; used only if AWS has not answered yet.
        """
        return replace(self, deadline=(self.as_of or now) + timeout)

    def with_requests(self, requests: Mapping[str, float]) -> ShadowTestState:
        """Record the requests (variant name -> requests), and set the outcome if it is certain."""
        return _with_outcome(replace(self, requests=requests, counted=True))

    def give_up(self) -> ShadowTestState:
        """End the wait at its deadline."""
        return replace(self, outcome=ShadowTestOutcome.TIMED_OUT)

    @property
    def needs_count(self) -> bool:
        """Whether the requests decide the outcome, and were not counted after the last look."""
        if self.min_requests is None or self.counted or self.look is None:
            return False
        return self.look.phase in {Phase.RUNNING, Phase.CHANGING, Phase.STOPPING, Phase.COMPLETED}

    @property
    def expected(self) -> ExperimentStatus | None:
        """Status that means no change if ListInferenceExperiments shows it; None: a look is needed."""
        if self.look is None or self.missing_since or self.min_requests is not None:
            return None
        return None if self.look.phase.over else self.look.status

    @property
    def is_settled(self) -> bool:
        """Whether CloudWatch has published all requests of an ended test; True if its end is unknown."""
        ended_at = (self.look.completed_at or self.look.last_modified_at) if self.look else None
        return ended_at is None or (self.look is not None and self.look.seen_at - ended_at >= METRICS_SETTLE)

    @property
    def has_enough(self) -> bool:
        """Whether every variant had at least ``min_requests``."""
        return bool(self.requests) and min((self.requests or {}).values()) >= (self.min_requests or 0)


def _with_outcome(state: ShadowTestState) -> ShadowTestState:
    assert state.look is not None
    phase = _phase_of(state.look)
    return replace(
        state, outcome=_by_requests(state, phase) if state.min_requests else _by_phase(state, phase)
    )


def _phase_of(look: Experiment) -> Phase:
    """Return the phase; a test that was stopped before its start is Completed to AWS, and cancelled here."""
    ended_at, starts_at = look.completed_at, look.starts_at
    began = ended_at is None or starts_at is None or starts_at <= ended_at
    return Phase.CANCELLED if look.phase is Phase.COMPLETED and not began else look.phase


def _by_phase(state: ShadowTestState, phase: Phase) -> ShadowTestOutcome | None:
    if phase in _REACHED_IN[state.until]:
        return ShadowTestOutcome.REACHED
    return ShadowTestOutcome.CANCELLED if phase is Phase.CANCELLED else None


def _by_requests(state: ShadowTestState, phase: Phase) -> ShadowTestOutcome | None:
    if phase is Phase.CANCELLED:
        return ShadowTestOutcome.CANCELLED
    if not state.counted:
        return None
    if state.has_enough:
        return ShadowTestOutcome.REACHED
    return ShadowTestOutcome.TOO_FEW_REQUESTS if phase is Phase.COMPLETED and state.is_settled else None
