"""An inference experiment at one time. SageMaker runs a shadow test as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any


class ExperimentStatus(str, Enum):
    """``InferenceExperimentStatus`` of the SageMaker API."""

    CREATING = "Creating"
    CREATED = "Created"
    UPDATING = "Updating"
    RUNNING = "Running"
    STARTING = "Starting"
    STOPPING = "Stopping"
    COMPLETED = "Completed"
    CANCELLED = "Cancelled"


class Phase(str, Enum):
    """What a status means for a wait."""

    WAITING = "waiting"
    RUNNING = "running"
    # An update of the test is possible before its start and while it runs.
    CHANGING = "changing"
    STOPPING = "stopping"
    COMPLETED = "completed"
    # Stopped by a person or ended by an error: SageMaker has one status for both.
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether the test has ended, one way or the other."""
        return self in {Phase.COMPLETED, Phase.CANCELLED}


PHASE_BY_STATUS = {
    ExperimentStatus.CREATING: Phase.WAITING,
    ExperimentStatus.CREATED: Phase.WAITING,
    ExperimentStatus.STARTING: Phase.WAITING,
    ExperimentStatus.UPDATING: Phase.CHANGING,
    ExperimentStatus.RUNNING: Phase.RUNNING,
    ExperimentStatus.STOPPING: Phase.STOPPING,
    ExperimentStatus.COMPLETED: Phase.COMPLETED,
    ExperimentStatus.CANCELLED: Phase.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVariant:
    """The production or the shadow variant of a test; *status* is the API's, only shown."""

    name: str
    model_name: str
    instance_type: str
    instances: int
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStorage:
    """
    Where SageMaker stores requests and responses of both variants in S3.

    Content types that are in neither list are stored as base64.
    """

    uri: str
    kms_key: str | None = None
    csv_content_types: tuple[str, ...] = ()
    json_content_types: tuple[str, ...] = ()

    @property
    def content(self) -> list[Any]:
        """All fields as a JSON list."""
        return [self.uri, self.kms_key, list(self.csv_content_types), list(self.json_content_types)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """
    One response of DescribeInferenceExperiment.

    :param seen_at: time of the response on AWS's clock.
    :param sampling_percentage: share of production's requests that the shadow gets, 1 to 100.
    :param starts_at: start in the schedule.
    :param ends_at: end in the schedule, also if the test ended earlier; see *completed_at*.
    :param completed_at: when the test ended; ``None`` before.
    :param reason: StatusReason, from SageMaker or from the person who stopped the test.
    """

    name: str
    arn: str
    status: ExperimentStatus
    seen_at: datetime
    endpoint_name: str
    role_arn: str
    variants: tuple[ModelVariant, ...]
    production_name: str
    shadow_name: str
    sampling_percentage: int
    created_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    completed_at: datetime | None = None
    last_modified_at: datetime | None = None
    reason: str | None = None
    endpoint_failure_reason: str | None = None
    storage: CaptureStorage | None = None
    volume_kms_key: str | None = None

    @property
    def phase(self) -> Phase:
        """What the status means for a wait."""
        return PHASE_BY_STATUS[self.status]

    @property
    def production(self) -> ModelVariant | None:
        """The production variant; None if the response does not have it."""
        return self._variant(self.production_name)

    @property
    def shadow(self) -> ModelVariant | None:
        """The shadow variant; None if the response does not have it."""
        return self._variant(self.shadow_name)

    def _variant(self, name: str) -> ModelVariant | None:
        return next((variant for variant in self.variants if variant.name == name), None)


@dataclass(frozen=True, slots=True)
class MissingExperiment:
    """SageMaker has no experiment of this name."""

    name: str
    seen_at: datetime


ExperimentLook = Experiment | MissingExperiment


@dataclass(frozen=True, slots=True)
class ListedExperiment:
    """An entry of ListInferenceExperiments."""

    name: str
    status: ExperimentStatus
    last_modified_at: datetime | None = None
