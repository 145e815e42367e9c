"""DescribeAlarms, DescribeAlarmsForMetric and DescribeAlarmHistory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.simulator.cloudwatch.alarms import COMPOSITE_ALARM, METRIC_ALARM, Alarm, Alarms
from airflow_guardrails.simulator.cloudwatch.errors import ValidationError, constraint
from airflow_guardrails.simulator.cloudwatch.history import HistoryItem
from airflow_guardrails.simulator.cloudwatch.metrics import Metric
from airflow_guardrails.simulator.cloudwatch.publishing import with_zone
from airflow_guardrails.simulator.cloudwatch.queries import page, without_none

# API reference of DescribeAlarms: without AlarmTypes, only metric alarms are returned.
_DEFAULT_TYPES = (METRIC_ALARM,)
# API reference: at most 100 records on a page, and at most 100 names.
_PAGE, _NAMES = 100, 100
_ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")


def describe_alarms(alarms: Alarms, request: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return one page of alarms, sorted by name.

    :raises ValidationError: for names together with a prefix, and for queries by parent or child alarm, which
        are not simulated.
    """
    _check(request)
    types = _types(request)
    found = [alarm for alarm in alarms.all() if alarm.type in types and _matches(alarm, request)]
    shown, token = page(found, request.get("NextToken"), request.get("MaxRecords") or _PAGE)
    return without_none(
        {
            "MetricAlarms": [_describe(alarms, alarm) for alarm in shown if alarm.type == METRIC_ALARM],
            "CompositeAlarms": [_describe(alarms, alarm) for alarm in shown if alarm.type == COMPOSITE_ALARM],
            "NextToken": token,
        }
    )


def describe_alarms_for_metric(alarms: Alarms, request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out DescribeAlarmsForMetric."""
    dimensions = {each["Name"]: each["Value"] for each in request.get("Dimensions") or ()}
    metric = Metric.of(request["Namespace"], request["MetricName"], dimensions)
    statistic = request.get("Statistic") or request.get("ExtendedStatistic")
    return {
        "MetricAlarms": [
            _describe(alarms, alarm)
            for alarm in alarms.all()
            if alarm.spec
            and alarm.spec.metric == metric
            and statistic in (None, alarm.spec.statistic)
            and request.get("Period") in (None, alarm.spec.period)
            and request.get("Unit") in (None, alarm.spec.unit)
        ]
    }


def describe_alarm_history(alarms: Alarms, request: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return one page of history items: newest first and metric alarms only, unless the request says otherwise.
    """
    items = alarms.history.find(
        name=request.get("AlarmName"),
        alarm_types=_types(request),
        item_type=request.get("HistoryItemType"),
        start=with_zone(request["StartDate"]) if request.get("StartDate") else None,
        end=with_zone(request["EndDate"]) if request.get("EndDate") else None,
    )
    if request.get("ScanBy") != "TimestampAscending":
        items.reverse()
    shown, token = page(items, request.get("NextToken"), request.get("MaxRecords") or _PAGE)
    return without_none({"AlarmHistoryItems": [_history_item(item) for item in shown], "NextToken": token})


def _describe(alarms: Alarms, alarm: Alarm) -> dict[str, Any]:
    """Return an alarm as DescribeAlarms shows it."""
    return {
        **{field: [] for field in _ACTIONS},
        **({"Dimensions": []} if alarm.config.get("MetricName") else {}),
        **alarm.config,
        "AlarmArn": alarms.arn(alarm.name),
        "AlarmConfigurationUpdatedTimestamp": alarm.configured,
        "StateValue": alarm.state.value.value,
        "StateReason": alarm.state.reason,
        **({"StateReasonData": alarm.state.reason_data} if alarm.state.reason_data else {}),
        "StateUpdatedTimestamp": alarm.updated,
        "StateTransitionedTimestamp": alarm.transitioned,
    }


def _check(request: Mapping[str, Any]) -> None:
    names = request.get("AlarmNames") or []
    if len(names) > _NAMES:
        raise constraint(names, "AlarmNames", f"Member must have length less than or equal to {_NAMES}")
    if names and request.get("AlarmNamePrefix"):
        raise ValidationError("AlarmNames and AlarmNamePrefix must not be specified together")
    for field in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
        if request.get(field):
            raise ValidationError(f"{field} is not simulated: use names or a prefix")


def _matches(alarm: Alarm, request: Mapping[str, Any]) -> bool:
    names, action = request.get("AlarmNames"), request.get("ActionPrefix") or ""
    actions = [each for field in _ACTIONS for each in alarm.config.get(field) or ()]
    return (
        (not names or alarm.name in names)
        and alarm.name.startswith(request.get("AlarmNamePrefix") or "")
        and request.get("StateValue") in (None, alarm.state.value.value)
        and (not action or any(each.startswith(action) for each in actions))
    )


def _types(request: Mapping[str, Any]) -> set[str]:
    return set(request.get("AlarmTypes") or _DEFAULT_TYPES)


def _history_item(item: HistoryItem) -> dict[str, Any]:
    return {
        "AlarmName": item.alarm_name,
        "AlarmType": item.alarm_type,
        "Timestamp": item.at,
        "HistoryItemType": item.type,
        "HistorySummary": item.summary,
        "HistoryData": item.data,
    }
