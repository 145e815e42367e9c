"""The metrics that SageMaker documents for endpoints: their names, units, dimensions and ranges."""

from __future__ import annotations

import re
from datetime import timedelta

from airflow_guardrails.domain.snapshots.metrics import ERROR_METRICS, INSTANCE_NAMESPACE, REQUEST_NAMESPACE

CONFIG_DIMENSION = "EndpointConfigName"
COMPONENT_DIMENSION = "InferenceComponentName"
# Dimensions of a single machine or container, which the update replaces.
MACHINE_DIMENSIONS = ("InstanceId", "ContainerId")

_MICROSECONDS = frozenset(
    {
        "ModelLatency",
        "OverheadLatency",
        "ModelSetupTime",
        "ContainerLatency",
        "FirstChunkLatency",
        "FirstChunkModelLatency",
        "FirstChunkOverheadLatency",
        "ModelLoadingWaitTime",
        "ModelUnloadingTime",
        "ModelDownloadingTime",
        "ModelLoadingTime",
    }
)
# Of asynchronous endpoints. Some are published for the endpoint without a variant.
ASYNC_METRICS = frozenset(
    {
        "ApproximateBacklogSize",
        "ApproximateBacklogSizePerInstance",
        "ApproximateAgeOfOldestRequest",
        "HasBacklogWithoutCapacity",
        "InvocationFailures",
        "InvocationsFailed",
        "InvocationsProcessed",
        "TimeInBacklog",
        "TotalProcessingTime",
        "RequestDownloadFailures",
        "RequestDownloadTime",
        "ResponseUploadFailures",
        "ResponseUploadTime",
        "NotificationFailures",
        "ExpiredRequests",
    }
)
_COUNTS = ERROR_METRICS | {"Invocations", "InvocationsPerInstance", "ModelCacheHit"}
_OF_COMPONENTS = frozenset(
    {
        "ConcurrentRequestsPerCopy",
        "ConcurrentRequestsPerModel",
        "InvocationsPerCopy",
        "NoCapacityInvocationFailures",
    }
)
_AT_MOST_100 = frozenset(
    {
        "CPUReservation",
        "CPUUtilizationNormalized",
        "DiskUtilization",
        "GPUMemoryUtilizationNormalized",
        "GPUReservation",
        "GPUUtilizationNormalized",
        "MemoryReservation",
        "MemoryUtilization",
        "MemoryUtilizationNormalized",
    }
)
# 100 % for each core or GPU.
_PERCENT = _AT_MOST_100 | {"CPUUtilization", "GPUUtilization", "GPUMemoryUtilization"}

# Developer guide, "Amazon SageMaker AI metrics in Amazon CloudWatch", and the pages on asynchronous,
# multi-model, multi-container and streaming endpoints.
PUBLISHED = {
    REQUEST_NAMESPACE: _MICROSECONDS | ASYNC_METRICS | _COUNTS | _OF_COMPONENTS | {"ExplanationsPerInstance"},
    INSTANCE_NAMESPACE: _PERCENT | {"LoadedModelCount"},
}
# Each request has exactly one value, so a share of the requests is the same share of the values.
PER_REQUEST = ERROR_METRICS | {
    "ModelLatency",
    "OverheadLatency",
    "ContainerLatency",
    "FirstChunkLatency",
    "FirstChunkModelLatency",
    "FirstChunkOverheadLatency",
}
# SageMaker publishes a 1 for each request, and nothing for a minute without requests.
NEVER_ZERO = frozenset({"Invocations"})
# How often SageMaker publishes a metric, unless MetricPublishFrequencyInSeconds says otherwise.
FREQUENCY = timedelta(minutes=1)

# Dimensions that may be in a metric of an endpoint, in these two namespaces.
DIMENSIONS = frozenset(
    {
        "EndpointName",
        "VariantName",
        CONFIG_DIMENSION,
        COMPONENT_DIMENSION,
        *MACHINE_DIMENSIONS,
        "InstanceType",
        "ContainerName",
        "AcceleratorId",
    }
)

# Statistics that are never above the largest value: percentiles and means, but not PR(), TC() and TS().
_WITHIN_RANGE = re.compile(r"(Average|Minimum|Maximum|p\d.*|tm\d.*|wm\d.*|TM\(.*|WM\(.*|IQM)$")


def other_namespace(namespace: str, metric: str) -> str | None:
    """Return the namespace in which SageMaker publishes the metric, if that is another one than given."""
    if metric in PUBLISHED.get(namespace, ()):
        return None
    return next((other for other, metrics in PUBLISHED.items() if metric in metrics), None)


def unit_of(namespace: str, metric: str) -> str | None:
    """Return the unit in which SageMaker publishes the metric; None if that is not documented."""
    if metric not in PUBLISHED.get(namespace, ()):
        return None
    units = {"Microseconds": _MICROSECONDS, "None": _COUNTS, "Percent": _PERCENT}
    return next((unit for unit, metrics in units.items() if metric in metrics), None)


def highest(namespace: str, metric: str, statistic: str) -> int | None:
    """Return the highest value that the statistic can have; None if no bound is documented."""
    if metric not in PUBLISHED.get(namespace, ()) or not _WITHIN_RANGE.match(statistic):
        return None
    if metric in ERROR_METRICS:
        return 1
    return 100 if metric in _AT_MOST_100 else None


def percentile(statistic: str) -> float | None:
    """Return 0.99 for ``p99``; None for what is no percentile."""
    match = re.match(r"p(\d+(?:\.\d+)?)$", statistic)
    value = float(match[1]) / 100 if match else 0.0
    return value if 0 < value < 1 else None
