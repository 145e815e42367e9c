"""PutMetricData: check a request as a whole, then store it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_guardrails.simulator.cloudwatch.errors import (
    CloudWatchError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
)
from airflow_guardrails.simulator.cloudwatch.metrics import MINUTE, Metric, MetricStore
from airflow_guardrails.simulator.cloudwatch.statistics import StatisticSet

# Limits of the API reference of PutMetricData.
_PAST, _FUTURE = timedelta(weeks=2), timedelta(hours=2)
_DATA_IN_REQUEST, _VALUES_IN_DATUM, _DIMENSIONS = 1000, 150, 30
_KINDS = ("Value", "Values", "StatisticValues")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Datum:
    metric: Metric
    values: list[float]
    sets: list[StatisticSet]
    at: datetime
    unit: str
    resolution: int


def put_metric_data(store: MetricStore, request: Mapping[str, Any], *, now: datetime) -> None:
    """
    Store all data of a request, or none of it if CloudWatch refuses it.

    Limits of the API reference: 1000 data, 150 values and 30 dimensions each; a time from two weeks ago to
    two hours ahead; StorageResolution 1 or 60. Namespaces that begin with ``AWS/`` are refused.

    :raises CloudWatchError: the error of CloudWatch.
    """
    namespace, data = request["Namespace"], request.get("MetricData") or []
    if namespace.startswith("AWS/"):
        raise InvalidParameterValue(f"The value {namespace} for parameter Namespace is invalid.")
    if len(data) > _DATA_IN_REQUEST:
        raise InvalidParameterValue(
            f"MetricData must have {_DATA_IN_REQUEST} members at most (got {len(data)})"
        )
    # Read all data before recording any: one wrong datum refuses the whole request.
    for datum in [_read(namespace, f"MetricData.member.{i}", each, now) for i, each in enumerate(data, 1)]:
        _record(store, datum)


def with_zone(value: datetime) -> datetime:
    """Return a time of a request with a time zone. Without one it is UTC."""
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


def _record(store: MetricStore, datum: _Datum) -> None:
    if datum.values:
        store.record(
            datum.metric.namespace,
            datum.metric.name,
            dict(datum.metric.dimensions),
            datum.values,
            at=datum.at,
            unit=datum.unit,
            storage_resolution=datum.resolution,
        )
    if datum.sets:
        store.record_sets(
            datum.metric, datum.sets, at=datum.at, unit=datum.unit, storage_resolution=datum.resolution
        )


def _read(namespace: str, path: str, datum: Mapping[str, Any], now: datetime) -> _Datum:
    dimensions = datum.get("Dimensions") or []
    if len(dimensions) > _DIMENSIONS:
        raise InvalidParameterValue(f"{path}.Dimensions must have {_DIMENSIONS} members at most")
    resolution = datum.get("StorageResolution") or MINUTE
    if resolution not in (1, MINUTE):
        raise InvalidParameterValue(
            f"The value {resolution} for parameter {path}.StorageResolution is invalid."
        )
    values, sets = _measured(path, datum)
    return _Datum(
        metric=Metric.of(namespace, datum["MetricName"], {d["Name"]: d["Value"] for d in dimensions}),
        values=values,
        sets=sets,
        at=_timestamp(path, datum, now),
        unit=datum.get("Unit") or "None",
        resolution=resolution,
    )


def _measured(path: str, datum: Mapping[str, Any]) -> tuple[list[float], list[StatisticSet]]:
    given = [kind for kind in _KINDS if datum.get(kind) is not None]
    if not given:
        raise MissingParameter(
            f"At least one of {path}.Value, .Values and .StatisticValues must be specified."
        )
    if len(given) > 1:
        raise InvalidParameterCombination(f"{path}: {' and '.join(given)} must not be specified together.")
    if given == ["StatisticValues"]:
        return [], [_statistic_set(path, datum["StatisticValues"])]
    if given == ["Value"]:
        return [_finite(f"{path}.Value", datum["Value"])], []
    return _counted(path, datum)


def _counted(path: str, datum: Mapping[str, Any]) -> tuple[list[float], list[StatisticSet]]:
    values = [_finite(f"{path}.Values", value) for value in datum["Values"]]
    if len(values) > _VALUES_IN_DATUM:
        raise InvalidParameterValue(f"{path}.Values must have {_VALUES_IN_DATUM} members at most")
    if datum.get("Counts") is None:
        return values, []
    counts = [_finite(f"{path}.Counts", count) for count in datum["Counts"]]
    if len(counts) != len(values):
        raise InvalidParameterValue(f"{path}: Values and Counts must have the same size.")
    if any(count <= 0 for count in counts):
        raise InvalidParameterValue(f"{path}.Counts must be greater than 0 (got {min(counts)})")
    # A count may be large or a fraction, so its values are not stored one by one.
    return [], [StatisticSet.repeated(value, count) for value, count in zip(values, counts, strict=True)]


def _statistic_set(path: str, given: Mapping[str, Any]) -> StatisticSet:
    path = f"{path}.StatisticValues"
    count, total, low, high = (
        _finite(f"{path}.{field}", given[field]) for field in ("SampleCount", "Sum", "Minimum", "Maximum")
    )
    if count <= 0:
        raise InvalidParameterValue(f"{path}.SampleCount must be greater than 0 (got {count})")
    if low > high:
        raise InvalidParameterValue(f"{path}.Minimum must not exceed Maximum (got {low} > {high})")
    return StatisticSet(sample_count=count, sum=total, minimum=low, maximum=high)


def _timestamp(path: str, datum: Mapping[str, Any], now: datetime) -> datetime:
    at = with_zone(datum["Timestamp"]) if datum.get("Timestamp") else now
    if not now - _PAST <= at <= now + _FUTURE:
        raise _out_of_time(path, at)
    return at


def _out_of_time(path: str, at: datetime) -> CloudWatchError:
    return InvalidParameterValue(
        f"The parameter {path}.Timestamp must specify a time within the past two weeks and up to two hours "
        f"in the future (got {at.isoformat()})."
    )


def _finite(path: str, value: Any) -> float:
    number = float(value)
    # API reference of PutMetricData: NaN and infinity are not supported.
    if not math.isfinite(number):
        raise InvalidParameterValue(f"The value {value} for parameter {path} is invalid.")
    return number
