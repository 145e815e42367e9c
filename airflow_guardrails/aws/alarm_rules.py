"""What an alarm of DescribeAlarms watches: a metric, an expression over metrics, a query, or other alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from airflow_guardrails.aws.reading import (
    Response,
    number_of,
    section_of,
    sections_of,
    text_of,
    whole_number_of,
)
from airflow_guardrails.domain.snapshots.alarms import (
    AlarmExpression,
    AlarmRule,
    ExpressionKind,
    WatchedMetric,
)
from airflow_guardrails.domain.text import safe_text

# Seconds. CloudWatch allows a period of one day, and a week for all evaluation periods together.
_LONGEST_PERIOD = 604_800

Queries = Mapping[str, Response]


def parse_watched(alarm: Response) -> AlarmRule | AlarmExpression | None:
    """
    Return what a metric alarm watches; None if it has a form that is unknown, or cannot be read.

    A list ``Metrics`` with one metric is the same as an alarm with the fields of one metric. The AWS CDK
    writes metrics with a label or an account in this form.
    """
    if criteria := section_of(section_of(alarm, "EvaluationCriteria"), "PromQLCriteria"):
        return _expression(alarm, ExpressionKind.PROMQL, text_of(criteria, "Query"))
    if not alarm.get("Metrics"):
        return _rule(alarm, _metric(alarm))
    queries = {name: query for query in sections_of(alarm, "Metrics") if (name := text_of(query, "Id"))}
    band = text_of(alarm, "ThresholdMetricId")
    name = band or _returned(queries)
    query = queries.get(name or "", {})
    if text_of(query, "Expression"):
        return _over_queries(alarm, name or "", queries, is_band=band is not None)
    return None if band else _rule(alarm, _metric_of(query))


def parse_children(alarm: Response) -> tuple[str, ...]:
    """Return the names of the alarms in the rule of a composite alarm, in the order of the rule."""
    rule = text_of(alarm, "AlarmRule") or ""
    groups = [names for names in _AT_LEAST.findall(rule) for names in _NAME.findall(names)]
    found = [*_CHILD.findall(rule), *groups]
    # A rule may name an alarm by its ARN.
    names = (safe_text("".join(name).rpartition(":alarm:")[2]) for name in found)
    return tuple(dict.fromkeys(filter(None, names)))


_NAME_PATTERN = r"""(?:"([^"]+)"|'([^']+)'|([^\s()"',]+))"""
_NAME = re.compile(_NAME_PATTERN)
_CHILD = re.compile(rf"\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*{_NAME_PATTERN}\s*\)")
# AT_LEAST(2, ALARM, (errors, latency, load))
_AT_LEAST = re.compile(r"\bAT_LEAST\s*\([^(),]*,[^(),]*,\s*\(([^()]*)\)")


def _returned(queries: Queries) -> str | None:
    """Return the name of the query that the alarm compares with its threshold."""
    # True is the API's default.
    returned = [name for name, query in queries.items() if query.get("ReturnData") is not False]
    explicit = [name for name in returned if queries[name].get("ReturnData") is True]
    candidates = explicit or returned
    return candidates[0] if len(candidates) == 1 else None


def _over_queries(
    alarm: Response, name: str, queries: Queries, *, is_band: bool
) -> AlarmRule | AlarmExpression | None:
    used = tuple(_used(name, queries))
    texts = {each: text_of(queries[each], "Expression") for each in used}
    text = ", ".join([texts[name] or "", *(f"{each} = {texts[each]}" for each in used[1:] if texts[each])])
    if _QUERY.match(text):
        return _expression(alarm, ExpressionKind.QUERY, text, period=_seconds(queries[name]))
    read = {each: _metric_of(queries[each]) for each in used if not texts[each]}
    metrics = tuple((each, metric) for each, metric in read.items() if metric)
    # With some of the metrics, nothing could be said about all of them.
    metrics = metrics if len(metrics) == len(read) else ()
    kind = ExpressionKind.BAND if is_band else ExpressionKind.MATH
    period = max((metric.period for _, metric in metrics), default=_seconds(queries[name]))
    return _expression(alarm, kind, text, metrics=metrics, period=period)


_QUERY = re.compile(r"\s*SELECT\b", re.IGNORECASE)
_WORD = re.compile(r"[a-zA-Z]\w*")


def _used(name: str, queries: Queries) -> Iterator[str]:
    """Return the query of this name and all queries that it uses, each once."""
    to_do, seen = [name], {name}
    while to_do:
        name = to_do.pop(0)
        yield name
        words = _WORD.findall(text_of(queries[name], "Expression") or "")
        names = queries if "METRICS" in words else words
        new = [word for word in dict.fromkeys(names) if word in queries and word not in seen]
        to_do.extend(new)
        seen.update(new)


def _expression(
    alarm: Response,
    kind: ExpressionKind,
    text: str | None,
    *,
    metrics: tuple[tuple[str, WatchedMetric], ...] = (),
    period: timedelta | None = None,
) -> AlarmExpression:
    return AlarmExpression(
        kind=kind,
        text=safe_text(text),
        metrics=metrics,
        comparison=text_of(alarm, "ComparisonOperator") or "",
        threshold=number_of(alarm, "Threshold"),
        period=period,
        datapoints_to_alarm=_datapoints(alarm, _evaluations(alarm) or 1),
    )


def _metric_of(query: Response) -> WatchedMetric | None:
    stat = section_of(query, "MetricStat")
    fields = {**section_of(stat, "Metric"), "Period": stat.get("Period"), "Unit": stat.get("Unit")}
    return _metric({**fields, "Statistic": stat.get("Stat"), "AccountId": query.get("AccountId")})


def _metric(fields: Response) -> WatchedMetric | None:
    """Return the metric that a plain alarm has in its own fields; None if one cannot be read."""
    name, period, dimensions = text_of(fields, "MetricName"), _seconds(fields), _dimensions(fields)
    if name is None or period is None or dimensions is None:
        return None
    return WatchedMetric(
        namespace=text_of(fields, "Namespace") or "",
        metric=name,
        dimensions=dimensions,
        statistic=text_of(fields, "Statistic") or text_of(fields, "ExtendedStatistic") or "",
        period=period,
        unit=text_of(fields, "Unit"),
        account=text_of(fields, "AccountId"),
    )


def _seconds(fields: Response) -> timedelta | None:
    period = whole_number_of(fields, "Period")
    return timedelta(seconds=period) if period and 0 < period <= _LONGEST_PERIOD else None


def _rule(alarm: Response, metric: WatchedMetric | None) -> AlarmRule | None:
    comparison, threshold = text_of(alarm, "ComparisonOperator"), number_of(alarm, "Threshold")
    evaluations = _evaluations(alarm)
    if metric is None or comparison is None or threshold is None or evaluations is None:
        return None
    return AlarmRule(
        namespace=metric.namespace,
        metric=metric.metric,
        dimensions=metric.dimensions,
        statistic=metric.statistic,
        period=metric.period,
        unit=metric.unit,
        account=metric.account,
        comparison=comparison,
        threshold=threshold,
        evaluation_periods=evaluations,
        datapoints_to_alarm=_datapoints(alarm, evaluations),
        # CloudWatch's defaults, if the alarm does not set these.
        treat_missing_data=text_of(alarm, "TreatMissingData") or "missing",
        low_samples=text_of(alarm, "EvaluateLowSampleCountPercentile") or "evaluate",
    )


def _evaluations(alarm: Response) -> int | None:
    # Each period is at least a second.
    count = whole_number_of(alarm, "EvaluationPeriods")
    return count if count and 0 < count <= _LONGEST_PERIOD else None


def _datapoints(alarm: Response, evaluations: int) -> int:
    # CloudWatch's default, if the alarm does not set it.
    count = whole_number_of(alarm, "DatapointsToAlarm")
    return count if count and 0 < count <= evaluations else evaluations


def _dimensions(fields: Response) -> tuple[tuple[str, str], ...] | None:
    """Return the dimensions; None if one cannot be read, because fewer dimensions are another metric."""
    dimensions, pairs = fields.get("Dimensions"), []
    if dimensions is None:
        return ()
    if not isinstance(dimensions, list | tuple):
        return None
    for dimension in dimensions:
        if not isinstance(dimension, Mapping):
            return None
        name, value = text_of(dimension, "Name"), text_of(dimension, "Value")
        if name is None or value is None:
            return None
        pairs.append((name, value))
    return tuple(pairs)
