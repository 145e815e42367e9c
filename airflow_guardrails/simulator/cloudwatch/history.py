"""The history of alarms: creation, changes, deletion and changes of state."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.cloudwatch.evaluation import State

_STATE_UPDATE = "StateUpdate"
_CONFIGURATION_UPDATE = "ConfigurationUpdate"
# A limit on memory; CloudWatch drops items by their age.
_ITEMS_KEPT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmState:
    """A state and its reason; *reason_data* is JSON, or empty."""

    value: State
    reason: str
    reason_data: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the state as HistoryData shows it."""
        state: dict[str, Any] = {"stateValue": self.value.value, "stateReason": self.reason}
        if self.reason_data:
            state["stateReasonData"] = _object_or_text(self.reason_data)
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """One item of DescribeAlarmHistory."""

    alarm_name: str
    alarm_type: str
    at: datetime
    type: str
    summary: str
    data: str


class AlarmHistory:
    """The newest 100,000 items, ordered by time. The history of an alarm stays after its deletion."""

    def __init__(self) -> None:
        self._items: deque[HistoryItem] = deque(maxlen=_ITEMS_KEPT)

    def add_configuration(
        self, name: str, alarm_type: str, *, at: datetime, verb: str, config: dict[str, Any]
    ) -> None:
        """Record that an alarm was ``Created``, ``Updated`` or ``Deleted``."""
        self._items.append(
            HistoryItem(
                alarm_name=name,
                alarm_type=alarm_type,
                at=at,
                type=_CONFIGURATION_UPDATE,
                summary=f'Alarm "{name}" {verb.lower()}'[:255],
                data=_json({"type": verb.removesuffix("d"), f"{verb.lower()}Alarm": config}),
            )
        )

    def add_state(
        self, name: str, alarm_type: str, *, at: datetime, old: AlarmState, new: AlarmState
    ) -> None:
        """Record a change of state."""
        self._items.append(
            HistoryItem(
                alarm_name=name,
                alarm_type=alarm_type,
                at=at,
                type=_STATE_UPDATE,
                summary=f"Alarm updated from {old.value.value} to {new.value.value}",
                data=_json({"oldState": old.as_json(), "newState": new.as_json()}),
            )
        )

    def find(
        self,
        *,
        name: str | None,
        alarm_types: set[str],
        item_type: str | None,
        start: datetime | None,
        end: datetime | None,
    ) -> list[HistoryItem]:
        """Return matching items, oldest first. *start* and *end* are inclusive; None matches everything."""
        return [
            item
            for item in self._items
            if (name is None or item.alarm_name == name)
            and item.alarm_type in alarm_types
            and (item_type is None or item.type == item_type)
            and (start is None or item.at >= start)
            and (end is None or item.at <= end)
        ]


def _json(data: dict[str, Any]) -> str:
    return json.dumps({"version": "1.0", **data}, separators=(",", ":"), default=str)[:4095]


def _object_or_text(data: str) -> Any:
    # SetAlarmState accepts any text as StateReasonData, also text that is no JSON.
    try:
        return json.loads(data)
    except ValueError:
        return data
