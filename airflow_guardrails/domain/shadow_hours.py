"""The hours in which a shadow test captured requests; each is a place of its own in S3."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow_guardrails.domain.experiment import Experiment
from airflow_guardrails.domain.shadow_evidence import trial_of

_HOUR = timedelta(hours=1)


def hours_of(experiment: Experiment) -> tuple[datetime, ...]:
    """Return the beginning of each hour, in UTC, that the test has touched so far."""
    starts, ends = (moment.astimezone(timezone.utc) for moment in trial_of(experiment))
    hour, hours = starts.replace(minute=0, second=0, microsecond=0), list[datetime]()
    while hour < ends or not hours:
        hours.append(hour)
        hour += _HOUR
    return tuple(hours)
