"""A verdict as data for CloudWatch metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import Enum

from airflow_guardrails.domain.judge.verdict import Label, Reason, Verdict
from airflow_guardrails.domain.snapshots.metrics import MetricDatum

# What CloudWatch accepts as a value (API reference of PutMetricData).
_LARGEST_VALUE = 2.0**360
# It accepts 1024 characters. No metric has a name of more than 255.
_LONGEST_DIMENSION = 255

_Dimensions = tuple[tuple[str, str], ...]


class TrialKind(str, Enum):
    """What was judged, as the value of the dimension ``Trial``."""

    UPDATE = "Update"
    SHADOW_TEST = "ShadowTest"


# The dimension with the name of one trial: which update, or which shadow test.
_NAMED_BY = {TrialKind.UPDATE: "EndpointConfigName", TrialKind.SHADOW_TEST: "ShadowTestName"}

# The beginning of the warning that a verdict was not published.
NOT_PUBLISHED = "A verdict was not published as metrics"


def verdict_data(
    verdict: Verdict, *, endpoint_name: str, kind: TrialKind, name: str
) -> tuple[MetricDatum, ...]:
    """
    Return *verdict* as data to publish.

    The label is published twice: for this trial, and for all trials of this kind on the endpoint. An alarm
    needs the second, because its dimensions must be known before the trial. A number that is unknown or
    infinite is left out.

    :param name: name of the new endpoint configuration, or of the shadow test.
    """
    endpoint = ("EndpointName", endpoint_name)
    trial = (endpoint, (_NAMED_BY[kind], name))
    data = [*_label_data(verdict.label, (endpoint, ("Trial", kind.value)))]
    data += _label_data(verdict.label, trial)
    times = Counter[_Dimensions]()
    for reason in verdict.reasons:
        dimensions = (*trial, *_dimensions_of(reason))
        times[dimensions] += 1
        # Rules may have the same metric and stat. Their numbers must not be mixed in one metric.
        number = (("Rule", str(times[dimensions])),) if times[dimensions] > 1 else ()
        data += _reason_data(reason, (*dimensions, *number))
    return tuple(data)


def not_published(namespace: str, reason: str, *, denied: str | None) -> str:
    """
    Return the warning that a verdict was not published.

    :param reason: the error as text.
    :param denied: the IAM action that is not allowed, if that is the reason.
    """
    hint = f"; allow {denied} for this namespace" if denied else ""
    return f"{NOT_PUBLISHED} of {namespace} ({reason}){hint}"


def _label_data(label: Label, dimensions: _Dimensions) -> Iterator[MetricDatum]:
    for each in Label:
        yield MetricDatum(metric=f"Verdict{each.value}", value=float(each is label), dimensions=dimensions)


def _reason_data(reason: Reason, dimensions: _Dimensions) -> Iterator[MetricDatum]:
    numbers = {
        "Difference": reason.measured,
        "IntervalLow": reason.low,
        "IntervalHigh": reason.high,
        "Limit": reason.limit,
    }
    for metric, value in numbers.items():
        # NaN is not below anything, so it is left out too.
        if value is not None and abs(value) <= _LARGEST_VALUE:
            yield MetricDatum(metric=metric, value=float(value), dimensions=dimensions)


def _dimensions_of(reason: Reason) -> _Dimensions:
    variant = (("VariantName", reason.variant),) if reason.variant else ()
    return (*variant, ("Metric", _ascii(reason.metric)), ("Stat", _ascii(reason.stat)))


def _ascii(text: str) -> str:
    """Return *text* as CloudWatch accepts it for a dimension: ASCII, and not empty."""
    return text.encode("ascii", "replace").decode()[:_LONGEST_DIMENSION].strip() or "-"
