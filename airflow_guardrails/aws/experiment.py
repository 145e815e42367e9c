"""Requests that create and stop inference experiments, and the responses about them as values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_guardrails.aws.endpoint import aws_time
from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.aws.reading import (
    Response,
    check_operation,
    enum_of,
    required_enum,
    required_text,
    section_of,
    sections_of,
    shown,
    text_of,
    texts_of,
    whole_number_of,
)
from airflow_guardrails.domain.shadow.eligibility import Production
from airflow_guardrails.domain.shadow.spec import ShadowTest
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.experiment import (
    CaptureStorage,
    Experiment,
    ExperimentStatus,
    ListedExperiment,
    MissingExperiment,
    ModelVariant,
)
from airflow_guardrails.domain.text import safe_text
from airflow_guardrails.domain.times import parse_time


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
    """
    Return CreateInferenceExperiment's request.

    The shadow gets production's instance type and count, unless *test* sets others.

    :param starts_at: None: start now.
    """
    spec, schedule = test.shadow, {"StartTime": starts_at, "EndTime": ends_at}
    shadow = {
        "ModelName": spec.model_name,
        "VariantName": spec.name,
        "InfrastructureConfig": _infrastructure(
            spec.instance_type or production.instance_type or "",
            spec.instance_count or production.instances,
        ),
    }
    mode = {"ShadowModelVariantName": spec.name, "SamplingPercentage": spec.sampling_percentage}
    request: dict[str, Any] = {
        "Name": name,
        # The API has no other type.
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
    # boto3 does not accept None for an argument.
    return {key: value for key, value in request.items() if value}


def stop_experiment_request(
    experiment: Experiment, action: Action, *, state: str, reason: str
) -> dict[str, Any]:
    """
    Return StopInferenceExperiment's request.

    :param action: what happens to production and shadow. "Promote" deploys the shadow as it ran.
    :param state: ``Completed`` or ``Cancelled``.
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


def parse_experiment(response: Response) -> Experiment:
    """
    Return the experiment in a response of DescribeInferenceExperiment.

    Fields that decide nothing may be missing.

    :raises Unanswered: if it is not a response of this operation, for example a proxy's page.
    :raises UnexpectedAnswer: if the status is unknown, if there is not exactly one shadow, or if the names of
        the endpoint and its two variants are missing.
    """
    check_operation(response, "Name", "Status", by="DescribeInferenceExperiment")
    name = required_text(response, "Name", by="DescribeInferenceExperiment")
    mode, endpoint = section_of(response, "ShadowModeConfig"), section_of(response, "EndpointMetadata")
    shadows, schedule = sections_of(mode, "ShadowModelVariants"), section_of(response, "Schedule")
    # AWS allows one shadow variant on an endpoint.
    if len(shadows) != 1:
        raise UnexpectedAnswer(
            f"Unexpected response: experiment {name} must have one shadow variant (got {len(shadows)})"
        )
    source = f"inference experiment {name}"
    return Experiment(
        name=name,
        arn=text_of(response, "Arn") or "",
        status=required_enum(
            ExperimentStatus,
            response,
            "Status",
            about=f"inference experiment {name}",
            field="InferenceExperimentStatus",
        ),
        seen_at=aws_time(response),
        endpoint_name=required_text(endpoint, "EndpointName", by=source),
        role_arn=text_of(response, "RoleArn") or "",
        variants=_parse_variants(response),
        production_name=required_text(mode, "SourceModelVariantName", by=source),
        shadow_name=required_text(shadows[0], "ShadowModelVariantName", by=source),
        sampling_percentage=_sampling(shadows[0], by=source),
        created_at=parse_time(response.get("CreationTime")),
        starts_at=parse_time(schedule.get("StartTime")),
        ends_at=parse_time(schedule.get("EndTime")),
        completed_at=parse_time(response.get("CompletionTime")),
        last_modified_at=parse_time(response.get("LastModifiedTime")),
        reason=safe_text(response.get("StatusReason")) or None,
        endpoint_failure_reason=safe_text(endpoint.get("FailureReason")) or None,
        storage=_parse_storage(section_of(response, "DataStorageConfig")),
        volume_kms_key=text_of(response, "KmsKey"),
    )


def missing_experiment(name: str, error_response: Response) -> MissingExperiment:
    """Return the value for SageMaker's error that there is no such experiment."""
    return MissingExperiment(name, aws_time(error_response))


def list_experiments_request(status: ExperimentStatus) -> dict[str, Any]:
    """Return the arguments of the paginator for ListInferenceExperiments; 100 is the largest page."""
    return {"StatusEquals": status.value, "PaginationConfig": {"PageSize": 100}}


def parse_experiment_list(response: Response) -> list[ListedExperiment]:
    """Return the experiments of a page. One that cannot be read is left out."""
    return [
        ListedExperiment(name, status, parse_time(row.get("LastModifiedTime")))
        for row in sections_of(response, "InferenceExperiments")
        if (name := text_of(row, "Name")) and (status := enum_of(ExperimentStatus, row.get("Status")))
    ]


def _production_variant(production: Production) -> dict[str, Any]:
    return {
        "ModelName": production.model_name,
        "VariantName": production.variant_name,
        "InfrastructureConfig": _infrastructure(production.instance_type or "", production.instances),
    }


def _infrastructure(instance_type: str, instances: int) -> dict[str, Any]:
    return {
        # The API has no other type.
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
    # The API does not accept an empty list of content types.
    content = {key: value for key, value in content.items() if value}
    request = {"Destination": storage.uri, "KmsKey": storage.kms_key, "ContentType": content}
    return {key: value for key, value in request.items() if value}


def _parse_variants(response: Response) -> tuple[ModelVariant, ...]:
    """Return both variants. An incomplete one is left out, because it could not be deployed again."""
    found = (_parse_variant(variant) for variant in sections_of(response, "ModelVariants"))
    return tuple(variant for variant in found if variant)


def _parse_variant(variant: Response) -> ModelVariant | None:
    config = section_of(section_of(variant, "InfrastructureConfig"), "RealTimeInferenceConfig")
    name, model = text_of(variant, "VariantName"), text_of(variant, "ModelName")
    kind, count = text_of(config, "InstanceType"), whole_number_of(config, "InstanceCount")
    if name is None or model is None or kind is None or count is None:
        return None
    return ModelVariant(
        name=name, model_name=model, instance_type=kind, instances=count, status=text_of(variant, "Status")
    )


def _sampling(shadow: Response, *, by: str) -> int:
    percentage = whole_number_of(shadow, "SamplingPercentage")
    if percentage is None:
        raise UnexpectedAnswer(
            f"Unexpected response: SamplingPercentage of {by} is missing or wrong (got "
            f"{shown(shadow.get('SamplingPercentage'))}). It is treated as an error"
        )
    return percentage


def _parse_storage(config: Response) -> CaptureStorage | None:
    uri, content = text_of(config, "Destination"), section_of(config, "ContentType")
    if uri is None:
        return None
    return CaptureStorage(
        uri=uri,
        kms_key=text_of(config, "KmsKey"),
        csv_content_types=texts_of(content, "CsvContentTypes"),
        json_content_types=texts_of(content, "JsonContentTypes"),
    )
