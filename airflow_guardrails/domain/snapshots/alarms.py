"""Alarms: where they stand, and which of them moved while a rollout ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class AlarmState(str, Enum):
    """``StateValue`` of the CloudWatch API."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """
    When an alarm on a single metric goes off; words are CloudWatch's.

    *period* is that of one datapoint; *datapoints_to_alarm* of *evaluation_periods* have to breach.
    """

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...] = ()
    statistic: str
    comparison: str
    threshold: float
    period: timedelta
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: str = "missing"

    def dimension(self, name: str) -> str | None:
        return dict(self.dimensions).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """
    An alarm as it stands; *since* is when it took this state.

    *rule* is ``None`` for what is no comparison of one metric with a threshold: metric math, anomaly
    detection, queries and composite alarms. *definition* is everything that decides when it goes off: names
    of the API, each with its value as text.
    """

    name: str
    state: AlarmState
    since: datetime | None = None
    reason: str = ""
    composite: bool = False
    rule: AlarmRule | None = None
    definition: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDefinition:
    """
    What an alarm watches, as it was when first seen.

    :param settings: the API's names of everything that decides when it goes off, each with its value as text.
    """

    name: str
    settings: tuple[tuple[str, str], ...]

    def changes(self, alarms: Iterable[Alarm]) -> str | None:
        """Say how the alarm differs from this among *alarms*; None if it does not."""
        now = next((alarm for alarm in alarms if alarm.name == self.name), None)
        if now is None:
            return f"alarm {self.name} was deleted"
        before, after = dict(self.settings), dict(now.definition)
        differing = [
            name for name in (*before, *(after.keys() - before.keys())) if before.get(name) != after.get(name)
        ]
        if not differing:
            return None
        told = (
            f"{name} {before.get(name, 'unset')} -> {after.get(name, 'unset')}" for name in sorted(differing)
        )
        return f"alarm {self.name} was changed ({', '.join(told)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmTransition:
    """An alarm took a state, for a reason CloudWatch gave."""

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
    Each alarm that was in ALARM at some moment from *start* to *end*, first come first.

    The history knows those that moved; an alarm that was in ALARM before *start* and still is shows only by
    its state.
    """
    moved = [entry for entry in history if entry.state is AlarmState.ALARM and start <= entry.at <= end]
    held = [
        AlarmTransition(name=alarm.name, state=alarm.state, at=alarm.since, reason=alarm.reason)
        for alarm in alarms
        if alarm.state is AlarmState.ALARM and alarm.since is not None and alarm.since <= end
    ]
    first: dict[str, AlarmTransition] = {}
    for entry in sorted([*moved, *held], key=lambda entry: entry.at):
        first.setdefault(entry.name, entry)
    return tuple(first.values())


def summarize_states(alarms: Iterable[Alarm]) -> str:
    """Say how the alarms stand: ``3 alarms OK``, or ``2 alarms OK, 1 in ALARM (errors)``."""
    by_state: dict[AlarmState, list[str]] = {}
    for alarm in alarms:
        by_state.setdefault(alarm.state, []).append(alarm.name)
    parts = []
    if fine := by_state.get(AlarmState.OK):
        parts.append(f"{len(fine)} alarm{'s' * (len(fine) != 1)} OK")
    if unsure := by_state.get(AlarmState.INSUFFICIENT_DATA):
        parts.append(f"{len(unsure)} without data yet ({', '.join(unsure)})")
    if bad := by_state.get(AlarmState.ALARM):
        parts.append(f"{len(bad)} in ALARM ({', '.join(bad)})")
    return ", ".join(parts) or "no alarms"
