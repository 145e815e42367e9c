"""Whether the alarms exist, are calm, and could go off because of this update, in time."""

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

_NAMESPACES = frozenset({REQUEST_NAMESPACE, INSTANCE_NAMESPACE})
CONFIG_DIMENSION = "EndpointConfigName"
_AT_MOST_ONE = frozenset({"Average", "Minimum", "Maximum"})
_ABOVE = {"GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": ">="}
_MINUTE = timedelta(minutes=1)


def missing(facts: PreflightContext) -> Iterator[Finding]:
    found = {alarm.name for alarm in facts.alarms}
    for name in facts.users_alarm_names:
        if name not in found:
            fix = "create it in the endpoint's region, or correct alarms (names, not ARNs)"
            yield error(Code.ALARM_MISSING, f"there is no CloudWatch alarm {name}", fix=fix)


def state(facts: PreflightContext) -> Iterator[Finding]:
    for alarm in facts.users_alarms:
        if alarm.state is AlarmState.ALARM:
            since = f" since {alarm.since.isoformat()}" if alarm.since else ""
            reason = f" ({alarm.reason})" if alarm.reason else ""
            text = f"alarm {alarm.name} is in ALARM{since}, and must be OK{reason}"
            yield error(Code.ALARM_IN_ALARM, text, fix="wait until it is OK, or leave it out of alarms")
        if alarm.state is AlarmState.INSUFFICIENT_DATA and not _waits_for_target(alarm, facts):
            yield _without_data(alarm, required=facts.require_alarms_ok)


def _waits_for_target(alarm: Alarm, facts: PreflightContext) -> bool:
    """Tell an alarm on the new fleet, which has no data before the fleet has traffic."""
    return alarm.rule is not None and alarm.rule.dimension(CONFIG_DIMENSION) == facts.target.name


def _without_data(alarm: Alarm, *, required: bool) -> Finding:
    say = error if required else warning
    text = f"alarm {alarm.name} is in INSUFFICIENT_DATA, and {'must' if required else 'should'} be OK"
    fix = "see whether its dimensions are right and the endpoint gets requests"
    return say(Code.ALARM_WITHOUT_DATA, f"{text}: nobody knows whether it works", fix=fix)


def composite(facts: PreflightContext) -> Iterator[Finding]:
    for alarm in facts.users_alarms:
        if alarm.composite:
            text = f"alarm {alarm.name} is a composite alarm, and AWS does not say whether SageMaker looks at"
            yield warning(Code.ALARM_COMPOSITE, f"{text} those", fix="name the metric alarms it is made of")


def elsewhere(facts: PreflightContext) -> Iterator[Finding]:
    for alarm, rule in _rules(facts):
        if rule.namespace not in _NAMESPACES:
            continue
        if foreign := [*_foreign_dimensions(rule, facts)]:
            text = f"alarm {alarm.name} cannot see this update: {'; '.join(foreign)}"
            yield error(Code.ALARM_ELSEWHERE, text, fix="correct its dimensions, or leave it out of alarms")


def _foreign_dimensions(rule: AlarmRule, facts: PreflightContext) -> Iterator[str]:
    variants = [variant.name for variant in (*facts.target.variants, *facts.target.shadow_variants)]
    configs = [name for name in (facts.target.name, facts.endpoint.endpoint_config_name) if name]
    expected = {
        "EndpointName": [facts.endpoint.name],
        "VariantName": variants,
        CONFIG_DIMENSION: configs,
    }
    for name, value in rule.dimensions:
        if name in expected and value not in expected[name]:
            yield f"its {name} is {value}, not {' or '.join(expected[name])}"


def unreachable(facts: PreflightContext) -> Iterator[Finding]:
    for alarm, rule in _rules(facts):
        if _is_error_rate(rule) and not _goes_off_at(1, rule):
            text = f"alarm {alarm.name} needs {_condition(rule)}, and an error rate is at most 1 (100 %)"
            fix = "write 1 % as 0.01, or use the statistic Sum to count errors"
            yield error(Code.ALARM_UNREACHABLE, text, fix=fix)


def too_slow(facts: PreflightContext) -> Iterator[Finding]:
    longest, total = longest_bake(facts.guardrails.strategy), facts.guardrails.total_bake
    for alarm, rule in _rules(facts):
        needed = _time_needed(rule)
        if total and needed > longest:
            limit = f"{duration_in_words(longest)}, the longest bake"
            if needed > total:
                limit = f"{duration_in_words(total)}, all bakes together"
            text = f"alarm {alarm.name} needs about {_time_needed_in_words(rule)} > {limit}"
            fix = "give it a shorter period or fewer datapoints, or bake longer"
            yield warning(Code.ALARM_TOO_SLOW, text, fix=fix)


def _time_needed(rule: AlarmRule) -> timedelta:
    """From the first bad request until the alarm goes off."""
    return rule.period * rule.datapoints_to_alarm + _lag(rule)


def _lag(rule: AlarmRule) -> timedelta:
    # Alarms are evaluated each minute, those of a shorter period each ten seconds.
    return METRICS_LAG if rule.namespace in _NAMESPACES else min(rule.period, _MINUTE)


def _time_needed_in_words(rule: AlarmRule) -> str:
    datapoints = f"{rule.datapoints_to_alarm} x {duration_in_words(rule.period)}"
    return f"{duration_in_words(_time_needed(rule))} ({datapoints}, and {duration_in_words(_lag(rule))} lag)"


def diluted(facts: PreflightContext) -> Iterator[Finding]:
    """
    Find alarms on the variant, whose name both fleets share, that the old fleet's good answers keep calm.
    """
    step = step_size(facts.guardrails.strategy)
    if step is None or not step.bake:
        return
    for alarm, rule in _rules(facts):
        reading = _reading_of_failing_step(rule, step, facts)
        if reading is not None and _goes_off_at(1, rule) and not _goes_off_at(reading, rule):
            text = (
                f"alarm {alarm.name} needs {_condition(rule)}, and reads {reading:.3g} in the first bake if "
                "every request of the new fleet fails and none of the old one's"
            )
            fix = f"add the dimension {CONFIG_DIMENSION}={facts.target.name}, or a threshold < {reading:.3g}"
            yield warning(Code.ALARM_DILUTED, text, fix=fix)


def _reading_of_failing_step(rule: AlarmRule, step: StepSize, facts: PreflightContext) -> float | None:
    blends = rule.statistic == "Average" and rule.dimension(CONFIG_DIMENSION) is None
    count = dict(facts.fleets).get(rule.dimension("VariantName") or "")
    if not (_is_error_rate(rule) and blends and count):
        return None
    return step.share(count)


def _rules(facts: PreflightContext) -> list[tuple[Alarm, AlarmRule]]:
    return [(alarm, alarm.rule) for alarm in facts.users_alarms if alarm.rule]


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


CHECKS = (missing, state, elsewhere, unreachable, composite, too_slow, diluted)
