"""An endpoint: the fleets behind it, its status, and what the outside saw of it."""

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
_SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})
_MAX_SNAPSHOTS = 200


class History:
    """What an endpoint looked like, change by change; None is how it looks once it is gone."""

    def __init__(self) -> None:
        self._snapshots: deque[tuple[datetime, Description | None]] = deque(maxlen=_MAX_SNAPSHOTS)
        self._frozen: tuple[datetime, Description] | None = None

    @property
    def last(self) -> Description | None:
        return self._snapshots[-1][1] if self._snapshots else None

    def record(self, when: datetime, description: Description | None) -> None:
        self._snapshots.append((when, description))

    def freeze(self, until: datetime, description: Description) -> None:
        self._frozen = (until, description)

    def frozen(self, now: datetime) -> Description | None:
        return self._frozen[1] if self._frozen and now < self._frozen[0] else None

    def as_of(self, when: datetime) -> Description | None:
        """The last look not younger than *when*; None when there was no endpoint then."""
        return next((description for since, description in reversed(self._snapshots) if since <= when), None)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """
    *blue* serves, *green* is being brought up; a rollback that failed leaves both.

    SageMaker's own maintenances, as many as overlap, are shown instead of the true status.
    *next_deployment_config* becomes the last one when the update in flight ends, however it ends.
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
        return "SystemUpdating" if self.system_updates else self.status

    @property
    def busy(self) -> bool:
        return self.shown_status in _IN_PROGRESS

    @property
    def in_flight(self) -> bool:
        return self.running_steps is not None and not self.running_steps.finished

    @property
    def serving(self) -> bool:
        return self.blue is not None and self.status in _SERVING

    @property
    def fleets(self) -> list[Fleet]:
        return [fleet for fleet in (self.blue, self.green) if fleet]

    @property
    def instances(self) -> int:
        """How many run at most: a rolling update adds a batch to blue, any other a whole green fleet."""
        if self.blue is None or self.green is None:
            return sum(fleet.instances for fleet in self.fleets)
        return self.blue.instances + min(self.green.instances, self.extra_instances)

    @property
    def green_share(self) -> float:
        """The part of the traffic that green takes: its active instances of all it is to have."""
        return self.green.active_share if self.green else 0.0

    def begin(self, status: str, *, now: datetime) -> None:
        self.status, self.failure_reason, self.modified_at = status, None, now

    def set_deployment_config(self, deployment_config: Mapping[str, Any], *, immediately: bool) -> None:
        """Remember an update's configuration, at once or when the update has ended; an empty one never."""
        if immediately:
            self.last_deployment_config = deployment_config or self.last_deployment_config
        else:
            self.next_deployment_config = deployment_config or None

    def finish(self, status: str, *, now: datetime, failure_reason: str | None = None) -> None:
        """Come to rest in *status*."""
        self.status, self.failure_reason, self.modified_at = status, failure_reason, now
        self.last_deployment_config = self.next_deployment_config or self.last_deployment_config
        self.next_deployment_config = None
        for fleet in self.fleets:
            fleet.clear_stages()

    def serve(self, fleet: Fleet) -> None:
        """Let *fleet* be all there is, with all traffic."""
        fleet.activate_all()
        self.blue, self.green, self.config_name = fleet, None, fleet.config_name
