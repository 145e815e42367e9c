"""An inference experiment: where it stands, how it is to end, and how the API shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.engine.clock import Timer
from airflow_guardrails.simulator.sagemaker.describing import without_none
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint, History
from airflow_guardrails.simulator.sagemaker.experiments.schedule import Schedule

TERMINAL = frozenset({"Completed", "Cancelled"})
CHANGEABLE = frozenset({"Created", "Running"})
_STATUS_WHILE_STOPPING = {"Remove": "Deleting", "Promote": "Updating", "Retain": "InService"}
_STATUS_AFTER_STOP = {"Remove": "Deleted", "Promote": "InService", "Retain": "InService"}
_COPIED_FIELDS = ("Description", "RoleArn", "DataStorageConfig", "ShadowModeConfig", "KmsKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    How an experiment ends: what becomes of either variant, and in which *status*.

    *desired* are the model variants as somebody wants them changed, by name.
    """

    status: str
    production: str = "Retain"
    shadow: str = "Remove"
    desired: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reason: str | None = None

    @property
    def changes_nothing(self) -> bool:
        return self.production == self.shadow == "Retain" and not self.desired


@dataclass(slots=True, kw_only=True)
class Experiment:
    """
    *request* is that which created it, with every update since; *model_variants* are both, by name.

    *config_name* is the endpoint configuration made for it, *original* the one it replaced; both from the
    moment it touches the endpoint. *next_step* is to happen once the endpoint is at rest.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    model_variants: dict[str, Mapping[str, Any]]
    schedule: Schedule
    created_at: datetime
    status: str = "Creating"
    reason: str | None = None
    completed_at: datetime | None = None
    config_name: str | None = None
    original: Mapping[str, Any] | None = None
    outcome: Outcome | None = None
    next_step: Callable[[Experiment], None] | None = None
    timer: Timer = field(default_factory=lambda: Timer(lambda: None))
    history: History = field(init=False, default_factory=History)
    modified_at: datetime = field(init=False)
    production_status: str = field(init=False, default="InService")
    shadow_status: str = field(init=False, default="Creating")

    def __post_init__(self) -> None:
        self.modified_at = self.created_at

    @property
    def endpoint_name(self) -> str:
        name: str = self.request["EndpointName"]
        return name

    @property
    def source_name(self) -> str:
        name: str = self.request["ShadowModeConfig"]["SourceModelVariantName"]
        return name

    @property
    def shadow_name(self) -> str:
        name: str = _shadow(self.request)["ShadowModelVariantName"]
        return name

    @property
    def sampling(self) -> float:
        """The part of the requests that are copied, 0 to 1."""
        return float(_shadow(self.request)["SamplingPercentage"]) / 100

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def touches_endpoint(self) -> bool:
        return self.config_name is not None and not self.ended

    def enter(self, status: str, *, now: datetime) -> None:
        self.timer.cancel()
        self.status, self.modified_at = status, now
        if status == "Running":
            self.shadow_status = "InService"
        elif status == "Updating" and self.config_name:
            self.shadow_status = "Updating"
        elif status == "Stopping" and self.outcome:
            self.production_status = _STATUS_WHILE_STOPPING[self.outcome.production]
            self.shadow_status = _STATUS_WHILE_STOPPING[self.outcome.shadow]

    def end(self, outcome: Outcome, *, now: datetime) -> None:
        """Be over, with *outcome* carried out."""
        self.enter(outcome.status, now=now)
        self.reason, self.next_step, self.completed_at = outcome.reason, None, now
        self.schedule = self.schedule.ending_by(now)
        self.production_status = _STATUS_AFTER_STOP[outcome.production]
        self.shadow_status = _STATUS_AFTER_STOP[outcome.shadow]


def describe(experiment: Experiment, endpoint: Endpoint | None) -> dict[str, Any]:
    """DescribeInferenceExperiment's answer; *endpoint* as it is now, None when it is gone."""
    return {
        **summarize(experiment),
        "Arn": experiment.arn,
        "EndpointMetadata": _metadata(experiment, endpoint),
        "ModelVariants": [
            {**variant, "Status": _status_of(name, experiment)}
            for name, variant in experiment.model_variants.items()
        ],
        **{key: experiment.request[key] for key in _COPIED_FIELDS if key in experiment.request},
    }


def summarize(experiment: Experiment) -> dict[str, Any]:
    """ListInferenceExperiments' row."""
    return without_none(
        Name=experiment.name,
        Type=experiment.request["Type"],
        Schedule=experiment.schedule.to_response(),
        Status=experiment.status,
        StatusReason=experiment.reason,
        Description=experiment.request.get("Description"),
        CreationTime=experiment.created_at,
        CompletionTime=experiment.completed_at,
        LastModifiedTime=experiment.modified_at,
        RoleArn=experiment.request["RoleArn"],
    )


SUMMARY_FIELDS = (
    "Name",
    "Type",
    "Schedule",
    "Status",
    "StatusReason",
    "Description",
    "CreationTime",
    "CompletionTime",
    "LastModifiedTime",
    "RoleArn",
)


def _metadata(experiment: Experiment, endpoint: Endpoint | None) -> dict[str, Any]:
    if endpoint is None:
        return {"EndpointName": experiment.endpoint_name}
    return without_none(
        EndpointName=endpoint.name,
        EndpointConfigName=endpoint.config_name,
        EndpointStatus=endpoint.shown_status,
        FailureReason=endpoint.failure_reason,
    )


def _status_of(name: str, experiment: Experiment) -> str:
    return experiment.production_status if name == experiment.source_name else experiment.shadow_status


def _shadow(request: Mapping[str, Any]) -> Mapping[str, Any]:
    shadow: Mapping[str, Any] = request["ShadowModeConfig"]["ShadowModelVariants"][0]
    return shadow
