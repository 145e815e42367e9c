"""Checks of the alarms: whether they exist, are OK, and can go off because of this update, in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from airflow_guardrails.domain.deployment.step_sizes import StepSize, longest_bake, step_size
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, warning
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmRule, AlarmState
from airflow_guardrails.domain.snapshots.metrics import (
    ERROR_METRICS,
    INSTANCE_NAMESPACE,
    METRICS_LAG,
    REQUEST_NAMESPACE,
)
from airflow_guardrails.domain.text import duration_in_words
from airflow_guardrails.domain.times import format_time

_NAMESPACES = frozenset({REQUEST_NAMESPACE, INSTANCE_NAMESPACE})
_CONFIG_DIMENSION = "EndpointConfigName"
# The statistics of an error metric that are at most 1, because each of its values is 0 or 1.
_AT_MOST_ONE = frozenset({"Average", "Minimum", "Maximum"})
_ABOVE = {"GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": ">="}
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
    return alarm.rule is not None and alarm.rule.dimension(_CONFIG_DIMENSION) == context.target.name


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
            yield warning(Code.ALARM_COMPOSITE, text, fix="name the metric alarms that it consists of")


def _elsewhere(context: PreflightContext) -> Iterator[Finding]:
    for alarm, rule in _rules(context):
        # The dimensions of a custom metric may mean anything.
        if rule.namespace not in _NAMESPACES:
            continue
        if foreign := [*_foreign_dimensions(rule, context)]:
            text = f"alarm {alarm.name} cannot see this update: {'; '.join(foreign)}"
            yield error(Code.ALARM_ELSEWHERE, text, fix="correct its dimensions, or remove it from alarms")


def _foreign_dimensions(rule: AlarmRule, context: PreflightContext) -> Iterator[str]:
    variants = [variant.name for variant in (*context.target.variants, *context.target.shadow_variants)]
    configs = [name for name in (context.target.name, context.endpoint.endpoint_config_name) if name]
    expected = {
        "EndpointName": [context.endpoint.name],
        "VariantName": variants,
        _CONFIG_DIMENSION: configs,
    }
    for name, value in rule.dimensions:
        if name in expected and value not in expected[name]:
            yield f"its {name} is {value}, not {' or '.join(expected[name])}"


def _unreachable(context: PreflightContext) -> Iterator[Finding]:
    for alarm, rule in _rules(context):
        # A sample in the developer guide has such a condition: Average above 1.
        if _is_error_rate(rule) and not _goes_off_at(1, rule):
            text = f"alarm {alarm.name} needs {_condition(rule)}, and an error rate is at most 1 (100 %)"
            fix = "write 1 % as 0.01, or use the statistic Sum to count errors"
            yield error(Code.ALARM_UNREACHABLE, text, fix=fix)


def _too_slow(context: PreflightContext) -> Iterator[Finding]:
    longest, total = longest_bake(context.guardrails.strategy), context.guardrails.total_bake
    for alarm, rule in _rules(context):
        needed = _time_needed(rule)
        # SageMaker watches alarms in bakes, so a slower alarm may go off too late.
        if total and needed > longest:
            limit = f"{duration_in_words(longest)}, the longest bake"
            if needed > total:
                limit = f"{duration_in_words(total)}, all bakes together"
            text = f"alarm {alarm.name} needs about {_time_needed_in_words(rule)} > {limit}"
            fix = "give it a shorter period or fewer datapoints, or bake longer"
            yield warning(Code.ALARM_TOO_SLOW, text, fix=fix)


def _time_needed(rule: AlarmRule) -> timedelta:
    """Return the time from the first failed request until the alarm goes off."""
    return rule.period * rule.datapoints_to_alarm + _lag(rule)


def _lag(rule: AlarmRule) -> timedelta:
    # CloudWatch evaluates an alarm each minute, or each ten seconds if its period is shorter than a minute.
    return METRICS_LAG if rule.namespace in _NAMESPACES else min(rule.period, _MINUTE)


def _time_needed_in_words(rule: AlarmRule) -> str:
    datapoints = f"{rule.datapoints_to_alarm} x {duration_in_words(rule.period)}"
    return f"{duration_in_words(_time_needed(rule))} ({datapoints}, and {duration_in_words(_lag(rule))} lag)"


def _diluted(context: PreflightContext) -> Iterator[Finding]:
    """Find alarms without the configuration dimension, which the old fleet's good responses keep OK."""
    step = step_size(context.guardrails.strategy)
    if step is None or not step.bake:
        return
    for alarm, rule in _rules(context):
        reading = _reading_if_step_fails(rule, step, context)
        if reading is not None and _goes_off_at(1, rule) and not _goes_off_at(reading, rule):
            text = (
                f"alarm {alarm.name} needs {_condition(rule)}, and reads {reading:.3g} in the first bake if "
                "all requests to the new fleet fail and none to the old fleet"
            )
            fix = (
                f"add the dimension {_CONFIG_DIMENSION}={context.target.name}, or a threshold < {reading:.3g}"
            )
            yield warning(Code.ALARM_DILUTED, text, fix=fix)


def _reading_if_step_fails(rule: AlarmRule, step: StepSize, context: PreflightContext) -> float | None:
    """Return the error rate of both fleets together, 0 to 1; None if the alarm does not watch that."""
    both_fleets = rule.statistic == "Average" and rule.dimension(_CONFIG_DIMENSION) is None
    count = dict(context.fleets).get(rule.dimension("VariantName") or "")
    if not (_is_error_rate(rule) and both_fleets and count):
        return None
    return step.share(count)


def _rules(context: PreflightContext) -> list[tuple[Alarm, AlarmRule]]:
    return [(alarm, alarm.rule) for alarm in context.users_alarms if alarm.rule]


def _is_error_rate(rule: AlarmRule) -> bool:
    return (
        rule.namespace == REQUEST_NAMESPACE
        and rule.metric in ERROR_METRICS
        and rule.statistic in _AT_MOST_ONE
        and rule.comparison in _ABOVE
    )


def _goes_off_at(reading: float, rule: AlarmRule) -> bool:
    at_threshold = rule.comparison == "GreaterThanOrEqualToThreshold" and reading == rule.threshold
    return reading > rule.threshold or at_threshold


def _condition(rule: AlarmRule) -> str:
    return f"{rule.statistic} {rule.metric} {_ABOVE[rule.comparison]} {rule.threshold:g}"


CHECKS = (_missing, _state, _elsewhere, _unreachable, _composite, _too_slow, _diluted)
