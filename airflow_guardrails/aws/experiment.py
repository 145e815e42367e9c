"""Inference experiments on the wire: what creates and stops one, and the answers as values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_guardrails.aws.endpoint import aws_time
from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.domain.experiment import (
    CaptureStorage,
    Experiment,
    ExperimentStatus,
    ListedExperiment,
    MissingExperiment,
    ModelVariant,
)
from airflow_guardrails.domain.shadow_hosts import Production
from airflow_guardrails.domain.shadow_stop import Action
from airflow_guardrails.domain.shadow_test import ShadowTest

Answer = Mapping[str, Any]


def create_experiment_request(
    test: ShadowTest,
    *,
    name: str,
    production: Production,
    starts_at: datetime | None,
    ends_at: datetime,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Ask for *test* with the shadow as *production* is, unless the author wants it otherwise."""
    wanted, schedule = test.shadow, {"StartTime": starts_at, "EndTime": ends_at}
    shadow = {
        "ModelName": wanted.model_name,
        "VariantName": wanted.name,
        "InfrastructureConfig": _infrastructure(
            wanted.instance_type or production.instance_type or "",
            wanted.instance_count or production.instances,
        ),
    }
    mode = {"ShadowModelVariantName": wanted.name, "SamplingPercentage": wanted.sampling_percentage}
    request: dict[str, Any] = {
        "Name": name,
        "Type": "ShadowMode",
        "EndpointName": test.endpoint_name,
        "RoleArn": test.role_arn,
        "Schedule": {key: value for key, value in schedule.items() if value is not None},
        "ModelVariants": [_production_variant(production), shadow],
        "ShadowModeConfig": {
            "SourceModelVariantName": production.variant_name,
            "ShadowModelVariants": [mode],
        },
        "DataStorageConfig": _storage_request(test.storage),
        "KmsKey": test.volume_kms_key,
        "Description": description,
        "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()],
    }
    return {key: value for key, value in request.items() if value}


def stop_experiment_request(
    experiment: Experiment, action: Action, *, state: str, reason: str
) -> dict[str, Any]:
    """
    Ask to end *experiment* in *state* (``Completed`` or ``Cancelled``) with *action* carried out.

    "Promote" needs the shadow among DesiredModelVariants: it is deployed as it ran.
    """
    request: dict[str, Any] = {
        "Name": experiment.name,
        "ModelVariantActions": {
            experiment.production_name: action.of_production,
            experiment.shadow_name: action.of_shadow,
        },
        "DesiredState": state,
        "Reason": reason,
    }
    shadow = experiment.shadow
    if action is Action.PROMOTE and shadow is not None:
        request["DesiredModelVariants"] = [
            {
                "ModelName": shadow.model_name,
                "VariantName": shadow.name,
                "InfrastructureConfig": _infrastructure(shadow.instance_type, shadow.instances),
            }
        ]
    return request


def parse_experiment(answer: Answer) -> Experiment:
    """
    Read an answer of DescribeInferenceExperiment.

    :raises UnexpectedAnswer: if it holds a status this package does not know, or no single shadow.
    """
    mode = answer.get("ShadowModeConfig") or {}
    shadows = list(mode.get("ShadowModelVariants") or ())
    if len(shadows) != 1:
        raise UnexpectedAnswer(
            f"Inference experiment {answer['Name']} must have one shadow variant (has {len(shadows)})"
        )
    schedule, endpoint = answer.get("Schedule") or {}, answer["EndpointMetadata"]
    return Experiment(
        name=answer["Name"],
        arn=answer["Arn"],
        status=_status(answer["Status"]),
        seen_at=aws_time(answer),
        endpoint_name=endpoint["EndpointName"],
        role_arn=answer.get("RoleArn", ""),
        variants=tuple(_parse_variant(variant) for variant in answer["ModelVariants"]),
        production_name=mode["SourceModelVariantName"],
        shadow_name=shadows[0]["ShadowModelVariantName"],
        sampling_percentage=shadows[0]["SamplingPercentage"],
        created_at=answer.get("CreationTime"),
        starts_at=schedule.get("StartTime"),
        ends_at=schedule.get("EndTime"),
        completed_at=answer.get("CompletionTime"),
        last_modified_at=answer.get("LastModifiedTime"),
        reason=answer.get("StatusReason") or None,
        endpoint_failure_reason=endpoint.get("FailureReason") or None,
        storage=_parse_storage(answer.get("DataStorageConfig")),
        volume_kms_key=answer.get("KmsKey") or None,
    )


def missing_experiment(name: str, error_response: Answer) -> MissingExperiment:
    return MissingExperiment(name, aws_time(error_response))


def list_experiments_request(status: ExperimentStatus) -> dict[str, Any]:
    return {"StatusEquals": status.value, "PaginationConfig": {"PageSize": 100}}


def parse_experiment_list(answer: Answer) -> list[ListedExperiment]:
    """Read a page of ListInferenceExperiments."""
    return [
        ListedExperiment(row["Name"], _status(row["Status"]), row.get("LastModifiedTime"))
        for row in answer["InferenceExperiments"]
    ]


def _production_variant(production: Production) -> dict[str, Any]:
    return {
        "ModelName": production.model_name,
        "VariantName": production.variant_name,
        "InfrastructureConfig": _infrastructure(production.instance_type or "", production.instances),
    }


def _infrastructure(instance_type: str, instances: int) -> dict[str, Any]:
    return {
        "InfrastructureType": "RealTimeInference",
        "RealTimeInferenceConfig": {"InstanceType": instance_type, "InstanceCount": instances},
    }


def _storage_request(storage: CaptureStorage | None) -> dict[str, Any] | None:
    if storage is None:
        return None
    content = {
        "CsvContentTypes": list(storage.csv_content_types),
        "JsonContentTypes": list(storage.json_content_types),
    }
    content = {key: value for key, value in content.items() if value}
    request = {"Destination": storage.uri, "KmsKey": storage.kms_key, "ContentType": content}
    return {key: value for key, value in request.items() if value}


def _parse_variant(variant: Answer) -> ModelVariant:
    config = variant["InfrastructureConfig"]["RealTimeInferenceConfig"]
    return ModelVariant(
        name=variant["VariantName"],
        model_name=variant["ModelName"],
        instance_type=config["InstanceType"],
        instances=config["InstanceCount"],
        status=variant.get("Status"),
    )


def _parse_storage(config: Answer | None) -> CaptureStorage | None:
    if not config:
        return None
    content = config.get("ContentType") or {}
    return CaptureStorage(
        uri=config["Destination"],
        kms_key=config.get("KmsKey") or None,
        csv_content_types=tuple(content.get("CsvContentTypes") or ()),
        json_content_types=tuple(content.get("JsonContentTypes") or ()),
    )


def _status(said: str) -> ExperimentStatus:
    try:
        return ExperimentStatus(said)
    except ValueError:
        known = ", ".join(status.value for status in ExperimentStatus)
        raise UnexpectedAnswer(
            f"SageMaker said InferenceExperimentStatus {said!r}, which this version does not know (known: "
            f"{known}). Nothing is concluded from it; look at the experiment, and update this package"
        ) from None
