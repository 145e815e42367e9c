"""What SageMaker said of an inference experiment, which is how it runs a shadow test, at one moment."""

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
    """What a status means to whoever waits."""

    WAITING = "waiting"
    RUNNING = "running"
    # Before the start and while it runs alike, so it tells neither.
    CHANGING = "changing"
    STOPPING = "stopping"
    COMPLETED = "completed"
    # By somebody's wish or by an error; SageMaker has no other word for a test that failed.
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
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
    """A side of the test. *status* is shown as SageMaker says it, and decides nothing."""

    name: str
    model_name: str
    instance_type: str
    instances: int
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStorage:
    """
    Where the requests and answers of both sides are kept, in S3.

    *csv_content_types* and *json_content_types* are kept as text; whatever else is kept as base64.
    """

    uri: str
    kms_key: str | None = None
    csv_content_types: tuple[str, ...] = ()
    json_content_types: tuple[str, ...] = ()

    @property
    def content(self) -> list[Any]:
        """All of it, for JSON."""
        return [self.uri, self.kms_key, list(self.csv_content_types), list(self.json_content_types)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """
    One answer of DescribeInferenceExperiment.

    *starts_at* and *ends_at* are the schedule's: once the test is over, *ends_at* may still be what was
    planned, and *completed_at* tells. *reason* is SageMaker's or that of whoever stopped the test.
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
        return PHASE_BY_STATUS[self.status]

    @property
    def production(self) -> ModelVariant | None:
        return self._variant(self.production_name)

    @property
    def shadow(self) -> ModelVariant | None:
        return self._variant(self.shadow_name)

    def _variant(self, name: str) -> ModelVariant | None:
        return next((variant for variant in self.variants if variant.name == name), None)


@dataclass(frozen=True, slots=True)
class MissingExperiment:
    """SageMaker knows no experiment of this name."""

    name: str
    seen_at: datetime


ExperimentLook = Experiment | MissingExperiment


@dataclass(frozen=True, slots=True)
class ListedExperiment:
    """A line of ListInferenceExperiments."""

    name: str
    status: ExperimentStatus
    last_modified_at: datetime | None = None
