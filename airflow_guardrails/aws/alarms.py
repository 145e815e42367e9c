"""Alarms and their history on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.domain.abort_switch import switch_prefix
from airflow_guardrails.domain.alarms import Alarm, AlarmRule, AlarmState, AlarmTransition

ALARM_TYPES = ("MetricAlarm", "CompositeAlarm")


def describe_alarms_request(names: Iterable[str]) -> dict[str, Any]:
    # Without AlarmTypes, CloudWatch keeps quiet about composite alarms.
    return {"AlarmNames": list(names), "AlarmTypes": list(ALARM_TYPES)}


def describe_switches_request(endpoint_name: str) -> dict[str, Any]:
    return {"AlarmNamePrefix": switch_prefix(endpoint_name), "AlarmTypes": ["MetricAlarm"]}


def unchanged_since(moment: datetime, answer: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return the names of the metric alarms in DescribeAlarms' answer whose definition is older than *moment*.
    """
    return tuple(
        alarm["AlarmName"]
        for alarm in answer.get("MetricAlarms", ())
        if (changed := alarm.get("AlarmConfigurationUpdatedTimestamp")) is not None and changed < moment
    )


def describe_alarm_history_request(name: str, *, start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "AlarmTypes": list(ALARM_TYPES),
        "HistoryItemType": "StateUpdate",
        "StartDate": start,
        "EndDate": end,
    }


def parse_alarms(answer: Mapping[str, Any]) -> tuple[Alarm, ...]:
    metric = [_parse_alarm(alarm, composite=False) for alarm in answer.get("MetricAlarms", ())]
    composite = [_parse_alarm(alarm, composite=True) for alarm in answer.get("CompositeAlarms", ())]
    return (*metric, *composite)


def parse_alarm_history(items: Iterable[Mapping[str, Any]]) -> tuple[AlarmTransition, ...]:
    return tuple(_parse_transition(item) for item in items)


def _parse_alarm(alarm: Mapping[str, Any], *, composite: bool) -> Alarm:
    return Alarm(
        name=alarm["AlarmName"],
        state=_state(alarm["AlarmName"], alarm["StateValue"]),
        since=alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp"),
        reason=alarm.get("StateReason", ""),
        composite=composite,
        rule=None if composite else _parse_rule(alarm),
        definition=_definition(alarm),
    )


def _definition(alarm: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """
    Everything of the alarm that decides when it goes off, whatever its form: all but its name, state and
    times.
    """
    return tuple(
        (key, json.dumps(_in_order(value), sort_keys=True, default=str))
        for key, value in sorted(alarm.items())
        if key not in _NOT_DEFINING and value is not None
    )


def _in_order(value: Any) -> Any:
    """Lists here (dimensions, queries) mean the same in any order."""
    return sorted(value, key=str) if isinstance(value, list) else value


# Neither does who is notified, for SageMaker reads the state.
_NOT_DEFINING = frozenset(
    {
        "AlarmName",
        "AlarmArn",
        "AlarmDescription",
        "AlarmConfigurationUpdatedTimestamp",
        "ActionsEnabled",
        "OKActions",
        "AlarmActions",
        "InsufficientDataActions",
        "StateValue",
        "StateReason",
        "StateReasonData",
        "StateUpdatedTimestamp",
        "StateTransitionedTimestamp",
        "EvaluationState",
        "ActionsSuppressedBy",
        "ActionsSuppressedReason",
    }
)


def _parse_rule(alarm: Mapping[str, Any]) -> AlarmRule | None:
    # Metric math has Metrics, anomaly detection a ThresholdMetricId, a query its criteria; none has all four.
    if any(alarm.get(key) is None for key in ("MetricName", "Period", "Threshold", "EvaluationPeriods")):
        return None
    return AlarmRule(
        namespace=alarm.get("Namespace", ""),
        metric=alarm["MetricName"],
        dimensions=tuple((each["Name"], each["Value"]) for each in alarm.get("Dimensions", ())),
        statistic=alarm.get("Statistic") or alarm.get("ExtendedStatistic", ""),
        comparison=alarm["ComparisonOperator"],
        threshold=alarm["Threshold"],
        period=timedelta(seconds=alarm["Period"]),
        evaluation_periods=alarm["EvaluationPeriods"],
        datapoints_to_alarm=alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"],
        treat_missing_data=alarm.get("TreatMissingData", "missing"),
    )


def _parse_transition(item: Mapping[str, Any]) -> AlarmTransition:
    new = _new_state(item)
    return AlarmTransition(
        name=item["AlarmName"],
        state=_state(item["AlarmName"], new["stateValue"]),
        at=item["Timestamp"],
        reason=new.get("stateReason", ""),
    )


def _new_state(item: Mapping[str, Any]) -> dict[str, Any]:
    try:
        new: dict[str, Any] = json.loads(item["HistoryData"])["newState"]
    except (KeyError, ValueError):
        # The data is cut off at 4,095 characters; "Alarm updated from OK to ALARM" is always whole.
        return {"stateValue": item["HistorySummary"].rpartition(" ")[2]}
    return new


def _state(alarm_name: str, said: str) -> AlarmState:
    try:
        return AlarmState(said)
    except ValueError:
        known = ", ".join(state.value for state in AlarmState)
        raise UnexpectedAnswer(
            f"CloudWatch said that alarm {alarm_name} is {said!r}, which this version does not know "
            f"(known: {known})"
        ) from None
