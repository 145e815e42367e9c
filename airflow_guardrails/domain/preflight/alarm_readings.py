"""Checks of the values at which alarms on one metric go off, and whether this update can produce them."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from airflow_guardrails.domain.deployment.step_sizes import StepSize, step_size
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, note, warning
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmRule
from airflow_guardrails.domain.snapshots.metrics import ERROR_METRICS, REQUEST_NAMESPACE
from airflow_guardrails.domain.snapshots.published_metrics import (
    CONFIG_DIMENSION,
    FREQUENCY,
    NEVER_ZERO,
    PER_REQUEST,
    PUBLISHED,
    highest,
    percentile,
)
from airflow_guardrails.domain.text import duration_in_words

_ABOVE = {"GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": ">="}
_BELOW = {"LessThanThreshold": "<", "LessThanOrEqualToThreshold": "<="}
_INCLUSIVE = frozenset({"GreaterThanOrEqualToThreshold", "LessThanOrEqualToThreshold"})


def _unreachable(context: PreflightContext) -> Iterator[Finding]:
    for alarm, rule in _rules(context):
        limit = highest(rule.namespace, rule.metric, rule.statistic)
        # A sample in the developer guide has such a condition: Average above 1.
        if rule.comparison in _ABOVE and limit is not None and not _goes_off_at(limit, rule):
            error_rate = rule.metric in ERROR_METRICS
            what = "an error rate is at most 1 (100 %)" if error_rate else f"it is at most {limit}"
            text = f"alarm {alarm.name} needs {_condition(rule)}, and {what}"
            fix = f"lower the threshold to less than {limit}"
            if error_rate:
                fix = "write 1 % as 0.01, or use the statistic Sum to count errors"
            yield error(Code.ALARM_UNREACHABLE, text, fix=fix)
        published = rule.metric in PUBLISHED.get(rule.namespace, ())
        if rule.comparison in _BELOW and published and not _goes_off_at(0, rule):
            text = f"alarm {alarm.name} needs {_condition(rule)}, and it is never below 0"
            yield error(Code.ALARM_UNREACHABLE, text, fix="raise the threshold, or compare with >")


def _missing_data(context: PreflightContext) -> Iterator[Finding]:
    for alarm, rule in _rules(context):
        if rule.namespace not in PUBLISHED:
            continue
        if _is_breaching_before_traffic(rule, context):
            text = (
                f"alarm {alarm.name} treats missing data as breaching, and {context.target.name} has no data "
                "before the new fleet has traffic: it is in ALARM from the start, and rolls every update back"
            )
            fix = "set TreatMissingData to missing or notBreaching"
            yield error(Code.ALARM_ALWAYS, text, fix=fix)
        if why := _why_never(alarm, rule):
            text = f"alarm {alarm.name} never goes off: {why}"
            yield warning(Code.ALARM_MISSING_DATA, text, fix="correct TreatMissingData, or its condition")


def _is_breaching_before_traffic(rule: AlarmRule, context: PreflightContext) -> bool:
    new = rule.dimension(CONFIG_DIMENSION) == context.target.name != context.endpoint.endpoint_config_name
    return new and rule.treat_missing_data == "breaching"


def _why_never(alarm: Alarm, rule: AlarmRule) -> str | None:
    counted = rule.statistic == "SampleCount" or (rule.metric in NEVER_ZERO and rule.statistic == "Sum")
    if counted and rule.treat_missing_data != "breaching" and alarm.value != 0 and _needs_less_than_one(rule):
        return (
            f"it needs {_condition(rule)}, a period without requests has no data, and it treats missing data "
            f"as {rule.treat_missing_data}"
        )
    real = ceil(rule.period * rule.evaluation_periods / FREQUENCY)
    if rule.treat_missing_data == "notBreaching" and rule.datapoints_to_alarm > real:
        return (
            f"it needs {rule.datapoints_to_alarm} datapoints in {rule.evaluation_periods} x "
            f"{duration_in_words(rule.period)}, SageMaker publishes one each "
            f"{duration_in_words(FREQUENCY)}, and it treats missing data as notBreaching"
        )
    return None


def _needs_less_than_one(rule: AlarmRule) -> bool:
    return rule.comparison in _BELOW and _goes_off_at(0, rule) and not _goes_off_at(1, rule)


def _low_samples(context: PreflightContext) -> Iterator[Finding]:
    for alarm, rule in _rules(context):
        quantile = percentile(rule.statistic)
        if quantile is None or rule.namespace != REQUEST_NAMESPACE:
            continue
        # CloudWatch user guide, "Percentile-based alarms and low data samples".
        needed = ceil(round(10 / min(quantile, 1 - quantile), 6))
        within = rule.period * rule.evaluation_periods
        expected = _requests(rule, context)
        ignores = rule.low_samples == "ignore"
        rate = f"{needed:,} requests in {duration_in_words(within)}"
        if expected is None and ignores:
            yield note(
                Code.ALARM_LOW_SAMPLES,
                f"alarm {alarm.name} keeps its state while there are fewer than {rate} "
                f"({rule.statistic}, EvaluateLowSampleCountPercentile is ignore)",
            )
        if expected is None or expected >= needed:
            continue
        measured = f"{expected:,.0f} < {rate}, which {rule.statistic} needs"
        if ignores:
            text = f"alarm {alarm.name} hardly goes off: at the traffic of the last hour it sees {measured}"
            fix = "set EvaluateLowSampleCountPercentile to evaluate, a longer period, or a lower percentile"
            yield warning(Code.ALARM_LOW_SAMPLES, f"{text}, and it ignores fewer", fix=fix)
        else:
            text = (
                f"alarm {alarm.name} may go off by chance: at the traffic of the last hour it sees {measured}"
            )
            yield note(Code.ALARM_LOW_SAMPLES, text)


def _requests(rule: AlarmRule, context: PreflightContext) -> float | None:
    """Return the requests that the alarm sees in its evaluation periods; None if the traffic is unknown."""
    name = rule.dimension("VariantName") or ""
    if name not in context.traffic:
        return None
    step, count = step_size(context.guardrails.strategy), dict(context.fleets).get(name)
    new_only = rule.dimension(CONFIG_DIMENSION) == context.target.name
    share = step.share(count) if new_only and step and count else 1.0
    hours = (rule.period * rule.evaluation_periods).total_seconds() / 3600
    return context.traffic[name] * hours * share


def _diluted(context: PreflightContext) -> Iterator[Finding]:
    """Find alarms without the configuration dimension, which the old fleet's good responses keep OK."""
    step = step_size(context.guardrails.strategy)
    if step is None or not step.bake:
        return
    for alarm, rule in _rules(context):
        share = _share_of_step(rule, step, context)
        if share is None:
            continue
        if rule.metric in ERROR_METRICS:
            yield from _diluted_errors(alarm, rule, share, context)
        elif _hides(rule.statistic, share):
            text = (
                f"alarm {alarm.name} watches {rule.statistic} {rule.metric} of both fleets, which stays the "
                f"old fleet's while the new one has {share:.0%} of the requests, in the first bake"
            )
            fix = f"add the dimension {CONFIG_DIMENSION}={context.target.name}, or use a higher percentile"
            yield warning(Code.ALARM_DILUTED, text, fix=fix)


def _share_of_step(rule: AlarmRule, step: StepSize, context: PreflightContext) -> float | None:
    """Return the new fleet's share of what the alarm watches, 0 to 1; None if it watches one fleet."""
    count = dict(context.fleets).get(rule.dimension("VariantName") or "")
    both_fleets = rule.namespace == REQUEST_NAMESPACE and rule.dimension(CONFIG_DIMENSION) is None
    watched = both_fleets and rule.metric in PER_REQUEST and rule.comparison in _ABOVE
    return step.share(count) if watched and count else None


def _diluted_errors(
    alarm: Alarm, rule: AlarmRule, share: float, context: PreflightContext
) -> Iterator[Finding]:
    reading = share if rule.statistic == "Average" else float(not _hides(rule.statistic, share))
    within = highest(rule.namespace, rule.metric, rule.statistic) is not None
    if within and _goes_off_at(1, rule) and not _goes_off_at(reading, rule):
        text = (
            f"alarm {alarm.name} needs {_condition(rule)}, and reads {reading:.3g} in the first bake if "
            "all requests to the new fleet fail and none to the old fleet"
        )
        lower = f", or a threshold < {reading:.3g}" if reading else ""
        fix = f"add the dimension {CONFIG_DIMENSION}={context.target.name}{lower}"
        yield warning(Code.ALARM_DILUTED, text, fix=fix)


def _hides(statistic: str, share: float) -> bool:
    """Whether the statistic of both fleets stays the old fleet's, however high the new fleet's values are."""
    quantile = percentile(statistic)
    return statistic == "Minimum" or (quantile is not None and quantile < 1 - share)


def _rules(context: PreflightContext) -> list[tuple[Alarm, AlarmRule]]:
    return [(alarm, alarm.rule) for alarm in context.users_alarms if alarm.rule]


def _goes_off_at(reading: float, rule: AlarmRule) -> bool:
    beyond = reading > rule.threshold if rule.comparison in _ABOVE else reading < rule.threshold
    return beyond or (rule.comparison in _INCLUSIVE and reading == rule.threshold)


def _condition(rule: AlarmRule) -> str:
    sign = {**_ABOVE, **_BELOW}[rule.comparison]
    return f"{rule.statistic} {rule.metric} {sign} {rule.threshold:g}"


CHECKS = (_unreachable, _missing_data, _low_samples, _diluted)
