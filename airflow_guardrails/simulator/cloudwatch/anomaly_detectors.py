"""
PutAnomalyDetector, DescribeAnomalyDetectors and DeleteAnomalyDetector.

A detector sets how the model of a metric or of metric math learns. Bands work without one, with the defaults,
because CloudWatch makes the model of an alarm by itself. AdaptationSpeed, OutlierFilteringStrength and
PeriodicSpikes are kept and shown, but the simple model does not use them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timezone, tzinfo
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from zoneinfo import ZoneInfo

from airflow_guardrails.simulator.cloudwatch import math_syntax
from airflow_guardrails.simulator.cloudwatch.alarm_math import parse_alarm_math
from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands, Training
from airflow_guardrails.simulator.cloudwatch.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    ResourceNotFoundException,
    ValidationError,
)
from airflow_guardrails.simulator.cloudwatch.math_values import Grid
from airflow_guardrails.simulator.cloudwatch.metric_math import Evaluation, QuerySet, band_subject
from airflow_guardrails.simulator.cloudwatch.metrics import MINUTE, MetricStore
from airflow_guardrails.simulator.cloudwatch.publishing import with_zone
from airflow_guardrails.simulator.cloudwatch.queries import page, stat_points, without_none
from airflow_guardrails.simulator.cloudwatch.statistics import is_statistic

_SINGLE, _MATH = "SINGLE_METRIC", "METRIC_MATH"
_FLAT = ("Namespace", "MetricName", "Dimensions", "Stat")
# API reference: at most ten excluded ranges; ten detectors on a page by default.
_MOST_RANGES, _PAGE = 10, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detector:
    """
    A detector.

    :param subject: what it learns; there is one detector for each.
    :param queries: the queries of its metrics or expressions.
    :param watched: id of the query that it learns.
    :param shown: the fields of DescribeAnomalyDetectors, without the state.
    """

    subject: str
    queries: QuerySet
    watched: str
    shown: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The AnomalyDetectorId."""
        return str(uuid5(NAMESPACE_OID, self.subject))


class AnomalyDetectors:
    """The anomaly detectors of one region."""

    def __init__(self, metrics: MetricStore, bands: Bands) -> None:
        self._metrics = metrics
        self._bands = bands
        self._detectors: dict[str, _Detector] = {}

    def put(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """
        Create a detector, or replace the one of the same metric or expression. Its model learns again.

        :raises CloudWatchError: for what CloudWatch refuses.
        """
        detector = _read(request)
        training = _training(request.get("Configuration") or {})
        self._bands.configure(detector.subject, training)
        self._detectors[detector.id] = detector
        return {"AnomalyDetectorId": detector.id}

    def delete(self, request: Mapping[str, Any]) -> None:
        """
        Delete a detector. Its model learns again, with the defaults.

        :raises ResourceNotFoundException: if there is no such detector.
        """
        found = request.get("AnomalyDetectorId") or _read(request).id
        if found not in self._detectors:
            raise ResourceNotFoundException("Cannot delete the anomaly detector: it does not exist")
        self._bands.configure(self._detectors.pop(found).subject, None)

    def describe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return one page of detectors: those of single metrics, unless the request says otherwise."""
        found = [each for each in self._detectors.values() if _matches(each, request)]
        shown, token = page(found, request.get("NextToken"), request.get("MaxResults") or _PAGE)
        detectors = [{**each.shown, "StateValue": self._state(each)} for each in shown]
        return without_none({"AnomalyDetectors": detectors, "NextToken": token})

    def _state(self, detector: _Detector) -> str:
        band = {"Id": _BAND_ID, "Expression": f"{math_syntax.BAND}({detector.watched})"}
        queries = QuerySet([*detector.queries.queries.values(), band])
        period = queries.period(_BAND_ID)
        now = int(self._metrics.visible_until) // period * period
        evaluation = Evaluation(queries, partial(stat_points, self._metrics), self._bands)
        upper, _ = evaluation.series(_BAND_ID, Grid(now, now + period, period))
        return "TRAINED" if upper.points else "TRAINED_INSUFFICIENT_DATA"


# Ids of a request begin with a letter, so none of them is the same.
_BAND_ID = "_band"


def _read(request: Mapping[str, Any]) -> _Detector:
    single, math = request.get("SingleMetricAnomalyDetector"), request.get("MetricMathAnomalyDetector")
    flat = {field: request[field] for field in _FLAT if request.get(field) is not None}
    forms = [form for form in (flat, single, math) if form]
    if len(forms) > 1:
        raise InvalidParameterCombination(
            "SingleMetricAnomalyDetector, MetricMathAnomalyDetector and the parameters "
            f"{', '.join(_FLAT)} are mutually exclusive"
        )
    shown = {
        field: request[field] for field in ("Configuration", "MetricCharacteristics") if field in request
    }
    return _of_math(math, shown) if math else _of_metric(flat or single or {}, shown)


def _of_metric(given: Mapping[str, Any], shown: Mapping[str, Any]) -> _Detector:
    for field in ("Namespace", "MetricName", "Stat"):
        if not given.get(field):
            raise MissingParameter(f"The parameter {field} is required.")
    if not is_statistic(given["Stat"]):
        raise InvalidParameterValue(f"The value {given['Stat']} for parameter Stat is not supported.")
    own = {field: given.get(field) or [] for field in _FLAT}
    stat = {"Metric": {field: own[field] for field in _FLAT[:3]}, "Stat": own["Stat"], "Period": MINUTE}
    # API reference: the fields of the metric are deprecated, but returned.
    return _detector([{"Id": "m1", "MetricStat": stat}], {**shown, **own, "SingleMetricAnomalyDetector": own})


def _of_math(given: Mapping[str, Any], shown: Mapping[str, Any]) -> _Detector:
    queries: Sequence[Mapping[str, Any]] = given.get("MetricDataQueries") or []
    if not queries:
        raise MissingParameter("The parameter MetricDataQueries is required.")
    return _detector(queries, {**shown, "MetricMathAnomalyDetector": given})


def _detector(queries: Sequence[Mapping[str, Any]], shown: Mapping[str, Any]) -> _Detector:
    try:
        # The rules are those of an alarm: exactly one query returns data, and it is one time series.
        math = parse_alarm_math(queries, None)
    except ValidationError as error:
        # The operation has this code for it.
        raise InvalidParameterValue(error.message) from None
    subject = band_subject(math.queries, math_syntax.name(math.watched))
    detector = _Detector(subject=subject, queries=math.queries, watched=math.watched, shown=shown)
    return replace(detector, shown={**shown, "AnomalyDetectorId": detector.id})


def _training(configuration: Mapping[str, Any]) -> Training:
    ranges = configuration.get("ExcludedTimeRanges") or []
    if len(ranges) > _MOST_RANGES:
        raise InvalidParameterValue(f"ExcludedTimeRanges must have at most {_MOST_RANGES} members")
    excluded = [
        tuple(with_zone(each[end]).timestamp() for end in ("StartTime", "EndTime")) for each in ranges
    ]
    if any(begin >= end for begin, end in excluded):
        raise InvalidParameterValue("ExcludedTimeRanges: StartTime must be before EndTime")
    return Training(
        excluded=tuple((begin, end) for begin, end in excluded),
        zone=_zone(configuration.get("MetricTimezone")),
    )


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else timezone.utc
    # ZoneInfo also raises OSError and ValueError, for names that are no file names.
    except (KeyError, OSError, ValueError):
        raise InvalidParameterValue(f"The value {name} for parameter MetricTimezone is invalid.") from None


def _matches(detector: _Detector, request: Mapping[str, Any]) -> bool:
    single = detector.shown.get("SingleMetricAnomalyDetector")
    ids, types = request.get("AnomalyDetectorIds"), request.get("AnomalyDetectorTypes") or [_SINGLE]
    if ids:
        return detector.id in ids
    if (_SINGLE if single else _MATH) not in types:
        return False
    wanted = {field: request[field] for field in ("Namespace", "MetricName") if request.get(field)}
    dimensions = request.get("Dimensions") or []
    if single is None:
        return not wanted and not dimensions
    return all(single[field] == value for field, value in wanted.items()) and all(
        each in single["Dimensions"] for each in dimensions
    )
