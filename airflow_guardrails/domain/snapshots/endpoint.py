"""An endpoint at one time, as DescribeEndpoint and ListEndpoints show it."""

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
        """Whether SageMaker will change this status without another request."""
        return self in IN_FLIGHT


# Without Deleting: no update can succeed any more.
IN_FLIGHT = frozenset(
    {
        EndpointStatus.CREATING,
        EndpointStatus.UPDATING,
        EndpointStatus.SYSTEM_UPDATING,
        # Seen when scaling is rolled back; AWS does not document whether a guarded update shows it.
        EndpointStatus.ROLLING_BACK,
    }
)


class Stage(str, Enum):
    """``VariantStatus`` of the SageMaker API: the stage of a fleet during an update."""

    CREATING = "Creating"
    UPDATING = "Updating"
    DELETING = "Deleting"
    ACTIVATING_TRAFFIC = "ActivatingTraffic"
    BAKING = "Baking"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantStage:
    """A stage, and its start on AWS's clock; ``None`` if the response has no StartTime."""

    stage: Stage
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """
    A variant of an endpoint.

    :param instances: number of instances; in a pending deployment, only those with traffic.
    :param desired_weight: its traffic weight relative to the other variants; a canary does not change it.
    :param serverless: whether it has no instances.
    """

    name: str
    instances: int
    desired_instances: int
    stages: tuple[VariantStage, ...] = ()
    desired_weight: float | None = None
    serverless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDeployment:
    """The update in flight: its configuration and its green fleet."""

    endpoint_config_name: str
    started_at: datetime | None = None
    variants: tuple[Variant, ...] = ()

    @property
    def instances(self) -> int:
        """Number of green instances with traffic."""
        return sum(variant.instances for variant in self.variants)

    @property
    def desired_instances(self) -> int:
        """Number of green instances at the end of the update; 0 if it is serverless."""
        return sum(variant.desired_instances for variant in self.variants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    One response of DescribeEndpoint.

    :param seen_at: time of the response on AWS's clock.
    :param endpoint_config_name: the configuration in service; during an update the old one.
    :param pending: the update in flight; ``None`` without one.
    :param guardrails: those of the last update or the one in flight; ``None`` if there are none, or if this
        release cannot read them.
    :param rollback_alarms: names of the alarms of the same update, also if *guardrails* could not be read.
    :param arn: names region and account; ``None`` if the response does not have it.
    """

    name: str
    status: EndpointStatus
    seen_at: datetime
    # Optional in the service model.
    endpoint_config_name: str | None = None
    last_modified_at: datetime | None = None
    pending: PendingDeployment | None = None
    variants: tuple[Variant, ...] = ()
    failure_reason: str | None = None
    guardrails: Guardrails | None = None
    rollback_alarms: tuple[str, ...] = ()
    arn: str | None = None

    @property
    def pending_config_name(self) -> str | None:
        """The configuration of the update in flight; None without one."""
        return self.pending.endpoint_config_name if self.pending else None

    @property
    def changing(self) -> bool:
        """Whether a change is in progress; a pending deployment of a Failed endpoint is none."""
        return self.status.in_flight or (
            self.status is EndpointStatus.IN_SERVICE and self.pending is not None
        )

    @property
    def current_stage(self) -> VariantStage | None:
        """The latest stage of any fleet, green or blue; None if no stage is shown."""
        # The guide shows stages in both places: of pending variants, and of variants that are scaled.
        variants = (*(self.pending.variants if self.pending else ()), *self.variants)
        stages = [stage for variant in variants for stage in variant.stages]
        return max(stages, key=lambda stage: stage.since or self.seen_at, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingEndpoint:
    """DescribeEndpoint said that there is no endpoint of this name."""

    name: str
    seen_at: datetime


EndpointLook = Endpoint | MissingEndpoint


@dataclass(frozen=True, slots=True)
class ListedEndpoint:
    """An entry of ListEndpoints. It may lag behind DescribeEndpoint, and has no configuration."""

    name: str
    status: EndpointStatus
    last_modified_at: datetime | None = None
