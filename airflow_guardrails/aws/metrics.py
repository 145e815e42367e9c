"""CloudWatch's metrics of endpoints on the wire."""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import Any

_MOST_DATAPOINTS = 1440
_MINUTE = 60


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
    minutes = max(1.0, (end - start).total_seconds() / _MINUTE)
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocations",
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "StartTime": start,
        "EndTime": end,
        "Period": _MINUTE * ceil((minutes + 1) / _MOST_DATAPOINTS),
        "Statistics": ["Sum"],
    }
