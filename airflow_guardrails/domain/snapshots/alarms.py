"""CloudWatch alarms: their states, their definitions, and which were in ALARM during a rollout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from airflow_guardrails.domain.text import count_in_words, cut, duration_in_words

# Longest description of what an alarm watches, in characters.
_LONGEST_DESCRIPTION = 300


class AlarmState(str, Enum):
    """``StateValue`` of the CloudWatch API."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedMetric:
    """
    One statistic of one metric in an alarm.

    :param dimensions: pairs of name and value.
    :param statistic: in CloudWatch's words: ``Average``, ``Sum``, ``p99``.
    :param period: length of one datapoint.
    :param unit: CloudWatch counts only values that are published with this unit; ``None``: all values.
    :param account: the account with the metric if the alarm names one; ``None``: the account of the alarm.
    """

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...] = ()
    statistic: str
    period: timedelta
    unit: str | None = None
    account: str | None = None

    def dimension(self, name: str) -> str | None:
        """Return the value of a dimension; None if the metric does not have it."""
        return dict(self.dimensions).get(name)

    def describe(self) -> str:
        """Return what it is: ``AWS/SageMaker Invocation5XXErrors Sum, 1 min``."""
        account = f" of account {self.account}" if self.account else ""
        text = f"{self.namespace} {self.metric} {self.statistic}{account}, {duration_in_words(self.period)}"
        return text.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule(WatchedMetric):
    """
    When an alarm on a single metric goes into ALARM; the fields are those of PutMetricAlarm.

    :param datapoints_to_alarm: how many of the last *evaluation_periods* datapoints must breach.
    :param low_samples: EvaluateLowSampleCountPercentile: with ``ignore``, an alarm on a percentile keeps its
        state while there are too few values.
    """

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    # The API's defaults.
    treat_missing_data: str = "missing"
    low_samples: str = "evaluate"


class ExpressionKind(str, Enum):
    """What an alarm watches that does not compare one metric with a threshold; the values are for texts."""

    MATH = "metric math"
    BAND = "anomaly detection"
    QUERY = "a Metrics Insights query"
    PROMQL = "a PromQL query"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmExpression:
    """
    When an alarm on an expression goes into ALARM.

    :param text: the expression, and those that it uses: ``FILL(e1, 0), e1 = m1 / m2``.
    :param metrics: the metrics in it, as pairs of name in the expression and metric; empty if unknown.
    :param threshold: ``None`` for anomaly detection, whose threshold is the band.
    :param period: length of one datapoint; ``None`` if unknown.
    """

    kind: ExpressionKind
    text: str
    metrics: tuple[tuple[str, WatchedMetric], ...] = ()
    comparison: str = ""
    threshold: float | None = None
    period: timedelta | None = None
    datapoints_to_alarm: int = 1

    def describe(self) -> str:
        """Return what it watches: ``metric math m1 / m2, m1 = AWS/SageMaker Invocations Sum, 1 min, ...``."""
        metrics = "".join(f", {name} = {metric.describe()}" for name, metric in self.metrics)
        return cut(f"{self.kind.value} {self.text}{metrics}", _LONGEST_DESCRIPTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """
    An alarm in its current state.

    :param since: when it went into this state.
    :param reason: StateReason of CloudWatch.
    :param description: AlarmDescription.
    :param value: the newest value that CloudWatch had when it last changed the state; ``None`` if unknown.
    :param rule: ``None`` if the alarm does not compare one metric with a threshold.
    :param expression: metric math, anomaly detection or a query; ``None`` if the alarm has none, or none that
        can be read.
    :param children: names of the alarms that a composite alarm depends on.
    :param definition: all settings that decide when it goes into ALARM: pairs of API name and value as text.
    """

    name: str
    state: AlarmState
    since: datetime | None = None
    reason: str = ""
    description: str = ""
    value: float | None = None
    composite: bool = False
    rule: AlarmRule | None = None
    expression: AlarmExpression | None = None
    children: tuple[str, ...] = ()
    definition: tuple[tuple[str, str], ...] = ()

    @property
    def metrics(self) -> tuple[WatchedMetric, ...]:
        """The metrics that it watches, as far as they are known."""
        if self.rule:
            return (self.rule,)
        return tuple(metric for _, metric in self.expression.metrics) if self.expression else ()

    @property
    def watches(self) -> str | None:
        """What it watches, for texts; None if that is unknown."""
        if self.composite:
            return cut(f"composite of {', '.join(self.children) or 'no alarms'}", _LONGEST_DESCRIPTION)
        watched = self.rule or self.expression
        return watched.describe() if watched else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDefinition:
    """
    The definition of an alarm when it was first read.

    :param settings: pairs of API name and value as text, see ``Alarm.definition``.
    """

    name: str
    settings: tuple[tuple[str, str], ...]

    def changes(self, alarms: Iterable[Alarm]) -> str | None:
        """Return how the alarm of this name in *alarms* differs from this definition; None if it does not."""
        now = next((alarm for alarm in alarms if alarm.name == self.name), None)
        if now is None:
            return f"alarm {self.name} was deleted"
        before, after = dict(self.settings), dict(now.definition)
        differing = [
            name for name in (*before, *(after.keys() - before.keys())) if before.get(name) != after.get(name)
        ]
        if not differing:
            return None
        changes = (
            f"{name} {before.get(name, 'unset')} -> {after.get(name, 'unset')}" for name in sorted(differing)
        )
        return f"alarm {self.name} was changed ({', '.join(changes)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmTransition:
    """A change of an alarm's state, from DescribeAlarmHistory; *reason* is CloudWatch's."""

    name: str
    state: AlarmState
    at: datetime
    reason: str = ""


def tripped_between(
    history: Iterable[AlarmTransition],
    alarms: Iterable[Alarm],
    *,
    start: datetime,
    end: datetime,
) -> tuple[AlarmTransition, ...]:
    """
    Return each alarm that was in ALARM at some time from *start* to *end*, first come first.

    The history shows alarms that changed. An alarm that went into ALARM before *start* shows only in its
    current state.
    """
    changed = [entry for entry in history if entry.state is AlarmState.ALARM and start <= entry.at <= end]
    held = [
        AlarmTransition(name=alarm.name, state=alarm.state, at=alarm.since, reason=alarm.reason)
        for alarm in alarms
        if alarm.state is AlarmState.ALARM and alarm.since is not None and alarm.since <= end
    ]
    # An alarm may be in both lists, and may have gone into ALARM more than once.
    first: dict[str, AlarmTransition] = {}
    for entry in sorted([*changed, *held], key=lambda entry: entry.at):
        first.setdefault(entry.name, entry)
    return tuple(first.values())


def summarize_states(alarms: Iterable[Alarm]) -> str:
    """Return ``3 alarms OK``, or ``2 alarms OK, 1 in ALARM (errors)``."""
    by_state: dict[AlarmState, list[str]] = {}
    for alarm in alarms:
        by_state.setdefault(alarm.state, []).append(alarm.name)
    parts = []
    if ok := by_state.get(AlarmState.OK):
        parts.append(f"{count_in_words(len(ok), 'alarm')} OK")
    if no_data := by_state.get(AlarmState.INSUFFICIENT_DATA):
        parts.append(f"{len(no_data)} without data yet ({', '.join(no_data)})")
    if alarming := by_state.get(AlarmState.ALARM):
        parts.append(f"{len(alarming)} in ALARM ({', '.join(alarming)})")
    return ", ".join(parts) or "no alarms"
