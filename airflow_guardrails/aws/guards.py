"""PutMetricAlarm's request for the alarm of a guard."""

from __future__ import annotations

from typing import Any

from airflow_guardrails.aws.alarms import parse_alarms
from airflow_guardrails.domain.deployment.guards import PERIOD, RESULT_ID, Metric
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmState
from airflow_guardrails.domain.snapshots.guard_alarms import GuardAlarm

_PERIOD_SECONDS = int(PERIOD.total_seconds())
_SIMPLE = frozenset({"SampleCount", "Average", "Sum", "Minimum", "Maximum"})
_COMPARISONS = {">": "GreaterThanThreshold", "<": "LessThanThreshold"}


def put_guard_request(guard: GuardAlarm) -> dict[str, Any]:
    """Return PutMetricAlarm's request; it also overwrites changes that somebody made to the alarm."""
    alarm = guard.guard.alarm
    return {
        "AlarmName": guard.name,
        "AlarmDescription": guard.description,
        # Only SageMaker reads the alarm's state.
        "ActionsEnabled": False,
        **_watched(guard),
        "EvaluationPeriods": alarm.periods,
        "DatapointsToAlarm": alarm.periods,
        "Threshold": alarm.threshold,
        "ComparisonOperator": _COMPARISONS[alarm.sign],
        "TreatMissingData": alarm.missing,
    }


def guard_as_alarm(guard: GuardAlarm) -> Alarm:
    """Return the alarm as CloudWatch would show it, in OK, so that the checks of alarms check it too."""
    response = {"MetricAlarms": [{**put_guard_request(guard), "StateValue": AlarmState.OK.value}]}
    (alarm,) = parse_alarms(response)
    return alarm


def _watched(guard: GuardAlarm) -> dict[str, Any]:
    alarm = guard.guard.alarm
    if alarm.expression is None:
        (metric,) = alarm.operands.values()
        statistic = "Statistic" if metric.stat in _SIMPLE else "ExtendedStatistic"
        return {**_metric(guard, metric), statistic: metric.stat, "Period": _PERIOD_SECONDS}
    stats = [
        {
            "Id": name,
            "MetricStat": {"Metric": _metric(guard, metric), "Period": _PERIOD_SECONDS, "Stat": metric.stat},
            "ReturnData": False,
        }
        for name, metric in alarm.operands.items()
    ]
    result = {"Id": RESULT_ID, "Expression": alarm.expression, "Label": guard.words, "ReturnData": True}
    return {"Metrics": [*stats, result]}


def _metric(guard: GuardAlarm, metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in guard.dimensions(metric)]
    return {"Namespace": metric.namespace, "MetricName": metric.metric, "Dimensions": dimensions}
