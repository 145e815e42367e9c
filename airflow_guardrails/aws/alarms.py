"""Alarms and their history on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.aws.reading import (
    Answer,
    items_of,
    known,
    number_of,
    section_of,
    sections_of,
    shown,
    text_of,
    whole_number_of,
)
from airflow_guardrails.domain.snapshots.abort_switch import switch_prefix
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmRule, AlarmState, AlarmTransition
from airflow_guardrails.domain.text import safe_text
from airflow_guardrails.domain.times import parse_time

ALARM_TYPES = ("MetricAlarm", "CompositeAlarm")

# Seconds; CloudWatch allows one day, and a week for the whole range.
_LONGEST_PERIOD = 604_800


def describe_alarms_request(names: Iterable[str]) -> dict[str, Any]:
    # Without AlarmTypes, CloudWatch keeps quiet about composite alarms.
    return {"AlarmNames": list(names), "AlarmTypes": list(ALARM_TYPES)}


def describe_switches_request(endpoint_name: str) -> dict[str, Any]:
    return {"AlarmNamePrefix": switch_prefix(endpoint_name), "AlarmTypes": ["MetricAlarm"]}


def unchanged_since(moment: datetime, answer: Answer) -> tuple[str, ...]:
    """
    Return the names of the metric alarms in DescribeAlarms' answer whose definition is older than *moment*.
    """
    changes = (
        (name, parse_time(alarm.get("AlarmConfigurationUpdatedTimestamp")))
        for name, alarm in _named(answer, "MetricAlarms")
    )
    return tuple(name for name, changed in changes if changed is not None and changed < moment)


def describe_alarm_history_request(name: str, *, start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "AlarmTypes": list(ALARM_TYPES),
        "HistoryItemType": "StateUpdate",
        "StartDate": start,
        "EndDate": end,
    }


def parse_alarms(answer: Answer) -> tuple[Alarm, ...]:
    """
    Read an answer of DescribeAlarms; an alarm without a name is left out.

    :raises UnexpectedAnswer: if an alarm is in a state this package does not know.
    """
    metric = [_parse_alarm(alarm, composite=False) for alarm in _named(answer, "MetricAlarms")]
    composite = [_parse_alarm(alarm, composite=True) for alarm in _named(answer, "CompositeAlarms")]
    return (*metric, *composite)


def parse_alarm_history(items: Iterable[Answer] | None) -> tuple[AlarmTransition, ...]:
    """Read ``AlarmHistoryItems`` of DescribeAlarmHistory; what cannot be read is left out."""
    found = (_parse_transition(item) for item in sections_of({"items": items}, "items"))
    return tuple(transition for transition in found if transition)


def _named(answer: Answer, key: str) -> Iterator[tuple[str, Answer]]:
    for alarm in sections_of(answer, key):
        if name := text_of(alarm, "AlarmName"):
            yield name, alarm


def _parse_alarm(named: tuple[str, Answer], *, composite: bool) -> Alarm:
    name, alarm = named
    state = known(AlarmState, alarm.get("StateValue"))
    if state is None:
        raise UnexpectedAnswer(
            f"CloudWatch said that alarm {name} is {shown(alarm.get('StateValue'))}, which this version does "
            f"not know (known: {', '.join(state.value for state in AlarmState)})"
        )
    since = parse_time(alarm.get("StateTransitionedTimestamp"))
    return Alarm(
        name=name,
        state=state,
        since=since or parse_time(alarm.get("StateUpdatedTimestamp")),
        reason=safe_text(alarm.get("StateReason")),
        composite=composite,
        rule=None if composite else _parse_rule(alarm),
        definition=_definition(alarm),
    )


def _definition(alarm: Answer) -> tuple[tuple[str, str], ...]:
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


def _parse_rule(alarm: Answer) -> AlarmRule | None:
    # Metric math has Metrics, anomaly detection a ThresholdMetricId, a query its criteria; none has all five.
    metric, comparison = text_of(alarm, "MetricName"), text_of(alarm, "ComparisonOperator")
    threshold, period = number_of(alarm, "Threshold"), whole_number_of(alarm, "Period")
    evaluations, dimensions = whole_number_of(alarm, "EvaluationPeriods"), _dimensions(alarm)
    if metric is None or comparison is None or threshold is None or dimensions is None:
        return None
    if not (period and evaluations and 0 < period <= _LONGEST_PERIOD and evaluations > 0):
        return None
    return AlarmRule(
        namespace=text_of(alarm, "Namespace") or "",
        metric=metric,
        dimensions=dimensions,
        statistic=text_of(alarm, "Statistic") or text_of(alarm, "ExtendedStatistic") or "",
        comparison=comparison,
        threshold=threshold,
        period=timedelta(seconds=period),
        evaluation_periods=evaluations,
        datapoints_to_alarm=whole_number_of(alarm, "DatapointsToAlarm") or evaluations,
        treat_missing_data=text_of(alarm, "TreatMissingData") or "missing",
    )


def _dimensions(alarm: Answer) -> tuple[tuple[str, str], ...] | None:
    """None where one cannot be read: fewer of them are another metric."""
    said = items_of(alarm, "Dimensions")
    pairs = [(text_of(each, "Name"), text_of(each, "Value")) for each in sections_of(alarm, "Dimensions")]
    found = tuple((name, value) for name, value in pairs if name and value)
    odd = alarm.get("Dimensions") is not None and not isinstance(alarm["Dimensions"], list | tuple)
    return None if odd or len(found) != len(said) else found


def _parse_transition(item: Answer) -> AlarmTransition | None:
    name, at, (state, reason) = (
        text_of(item, "AlarmName"),
        parse_time(item.get("Timestamp")),
        _new_state(item),
    )
    if name is None or at is None or state is None:
        return None
    return AlarmTransition(name=name, state=state, at=at, reason=reason)


def _new_state(item: Answer) -> tuple[AlarmState | None, str]:
    try:
        new = section_of(json.loads(item["HistoryData"]), "newState")
        state = known(AlarmState, new.get("stateValue"))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        state = None
    if state is not None:
        return state, safe_text(new.get("stateReason"))
    # The data is cut off at 4,095 characters; "Alarm updated from OK to ALARM" is always whole.
    return known(AlarmState, (text_of(item, "HistorySummary") or "").rpartition(" ")[2]), ""
