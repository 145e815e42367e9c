"""The state of an inference experiment, and the responses that show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.engine.clock import Timer
from airflow_guardrails.simulator.sagemaker.describing import without_none
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint, History
from airflow_guardrails.simulator.sagemaker.experiments.schedule import Schedule

# API reference: there is no status Failed; a failure ends in Cancelled.
TERMINAL = frozenset({"Completed", "Cancelled"})
CHANGEABLE = frozenset({"Created", "Running"})
# The status of a variant while its action is carried out, and afterwards.
_STATUS_WHILE_STOPPING = {"Remove": "Deleting", "Promote": "Updating", "Retain": "InService"}
_STATUS_AFTER_STOP = {"Remove": "Deleted", "Promote": "InService", "Retain": "InService"}
_COPIED_FIELDS = ("Description", "RoleArn", "DataStorageConfig", "ShadowModeConfig", "KmsKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    How an experiment ends.

    :param production: Retain or Remove.
    :param shadow: Retain, Remove or Promote.
    :param desired: DesiredModelVariants by name.
    """

    status: str
    production: str = "Retain"
    shadow: str = "Remove"
    desired: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reason: str | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether the endpoint stays as it is."""
        return self.production == self.shadow == "Retain" and not self.desired


@dataclass(slots=True, kw_only=True)
class Experiment:
    """
    An inference experiment.

    :param request: the request that created it, with all updates.
    :param model_variants: production and shadow by name, as DescribeInferenceExperiment shows them.
    :param config_name: the endpoint configuration made for it; None until it changes the endpoint.
    :param original: the endpoint configuration that it replaced.
    :param next_step: runs when the endpoint is no longer busy.
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
        """Name of its endpoint."""
        name: str = self.request["EndpointName"]
        return name

    @property
    def source_name(self) -> str:
        """Name of the production variant."""
        name: str = self.request["ShadowModeConfig"]["SourceModelVariantName"]
        return name

    @property
    def shadow_name(self) -> str:
        """Name of the shadow variant."""
        name: str = _shadow(self.request)["ShadowModelVariantName"]
        return name

    @property
    def sampling(self) -> float:
        """The share of requests that are copied to the shadow, 0 to 1."""
        return float(_shadow(self.request)["SamplingPercentage"]) / 100

    @property
    def ended(self) -> bool:
        """Whether it is Completed or Cancelled."""
        return self.status in TERMINAL

    @property
    def touches_endpoint(self) -> bool:
        """
        Whether the endpoint has, or had, the experiment's configuration, and the experiment has not ended.
        """
        return self.config_name is not None and not self.ended

    def enter(self, status: str, *, now: datetime) -> None:
        """Enter a status and set the status of each variant."""
        # The timer belongs to the status that ends. Later it would start or stop the experiment again.
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
        """Enter the final status."""
        self.enter(outcome.status, now=now)
        self.reason, self.next_step, self.completed_at = outcome.reason, None, now
        self.schedule = self.schedule.ending_by(now)
        self.production_status = _STATUS_AFTER_STOP[outcome.production]
        self.shadow_status = _STATUS_AFTER_STOP[outcome.shadow]


def describe(experiment: Experiment, endpoint: Endpoint | None) -> dict[str, Any]:
    """Return the response of DescribeInferenceExperiment; *endpoint* is None if it was deleted."""
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
    """Return the row of ListInferenceExperiments."""
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
    # EndpointName is the only required field of EndpointMetadata.
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
    # The service model allows exactly one shadow.
    shadow: Mapping[str, Any] = request["ShadowModeConfig"]["ShadowModelVariants"][0]
    return shadow
