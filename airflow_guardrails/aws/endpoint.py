"""Requests for endpoints, and the responses of DescribeEndpoint and ListEndpoints as values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from airflow_guardrails.aws.clock import HEADER_CLOCK, HeaderClock
from airflow_guardrails.aws.deployment_config import (
    alarm_names,
    deployment_config_request,
    parse_deployment_config,
)
from airflow_guardrails.aws.reading import (
    Response,
    check_operation,
    enum_of,
    number_of,
    required_enum,
    required_text,
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


def update_endpoint_request(
    *,
    endpoint_name: str,
    endpoint_config_name: str,
    guardrails: Guardrails,
    retained: RetainedProperties = NOTHING_RETAINED,
) -> dict[str, Any]:
    """Return UpdateEndpoint's request."""
    request: dict[str, Any] = {"EndpointName": endpoint_name, "EndpointConfigName": endpoint_config_name}
    if retained.retain_all:
        request["RetainAllVariantProperties"] = True
        # AWS asks not to send exclusions without RetainAllVariantProperties.
        if retained.excluded:
            request["ExcludeRetainedVariantProperties"] = [
                {"VariantPropertyType": name} for name in retained.excluded
            ]
    if deployment_config := deployment_config_request(guardrails):
        request["DeploymentConfig"] = deployment_config
    return request


def parse_endpoint(response: Response) -> Endpoint:
    """
    Return the endpoint in a response of DescribeEndpoint. Fields that decide nothing may be missing.

    :raises Unanswered: if it is not a response of DescribeEndpoint, for example a proxy's page.
    :raises UnexpectedAnswer: if it has no endpoint name, or a status that this version does not know.
    """
    check_operation(response, "EndpointName", "EndpointStatus", by="DescribeEndpoint")
    name = required_text(response, "EndpointName", by="DescribeEndpoint")
    status = required_enum(EndpointStatus, response, "EndpointStatus", about=f"endpoint {name}")
    deployment = response.get("LastDeploymentConfig")
    return Endpoint(
        name=name,
        status=status,
        seen_at=aws_time(response),
        # The API's model does not require this field.
        endpoint_config_name=text_of(response, "EndpointConfigName"),
        last_modified_at=parse_time(response.get("LastModifiedTime")),
        pending=_parse_pending(response, status),
        variants=tuple(_parse_variants(response)),
        # It decides nothing: it may be empty after a rollback, and it may be about a failed scaling.
        failure_reason=safe_text(response.get("FailureReason")) or None,
        # As text, because a dict cannot be the key of a cache.
        guardrails=_parse_guardrails(json.dumps(deployment, sort_keys=True, default=str)),
        rollback_alarms=alarm_names(deployment),
        arn=text_of(response, "EndpointArn"),
    )


def list_endpoints_request(status: EndpointStatus) -> dict[str, Any]:
    """Return the arguments of the paginator for ListEndpoints; 100 is the largest page."""
    return {"StatusEquals": status.value, "PaginationConfig": {"PageSize": 100}}


def parse_endpoint_list(response: Response) -> list[ListedEndpoint]:
    """Return the endpoints of a page. One that cannot be read is left out; its waits then describe it."""
    return [
        ListedEndpoint(name, status, parse_time(summary.get("LastModifiedTime")))
        for summary in sections_of(response, "Endpoints")
        if (name := text_of(summary, "EndpointName"))
        and (status := enum_of(EndpointStatus, summary.get("EndpointStatus")))
    ]


def missing_endpoint(name: str, error_response: Response) -> MissingEndpoint:
    """Return the value for SageMaker's error that there is no such endpoint."""
    return MissingEndpoint(name=name, seen_at=aws_time(error_response))


def learn_time(response: Response) -> None:
    """
    Set AWS's clock from any response, unless it is set.

    A proxy may drop the header of some responses, and this machine's own clock must not end a wait.
    """
    HEADER_CLOCK.read_first(_date_header(response))


def aws_time(response: Response, *, clock: HeaderClock = HEADER_CLOCK) -> datetime:
    """
    Return AWS's time of the response, from its ``Date`` header (whole seconds).

    Without a readable header: the time of the last response plus the time since.
    """
    return clock.read(_date_header(response))


def _date_header(response: Response) -> object:
    return section_of(section_of(response, "ResponseMetadata"), "HTTPHeaders").get("date")


def _parse_pending(response: Response, status: EndpointStatus) -> PendingDeployment | None:
    summary = section_of(response, "PendingDeploymentSummary")
    if response.get("PendingDeploymentSummary") and status is EndpointStatus.IN_SERVICE:
        # With status InService, the target decides whether an update runs.
        required_text(summary, "EndpointConfigName", by="PendingDeploymentSummary of DescribeEndpoint")
    target = text_of(summary, "EndpointConfigName")
    if target is None:
        return None
    return PendingDeployment(
        endpoint_config_name=target,
        started_at=parse_time(summary.get("StartTime")),
        variants=tuple(_parse_variants(summary)),
    )


def _parse_variants(response: Response) -> Iterator[Variant]:
    for variant in sections_of(response, "ProductionVariants"):
        if name := text_of(variant, "VariantName"):
            yield Variant(
                name=name,
                instances=whole_number_of(variant, "CurrentInstanceCount") or 0,
                desired_instances=whole_number_of(variant, "DesiredInstanceCount") or 0,
                stages=tuple(_parse_stages(variant)),
                desired_weight=number_of(variant, "DesiredWeight"),
                serverless=bool(
                    variant.get("CurrentServerlessConfig") or variant.get("DesiredServerlessConfig")
                ),
            )


def _parse_stages(variant: Response) -> Iterator[VariantStage]:
    """Yield the stages. They decide nothing, so a stage that AWS adds later is left out."""
    for mark in sections_of(variant, "VariantStatus"):
        if stage := enum_of(Stage, mark.get("Status")):
            yield VariantStage(stage=stage, since=parse_time(mark.get("StartTime")))


# An endpoint has the same LastDeploymentConfig at every look, and many endpoints share one.
@lru_cache(maxsize=1024)
def _parse_guardrails(deployment_config: str) -> Guardrails | None:
    """Return the guardrails in a ``DeploymentConfig`` as JSON; None for null and if it cannot be read."""
    content = json.loads(deployment_config)
    try:
        return parse_deployment_config(content) if content else None
    except GuardrailsValueError:
        return None
