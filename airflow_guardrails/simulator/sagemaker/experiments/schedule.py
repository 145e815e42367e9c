"""
The schedule of an inference experiment and its bounds.

Source: API reference, InferenceExperimentSchedule: 7 days by default, 30 days at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.simulator.engine.errors import ExperimentInvalid
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.listing import parse_time

_DEFAULT_DURATION = timedelta(days=7)
_MAX_DURATION = timedelta(days=30)
# Clients send times in milliseconds, so an unchanged time may differ by less than this.
_TOLERANCE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Start and end of an experiment."""

    start: datetime
    end: datetime

    def starting_at(self, now: datetime) -> Schedule:
        """Return the schedule of an experiment that starts now. The end is at most 30 days later."""
        # Developer guide: after an early start SageMaker moves an end that would be too late.
        return Schedule(start=now, end=min(self.end, now + _MAX_DURATION))

    def ending_by(self, now: datetime) -> Schedule:
        """Return the schedule of an experiment that ends at *now*, or ended before."""
        return replace(self, end=min(self.end, now))

    def to_response(self) -> dict[str, datetime]:
        """Return the schedule as the API shows it."""
        return {"StartTime": self.start, "EndTime": self.end}


def new_schedule(given: Mapping[str, Any] | None, *, now: datetime, knobs: Knobs) -> Schedule:
    """
    Return the schedule of a new experiment: by default from now, for seven days.

    :raises ExperimentInvalid: if it is too short, too long or in the past.
    """
    start = _start(given, now) or now
    return _checked(Schedule(start=start, end=_end(given) or start + _DEFAULT_DURATION), now, knobs)


def changed_schedule(
    old: Schedule, given: Mapping[str, Any] | None, *, running: bool, now: datetime, knobs: Knobs
) -> Schedule:
    """
    Return *old* with the changes in *given*. A running experiment can only change its end.

    :raises ExperimentInvalid: if the new schedule is not possible.
    """
    if not given:
        return old
    # API reference: while the experiment runs, only its end can change.
    if running:
        start = parse_time(given.get("StartTime")) or old.start
        if abs(start - old.start) > _TOLERANCE:
            raise ExperimentInvalid(knobs, "StartTime cannot be changed while the experiment is running")
        return _checked(replace(old, end=_end(given) or old.end), now, knobs)
    start = _start(given, now) or old.start
    return _checked(Schedule(start=start, end=_end(given) or old.end), now, knobs)


def _start(given: Mapping[str, Any] | None, now: datetime) -> datetime | None:
    """Return the StartTime. A time in the past means now."""
    start = parse_time((given or {}).get("StartTime"))
    return start if start is None or start >= now - _TOLERANCE else now


def _end(given: Mapping[str, Any] | None) -> datetime | None:
    return parse_time((given or {}).get("EndTime"))


def _checked(schedule: Schedule, now: datetime, knobs: Knobs) -> Schedule:
    duration, minimum = schedule.end - schedule.start, timedelta(seconds=knobs.experiment_least_seconds)
    if schedule.end <= now or duration <= timedelta(0):
        raise ExperimentInvalid(
            knobs, f"EndTime must be in the future and after StartTime (got {schedule.end.isoformat()})"
        )
    # The console asks for at least one hour; the API reference has no minimum.
    if duration < minimum:
        raise ExperimentInvalid(knobs, f"the duration must be at least {minimum} (got {duration})")
    if duration > _MAX_DURATION:
        raise ExperimentInvalid(
            knobs, f"the duration must be at most {_MAX_DURATION.days} days (got {duration})"
        )
    return schedule
