"""A series that CloudWatch is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

# CloudWatch keeps periods of a minute for 15 days, and of five minutes for 63.
_MINUTES_KEPT = timedelta(days=15)
_MINUTE, _FIVE_MINUTES = 60, 300

Points = Mapping[datetime, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricQuery:
    """
    One statistic of one metric.

    :param stat: as CloudWatch says it: ``Average``, ``Sum``, ``p90``.
    :param dimensions: pairs of name and value, all that the metric has.
    """

    namespace: str
    metric: str
    stat: str
    dimensions: tuple[tuple[str, str], ...]


def finest_period(start: datetime, now: datetime) -> int:
    """Seconds of the finest period for which CloudWatch still has data from *start* on."""
    return _MINUTE if is_kept_by_minute(start, now) else _FIVE_MINUTES


def is_kept_by_minute(start: datetime, now: datetime) -> bool:
    return now - start < _MINUTES_KEPT
