"""What SageMaker said of an endpoint at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from airflow_guardrails.domain.deployment.guardrails import Guardrails


class EndpointStatus(str, Enum):
    """``EndpointStatus`` of the SageMaker API."""

    OUT_OF_SERVICE = "OutOfService"
    CREATING = "Creating"
    UPDATING = "Updating"
    SYSTEM_UPDATING = "SystemUpdating"
    ROLLING_BACK = "RollingBack"
    IN_SERVICE = "InService"
    DELETING = "Deleting"
    FAILED = "Failed"
    UPDATE_ROLLBACK_FAILED = "UpdateRollbackFailed"

    @property
    def in_flight(self) -> bool:
        return self in IN_FLIGHT


IN_FLIGHT = frozenset(
    {
        EndpointStatus.CREATING,
        EndpointStatus.UPDATING,
        EndpointStatus.SYSTEM_UPDATING,
        # Seen while scaling is undone; nobody knows whether a guarded update ever shows it.
        EndpointStatus.ROLLING_BACK,
    }
)


class Stage(str, Enum):
    """``VariantStatus`` of the SageMaker API: where a fleet stands while it changes."""

    CREATING = "Creating"
    UPDATING = "Updating"
    DELETING = "Deleting"
    ACTIVATING_TRAFFIC = "ActivatingTraffic"
    BAKING = "Baking"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMark:
    """A stage, and since when (AWS's clock, if it said so)."""

    stage: Stage
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """
    A fleet; of a green one, *instances* are those with traffic on.

    *desired_weight* is its part of the traffic among the variants; a canary does not change it.
    """

    name: str
    instances: int
    desired_instances: int
    stages: tuple[StageMark, ...] = ()
    desired_weight: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDeployment:
    """The configuration an endpoint is on its way to, and the green fleet so far."""

    endpoint_config_name: str
    started_at: datetime | None = None
    variants: tuple[Variant, ...] = ()

    @property
    def instances(self) -> int:
        return sum(variant.instances for variant in self.variants)

    @property
    def desired_instances(self) -> int:
        return sum(variant.desired_instances for variant in self.variants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    One answer of DescribeEndpoint.

    While an update runs, *endpoint_config_name* is the old configuration and *pending* holds the new one.
    *seen_at* is AWS's clock, so that intervals between looks do not depend on ours. *guardrails* are those of
    the last update, the running one included; ``None`` if there are none or this version cannot read them, in
    which case *rollback_alarms* still has the names of its alarms.
    """

    name: str
    status: EndpointStatus
    seen_at: datetime
    endpoint_config_name: str | None = None
    last_modified_at: datetime | None = None
    pending: PendingDeployment | None = None
    variants: tuple[Variant, ...] = ()
    failure_reason: str | None = None
    guardrails: Guardrails | None = None
    rollback_alarms: tuple[str, ...] = ()

    @property
    def pending_config_name(self) -> str | None:
        return self.pending.endpoint_config_name if self.pending else None

    @property
    def changing(self) -> bool:
        """Whether it is on its way; what an endpoint that ended badly still has pending goes nowhere."""
        return self.status.in_flight or (
            self.status is EndpointStatus.IN_SERVICE and self.pending is not None
        )

    @property
    def current_stage(self) -> StageMark | None:
        """
        The stage the green fleet, or the blue one if it goes, has reached; the latest where several show.
        """
        variants = (*(self.pending.variants if self.pending else ()), *self.variants)
        marks = [mark for variant in variants for mark in variant.stages]
        return max(marks, key=lambda mark: mark.since or self.seen_at, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingEndpoint:
    """SageMaker said that there is no endpoint of this name."""

    name: str
    seen_at: datetime


EndpointLook = Endpoint | MissingEndpoint


@dataclass(frozen=True, slots=True)
class Listed:
    """What ListEndpoints says of an endpoint: a hint, for it may lag, and names no configuration."""

    name: str
    status: EndpointStatus
    last_modified_at: datetime | None = None
