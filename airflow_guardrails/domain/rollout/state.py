"""
The state of a rollout, and how each look at the endpoint changes it.

A *look* is one response of DescribeEndpoint. SageMaker has no deployment id, and an endpoint is ``InService``
again after a rollback. So the outcome follows from three facts: which configuration serves, whether this
update was ever seen in flight, and how the endpoint was before. Reads are eventually consistent, so every
outcome except success must be seen twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.preflight.findings import Finding
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch, why_not_in_flight
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmDefinition
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointLook,
    EndpointStatus,
    MissingEndpoint,
    Stage,
)

# InService is absent: its meaning depends on the configuration in service. In flight there is no outcome.
OUTCOME_BY_STATUS = {
    EndpointStatus.UPDATE_ROLLBACK_FAILED: Outcome.ROLLBACK_FAILED,
    EndpointStatus.FAILED: Outcome.FAILED,
    EndpointStatus.OUT_OF_SERVICE: Outcome.FAILED,
    EndpointStatus.DELETING: Outcome.FAILED,
}

# With these, the endpoint's LastModifiedTime belongs to another change.
_OUTCOMES_WITHOUT_CHANGE = frozenset({Outcome.TIMED_OUT, Outcome.NOT_STARTED})

# Reads may show the endpoint as it was for about this long after UpdateEndpoint.
DEFAULT_GRACE = timedelta(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """
    One update of an endpoint, and what is known about its start. All times are on AWS's clock.

    :param target: name of the endpoint configuration that the update brings into service.
    :param previous: name of the configuration served before; ``None`` if unknown.
    :param asked_at: a time just before UpdateEndpoint was called; an update that started earlier is another
        one.
    :param launched_at: when SageMaker accepted the update; ``None`` if unknown.
    :param started_at: StartTime of the update, which identifies it; ``None`` until it is seen in flight.
    :param status_before: the endpoint's status before the launch.
    :param guardrails: strategy and alarms of the update; ``None`` until known.
    :param switch: the abort switch of this rollout; ``None`` if it has none, or if it is unknown.
    :param grace: how long after the launch (or the first look) an endpoint without an update may still start
        one.
    :param max_wait: how long after its start the rollout may take; ``None``: no such limit.
    :param deadline: when to stop waiting, whenever the update started; ``None``: no such limit.
    :param adopted: who started the update, if this task found it instead of starting it; else ``None``.
    :param require_alarms_ok: whether to abort the rollout if somebody changes one of its alarms meanwhile.
    :param on_kill: what marking the task failed does to the rollout: ``"leave"`` it alone or ``"abort"`` it.
    :param creates: whether it creates the endpoint: nothing served before, so nothing can be rolled back to.
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
    adopted: Adopted | None = None
    require_alarms_ok: bool = False
    on_kill: str = "leave"
    creates: bool = False

    def is_pending_in(self, look: Endpoint) -> bool:
        """Whether the update in flight in *look* may be this one: same target, and StartTime if known."""
        if look.pending is None or look.pending_config_name != self.target:
            return False
        started = look.pending.started_at
        if started is None:
            return True
        if self.started_at is not None:
            return started == self.started_at
        return self.asked_at is None or started >= self.asked_at

    def why_not_abort(self, look: EndpointLook) -> str | None:
        """Return why throwing the switch would not roll back this rollout; None if it would."""
        if refusal := why_not_in_flight(look, target=self.target):
            return self.why_no_switch if self._may_be_from_before_launch(look) else refusal
        if not (isinstance(look, Endpoint) and self.is_pending_in(look)):
            return f"the update to {self.target} in flight is not the one that this task started"
        return self.why_no_switch

    def _may_be_from_before_launch(self, look: EndpointLook) -> bool:
        """Whether *look* may be too early to show the update, because reads lag behind the launch."""
        launched = self.launched_at
        return launched is not None and isinstance(look, Endpoint) and look.seen_at - launched < DEFAULT_GRACE

    @property
    def why_no_switch(self) -> str | None:
        """Why this rollout cannot be aborted at all; None if its abort switch is known."""
        if self.switch is not None:
            return None
        if self.creates:
            return "a first deployment has nothing to go back to"
        if self.adopted is Adopted.FOREIGN:
            return f"nothing proves that the update to {self.target} in flight has this task's abort switch"
        return "the update has no abort switch (abort_switch=False)"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """The green fleet reached a stage, or the number of its instances with traffic changed in it."""

    stage: Stage
    at: datetime
    instances: int
    desired_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """
    What is known about a rollout between two looks; an immutable value. All times are on AWS's clock.

    :param first_look_at: time of the first look; ``None`` before it.
    :param as_of: when SageMaker last answered.
    :param stages: every stage seen so far, in order.
    :param stages_complete: whether no stage can have been missed.
    :param rollback_alarms: alarm names of the update as DescribeEndpoint shows them.
    :param suspected: an outcome that was seen once and is not yet confirmed by a second look.
    :param definitions: the alarms' definitions when they were first read.
    :param alarms_seen: the alarms as they were at *alarms_as_of*; none before they were read.
    :param timed_out: whether the abort switch was thrown because the wait timed out.
    :param thrown_at: when this task threw the abort switch.
    :param unanswered: whether the last DescribeEndpoint got no response.
    :param warnings: texts for the report.
    :param analysis: state of the comparison of new and old fleet; ``None`` without one.
    :param approval: what an approval before the update has decided, as JSON for the report.
    :param outcome: set once the rollout has ended, or the wait has.
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
    alarms_seen: tuple[Alarm, ...] = ()
    alarms_as_of: datetime | None = None
    timed_out: bool = False
    thrown_at: datetime | None = None
    unanswered: bool = False
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    analysis: AnalysisState | None = None
    approval: Mapping[str, Any] | None = None
    outcome: Outcome | None = None

    def after(self, look: EndpointLook) -> RolloutState:
        """Return the next state: record *look*, and set the outcome if it is certain."""
        state = self._with_look(look)
        suspected = state._assess(look)  # noqa: SLF001 - the same class
        if suspected is None and state.deadline is not None and look.seen_at >= state.deadline:
            return replace(state, suspected=None, outcome=Outcome.TIMED_OUT)
        confirmed = suspected is Outcome.SUCCEEDED or suspected is self.suspected
        return replace(state, suspected=suspected, outcome=suspected if confirmed else None)

    def with_update_in_flight(self, look: Endpoint) -> RolloutState:
        """Record that *look* shows the update in flight; it may have ended at the next look."""
        started_at = look.pending.started_at if look.pending else None
        return replace(self, seen_in_flight=True, rollout=replace(self.rollout, started_at=started_at))

    def give_up(self) -> RolloutState:
        """End the wait at its deadline: an outcome seen once counts now, else it is a time-out."""
        return replace(self, outcome=self.suspected or Outcome.TIMED_OUT)

    def after_timeout_abort(self) -> RolloutState:
        """Continue after a time-out that threw the abort switch; extends the wait for the rollback."""
        return replace(self.after_abort(), timed_out=True, outcome=None)

    def after_abort(self, at: datetime | None = None) -> RolloutState:
        """
        Record that the abort switch was thrown; extends the wait for the rollback, the first time only.

        :param at: when, on AWS's clock; default: at the last look.
        """
        if self.thrown_at is not None:
            return self
        at = at or self.as_of
        rollout, elapsed = self.rollout, at - self.origin if at and self.origin else timedelta(0)
        if rollout.max_wait is not None:
            # A retry may throw the switch long after max_wait.
            rollout = replace(rollout, max_wait=max(rollout.max_wait, elapsed) + ABORTING)
        if rollout.deadline is not None:
            rollout = replace(rollout, deadline=max(rollout.deadline, at or rollout.deadline) + ABORTING)
        return replace(self, rollout=rollout, thrown_at=at)

    def with_warning(self, warning: str) -> RolloutState:
        """Add a text to the report's warnings."""
        return replace(self, warnings=(*self.warnings, warning))

    @property
    def switch(self) -> AbortSwitch | None:
        """The abort switch of this rollout; None if it has none, or if it is unknown."""
        return self.rollout.switch

    @property
    def started_at(self) -> datetime | None:
        """StartTime of the update; None until it is seen in flight."""
        return self.rollout.started_at

    @property
    def deadline(self) -> datetime | None:
        """When to stop waiting, on AWS's clock: the earlier of max_wait and deadline; None: never."""
        origin, limit = self.origin, self.rollout.max_wait
        ends = [origin + limit] if origin is not None and limit is not None else []
        if self.rollout.deadline is not None:
            ends.append(self.rollout.deadline)
        return min(ends, default=None)

    @property
    def is_settled(self) -> bool:
        """Whether the rollout has ended, and its last look shows no change of the endpoint in progress."""
        look = self.last_look
        if self.outcome is None or self.outcome is Outcome.TIMED_OUT or look is None:
            return False
        return isinstance(look, MissingEndpoint) or not look.changing

    @property
    def is_analysed(self) -> bool:
        """Whether there is an analysis that may still judge or act."""
        if self.analysis is None or self.analysis.over or self.timed_out or self.outcome:
            return False
        # The last look is out of date: its stage may have ended.
        return not self.unanswered

    @property
    def may_abort(self) -> bool:
        """Whether the switch would roll back this rollout, and was not thrown yet."""
        return self.why_not_abort is None and self.thrown_at is None

    @property
    def why_not_abort(self) -> str | None:
        """Why throwing the switch would not roll back this rollout; None if it would."""
        if self.last_look is None or self.unanswered:
            # Safe without a new look: the switch belongs to this rollout only.
            return self.rollout.why_no_switch
        return self.rollout.why_not_abort(self.last_look)

    @property
    def expected(self) -> EndpointStatus | None:
        """Status that means no change if ListEndpoints shows it; None: DescribeEndpoint is needed."""
        look = self.last_look
        if self.suspected or self.outcome or isinstance(look, MissingEndpoint):
            return None
        if self.analysis is not None and not self.analysis.over and not self.timed_out:
            # A list shows no stages, and the analysis starts with one.
            return None
        if look is None:
            # The triggerer was restarted while the update was in flight.
            in_flight = EndpointStatus.CREATING if self.rollout.creates else EndpointStatus.UPDATING
            return in_flight if self.seen_in_flight else None
        if look.status.in_flight:
            return look.status
        return None if look.changing or self._launched_just_before(look) else look.status

    @property
    def grace_left(self) -> timedelta | None:
        """Time from the last look to the end of the grace period; None if that cannot end the wait."""
        look = self.last_look
        if not isinstance(look, Endpoint) or look.changing or self._grace_is_over(look):
            return None
        since = self._grace_starts_at
        return None if since is None else since + self._grace - look.seen_at

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of the alarms that roll the update back: from the request, else from DescribeEndpoint."""
        known = self.rollout.guardrails.alarms if self.rollout.guardrails else self.rollback_alarms
        own = () if self.switch is None or self.switch.alarm_name in known else (self.switch.alarm_name,)
        return (*known, *own)

    @property
    def origin(self) -> datetime | None:
        """When the rollout began: StartTime, else the launch, else the first look; None before that."""
        return self.started_at or self.rollout.launched_at or self.first_look_at

    @property
    def ended_at(self) -> datetime | None:
        """LastModifiedTime of the endpoint, or time of the last look; None before there is an outcome."""
        if self.outcome is None or self.last_look is None:
            return None
        changed = self.last_look.last_modified_at if isinstance(self.last_look, Endpoint) else None
        if self.outcome in _OUTCOMES_WITHOUT_CHANGE or changed is None:
            return self.last_look.seen_at
        # AWS does not document whether every end updates LastModifiedTime. One before the last stage is old.
        known = self.stages[-1].at if self.stages else self.started_at or self.rollout.launched_at
        return self.last_look.seen_at if known and changed < known else changed

    def _with_look(self, look: EndpointLook) -> RolloutState:
        state = replace(
            self,
            last_look=look,
            unanswered=False,
            as_of=look.seen_at,
            first_look_at=self.first_look_at or look.seen_at,
        )
        if isinstance(look, MissingEndpoint):
            return state
        if self.rollout.is_pending_in(look):
            return state._in_flight(look)  # noqa: SLF001
        creating = self.rollout.creates and look.status is EndpointStatus.CREATING
        seen = self.seen_in_flight or creating or self._moved_since_launch(look)
        return replace(state, seen_in_flight=seen)

    def _in_flight(self, look: Endpoint) -> RolloutState:
        pending = look.pending
        assert pending is not None
        # The configuration shown next to the pending one is more reliable than the argument. It is the target
        # itself once SageMaker removes the blue fleet.
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
            return self.stages  # a stale read
        return (*self.stages, change)

    def _moved_since_launch(self, look: Endpoint) -> bool:
        launched = self.rollout.launched_at
        return bool(launched and look.last_modified_at and look.last_modified_at > launched)

    def _assess(self, look: EndpointLook) -> Outcome | None:
        if isinstance(look, MissingEndpoint):
            return None if self._may_not_be_visible(look) else Outcome.FAILED
        if look.changing:
            return self._assess_in_flight(look)
        if look.status is EndpointStatus.IN_SERVICE and look.endpoint_config_name == self.rollout.target:
            return Outcome.SUCCEEDED
        if self._may_be_stale(look):
            return None
        if look.status is EndpointStatus.IN_SERVICE:
            return self._assess_in_service(look)
        return OUTCOME_BY_STATUS[look.status]

    def _may_not_be_visible(self, look: MissingEndpoint) -> bool:
        """Whether *look* may be a stale read from before the endpoint was created."""
        since = self.rollout.launched_at if self.rollout.creates and not self.seen_in_flight else None
        return since is not None and look.seen_at - since < self._grace

    def _assess_in_flight(self, look: Endpoint) -> Outcome | None:
        if self.rollout.is_pending_in(look) or self._shows_earlier_update(look):
            return None
        # Before this update has started, another one may be the reason why it waits.
        started = self.seen_in_flight or self.rollout.launched_at is not None
        # A later update to the same target: this one ended between two looks.
        another = look.pending_config_name == self.rollout.target or self._is_third_config(
            look.pending_config_name
        )
        return Outcome.SUPERSEDED if started and another else None

    def _shows_earlier_update(self, look: Endpoint) -> bool:
        """Whether *look* is a stale read that shows an update from before this one."""
        shown = look.pending.started_at if look.pending else None
        own = self.started_at or self.rollout.asked_at or self.rollout.launched_at
        return shown is not None and own is not None and shown < own

    def _assess_in_service(self, look: Endpoint) -> Outcome | None:
        if look.endpoint_config_name is None:
            return None
        if self._is_third_config(look.endpoint_config_name):
            return Outcome.SUPERSEDED
        if self.seen_in_flight and self.rollout.previous is not None:
            return Outcome.ROLLED_BACK
        return Outcome.NOT_STARTED if self._grace_is_over(look) else None

    def _is_third_config(self, config_name: str | None) -> bool:
        if self.rollout.creates:
            return config_name not in {None, self.rollout.target}
        known = {self.rollout.target, self.rollout.previous}
        return None not in known and config_name is not None and config_name not in known

    def _may_be_stale(self, look: Endpoint) -> bool:
        """Whether *look* may be a stale read: same status as before the launch, within the grace period."""
        before = self.rollout.status_before or EndpointStatus.IN_SERVICE
        return look.status is before and not self._grace_is_over(look)

    def _grace_is_over(self, look: Endpoint) -> bool:
        since = self._grace_starts_at
        return since is not None and look.seen_at - since >= self._grace

    @property
    def _grace_starts_at(self) -> datetime | None:
        return self.rollout.launched_at or self.started_at or self.first_look_at

    @property
    def _grace(self) -> timedelta:
        # rollout.grace may be long, to wait for a start. After the start only stale reads matter.
        return min(self.rollout.grace, DEFAULT_GRACE) if self.started_at else self.rollout.grace

    def _launched_just_before(self, look: Endpoint) -> bool:
        launched = self.rollout.launched_at
        return launched is not None and look.seen_at - launched < DEFAULT_GRACE


def _same_stage(last: StageChange, change: StageChange) -> bool:
    return (last.stage, last.instances) == (change.stage, change.instances)
