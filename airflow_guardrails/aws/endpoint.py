"""Endpoints on the wire: what is sent to update one, and DescribeEndpoint's answer as a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_guardrails.aws.clock import HEADER_CLOCK, HeaderClock
from airflow_guardrails.aws.deployment_config import (
    alarm_names,
    deployment_config_request,
    parse_deployment_config,
)
from airflow_guardrails.aws.reading import (
    decided,
    known,
    needed,
    number_of,
    refuse_foreign,
    section_of,
    sections_of,
    text_of,
    whole_number_of,
)
from airflow_guardrails.domain.deployment.guardrails import NOTHING_RETAINED, Guardrails, RetainedProperties
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointStatus,
    ListedEndpoint,
    MissingEndpoint,
    PendingDeployment,
    Stage,
    Variant,
    VariantStage,
)
from airflow_guardrails.domain.text import safe_text
from airflow_guardrails.domain.times import parse_time

Answer = Mapping[str, Any]


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
    Read an answer of DescribeEndpoint; what decides nothing may be missing or unknown.

    :raises Unanswered: if it is none of DescribeEndpoint's at all.
    :raises UnexpectedAnswer: if it names no endpoint, or holds a status this package does not know.
    """
    refuse_foreign(answer, "EndpointName", "EndpointStatus", by="DescribeEndpoint")
    name = needed(answer, "EndpointName", by="DescribeEndpoint")
    status = decided(EndpointStatus, answer, "EndpointStatus", about=f"endpoint {name}")
    return Endpoint(
        name=name,
        status=status,
        seen_at=aws_time(answer),
        endpoint_config_name=text_of(answer, "EndpointConfigName"),
        last_modified_at=parse_time(answer.get("LastModifiedTime")),
        pending=_parse_pending(answer, status),
        variants=_parse_variants(answer),
        failure_reason=safe_text(answer.get("FailureReason")) or None,
        guardrails=_parse_guardrails(answer.get("LastDeploymentConfig")),
        rollback_alarms=alarm_names(answer.get("LastDeploymentConfig")),
    )


def list_endpoints_request(status: EndpointStatus) -> dict[str, Any]:
    return {"StatusEquals": status.value, "PaginationConfig": {"PageSize": 100}}


def parse_endpoint_list(answer: Answer) -> list[ListedEndpoint]:
    """Read a page of ListEndpoints; what cannot be read is left out, so that it is described instead."""
    return [
        ListedEndpoint(name, status, parse_time(summary.get("LastModifiedTime")))
        for summary in sections_of(answer, "Endpoints")
        if (name := text_of(summary, "EndpointName"))
        and (status := known(EndpointStatus, summary.get("EndpointStatus")))
    ]


def missing_endpoint(name: str, error_response: Answer) -> MissingEndpoint:
    return MissingEndpoint(name=name, seen_at=aws_time(error_response))


def aws_time(answer: Answer, *, clock: HeaderClock = HEADER_CLOCK) -> datetime:
    """
    AWS's clock at the moment of the answer, from its ``Date`` header (whole seconds).

    Without a readable header: what AWS said last, and the time since.
    """
    headers = section_of(section_of(answer, "ResponseMetadata"), "HTTPHeaders")
    return clock.read(headers.get("date"))


def _parse_pending(answer: Answer, status: EndpointStatus) -> PendingDeployment | None:
    summary = section_of(answer, "PendingDeploymentSummary")
    if answer.get("PendingDeploymentSummary") and status is EndpointStatus.IN_SERVICE:
        # Here it decides whether the endpoint is on its way; a status in flight says so by itself.
        needed(summary, "EndpointConfigName", by="PendingDeploymentSummary of DescribeEndpoint")
    target = text_of(summary, "EndpointConfigName")
    if target is None:
        return None
    return PendingDeployment(
        endpoint_config_name=target,
        started_at=parse_time(summary.get("StartTime")),
        variants=_parse_variants(summary),
    )


def _parse_variants(answer: Answer) -> tuple[Variant, ...]:
    return tuple(
        Variant(
            name=name,
            instances=whole_number_of(variant, "CurrentInstanceCount") or 0,
            desired_instances=whole_number_of(variant, "DesiredInstanceCount") or 0,
            stages=_parse_stages(variant),
            desired_weight=number_of(variant, "DesiredWeight"),
        )
        for variant in sections_of(answer, "ProductionVariants")
        if (name := text_of(variant, "VariantName"))
    )


def _parse_stages(variant: Answer) -> tuple[VariantStage, ...]:
    """Stages are told and decide nothing, so one that AWS adds tomorrow is left out."""
    return tuple(
        VariantStage(stage=stage, since=parse_time(mark.get("StartTime")))
        for mark in sections_of(variant, "VariantStatus")
        if (stage := known(Stage, mark.get("Status")))
    )


def _parse_guardrails(deployment_config: Any) -> Guardrails | None:
    if not deployment_config:
        return None
    try:
        return parse_deployment_config(deployment_config)
    except GuardrailsValueError:
        return None  # something SageMaker learned later; the rollout is watched all the same
