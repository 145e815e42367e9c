"""Read what the preflight checks need from AWS, and stop the update if a check fails."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import account_of, parse_endpoint_config
from airflow_guardrails.aws.guards import guard_as_alarm
from airflow_guardrails.domain.canary.evidence import Trial, published_until
from airflow_guardrails.domain.canary.power import power_report
from airflow_guardrails.domain.judge.evidence import MAX_HISTORY
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.analysis import with_power
from airflow_guardrails.domain.preflight.context import PreflightContext, as_it_runs
from airflow_guardrails.domain.preflight.findings import Code, Finding, Severity
from airflow_guardrails.domain.rollout.report import rollout_report
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import AlarmNotFound, PreflightFailed
from airflow_guardrails.operators._launch.reading import missing_config
from airflow_guardrails.operators._launch.request import LaunchRequest

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook
    from airflow_guardrails.operators._launch.launch import ConfigFactory

_ONE_HOUR = timedelta(hours=1)
_LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.NOTE: logging.INFO}


def read_context(
    request: LaunchRequest,
    endpoint: Endpoint,
    *,
    target: EndpointConfig | None,
    hook: GuardrailsHook,
    factory: ConfigFactory | None = None,
) -> PreflightContext:
    """
    Read what the checks need.

    :param target: the configuration to update to; ``None`` if there is none of that name.
    :param factory: creates the target, and perhaps its model; ``None`` if both exist.
    :raises EndpointConfigNotFound: if *target* is ``None``.
    """
    if target is None:
        raise missing_config(request.target, hook)
    request = request.for_target(target)
    serving = _serving_config(endpoint, hook)
    switch = request.switch.alarm_name
    guards = {guard.name: guard.words for guard in request.guard_alarms}
    names = [name for name in request.guardrails.alarms if name not in {switch, *guards}]
    guardrails = request.guardrails_on(target, endpoint, serving=serving)
    context = PreflightContext(
        endpoint=endpoint,
        serving=serving,
        target=target,
        guardrails=request.guardrails,
        alarms=(
            *(hook.describe_alarms(names) if names else ()),
            *map(guard_as_alarm, request.guard_alarms),
        ),
        guards=guards,
        switch=switch if request.abort_switch else None,
        retained=request.retained,
        marketplace=_marketplace([config for config in (serving, target) if config], hook)
        or (factory is not None and factory.uses_marketplace),
        max_wait=request.wait_limit(target, endpoint, guardrails),
        require_alarms_ok=request.require_alarms_ok,
        allow_unguarded=request.allow_unguarded,
        analysis=request.analysis,
    )
    return _with_traffic(as_it_runs(context), hook)


def run_preflight(request: LaunchRequest, context: PreflightContext, *, log: Any) -> tuple[Finding, ...]:
    """
    Log and return all findings, if none of them stops the update.

    :raises PreflightFailed: if any finding stops the update. The text lists all findings.
    """
    findings = preflight(context)
    for finding in findings:
        log.log(_LEVELS[finding.severity], "%s", finding)
    if any(finding.stops for finding in findings):
        raise _failure(request, context, findings)
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


def _with_traffic(context: PreflightContext, hook: GuardrailsHook) -> PreflightContext:
    """
    Add the traffic and the metrics of each variant, and what an analysis can find; nothing without one.

    A missing metric stops no update, so no error is raised if CloudWatch cannot be read, except if the task
    may not read metrics and every update needs a Pass.
    """
    if context.analysis is None:
        return context
    endpoint, target = context.endpoint, context.target.name
    names, end = tuple(variant.name for variant in endpoint.variants), published_until(endpoint.seen_at)
    serving = endpoint.endpoint_config_name or target
    trial = Trial(endpoint_name=endpoint.name, variants=names, previous=serving, target=target, start=end)
    rules = context.analysis.rules
    try:
        series = hook.get_metric_data(
            trial.history_queries(rules), start=end - MAX_HISTORY, end=end, period=60
        )
    except (ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
        denied = isinstance(error, ClientError) and errors.is_access_denied(error)
        if denied and context.analysis.needs_pass:
            # There would never be a Pass, so the update would be rolled back after all of its bakes.
            raise
        return replace(context, traffic_unread=errors.named_text(error))
    # All configurations count, not only the one in service: it may have come into service a minute ago.
    requests = {name: series[trial.requests_query(name, None)] for name in names}
    traffic = {
        name: sum(count for minute, count in counts.items() if minute >= end - _ONE_HOUR)
        for name, counts in requests.items()
    }
    past = {name: trial.history(name, series, rules) for name in names}
    return with_power(replace(context, traffic=traffic, past=past))


def _failure(
    request: LaunchRequest, context: PreflightContext, findings: tuple[Finding, ...]
) -> PreflightFailed:
    missing = any(finding.code is Code.ALARM_MISSING for finding in findings)
    rollout = request.rollout(
        previous=context.endpoint.endpoint_config_name, target=None, guardrails=context.guardrails
    )
    state = request.with_analysis(
        RolloutState(rollout=rollout, findings=findings), power=power_report(context.power)
    )
    lines = "\n".join(f"- {finding}" for finding in findings)
    return (AlarmNotFound if missing else PreflightFailed)(
        f"Preflight stopped the update of {request.endpoint_name} to {request.target}:\n{lines}",
        [finding.as_dict() for finding in findings],
        rollout_report(replace(state, last_look=context.endpoint)),
    )
