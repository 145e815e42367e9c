"""Alarms and their history on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.alarms import Alarm, AlarmState, AlarmTransition

ALARM_TYPES = ("MetricAlarm", "CompositeAlarm")


def describe_alarms_request(names: Iterable[str]) -> dict[str, Any]:
    # Without AlarmTypes, CloudWatch keeps quiet about composite alarms.
    return {"AlarmNames": list(names), "AlarmTypes": list(ALARM_TYPES)}


def describe_alarm_history_request(name: str, *, start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "AlarmTypes": list(ALARM_TYPES),
        "HistoryItemType": "StateUpdate",
        "StartDate": start,
        "EndDate": end,
    }


def parse_alarms(answer: Mapping[str, Any]) -> tuple[Alarm, ...]:
    found = (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ()))
    return tuple(_parse_alarm(alarm) for alarm in found)


def parse_alarm_history(items: Iterable[Mapping[str, Any]]) -> tuple[AlarmTransition, ...]:
    return tuple(_parse_transition(item) for item in items)


def _parse_alarm(alarm: Mapping[str, Any]) -> Alarm:
    return Alarm(
        name=alarm["AlarmName"],
        state=AlarmState(alarm["StateValue"]),
        since=alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp"),
        reason=alarm.get("StateReason", ""),
    )


def _parse_transition(item: Mapping[str, Any]) -> AlarmTransition:
    new = json.loads(item["HistoryData"])["newState"]
    return AlarmTransition(
        name=item["AlarmName"],
        state=AlarmState(new["stateValue"]),
        at=item["Timestamp"],
        reason=new.get("stateReason", ""),
    )
