"""Queries of CloudWatch metrics, and the periods that CloudWatch keeps."""

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

# CloudWatch keeps periods of 1 minute for 15 days, and of 5 minutes for 63 days:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
_MINUTES_KEPT = timedelta(days=15)
_MINUTE, _FIVE_MINUTES = 60, 300

# minute -> value
Points = Mapping[datetime, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricQuery:
    """
    One statistic of one metric.

    :param stat: in CloudWatch's words: ``Average``, ``Sum``, ``p90``.
    :param dimensions: pairs of name and value; all dimensions of the metric.
    """

    namespace: str
    metric: str
    stat: str
    dimensions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDatum:
    """
    One value to publish.

    :param value: finite, and within the range that CloudWatch accepts: -2**360 to 2**360.
    :param dimensions: pairs of name and value, in ASCII.
    """

    metric: str
    value: float
    dimensions: tuple[tuple[str, str], ...]


def finest_period(start: datetime, now: datetime) -> int:
    """Return the shortest period in seconds for which CloudWatch still has data since *start*."""
    return _MINUTE if is_kept_by_minute(start, now) else _FIVE_MINUTES


def is_kept_by_minute(start: datetime, now: datetime) -> bool:
    """Whether CloudWatch still has values by minute since *start*."""
    return now - start < _MINUTES_KEPT
