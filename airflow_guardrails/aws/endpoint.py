"""Endpoints on the wire: what is sent to update one, and DescribeEndpoint's answer as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, TypeVar

from airflow_guardrails.aws.deployment_config import (
    alarm_names,
    deployment_config_request,
    parse_deployment_config,
)
from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.domain.endpoint import (
    Endpoint,
    EndpointStatus,
    Listed,
    MissingEndpoint,
    PendingDeployment,
    Stage,
    StageMark,
    Variant,
)
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.guardrails import Guardrails
from airflow_guardrails.domain.retaining import NOTHING_RETAINED, RetainedProperties

Answer = Mapping[str, Any]
Word = TypeVar("Word", bound=Enum)


def update_endpoint_request(
    *,
    endpoint_name: str,
    endpoint_config_name: str,
    guardrails: Guardrails,
    retained: RetainedProperties = NOTHING_RETAINED,
) -> dict[str, Any]:
    request: dict[str, Any] = {"EndpointName": endpoint_name, "EndpointConfigName": endpoint_config_name}
    if retained.retain_all:
        request["RetainAllVariantProperties"] = True
        if retained.excluded:
            request["ExcludeRetainedVariantProperties"] = [
                {"VariantPropertyType": name} for name in retained.excluded
            ]
    if deployment_config := deployment_config_request(guardrails):
        request["DeploymentConfig"] = deployment_config
    return request


def parse_endpoint(answer: Answer) -> Endpoint:
    """
    Read an answer of DescribeEndpoint.

    :raises UnexpectedAnswer: if it holds a status this package does not know.
    """
    return Endpoint(
        name=answer["EndpointName"],
        status=_word(EndpointStatus, answer["EndpointStatus"]),
        seen_at=aws_time(answer),
        endpoint_config_name=answer.get("EndpointConfigName"),
        last_modified_at=answer.get("LastModifiedTime"),
        pending=_parse_pending(answer.get("PendingDeploymentSummary")),
        variants=_parse_variants(answer.get("ProductionVariants")),
        failure_reason=answer.get("FailureReason") or None,
        guardrails=_parse_guardrails(answer.get("LastDeploymentConfig")),
        rollback_alarms=alarm_names(answer.get("LastDeploymentConfig")),
    )


def list_endpoints_request(status: EndpointStatus) -> dict[str, Any]:
    return {"StatusEquals": status.value, "PaginationConfig": {"PageSize": 100}}


def parse_endpoint_list(answer: Answer) -> list[Listed]:
    """Read a page of ListEndpoints."""
    return [
        Listed(
            summary["EndpointName"],
            _word(EndpointStatus, summary["EndpointStatus"]),
            summary.get("LastModifiedTime"),
        )
        for summary in answer["Endpoints"]
    ]


def missing_endpoint(name: str, error_response: Answer) -> MissingEndpoint:
    return MissingEndpoint(name=name, seen_at=aws_time(error_response))


def aws_time(answer: Answer) -> datetime:
    """AWS's clock at the moment of the answer, from its ``Date`` header (whole seconds)."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if date := headers.get("date"):
        return parsedate_to_datetime(date)
    return datetime.now(timezone.utc)  # a proxy ate the header: our own clock is the next best


def _parse_pending(summary: Answer | None) -> PendingDeployment | None:
    if not summary:
        return None
    return PendingDeployment(
        endpoint_config_name=summary["EndpointConfigName"],
        started_at=summary.get("StartTime"),
        variants=_parse_variants(summary.get("ProductionVariants")),
    )


def _parse_variants(variants: Iterable[Answer] | None) -> tuple[Variant, ...]:
    return tuple(
        Variant(
            name=variant["VariantName"],
            instances=variant.get("CurrentInstanceCount", 0),
            desired_instances=variant.get("DesiredInstanceCount", 0),
            stages=_parse_stages(variant.get("VariantStatus")),
            desired_weight=variant.get("DesiredWeight"),
        )
        for variant in variants or ()
    )


def _parse_stages(marks: Iterable[Answer] | None) -> tuple[StageMark, ...]:
    return tuple(
        StageMark(stage=_word(Stage, mark["Status"]), since=mark.get("StartTime")) for mark in marks or ()
    )


def _parse_guardrails(deployment_config: Answer | None) -> Guardrails | None:
    if not deployment_config:
        return None
    try:
        return parse_deployment_config(deployment_config)
    except GuardrailsValueError:
        return None  # something SageMaker learned later; the rollout is watched all the same


def _word(words: type[Word], said: str) -> Word:
    try:
        return words(said)
    except ValueError:
        raise UnexpectedAnswer(
            f"SageMaker said {words.__name__} {said!r}, which this version does not know "
            f"(known: {', '.join(word.value for word in words)}). "
            "Nothing is concluded from it; look at the endpoint, and update this package"
        ) from None
