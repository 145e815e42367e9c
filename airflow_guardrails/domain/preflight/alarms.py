"""Checks of the alarms: whether they exist, are OK, and can go off because of this update, in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from airflow_guardrails.domain.deployment.step_sizes import longest_bake
from airflow_guardrails.domain.preflight import alarm_metrics, alarm_readings
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, note, warning
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmState, ExpressionKind
from airflow_guardrails.domain.snapshots.metrics import METRICS_LAG
from airflow_guardrails.domain.snapshots.published_metrics import CONFIG_DIMENSION, PUBLISHED
from airflow_guardrails.domain.text import duration_in_words
from airflow_guardrails.domain.times import format_time

_MINUTE = timedelta(minutes=1)


def _missing(context: PreflightContext) -> Iterator[Finding]:
    found = {alarm.name for alarm in context.alarms}
    for name in context.users_alarm_names:
        if name not in found:
            fix = "create it in the endpoint's region, or correct alarms (names, not ARNs)"
            yield error(Code.ALARM_MISSING, f"there is no CloudWatch alarm {name}", fix=fix)


def _state(context: PreflightContext) -> Iterator[Finding]:
    for alarm in context.users_alarms:
        # AWS does not document what SageMaker does with an alarm that is in ALARM at the start.
        if alarm.state is AlarmState.ALARM:
            since = f" since {format_time(alarm.since)}" if alarm.since else ""
            reason = f" ({alarm.reason})" if alarm.reason else ""
            text = f"alarm {alarm.name} is in ALARM{since}, and must be OK{reason}"
            yield error(Code.ALARM_IN_ALARM, text, fix="wait until it is OK, or remove it from alarms")
        if alarm.state is AlarmState.INSUFFICIENT_DATA and not _is_for_new_fleet(alarm, context):
            yield _without_data(alarm, required=context.require_alarms_ok)


def _is_for_new_fleet(alarm: Alarm, context: PreflightContext) -> bool:
    """Whether the alarm watches the new fleet, which has no data before it has traffic."""
    query = alarm.expression.text if alarm.expression and not alarm.metrics else ""
    return f"'{context.target.name}'" in query.replace('"', "'") or any(
        metric.dimension(CONFIG_DIMENSION) == context.target.name for metric in alarm.metrics
    )


def _without_data(alarm: Alarm, *, required: bool) -> Finding:
    # A new alarm begins in this state. AWS does not document what it means for an update.
    finding = error if required else warning
    text = f"alarm {alarm.name} is in INSUFFICIENT_DATA, and {'must' if required else 'should'} be OK"
    fix = "check its dimensions, and whether the endpoint gets requests"
    return finding(Code.ALARM_WITHOUT_DATA, f"{text}: it is unknown whether the alarm works", fix=fix)


def _composite(context: PreflightContext) -> Iterator[Finding]:
    for alarm in context.users_alarms:
        if alarm.composite:
            text = (
                f"alarm {alarm.name} is a composite alarm, and AWS does not document whether SageMaker "
                "watches those"
            )
            children = f": {', '.join(alarm.children)}" if alarm.children else ""
            fix = f"name the metric alarms that it consists of{children}"
            yield warning(Code.ALARM_COMPOSITE, text, fix=fix)


def _unchecked(context: PreflightContext) -> Iterator[Finding]:
    for alarm in context.users_alarms:
        if alarm.rule is None and not alarm.composite:
            text = (
                f"alarm {alarm.name} watches {alarm.watches or 'something of an unknown form'}: preflight "
                "cannot tell whether it can go off, nor whether the old fleet's traffic hides a bad new fleet"
            )
            yield note(Code.ALARM_UNCHECKED, text)


def _too_slow(context: PreflightContext) -> Iterator[Finding]:
    longest, total = longest_bake(context.guardrails.strategy), context.guardrails.total_bake
    # SageMaker watches alarms in bakes, so a slower alarm may go off too late.
    if not total:
        return
    for alarm in context.users_alarms:
        if _must_learn(alarm, context):
            text = (
                f"alarm {alarm.name} learns its band from the metric's past, and {context.target.name} has "
                "none: it goes off after the bakes, if ever"
            )
            fix = f"compare with a threshold, or remove the dimension {CONFIG_DIMENSION}"
            yield warning(Code.ALARM_TOO_SLOW, text, fix=fix)
            continue
        watched = alarm.rule or alarm.expression
        if watched is None or watched.period is None:
            continue
        lag = _lag(alarm, watched.period)
        needed = watched.period * watched.datapoints_to_alarm + lag
        if needed > longest:
            limit = f"{duration_in_words(longest)}, the longest bake"
            if needed > total:
                limit = f"{duration_in_words(total)}, all bakes together"
            parts = f"{watched.datapoints_to_alarm} x {duration_in_words(watched.period)}"
            parts = f"{parts}, and {duration_in_words(lag)} lag"
            text = f"alarm {alarm.name} needs about {duration_in_words(needed)} ({parts}) > {limit}"
            fix = "give it a shorter period or fewer datapoints, or bake longer"
            yield warning(Code.ALARM_TOO_SLOW, text, fix=fix)


def _must_learn(alarm: Alarm, context: PreflightContext) -> bool:
    band = alarm.expression is not None and alarm.expression.kind is ExpressionKind.BAND
    return band and _is_for_new_fleet(alarm, context)


def _lag(alarm: Alarm, period: timedelta) -> timedelta:
    # CloudWatch evaluates an alarm each minute, or each ten seconds if its period is shorter than a minute.
    from_sagemaker = any(metric.namespace in PUBLISHED for metric in alarm.metrics)
    return METRICS_LAG if from_sagemaker else min(period, _MINUTE)


CHECKS = (
    _missing,
    _state,
    *alarm_metrics.CHECKS,
    *alarm_readings.CHECKS,
    _composite,
    _too_slow,
    _unchecked,
)
