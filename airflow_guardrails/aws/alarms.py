"""Requests for alarms and their history, and the responses as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from math import isfinite
from typing import Any

from airflow_guardrails.aws.alarm_rules import parse_children, parse_watched
from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.aws.reading import (
    Response,
    enum_of,
    number_of,
    section_of,
    sections_of,
    shown,
    text_of,
)
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix, switch_prefix
from airflow_guardrails.domain.snapshots.alarms import (
    Alarm,
    AlarmExpression,
    AlarmRule,
    AlarmState,
    AlarmTransition,
)
from airflow_guardrails.domain.text import safe_text
from airflow_guardrails.domain.times import parse_time

ALARM_TYPES = ("MetricAlarm", "CompositeAlarm")


def describe_alarms_request(names: Iterable[str]) -> dict[str, Any]:
    """Return DescribeAlarms' request for metric and composite alarms of these names."""
    # Without AlarmTypes, CloudWatch returns no composite alarms.
    return {"AlarmNames": list(names), "AlarmTypes": list(ALARM_TYPES)}


def describe_rollout_alarms_requests(endpoint_name: str) -> Iterator[dict[str, Any]]:
    """Yield DescribeAlarms' requests for all abort switches and all guards of the endpoint."""
    for prefix in (switch_prefix(endpoint_name), guard_prefix(endpoint_name)):
        yield describe_by_prefix_request(prefix)


def describe_by_prefix_request(prefix: str) -> dict[str, Any]:
    """Return DescribeAlarms' request for all metric alarms whose names begin with *prefix*."""
    return {"AlarmNamePrefix": prefix, "AlarmTypes": ["MetricAlarm"]}


def unchanged_since(moment: datetime, response: Response) -> tuple[str, ...]:
    """Return the names of the metric alarms whose definition has not changed since *moment*."""
    changes = (
        (name, parse_time(alarm.get("AlarmConfigurationUpdatedTimestamp")))
        for name, alarm in _named(response, "MetricAlarms")
    )
    # An alarm without a readable time may be a new one, so it is left out.
    return tuple(name for name, changed in changes if changed is not None and changed < moment)


def describe_alarm_history_request(name: str, *, start: datetime, end: datetime) -> dict[str, Any]:
    """Return DescribeAlarmHistory's request for the state changes of an alarm from *start* to *end*."""
    return {
        "AlarmName": name,
        "AlarmTypes": list(ALARM_TYPES),
        "HistoryItemType": "StateUpdate",
        "StartDate": start,
        "EndDate": end,
    }


def parse_alarms(response: Response) -> tuple[Alarm, ...]:
    """
    Return the alarms in a response of DescribeAlarms. An alarm without a name is left out.

    :raises UnexpectedAnswer: if an alarm has a state that this version does not know.
    """
    metric = map(partial(_parse_alarm, composite=False), _named(response, "MetricAlarms"))
    composite = map(partial(_parse_alarm, composite=True), _named(response, "CompositeAlarms"))
    return (*metric, *composite)


def parse_alarm_history(items: Iterable[Response] | None) -> tuple[AlarmTransition, ...]:
    """Return the state changes in ``AlarmHistoryItems``. An item that cannot be read is left out."""
    found = (_parse_transition(item) for item in sections_of({"items": items}, "items"))
    return tuple(transition for transition in found if transition)


def _named(response: Response, key: str) -> Iterator[tuple[str, Response]]:
    for alarm in sections_of(response, key):
        if name := text_of(alarm, "AlarmName"):
            yield name, alarm


def _parse_alarm(named: tuple[str, Response], *, composite: bool) -> Alarm:
    name, alarm = named
    state = enum_of(AlarmState, alarm.get("StateValue"))
    if state is None:
        raise UnexpectedAnswer(
            f"Unknown StateValue {shown(alarm.get('StateValue'))} of alarm {name} (known: "
            f"{', '.join(state.value for state in AlarmState)}). It is treated as an error: check the alarm "
            "and update this package"
        )
    # StateUpdatedTimestamp also changes with EvaluationState, so it is only the second choice.
    since = parse_time(alarm.get("StateTransitionedTimestamp"))
    watched = None if composite else parse_watched(alarm)
    return Alarm(
        name=name,
        state=state,
        since=since or parse_time(alarm.get("StateUpdatedTimestamp")),
        reason=safe_text(alarm.get("StateReason")),
        description=safe_text(alarm.get("AlarmDescription")),
        value=_newest_value(alarm),
        composite=composite,
        rule=watched if isinstance(watched, AlarmRule) else None,
        expression=watched if isinstance(watched, AlarmExpression) else None,
        children=parse_children(alarm) if composite else (),
        definition=_definition(alarm),
    )


def _newest_value(alarm: Response) -> float | None:
    """Return the newest value in StateReasonData; None if there is none, or it cannot be read."""
    try:
        data = json.loads(alarm["StateReasonData"])
        # The oldest comes first.
        value = number_of({"value": data["recentDatapoints"][-1]}, "value")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return value if value is not None and isfinite(value) else None


def _definition(alarm: Response) -> tuple[tuple[str, str], ...]:
    """Return, as sorted pairs of key and JSON, all fields that decide when the alarm goes off."""
    return tuple(
        (key, json.dumps(_sorted(value), sort_keys=True, default=str))
        for key, value in sorted(alarm.items())
        if key not in _NOT_DEFINING and value is not None
    )


def _sorted(value: Any) -> Any:
    """Sort lists (dimensions, queries), whose order does not matter."""
    return sorted(value, key=str) if isinstance(value, list) else value


# Includes the alarm's actions, because SageMaker reads its state.
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
        "ActionConfiguration",
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


def _parse_transition(item: Response) -> AlarmTransition | None:
    name, at, (state, reason) = (
        text_of(item, "AlarmName"),
        parse_time(item.get("Timestamp")),
        _new_state(item),
    )
    if name is None or at is None or state is None:
        return None
    return AlarmTransition(name=name, state=state, at=at, reason=reason)


def _new_state(item: Response) -> tuple[AlarmState | None, str]:
    try:
        new = section_of(json.loads(item["HistoryData"]), "newState")
        state = enum_of(AlarmState, new.get("stateValue"))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        state = None
    if state is not None:
        return state, safe_text(new.get("stateReason"))
    # CloudWatch cuts HistoryData at 4,095 characters, but not "Alarm updated from OK to ALARM".
    return enum_of(AlarmState, (text_of(item, "HistorySummary") or "").rpartition(" ")[2]), ""
