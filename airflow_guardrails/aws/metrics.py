"""CloudWatch's metrics of endpoints on the wire."""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import Any

from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.aws.reading import Answer, number_of, sections_of, shown

_MOST_DATAPOINTS = 1440
_MINUTE = 60
# CloudWatch keeps minutes for 15 days; older data is there in steps of five.
_FIVE_MINUTES = 300


def requests_answered_request(
    *, endpoint_name: str, variant_name: str, endpoint_config_name: str, start: datetime, end: datetime
) -> dict[str, Any]:
    """
    Ask GetMetricStatistics for the requests a fleet answered.

    Blue and green share endpoint and variant; only the dimension EndpointConfigName tells them apart.
    """
    dimensions = {
        "EndpointName": endpoint_name,
        "VariantName": variant_name,
        "EndpointConfigName": endpoint_config_name,
    }
    return _requests_answered(dimensions, start=start, end=end)


def requests_had_request(
    *, endpoint_name: str, variant_name: str, start: datetime, end: datetime
) -> dict[str, Any]:
    """Ask GetMetricStatistics for the requests that a variant had, whichever configuration it was in."""
    dimensions = {"EndpointName": endpoint_name, "VariantName": variant_name}
    return _requests_answered(dimensions, start=start, end=end)


def parse_requests(answer: Answer) -> float:
    """
    Add up the requests in GetMetricStatistics' answer to one of the requests above.

    :raises UnexpectedAnswer: if it has no datapoints, not even an empty list.
    """
    if not isinstance(answer.get("Datapoints"), list | tuple):
        raise UnexpectedAnswer(
            f"GetMetricStatistics must say Datapoints (it says {shown(answer.get('Datapoints'))}). Nothing "
            "is concluded from the answer"
        )
    return sum(number_of(point, "Sum") or 0.0 for point in sections_of(answer, "Datapoints"))


def _requests_answered(dimensions: dict[str, str], *, start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocations",
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "StartTime": start,
        "EndTime": end,
        "Period": _period(start, end),
        "Statistics": ["Sum"],
    }


def _period(start: datetime, end: datetime) -> int:
    """Seconds that CloudWatch accepts, so that the answer holds all of the time in one page."""
    minutes = max(1.0, (end - start).total_seconds() / _MINUTE)
    shortest = _MINUTE * ceil((minutes + 1) / _MOST_DATAPOINTS)
    return shortest if shortest == _MINUTE else _FIVE_MINUTES * ceil(shortest / _FIVE_MINUTES)
