"""Inference experiments on the wire: what creates and stops one, and the answers as values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_guardrails.aws.endpoint import aws_time
from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.aws.reading import (
    decided,
    known,
    needed,
    refuse_foreign,
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
    Read an answer of DescribeInferenceExperiment; what decides nothing may be missing or unknown.

    :raises Unanswered: if it is none of DescribeInferenceExperiment's at all.
    :raises UnexpectedAnswer: if it holds a status this package does not know, or no single shadow, or does
        not say which variants of which endpoint are compared.
    """
    refuse_foreign(answer, "Name", "Status", by="DescribeInferenceExperiment")
    name = needed(answer, "Name", by="DescribeInferenceExperiment")
    mode, endpoint = section_of(answer, "ShadowModeConfig"), section_of(answer, "EndpointMetadata")
    shadows, schedule = sections_of(mode, "ShadowModelVariants"), section_of(answer, "Schedule")
    if len(shadows) != 1:
        raise UnexpectedAnswer(
            f"Inference experiment {name} must have one shadow variant (has {len(shadows)})"
        )
    say = f"Inference experiment {name}"
    return Experiment(
        name=name,
        arn=text_of(answer, "Arn") or "",
        status=decided(
            ExperimentStatus,
            answer,
            "Status",
            about=f"inference experiment {name}",
            member="InferenceExperimentStatus",
        ),
        seen_at=aws_time(answer),
        endpoint_name=needed(endpoint, "EndpointName", by=say),
        role_arn=text_of(answer, "RoleArn") or "",
        variants=_parse_variants(answer),
        production_name=needed(mode, "SourceModelVariantName", by=say),
        shadow_name=needed(shadows[0], "ShadowModelVariantName", by=say),
        sampling_percentage=_sampling(shadows[0], by=say),
        created_at=parse_time(answer.get("CreationTime")),
        starts_at=parse_time(schedule.get("StartTime")),
        ends_at=parse_time(schedule.get("EndTime")),
        completed_at=parse_time(answer.get("CompletionTime")),
        last_modified_at=parse_time(answer.get("LastModifiedTime")),
        reason=safe_text(answer.get("StatusReason")) or None,
        endpoint_failure_reason=safe_text(endpoint.get("FailureReason")) or None,
        storage=_parse_storage(section_of(answer, "DataStorageConfig")),
        volume_kms_key=text_of(answer, "KmsKey"),
    )


def missing_experiment(name: str, error_response: Answer) -> MissingExperiment:
    return MissingExperiment(name, aws_time(error_response))


def list_experiments_request(status: ExperimentStatus) -> dict[str, Any]:
    return {"StatusEquals": status.value, "PaginationConfig": {"PageSize": 100}}


def parse_experiment_list(answer: Answer) -> list[ListedExperiment]:
    """Read a page of ListInferenceExperiments; what cannot be read is left out."""
    return [
        ListedExperiment(name, status, parse_time(row.get("LastModifiedTime")))
        for row in sections_of(answer, "InferenceExperiments")
        if (name := text_of(row, "Name")) and (status := known(ExperimentStatus, row.get("Status")))
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


def _parse_variants(answer: Answer) -> tuple[ModelVariant, ...]:
    """Read both sides; one that is not said in full is left out, as nothing could be made like it."""
    found = (_parse_variant(variant) for variant in sections_of(answer, "ModelVariants"))
    return tuple(variant for variant in found if variant)


def _parse_variant(variant: Answer) -> ModelVariant | None:
    config = section_of(section_of(variant, "InfrastructureConfig"), "RealTimeInferenceConfig")
    name, model = text_of(variant, "VariantName"), text_of(variant, "ModelName")
    kind, count = text_of(config, "InstanceType"), whole_number_of(config, "InstanceCount")
    if name is None or model is None or kind is None or count is None:
        return None
    return ModelVariant(
        name=name, model_name=model, instance_type=kind, instances=count, status=text_of(variant, "Status")
    )


def _sampling(shadow: Answer, *, by: str) -> int:
    percentage = whole_number_of(shadow, "SamplingPercentage")
    if percentage is None:
        raise UnexpectedAnswer(
            f"{by} must say SamplingPercentage as a whole number (it says "
            f"{shown(shadow.get('SamplingPercentage'))}). Nothing is concluded from the answer"
        )
    return percentage


def _parse_storage(config: Answer) -> CaptureStorage | None:
    uri, content = text_of(config, "Destination"), section_of(config, "ContentType")
    if uri is None:
        return None
    return CaptureStorage(
        uri=uri,
        kms_key=text_of(config, "KmsKey"),
        csv_content_types=texts_of(content, "CsvContentTypes"),
        json_content_types=texts_of(content, "JsonContentTypes"),
    )
