"""The alarms of an AutoRollbackConfiguration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from airflow_guardrails.simulator.engine.errors import ValidationException
from airflow_guardrails.simulator.engine.knobs import Knobs


class AlarmStates(Protocol):
    """Reads alarms by name."""

    def state(self, name: str) -> str | None:
        """Return OK, ALARM or INSUFFICIENT_DATA; None if the alarm does not exist."""

    def is_composite(self, name: str) -> bool:
        """Whether the alarm exists and is a composite alarm."""


class RollbackAlarms:
    """The alarms as SageMaker sees them with the permissions of the endpoint's execution role."""

    def __init__(self, alarms: AlarmStates, knobs: Knobs) -> None:
        self._alarms = alarms
        self._knobs = knobs

    def check(self, names: Sequence[str]) -> None:
        """Raise ValidationException if UpdateEndpoint refuses these alarms."""
        # AWS documents neither the effect of a missing alarm nor whether a composite one is accepted.
        missing = [name for name in names if self._state(name) is None]
        if missing and self._knobs.missing_alarm == "reject":
            raise ValidationException(f"Could not find alarms {missing}.")
        composite = [name for name in names if self._alarms.is_composite(name)]
        if composite and self._knobs.composite_alarm == "reject":
            raise ValidationException(f"Composite alarms are not supported: {composite}.")

    def watched(self, names: Sequence[str]) -> list[str]:
        """Return the alarms that can roll back an update that starts now."""
        if self._knobs.composite_alarm == "ignore":
            names = [name for name in names if not self._alarms.is_composite(name)]
        # Not documented for SageMaker; ECS ignores such alarms.
        if self._knobs.alarm_already_in_alarm == "rolls_back":
            return list(names)
        return [name for name in names if self._state(name) != "ALARM"]

    def tripped(self, names: Sequence[str]) -> bool:
        """Whether any of these alarms rolls back an update now."""
        return any(self._is_bad(self._state(name)) for name in names)

    def _is_bad(self, state: str | None) -> bool:
        if state is None:
            return self._knobs.missing_alarm == "rolls_back"
        # Not documented. A new alarm has this state until its first evaluation.
        if state == "INSUFFICIENT_DATA":
            return self._knobs.insufficient_data == "rolls_back"
        return state == "ALARM"

    def _state(self, name: str) -> str | None:
        # Developer guide: the role needs cloudwatch:DescribeAlarms. The effect of a missing right is unknown.
        return self._alarms.state(name) if self._knobs.alarms_readable else None
