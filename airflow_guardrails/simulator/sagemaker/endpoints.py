"""The state of one endpoint, and its past states for reads that lag."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.sagemaker.fleets import Fleet
from airflow_guardrails.simulator.sagemaker.steps import RunningSteps

Description = Mapping[str, Any]

_IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# The old fleet serves during an update. A rollback that failed leaves both fleets in service.
_SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})
# Enough for reads that lag by minutes; an update has about ten changes.
_MAX_SNAPSHOTS = 200


class History:
    """The descriptions of an endpoint or experiment, one for each change. None means that it was deleted."""

    def __init__(self) -> None:
        self._snapshots: deque[tuple[datetime, Description | None]] = deque(maxlen=_MAX_SNAPSHOTS)
        self._frozen: tuple[datetime, Description] | None = None

    @property
    def last(self) -> Description | None:
        """The newest description, or None."""
        return self._snapshots[-1][1] if self._snapshots else None

    def record(self, when: datetime, description: Description | None) -> None:
        """Add the description that is valid from *when* on; None if it is deleted."""
        self._snapshots.append((when, description))

    def freeze(self, until: datetime, description: Description) -> None:
        """Answer with *description* until that time: reads lag behind a change."""
        self._frozen = (until, description)

    def frozen(self, now: datetime) -> Description | None:
        """Return the description that a lagging read still returns at *now*, or None."""
        return self._frozen[1] if self._frozen and now < self._frozen[0] else None

    def as_of(self, when: datetime) -> Description | None:
        """Return the description that was valid at *when*, or None if there was none."""
        return next((description for since, description in reversed(self._snapshots) if since <= when), None)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """
    An endpoint: *blue* is its fleet in service, *green* the fleet that is being launched.

    After a rollback that failed, both are in service.

    :param system_updates: number of running system updates; the status is SystemUpdating meanwhile.
    :param extra_instances: instances that run beside blue during an update, at most.
    :param next_deployment_config: becomes the last one when the update ends, whatever its outcome.
    """

    name: str
    arn: str
    config_name: str
    created_at: datetime
    status: str = "Creating"
    blue: Fleet | None = None
    green: Fleet | None = None
    running_steps: RunningSteps | None = None
    system_updates: int = 0
    extra_instances: int = 0
    failure_reason: str | None = None
    last_deployment_config: Mapping[str, Any] | None = None
    next_deployment_config: Mapping[str, Any] | None = None
    modified_at: datetime = field(init=False)
    history: History = field(init=False, default_factory=History)

    def __post_init__(self) -> None:
        self.modified_at = self.created_at

    @property
    def shown_status(self) -> str:
        """The EndpointStatus that DescribeEndpoint returns."""
        return "SystemUpdating" if self.system_updates else self.status

    @property
    def busy(self) -> bool:
        """Whether the endpoint refuses updates and deletion at present."""
        return self.shown_status in _IN_PROGRESS

    @property
    def in_flight(self) -> bool:
        """Whether a creation, update, scaling or deletion is running."""
        return self.running_steps is not None and not self.running_steps.finished

    @property
    def serving(self) -> bool:
        """Whether the endpoint takes requests."""
        return self.blue is not None and self.status in _SERVING

    @property
    def fleets(self) -> list[Fleet]:
        """Blue and green, as far as they exist."""
        return [fleet for fleet in (self.blue, self.green) if fleet]

    @property
    def instances(self) -> int:
        """
        The largest number of instances that run: a rolling update adds one batch to blue, others a whole
        fleet.
        """
        if self.blue is None or self.green is None:
            return sum(fleet.instances for fleet in self.fleets)
        # No source says that both fleets count for quotas. It is inferred: both run during the update.
        return self.blue.instances + min(self.green.instances, self.extra_instances)

    @property
    def green_share(self) -> float:
        """The share of requests that green gets, 0 to 1: its active instances of all that it will have."""
        return self.green.active_share if self.green else 0.0

    def begin(self, status: str, *, now: datetime) -> None:
        """Enter a status in which something is in progress."""
        # The next update clears FailureReason, as tests of AWS's ACK controller show.
        self.status, self.failure_reason, self.modified_at = status, None, now

    def set_deployment_config(self, deployment_config: Mapping[str, Any], *, immediately: bool) -> None:
        """Store the configuration of an update, now or when the update ends. An empty one is not stored."""
        if immediately:
            self.last_deployment_config = deployment_config or self.last_deployment_config
        else:
            self.next_deployment_config = deployment_config or None

    def finish(self, status: str, *, now: datetime, failure_reason: str | None = None) -> None:
        """Enter the final status of a creation or update."""
        self.status, self.failure_reason, self.modified_at = status, failure_reason, now
        # AWS does not document whether LastDeploymentConfig changes at the start or the end: see the knob.
        self.last_deployment_config = self.next_deployment_config or self.last_deployment_config
        self.next_deployment_config = None
        for fleet in self.fleets:
            fleet.clear_stages()

    def serve(self, fleet: Fleet) -> None:
        """Make *fleet* the only fleet, with all traffic."""
        fleet.activate_all()
        self.blue, self.green, self.config_name = fleet, None, fleet.config_name
