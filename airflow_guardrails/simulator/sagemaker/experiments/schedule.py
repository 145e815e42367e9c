"""When an inference experiment runs, and what SageMaker has against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.simulator.engine.errors import ExperimentInvalid
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.listing import moment

_USUAL = timedelta(days=7)
_LONGEST = timedelta(days=30)
# Clients send whole milliseconds.
_SAME = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    start: datetime
    end: datetime

    def started(self, now: datetime) -> Schedule:
        """Begin now instead; the end is 30 days later at most."""
        return Schedule(start=now, end=min(self.end, now + _LONGEST))

    def ended(self, now: datetime) -> Schedule:
        return replace(self, end=min(self.end, now))

    def described(self) -> dict[str, datetime]:
        return {"StartTime": self.start, "EndTime": self.end}


def new_schedule(given: Mapping[str, Any] | None, *, now: datetime, knobs: Knobs) -> Schedule:
    """From now on for seven days, unless *given* says otherwise; raises ExperimentInvalid."""
    start = _start(given, now) or now
    return _bounded(Schedule(start=start, end=_end(given) or start + _USUAL), now, knobs)


def changed_schedule(
    old: Schedule, given: Mapping[str, Any] | None, *, running: bool, now: datetime, knobs: Knobs
) -> Schedule:
    """*old* with what *given* says instead: of a *running* experiment, only the end can change."""
    if not given:
        return old
    if running:
        start = moment(given.get("StartTime")) or old.start
        if abs(start - old.start) > _SAME:
            raise ExperimentInvalid(knobs, "StartTime cannot be changed while the experiment is running")
        return _bounded(replace(old, end=_end(given) or old.end), now, knobs)
    start = _start(given, now) or old.start
    return _bounded(Schedule(start=start, end=_end(given) or old.end), now, knobs)


def _start(given: Mapping[str, Any] | None, now: datetime) -> datetime | None:
    """Return the StartTime; one in the past means now."""
    start = moment((given or {}).get("StartTime"))
    return start if start is None or start >= now - _SAME else now


def _end(given: Mapping[str, Any] | None) -> datetime | None:
    return moment((given or {}).get("EndTime"))


def _bounded(schedule: Schedule, now: datetime, knobs: Knobs) -> Schedule:
    lasts, least = schedule.end - schedule.start, timedelta(seconds=knobs.experiment_least_seconds)
    if schedule.end <= now or lasts <= timedelta(0):
        raise ExperimentInvalid(
            knobs, f"EndTime must be in the future and after StartTime (got {schedule.end.isoformat()})"
        )
    if lasts < least:
        raise ExperimentInvalid(knobs, f"the duration must be at least {least} (got {lasts})")
    if lasts > _LONGEST:
        raise ExperimentInvalid(knobs, f"the duration must be at most {_LONGEST.days} days (got {lasts})")
    return schedule
