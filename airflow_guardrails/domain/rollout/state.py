"""
How a rollout ended, from nothing but looks at its endpoint.

SageMaker has no deployment id and ends a rolled-back update as ``InService``, so the outcome follows from
which configuration serves, whether ours was ever seen in flight, and what was so before. Reads are not
monotonic: whatever ends a rollout badly must be seen twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.preflight.findings import Finding
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch, why_not_in_flight
from airflow_guardrails.domain.snapshots.alarms import AlarmDefinition
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointLook,
    EndpointStatus,
    MissingEndpoint,
    Stage,
)


class Outcome(str, Enum):
    """How a rollout ended."""

    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_FAILED = "RollbackFailed"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    NOT_STARTED = "NotStarted"
    TIMED_OUT = "TimedOut"


# InService is absent: what it means depends on the configuration in service. The statuses in flight mean
# nothing yet.
OUTCOME_BY_STATUS = {
    EndpointStatus.UPDATE_ROLLBACK_FAILED: Outcome.ROLLBACK_FAILED,
    EndpointStatus.FAILED: Outcome.FAILED,
    EndpointStatus.OUT_OF_SERVICE: Outcome.FAILED,
    EndpointStatus.DELETING: Outcome.FAILED,
}

# What the endpoint last changed for was something else.
_LEAVES_NO_CHANGE = frozenset({Outcome.TIMED_OUT, Outcome.NOT_STARTED})

DEFAULT_GRACE = timedelta(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """
    The update that is watched, and what is known from before it.

    :param target: name of the endpoint configuration the update is to bring into service.
    :param previous: name of the configuration served before; ``None`` if unknown.
    :param asked_at: a moment just before UpdateEndpoint was called, on AWS's clock; an update that began
        earlier is another one.
    :param launched_at: when SageMaker accepted the update, on AWS's clock; ``None`` if nobody knows.
    :param started_at: the update's StartTime, which identifies it once it was seen.
    :param status_before: the endpoint's status before the launch.
    :param guardrails: strategy and alarms of the update; ``None`` until SageMaker has said.
    :param switch: the abort switch of this very rollout; ``None`` if it has none, or nobody knows which.
    :param grace: how long after the launch (or the first look) an endpoint that shows no update may still
        start one.
    :param max_wait: how long after its start the rollout may take; ``None``: no limit there.
    :param deadline: when to stop waiting, whenever it started, on AWS's clock; ``None``: no limit there.
    :param adopted: ``"own"`` or ``"foreign"`` where the update was found in flight, not launched by this
        watch.
    :param require_alarms_ok: whether an alarm that somebody changes meanwhile aborts the rollout.
    """

    endpoint_name: str
    target: str
    previous: str | None = None
    asked_at: datetime | None = None
    launched_at: datetime | None = None
    started_at: datetime | None = None
    status_before: EndpointStatus | None = None
    guardrails: Guardrails | None = None
    switch: AbortSwitch | None = None
    grace: timedelta = DEFAULT_GRACE
    max_wait: timedelta | None = None
    deadline: datetime | None = None
    adopted: str | None = None
    require_alarms_ok: bool = False

    def is_shown_by(self, look: Endpoint) -> bool:
        """
        Whether the update that *look* shows in flight may be this one: to its target, begun when it began.
        """
        if look.pending is None or look.pending_config_name != self.target:
            return False
        started = look.pending.started_at
        if started is None:
            return True
        if self.started_at is not None:
            return started == self.started_at
        return self.asked_at is None or started >= self.asked_at

    def why_not_abort(self, look: EndpointLook) -> str | None:
        """Say why throwing the switch would not roll back this rollout; None if it would."""
        if refusal := why_not_in_flight(look, target=self.target):
            return self.why_no_switch if self._may_be_from_before_launch(look) else refusal
        if not (isinstance(look, Endpoint) and self.is_shown_by(look)):
            return f"the update to {self.target} that is in flight is another one than this task has launched"
        return self.why_no_switch

    def _may_be_from_before_launch(self, look: EndpointLook) -> bool:
        """Whether reads may lag so far behind the launch that *look* does not show the update yet."""
        launched = self.launched_at
        return launched is not None and isinstance(look, Endpoint) and look.seen_at - launched < DEFAULT_GRACE

    @property
    def why_no_switch(self) -> str | None:
        """Say why this rollout cannot be aborted at all; None if its abort switch is known."""
        if self.switch is not None:
            return None
        if self.adopted == "foreign":
            return (
                f"nothing proves that the update to {self.target} that is in flight carries an abort switch "
                "of this task"
            )
        return "the update carries no abort switch (abort_switch=False)"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """The green fleet reached a stage, or took on more instances in it."""

    stage: Stage
    at: datetime
    instances: int
    desired_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """
    Everything remembered of a rollout between two looks.

    A value: :meth:`after` gives the next one. *suspected* is an outcome seen once and not yet confirmed.
    *analysis* is there where the new fleet is compared with the old one. *as_of* is when SageMaker last
    answered, *thrown_at* when the abort switch was thrown by this watch, both on AWS's clock. *definitions*
    are those of the alarms as they were first seen.
    """

    rollout: Rollout
    seen_in_flight: bool = False
    first_look_at: datetime | None = None
    as_of: datetime | None = None
    last_look: EndpointLook | None = None
    stages: tuple[StageChange, ...] = ()
    stages_complete: bool = True
    rollback_alarms: tuple[str, ...] = ()
    suspected: Outcome | None = None
    definitions: tuple[AlarmDefinition, ...] = ()
    timed_out: bool = False
    thrown_at: datetime | None = None
    unanswered: bool = False
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    analysis: AnalysisState | None = None
    outcome: Outcome | None = None

    def after(self, look: EndpointLook) -> RolloutState:
        watch = self._remember(look)
        suspected = watch._assess(look)  # noqa: SLF001 - the same class
        if suspected is None and watch.deadline is not None and look.seen_at >= watch.deadline:
            return replace(watch, suspected=None, outcome=Outcome.TIMED_OUT)
        confirmed = suspected is Outcome.SUCCEEDED or suspected is self.suspected
        return replace(watch, suspected=suspected, outcome=suspected if confirmed else None)

    def found(self, look: Endpoint) -> RolloutState:
        """Begin with an update that *look* found in flight: it may be over by the next one."""
        started_at = look.pending.started_at if look.pending else None
        return replace(self, seen_in_flight=True, rollout=replace(self.rollout, started_at=started_at))

    def give_up(self) -> RolloutState:
        """End the watch by its deadline: what was seen once is then the best there is to say."""
        return replace(self, outcome=self.suspected or Outcome.TIMED_OUT)

    def aborting(self) -> RolloutState:
        """Go on after the time was up and the switch was thrown, for as long as a rollback may take."""
        return replace(self.thrown(), timed_out=True, outcome=None)

    def thrown(self, at: datetime | None = None) -> RolloutState:
        """
        Go on after the abort switch was thrown, for as long as a rollback may take.

        Throwing it again gives no more time.

        :param at: when, on AWS's clock; default: at the last look.
        """
        if self.thrown_at is not None:
            return self
        at = at or self.as_of
        rollout, lasted = self.rollout, at - self.origin if at and self.origin else timedelta(0)
        if rollout.max_wait is not None:
            # A retry may come, and throw it, long after the time was up.
            rollout = replace(rollout, max_wait=max(rollout.max_wait, lasted) + ABORTING)
        if rollout.deadline is not None:
            rollout = replace(rollout, deadline=max(rollout.deadline, at or rollout.deadline) + ABORTING)
        return replace(self, rollout=rollout, thrown_at=at)

    def noting(self, warning: str) -> RolloutState:
        return replace(self, warnings=(*self.warnings, warning))

    @property
    def switch(self) -> AbortSwitch | None:
        return self.rollout.switch

    @property
    def started_at(self) -> datetime | None:
        return self.rollout.started_at

    @property
    def deadline(self) -> datetime | None:
        """When to stop waiting, on AWS's clock; None: never."""
        origin, limit = self.origin, self.rollout.max_wait
        ends = [origin + limit] if origin is not None and limit is not None else []
        if self.rollout.deadline is not None:
            ends.append(self.rollout.deadline)
        return min(ends, default=None)

    @property
    def at_rest(self) -> bool:
        """Whether nothing was changing the endpoint any more at the look that ended the watch."""
        look = self.last_look
        if self.outcome is None or self.outcome is Outcome.TIMED_OUT or look is None:
            return False
        return isinstance(look, MissingEndpoint) or not look.changing

    @property
    def is_analysed(self) -> bool:
        """Whether the analysis, if there is one, may still have something to say or to do."""
        if self.analysis is None or self.analysis.over or self.timed_out or self.outcome:
            return False
        # What was seen before SageMaker fell silent may be over.
        return not self.unanswered

    @property
    def may_abort(self) -> bool:
        """Whether the switch would roll back this rollout, and has not been thrown for it yet."""
        return self.why_not_abort is None and self.thrown_at is None

    @property
    def why_not_abort(self) -> str | None:
        """Say why throwing the switch would not roll back this rollout; None if it would."""
        if self.last_look is None or self.unanswered:
            # The switch is this rollout's alone, so it can be thrown by what was seen before SageMaker fell
            # silent.
            return self.rollout.why_no_switch
        return self.rollout.why_not_abort(self.last_look)

    @property
    def expected(self) -> EndpointStatus | None:
        """
        Status that is no news, so that whoever sees it in a list need not look; None: look in any case.
        """
        look = self.last_look
        if self.suspected or self.outcome or isinstance(look, MissingEndpoint):
            return None
        if self.analysis is not None and not self.analysis.over and not self.timed_out:
            # A list shows no stages, and what it compares begins with one.
            return None
        if look is None:
            # It was in flight before the triggerer was restarted.
            return EndpointStatus.UPDATING if self.seen_in_flight else None
        if look.status.in_flight:
            return look.status
        return None if look.changing or self._launched_just_before(look) else look.status

    @property
    def settles_in(self) -> timedelta | None:
        """How long after the last look the passing of time alone may end the watch; None if it will not."""
        look = self.last_look
        if not isinstance(look, Endpoint) or look.changing or self._settled(look):
            return None
        since = self._waited_since
        return None if since is None else since + self._grace - look.seen_at

    @property
    def alarms(self) -> tuple[str, ...]:
        """The alarms that may undo the update: as we gave them, or else as SageMaker has them."""
        known = self.rollout.guardrails.alarms if self.rollout.guardrails else self.rollback_alarms
        own = () if self.switch is None or self.switch.alarm_name in known else (self.switch.alarm_name,)
        return (*known, *own)

    @property
    def origin(self) -> datetime | None:
        """When the rollout began, on AWS's clock, as far as anybody knows."""
        return self.started_at or self.rollout.launched_at or self.first_look_at

    @property
    def ended_at(self) -> datetime | None:
        """When the endpoint last changed, or was last looked at, once there is an outcome."""
        if self.outcome is None or self.last_look is None:
            return None
        changed = self.last_look.last_modified_at if isinstance(self.last_look, Endpoint) else None
        if self.outcome in _LEAVES_NO_CHANGE or changed is None:
            return self.last_look.seen_at
        # Nobody knows whether every end moves LastModifiedTime; it did not end before its last stage.
        known = self.stages[-1].at if self.stages else self.started_at or self.rollout.launched_at
        return self.last_look.seen_at if known and changed < known else changed

    def _remember(self, look: EndpointLook) -> RolloutState:
        watch = replace(
            self,
            last_look=look,
            unanswered=False,
            as_of=look.seen_at,
            first_look_at=self.first_look_at or look.seen_at,
        )
        if isinstance(look, MissingEndpoint):
            return watch
        if self.rollout.is_shown_by(look):
            return watch._in_flight(look)  # noqa: SLF001
        return replace(watch, seen_in_flight=self.seen_in_flight or self._moved_since_launch(look))

    def _in_flight(self, look: Endpoint) -> RolloutState:
        pending = look.pending
        assert pending is not None
        # What the update is seen to start from goes before what we were told. The target is not it: the
        # endpoint shows it as soon as the blue fleet goes.
        serving = look.endpoint_config_name
        previous = self.rollout.previous if serving in {None, self.rollout.target} else serving
        return replace(
            self,
            rollout=replace(
                self.rollout,
                previous=previous,
                started_at=self.rollout.started_at or pending.started_at,
                guardrails=self.rollout.guardrails or look.guardrails,
            ),
            seen_in_flight=True,
            stages=self._stages_with(look),
            rollback_alarms=look.rollback_alarms or self.rollback_alarms,
        )

    def _stages_with(self, look: Endpoint) -> tuple[StageChange, ...]:
        mark, pending = look.current_stage, look.pending
        if mark is None or pending is None:
            return self.stages
        change = StageChange(
            stage=mark.stage,
            at=mark.since or look.seen_at,
            instances=pending.instances,
            desired_instances=pending.desired_instances,
        )
        if self.stages and _same_stage(self.stages[-1], change):
            return self.stages
        if self.stages and (change.at < self.stages[-1].at or change in self.stages):
            return self.stages  # a stale look
        return (*self.stages, change)

    def _moved_since_launch(self, look: Endpoint) -> bool:
        launched = self.rollout.launched_at
        return bool(launched and look.last_modified_at and look.last_modified_at > launched)

    def _assess(self, look: EndpointLook) -> Outcome | None:
        if isinstance(look, MissingEndpoint):
            return Outcome.FAILED
        if look.changing:
            return self._assess_in_flight(look)
        if look.status is EndpointStatus.IN_SERVICE and look.endpoint_config_name == self.rollout.target:
            return Outcome.SUCCEEDED
        if self._may_be_from_before(look):
            return None
        if look.status is EndpointStatus.IN_SERVICE:
            return self._assess_in_service(look)
        return OUTCOME_BY_STATUS[look.status]

    def _assess_in_flight(self, look: Endpoint) -> Outcome | None:
        if self.rollout.is_shown_by(look) or self._began_before_ours(look):
            return None
        # An update that runs before ours ever did may be one to wait for.
        ours_began = self.seen_in_flight or self.rollout.launched_at is not None
        # To the same target, but begun after ours: ours has ended without being seen to.
        another = look.pending_config_name == self.rollout.target or self._is_third(look.pending_config_name)
        return Outcome.SUPERSEDED if ours_began and another else None

    def _began_before_ours(self, look: Endpoint) -> bool:
        """Whether a stale read shows an update from before this one."""
        theirs = look.pending.started_at if look.pending else None
        ours = self.started_at or self.rollout.asked_at or self.rollout.launched_at
        return theirs is not None and ours is not None and theirs < ours

    def _assess_in_service(self, look: Endpoint) -> Outcome | None:
        if look.endpoint_config_name is None:
            return None
        if self._is_third(look.endpoint_config_name):
            return Outcome.SUPERSEDED
        if self.seen_in_flight and self.rollout.previous is not None:
            return Outcome.ROLLED_BACK
        return Outcome.NOT_STARTED if self._settled(look) else None

    def _is_third(self, config_name: str | None) -> bool:
        known = {self.rollout.target, self.rollout.previous}
        return None not in known and config_name is not None and config_name not in known

    def _may_be_from_before(self, look: Endpoint) -> bool:
        """Within the grace period, a status equal to the one before the launch may be a stale read."""
        before = self.rollout.status_before or EndpointStatus.IN_SERVICE
        return look.status is before and not self._settled(look)

    def _settled(self, look: Endpoint) -> bool:
        since = self._waited_since
        return since is not None and look.seen_at - since >= self._grace

    @property
    def _waited_since(self) -> datetime | None:
        return self.rollout.launched_at or self.started_at or self.first_look_at

    @property
    def _grace(self) -> timedelta:
        # However long one waits for a start, what follows it only has to outlast stale reads.
        return min(self.rollout.grace, DEFAULT_GRACE) if self.started_at else self.rollout.grace

    def _launched_just_before(self, look: Endpoint) -> bool:
        launched = self.rollout.launched_at
        return launched is not None and look.seen_at - launched < DEFAULT_GRACE


def _same_stage(last: StageChange, change: StageChange) -> bool:
    return (last.stage, last.instances) == (change.stage, change.instances)
