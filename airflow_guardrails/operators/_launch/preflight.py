"""Gather the facts, and hold the update against them before it is asked for."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import account_of, parse_endpoint_config
from airflow_guardrails.domain.canary.evidence import published_until, requests_of
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
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_AN_HOUR = timedelta(hours=1)


def check(
    wishes: LaunchRequest,
    look: Endpoint,
    *,
    hook: GuardrailsHook,
    log: Any,
    target: EndpointConfig | None = None,
) -> tuple[Finding, ...]:
    """
    Return what was found and does not stop the update; each warning is logged.

    :param target: the configuration to update to, where it is known already or yet to be made.
    :raises EndpointConfigNotFound: if there is no configuration to update to.
    :raises PreflightFailed: if anything found stops the update; the text shows all of it.
    """
    findings = preflight(gather(wishes, look, hook=hook, target=target))
    for finding in findings:
        log.log(logging.ERROR if finding.stops else logging.WARNING, "%s", finding)
    if any(finding.stops for finding in findings):
        raise _failure(wishes, look, findings)
    return findings


def gather(
    wishes: LaunchRequest, look: Endpoint, *, hook: GuardrailsHook, target: EndpointConfig | None = None
) -> PreflightContext:
    target = target or _config(wishes.target, hook)
    if target is None:
        raise EndpointConfigNotFound(
            f"Endpoint configuration {wishes.target} does not exist in {hook.conn_region_name}: create it "
            "before this task, or correct endpoint_config_name"
        )
    serving = _config(look.endpoint_config_name, hook) if look.endpoint_config_name else None
    switch = wishes.switch.alarm_name
    names = [name for name in wishes.guardrails.alarms if name != switch]
    traffic, past, unread = _traffic(look, hook) if wishes.analysis else ({}, {}, None)
    return PreflightContext(
        endpoint=look,
        serving=serving,
        target=target,
        guardrails=wishes.guardrails,
        alarms=hook.describe_alarms(names) if names else (),
        switch=switch if wishes.abort_switch else None,
        retained=wishes.retained,
        marketplace=_marketplace([config for config in (serving, target) if config], hook),
        max_wait=wishes.longest(target, look),
        require_alarms_ok=wishes.require_alarms_ok,
        allow_unguarded=wishes.allow_unguarded,
        analysis=wishes.analysis,
        traffic=traffic,
        past=past,
        traffic_unread=unread,
    )


def _config(name: str, hook: GuardrailsHook) -> EndpointConfig | None:
    answer = hook.describe_endpoint_config(name)
    return parse_endpoint_config(answer) if answer else None


def _marketplace(configs: list[EndpointConfig], hook: GuardrailsHook) -> bool:
    """Without permission to look at models (sagemaker:DescribeModel), none is taken to be Marketplace's."""
    models = {variant.model_name for config in configs for variant in config.variants if variant.model_name}
    try:
        return hook.uses_marketplace_model(sorted(models), account_id=account_of(configs[-1].arn))
    except ClientError as error:
        if errors.is_access_denied(error):
            return False
        raise


def _traffic(look: Endpoint, hook: GuardrailsHook) -> tuple[dict[str, float], dict[str, int], str | None]:
    """
    Count the requests of the last hour by variant, and the minutes before now in which it had any.

    Or say why nobody can: that stops no update.
    """
    # Whatever it has served: a configuration may have come into service a minute ago.
    by_variant = {variant.name: requests_of(look.name, variant.name) for variant in look.variants}
    end = published_until(look.seen_at)
    queries = tuple(by_variant.values())
    try:
        series = hook.get_metric_data(queries, start=end - MAX_HISTORY, end=end, period=60)
    except (ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
        return {}, {}, errors.named_text(error)
    traffic = {
        name: sum(count for moment, count in series[query].items() if moment >= end - _AN_HOUR)
        for name, query in by_variant.items()
    }
    past = {name: sum(count > 0 for count in series[query].values()) for name, query in by_variant.items()}
    return traffic, past, None


def _failure(wishes: LaunchRequest, look: Endpoint, findings: tuple[Finding, ...]) -> PreflightFailed:
    missing = any(finding.code is Code.ALARM_MISSING for finding in findings)
    rollout = wishes.rollout(previous=look.endpoint_config_name, target=None)
    watch = wishes.analysed(RolloutState(rollout=rollout, findings=findings))
    lines = "\n".join(f"- {finding}" for finding in findings)
    return (AlarmNotFound if missing else PreflightFailed)(
        f"The update of {wishes.endpoint_name} to {wishes.target} was not asked for. Found:\n{lines}",
        [finding.as_dict() for finding in findings],
        rollout_report(replace(watch, last_look=look)),
    )
