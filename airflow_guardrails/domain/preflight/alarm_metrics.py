"""
Checks of what the alarms watch: whether it exists, and belongs to this update.

Only metrics in SageMaker's namespaces are checked: all others may mean anything. An alarm that has had a
value watches something that exists, whatever AWS documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, warning
from airflow_guardrails.domain.snapshots.alarms import Alarm, WatchedMetric
from airflow_guardrails.domain.snapshots.arn import place_of
from airflow_guardrails.domain.snapshots.metrics import INSTANCE_NAMESPACE
from airflow_guardrails.domain.snapshots.published_metrics import (
    ASYNC_METRICS,
    COMPONENT_DIMENSION,
    CONFIG_DIMENSION,
    DIMENSIONS,
    MACHINE_DIMENSIONS,
    PUBLISHED,
    other_namespace,
    unit_of,
)

_FIX_METRIC = "correct its namespace, metric and dimensions"


def _elsewhere(context: PreflightContext) -> Iterator[Finding]:
    """Find alarms of which no metric can be about this endpoint."""
    for alarm in context.users_alarms:
        if each := _reasons_elsewhere(alarm, context):
            text = f"alarm {alarm.name} cannot see this update: {'; '.join(each)}"
            yield error(Code.ALARM_ELSEWHERE, text, fix=f"{_FIX_METRIC}, or remove it from alarms")


def _reasons_elsewhere(alarm: Alarm, context: PreflightContext) -> list[str]:
    reasons = [[*_why_elsewhere(metric, alarm, context)] for metric in alarm.metrics]
    # Metric math may compare this endpoint with something else, so all of its metrics must be wrong.
    return [*dict.fromkeys(reason for found in reasons for reason in found)] if all(reasons) else []


def _why_elsewhere(metric: WatchedMetric, alarm: Alarm, context: PreflightContext) -> Iterator[str]:
    if metric.namespace not in PUBLISHED:
        return
    yield from _foreign_dimensions(metric, context)
    account = place_of(context.target.arn).account
    if metric.account and account and metric.account != account:
        yield f"its metric is of account {metric.account}, not {account}"
    if not _has_data(alarm):
        yield from _why_absent(metric)


def _why_absent(metric: WatchedMetric) -> Iterator[str]:
    if metric.namespace not in PUBLISHED:
        return
    if other := other_namespace(metric.namespace, metric.metric):
        yield f"SageMaker publishes {metric.metric} in {other}, not in {metric.namespace}"
    if missing := _missing_dimensions(metric):
        names = " and ".join(missing)
        yield f"it has no {names}, and SageMaker publishes {metric.metric} only with the dimension {names}"


def _foreign_dimensions(metric: WatchedMetric, context: PreflightContext) -> Iterator[str]:
    variants = [variant.name for variant in (*context.target.variants, *context.target.shadow_variants)]
    configs = [name for name in (context.target.name, context.endpoint.endpoint_config_name) if name]
    expected = {
        "EndpointName": [context.endpoint.name],
        "VariantName": variants,
        CONFIG_DIMENSION: configs,
    }
    for name, value in metric.dimensions:
        if name in expected and value not in expected[name]:
            yield f"its {name} is {value}, not {' or '.join(expected[name])}"


def _missing_dimensions(metric: WatchedMetric) -> list[str]:
    # The dimensions of a metric that AWS does not document are unknown.
    if metric.dimension(COMPONENT_DIMENSION) or metric.metric not in PUBLISHED[metric.namespace]:
        return []
    needed = ["EndpointName"] if metric.metric in ASYNC_METRICS else ["EndpointName", "VariantName"]
    return [name for name in needed if metric.dimension(name) is None]


def _unpublished(context: PreflightContext) -> Iterator[Finding]:
    """Find metrics that AWS does not document. It may have added one since, so this is no error."""
    for alarm in context.users_alarms:
        if _has_data(alarm):
            continue
        elsewhere = _reasons_elsewhere(alarm, context)
        for metric in dict.fromkeys(alarm.metrics):
            absent = [] if elsewhere else [(why, _FIX_METRIC) for why in _why_absent(metric)]
            for why, fix in (*absent, *_why_unpublished(metric)):
                text = f"alarm {alarm.name} may never have data, and never go off: {why}"
                yield warning(Code.ALARM_UNPUBLISHED, text, fix=fix)


def _why_unpublished(metric: WatchedMetric) -> Iterator[tuple[str, str]]:
    name, namespace = metric.metric, metric.namespace
    if namespace not in PUBLISHED:
        yield from _misspelt_namespace(namespace)
        return
    if name not in PUBLISHED[namespace] and other_namespace(namespace, name) is None:
        known = sorted(PUBLISHED[namespace])
        close = get_close_matches(name, known, n=1, cutoff=0.5) or [", ".join(known)]
        yield f"AWS documents no metric {name} in {namespace}", f"use a metric that exists: {close[0]}"
    if unknown := [key for key, _ in metric.dimensions if key not in DIMENSIONS]:
        text = f"AWS documents no dimension {', '.join(unknown)} of {namespace} {name}"
        yield text, "remove the dimension; a metric is found only by exactly its own dimensions"
    if namespace == INSTANCE_NAMESPACE and metric.dimension(CONFIG_DIMENSION):
        text = f"AWS does not document that metrics in {namespace} have the dimension {CONFIG_DIMENSION}"
        yield text, "remove the dimension, or watch errors and latency of the requests"
    unit = unit_of(namespace, name)
    if metric.unit and unit and metric.unit != unit:
        yield (
            f"SageMaker publishes {name} in the unit {unit}, not {metric.unit}",
            "remove Unit from the alarm",
        )


def _misspelt_namespace(namespace: str) -> Iterator[tuple[str, str]]:
    plain = namespace.lower().strip("/")
    for name in PUBLISHED:
        if plain == name.lower().strip("/"):
            text = f"its namespace is {namespace}, and SageMaker publishes metrics of endpoints in {name}"
            yield text, f"write {name}: names of namespaces are exact"


def _has_data(alarm: Alarm) -> bool:
    # FILL makes values where a metric has none.
    filled = alarm.expression is not None and "FILL" in alarm.expression.text
    return alarm.value is not None and not filled


def _old_fleet(context: PreflightContext) -> Iterator[Finding]:
    """Find alarms that watch only what the update replaces."""
    for alarm in context.users_alarms:
        reasons = [_why_old(metric, context) for metric in alarm.metrics]
        known = [reason for reason in reasons if reason]
        if known and len(known) == len(reasons):
            watched = " and ".join(dict.fromkeys(known))
            text = f"alarm {alarm.name} cannot see the new fleet: it watches {watched}"
            fix = f"add an alarm with the dimension {CONFIG_DIMENSION}={context.target.name}, or without it"
            yield warning(Code.ALARM_OLD_FLEET, text, fix=fix)


def _why_old(metric: WatchedMetric, context: PreflightContext) -> str | None:
    serving = context.endpoint.endpoint_config_name
    if metric.namespace not in PUBLISHED:
        return None
    if serving and serving != context.target.name and metric.dimension(CONFIG_DIMENSION) == serving:
        return f"only {serving}, the configuration in service"
    machines = [name for name in MACHINE_DIMENSIONS if metric.dimension(name)]
    return f"only the {machines[0]} {metric.dimension(machines[0])} of the old fleet" if machines else None


CHECKS = (_elsewhere, _unpublished, _old_fleet)
