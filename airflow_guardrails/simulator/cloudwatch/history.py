"""What DescribeAlarmHistory remembers: alarms made, changed and deleted, and every change of a state."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.cloudwatch.evaluation import State

_STATE_UPDATE = "StateUpdate"
_CONFIGURATION_UPDATE = "ConfigurationUpdate"
_ITEMS_KEPT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmState:
    """A state and why; *reason_data* is JSON, empty when there is none."""

    value: State
    reason: str
    reason_data: str = ""

    def as_json(self) -> dict[str, Any]:
        state: dict[str, Any] = {"stateValue": self.value.value, "stateReason": self.reason}
        if self.reason_data:
            state["stateReasonData"] = _object_or_text(self.reason_data)
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    alarm_name: str
    alarm_type: str
    at: datetime
    type: str
    summary: str
    data: str


class AlarmHistory:
    """In order of time; an alarm's history outlives it. Only the newest 100,000 items are kept."""

    def __init__(self) -> None:
        self._items: deque[HistoryItem] = deque(maxlen=_ITEMS_KEPT)

    def add_configuration(
        self, name: str, alarm_type: str, *, at: datetime, verb: str, config: dict[str, Any]
    ) -> None:
        """Note that an alarm was Created, Updated or Deleted."""
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
        """Return what matches, oldest first; *start* and *end* both count in."""
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
    # SetAlarmState takes any text as its reason data.
    try:
        return json.loads(data)
    except ValueError:
        return data
