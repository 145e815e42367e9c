"""A series that CloudWatch is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

# Metrics of requests ("Amazon SageMaker AI metrics in Amazon CloudWatch", invocation metrics).
REQUEST_NAMESPACE = "AWS/SageMaker"
# Metrics of instances, such as CPUUtilization (the same page, instance metrics).
INSTANCE_NAMESPACE = "/aws/sagemaker/Endpoints"
# SageMaker publishes 1 for a request with an error and 0 for one without: the sum counts the errors, the
# average is the error rate, which is never above 1. A response stream ends with its first error.
ERROR_METRICS = frozenset(
    {"Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors", "MidStreamErrors"}
)
# CloudWatch publishes the metrics of a minute late. AWS documents no bound; two to three minutes are seen.
METRICS_LAG = timedelta(minutes=3)

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
