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

from airflow_guardrails.domain.abort_switch import AbortSwitch, why_not_guarded, why_not_in_flight
from airflow_guardrails.domain.analysis_state import Analysis
from airflow_guardrails.domain.deadline import ABORTING
from airflow_guardrails.domain.endpoint import Endpoint, EndpointLook, EndpointStatus, MissingEndpoint, Stage
from airflow_guardrails.domain.findings import Finding
from airflow_guardrails.domain.guardrails import Guardrails


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

# An update begins before UpdateEndpoint answers, by the longest that botocore waits for an answer at most.
LONGEST_CALL = timedelta(seconds=60)

# SageMaker gives an update's StartTime itself, and the Date of its answer in whole seconds.
START_AFTER_ANSWER = timedelta(seconds=15)

DEFAULT_GRACE = timedelta(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """
    The update that is watched, and what is known from before it.

    :param target: name of the endpoint configuration the update is to bring into service.
    :param previous: name of the configuration served before; ``None`` if unknown.
    :param launched_at: when UpdateEndpoint answered 200 to us, on AWS's clock; ``None`` if it was not us, or
        nobody knows.
    :param status_before: the endpoint's status before we launched.
    :param guardrails: strategy and alarms of the update; ``None`` until SageMaker has told.
    :param grace: how long after the launch (or the first look) an endpoint that shows no update may still
        start one.
    :param max_wait: how long after its start the rollout may take, on AWS's clock; ``None``: no limit there.
    :param adopted: ``"own"`` or ``"foreign"`` where the update was found in flight, not launched by this
        watch.
    """

    endpoint_name: str
    target: str
    previous: str | None = None
    launched_at: datetime | None = None
    status_before: EndpointStatus | None = None
    guardrails: Guardrails | None = None
    grace: timedelta = DEFAULT_GRACE
    max_wait: timedelta | None = None
    adopted: str | None = None

    def is_ours(self, look: Endpoint) -> bool:
        """
        Whether the update in flight is the one that SageMaker accepted from us.

        Its StartTime tells: another one, to the same target and with the same alarms, began at another time.
        """
        began = look.pending.started_at if look.pending else None
        if self.launched_at is None or began is None:
            return False
        return self.launched_at - LONGEST_CALL <= began <= self.launched_at + START_AFTER_ANSWER

    def why_not_abort(self, look: EndpointLook) -> str | None:
        """
        Say why throwing the switch would not, or not for certain, roll back our own update and nothing else.
        """
        if refusal := why_not_in_flight(look, target=self.target):
            return refusal
        if not (isinstance(look, Endpoint) and self.is_ours(look)):
            return f"nothing proves that this task has launched the update to {self.target} that is in flight"
        return why_not_guarded(look.name, self.guardrails.alarms if self.guardrails else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """The green fleet reached a stage, or took on more instances in it."""

    stage: Stage
    at: datetime
    instances: int
    desired_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """
    Everything remembered of a rollout between two looks.

    A value: :meth:`after` gives the next one. *suspected* is an outcome seen once and not yet confirmed.
    *analysis* is there where the new fleet is compared with the old one.
    """

    rollout: Rollout
    seen_in_flight: bool = False
    first_look_at: datetime | None = None
    started_at: datetime | None = None
    last_look: EndpointLook | None = None
    stages: tuple[StageChange, ...] = ()
    stages_complete: bool = True
    rollback_alarms: tuple[str, ...] = ()
    suspected: Outcome | None = None
    timed_out: bool = False
    unanswered: bool = False
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    analysis: Analysis | None = None
    outcome: Outcome | None = None

    def after(self, look: EndpointLook) -> Watch:
        watch = self._remember(look)
        suspected = watch._assess(look)  # noqa: SLF001 - the same class
        if suspected is None and watch._overdue(look):  # noqa: SLF001
            return replace(watch, suspected=None, outcome=Outcome.TIMED_OUT)
        confirmed = suspected is Outcome.SUCCEEDED or suspected is self.suspected
        return replace(watch, suspected=suspected, outcome=suspected if confirmed else None)

    def found(self, look: Endpoint) -> Watch:
        """Begin with an update that *look* found in flight: it may be over by the next one."""
        started_at = look.pending.started_at if look.pending else None
        return replace(self, seen_in_flight=True, started_at=started_at)

    def give_up(self) -> Watch:
        """End the watch by our own deadline: what was seen once is then the best there is to say."""
        return replace(self, outcome=self.suspected or Outcome.TIMED_OUT)

    def aborting(self) -> Watch:
        """Go on after the time was up and the switch was thrown, for as long as a rollback may take."""
        return replace(self.outlasting_a_rollback(), timed_out=True, outcome=None)

    def outlasting_a_rollback(self) -> Watch:
        limit = self.rollout.max_wait
        if limit is not None:
            # A retry may come, and throw it, long after the time was up.
            limit = max(limit, self._lasted()) + ABORTING
        return replace(self, rollout=replace(self.rollout, max_wait=limit))

    def noting(self, warning: str) -> Watch:
        return replace(self, warnings=(*self.warnings, warning))

    @property
    def switch(self) -> AbortSwitch:
        return AbortSwitch(endpoint_name=self.rollout.endpoint_name)

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
        """Whether the switch would hit this rollout and nothing else, and has not been thrown for it yet."""
        return self.why_not_abort is None and not self.timed_out

    @property
    def why_not_abort(self) -> str | None:
        """Say why the switch might hit something else, or nothing; None if it would hit this rollout."""
        # What was pending before SageMaker fell silent may be over, and another update in flight.
        if self.last_look is None or self.unanswered:
            return "SageMaker gave no answer, and the switch could have hit another update"
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
        return self.rollout.guardrails.alarms if self.rollout.guardrails else self.rollback_alarms

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

    def _remember(self, look: EndpointLook) -> Watch:
        watch = replace(
            self, last_look=look, unanswered=False, first_look_at=self.first_look_at or look.seen_at
        )
        if isinstance(look, MissingEndpoint):
            return watch
        to_the_target = look.pending is not None and look.pending_config_name == self.rollout.target
        if to_the_target and not self._began_before_ours(look):
            return watch._in_flight(look)  # noqa: SLF001
        return replace(watch, seen_in_flight=self.seen_in_flight or self._moved_since_launch(look))

    def _in_flight(self, look: Endpoint) -> Watch:
        pending = look.pending
        assert pending is not None
        # What the update is seen to start from goes before what we were told. The target is not it: the
        # endpoint shows it as soon as the blue fleet goes.
        serving = look.endpoint_config_name
        previous = self.rollout.previous if serving in {None, self.rollout.target} else serving
        return replace(
            self,
            rollout=replace(
                self.rollout, previous=previous, guardrails=self.rollout.guardrails or look.guardrails
            ),
            seen_in_flight=True,
            started_at=pending.started_at or self.started_at,
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
        # An update that runs before ours ever did may be one to wait for, or seen by a stale read.
        ours_began = self.seen_in_flight or self.rollout.launched_at is not None
        overtakes = ours_began and not self._began_before_ours(look)
        return Outcome.SUPERSEDED if overtakes and self._is_third(look.pending_config_name) else None

    def _began_before_ours(self, look: Endpoint) -> bool:
        theirs = look.pending.started_at if look.pending else None
        ours = self.started_at or self.rollout.launched_at
        return theirs is not None and ours is not None and theirs < ours - LONGEST_CALL

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

    def _overdue(self, look: EndpointLook) -> bool:
        origin, limit = self.origin, self.rollout.max_wait
        return origin is not None and limit is not None and look.seen_at - origin >= limit

    def _lasted(self) -> timedelta:
        look, origin = self.last_look, self.origin
        return look.seen_at - origin if look and origin else timedelta(0)


def _same_stage(last: StageChange, change: StageChange) -> bool:
    return (last.stage, last.instances) == (change.stage, change.instances)
