"""Read what the preflight checks need from AWS, and stop the update if a check fails."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import account_of, parse_endpoint_config
from airflow_guardrails.domain.canary.evidence import published_until, requests_query
from airflow_guardrails.domain.judge.evidence import MAX_HISTORY
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding
from airflow_guardrails.domain.rollout.report import rollout_report
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import AlarmNotFound, EndpointConfigNotFound, PreflightFailed
from airflow_guardrails.operators._launch.request import LaunchRequest

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_ONE_HOUR = timedelta(hours=1)


def read_context(
    request: LaunchRequest, endpoint: Endpoint, *, target: EndpointConfig | None, hook: GuardrailsHook
) -> PreflightContext:
    """
    Read what the checks need.

    :param target: the configuration to update to; ``None`` if there is none of that name.
    :raises EndpointConfigNotFound: if *target* is ``None``.
    """
    if target is None:
        raise EndpointConfigNotFound(
            f"Endpoint configuration {request.target} does not exist in {hook.conn_region_name}: create it "
            "before this task, or correct endpoint_config_name"
        )
    serving = _serving_config(endpoint, hook)
    switch = request.switch.alarm_name
    names = [name for name in request.guardrails.alarms if name != switch]
    traffic, past, unread = _traffic(endpoint, hook) if request.analysis else ({}, {}, None)
    return PreflightContext(
        endpoint=endpoint,
        serving=serving,
        target=target,
        guardrails=request.guardrails,
        alarms=hook.describe_alarms(names) if names else (),
        switch=switch if request.abort_switch else None,
        retained=request.retained,
        marketplace=_marketplace([config for config in (serving, target) if config], hook),
        max_wait=request.wait_limit(target, endpoint),
        require_alarms_ok=request.require_alarms_ok,
        allow_unguarded=request.allow_unguarded,
        analysis=request.analysis,
        traffic=traffic,
        past=past,
        traffic_unread=unread,
    )


def run_preflight(request: LaunchRequest, context: PreflightContext, *, log: Any) -> tuple[Finding, ...]:
    """
    Log and return all findings, if none of them stops the update.

    :raises PreflightFailed: if any finding stops the update. The text lists all findings.
    """
    findings = preflight(context)
    for finding in findings:
        log.log(logging.ERROR if finding.stops else logging.WARNING, "%s", finding)
    if any(finding.stops for finding in findings):
        raise _failure(request, context.endpoint, findings)
    return findings


def _serving_config(endpoint: Endpoint, hook: GuardrailsHook) -> EndpointConfig | None:
    if not endpoint.endpoint_config_name:
        return None
    response = hook.describe_endpoint_config(endpoint.endpoint_config_name)
    return parse_endpoint_config(response) if response else None


def _marketplace(configs: list[EndpointConfig], hook: GuardrailsHook) -> bool:
    """Whether a model is from AWS Marketplace; False without permission for sagemaker:DescribeModel."""
    models = {variant.model_name for config in configs for variant in config.variants if variant.model_name}
    try:
        return hook.uses_marketplace_model(sorted(models), account_id=account_of(configs[-1].arn))
    except ClientError as error:
        if errors.is_access_denied(error):
            return False
        raise


def _traffic(endpoint: Endpoint, hook: GuardrailsHook) -> tuple[dict[str, float], dict[str, int], str | None]:
    """
    Read how much traffic each variant has had.

    Returns variant -> requests in the last hour, variant -> minutes with requests before now, and the reason
    if CloudWatch could not be read. A missing metric stops no update, so no error is raised.
    """
    # All configurations count, not only the one in service: it may have come into service a minute ago.
    by_variant = {variant.name: requests_query(endpoint.name, variant.name) for variant in endpoint.variants}
    end = published_until(endpoint.seen_at)
    queries = tuple(by_variant.values())
    try:
        series = hook.get_metric_data(queries, start=end - MAX_HISTORY, end=end, period=60)
    except (ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
        return {}, {}, errors.named_text(error)
    traffic = {
        name: sum(count for minute, count in series[query].items() if minute >= end - _ONE_HOUR)
        for name, query in by_variant.items()
    }
    past = {name: sum(count > 0 for count in series[query].values()) for name, query in by_variant.items()}
    return traffic, past, None


def _failure(request: LaunchRequest, endpoint: Endpoint, findings: tuple[Finding, ...]) -> PreflightFailed:
    missing = any(finding.code is Code.ALARM_MISSING for finding in findings)
    rollout = request.rollout(previous=endpoint.endpoint_config_name, target=None)
    state = request.with_analysis(RolloutState(rollout=rollout, findings=findings))
    lines = "\n".join(f"- {finding}" for finding in findings)
    return (AlarmNotFound if missing else PreflightFailed)(
        f"Preflight stopped the update of {request.endpoint_name} to {request.target}:\n{lines}",
        [finding.as_dict() for finding in findings],
        rollout_report(replace(state, last_look=endpoint)),
    )
