"""Metric math by the tables and examples of the CloudWatch user guide, "Using math expressions"."""

from __future__ import annotations

import math

import pytest

from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands
from airflow_guardrails.simulator.cloudwatch.errors import ValidationError
from airflow_guardrails.simulator.cloudwatch.math_values import Grid
from airflow_guardrails.simulator.cloudwatch.metric_math import Evaluation, QuerySet

# Monday, 2 March 2026, 10:00 UTC.
BEGIN = 1_772_445_600
GAP = None


def stat(name, period=60):
    return {"Metric": {"Namespace": "Shop", "MetricName": name}, "Period": period, "Stat": "Sum"}


def evaluate(expression, *, minutes=None, more=(), **metrics):
    """Return the series of an expression; each metric has a value, or a gap, for each minute."""
    queries = [
        *({"Id": name, "MetricStat": stat(name)} for name in metrics),
        *({"Id": name, "Expression": text} for name, text in more),
        {"Id": "result", "Expression": expression},
    ]
    minutes = minutes or max((len(values) for values in metrics.values()), default=0)

    def read(wanted, grid):
        values = zip(grid.seconds, metrics[wanted["Metric"]["MetricName"]], strict=False)
        return {at: float(value) for at, value in values if value is not GAP}

    grid = Grid(BEGIN, BEGIN + minutes * 60, 60)
    result = Evaluation(QuerySet(queries), read, Bands(lambda: BEGIN)).series("result", grid)
    rows = [[each.points.get(at, GAP) for at in grid.seconds] for each in result]
    return rows[0] if len(rows) == 1 else rows


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("metric1 < metric2", [0, 0, 1, 0]),
        ("metric1 >= 30", [1, 0, 0, 0]),
        ("metric1 > 15 AND metric2 > 15", [1, 0, 0, 0]),
        ("metric1 > 15 && metric2 > 15", [1, 0, 0, 0]),
        ("metric1 > 15 OR metric2 > 15", [1, 1, 1, 0]),
        ("metric1 == 20 || metric1 != 0", [1, 1, 0, 0]),
    ],
)
def test_the_guides_comparisons(expression, expected):
    assert evaluate(expression, metric1=[30, 20, 0, 0], metric2=[20, GAP, 20, GAP]) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("IF(metric1, metric2, metric3)", [30, 0, 20, GAP, GAP]),
        ("IF(metric1, 5, metric3)", [5, 5, 20, GAP, GAP]),
        ("IF(metric1, metric2, 5)", [30, 0, 5, 5, GAP]),
        ("IF(metric1, metric2)", [30, 0, GAP, GAP, GAP]),
        ("IF(metric1 < 1, 10, 2)", [2, 2, 10, 10, GAP]),
        ("IF(SUM(metric1) > 1, metric2, metric3)", [30, GAP, 0, 0, 30]),
        ("IF(SUM(metric1) > 2, metric2, metric3)", [0, 0, 20, GAP, 20]),
        ("IF(SUM(metric1) > 2, metric2)", [GAP] * 5),
    ],
)
def test_the_guides_if_tables(expression, expected):
    metrics = {
        "metric1": [1, 1, 0, 0, GAP],
        "metric2": [30, GAP, 0, 0, 30],
        "metric3": [0, 0, 20, GAP, 20],
    }
    assert evaluate(expression, **metrics) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m1 + m2", [11, 2, 20, GAP]),
        ("m1 - m2", [-9, 2, -20, GAP]),
        ("m1 / m2", [0.1, GAP, 0, GAP]),
        ("100 * m1 / m2", [10, GAP, 0, GAP]),
        ("-m1 ^ 2", [-1, -4, GAP, GAP]),
        ("2 ^ 3 ^ 2 * m1", [512, 1024, GAP, GAP]),
        ("1 + 2 * (m1 - 0.5)", [2, 4, GAP, GAP]),
        ("SUM(-[m1, m2])", [-11, -2, -20, GAP]),
        ("SUM(100 / [m1, m2])", [110, 50, 5, GAP]),
        ("AVG([m1, m2] / m2)", [0.55, GAP, 0.5, GAP]),
        ("(0 - m1) ^ 0.5", [GAP, GAP, GAP, GAP]),
    ],
)
def test_arithmetic_counts_missing_values_as_zero_and_drops_divisions_by_zero(expression, expected):
    found = evaluate(expression, m1=[1, 2, GAP, GAP], m2=[10, GAP, 20, GAP])
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("FILL(m1, 7)", [7, 2, 7, 7, 8, 7]),
        ("FILL(m1, REPEAT)", [GAP, 2, 2, 2, 8, 8]),
        ("FILL(m1, LINEAR)", [GAP, 2, 4, 6, 8, GAP]),
        ("FILL(m1, m2)", [1, 2, 1, 1, 8, GAP]),
        ("FILL(m1, MIN(m1))", [2, 2, 2, 2, 8, 2]),
        ("FILL(empty, 0)", [0] * 6),
        ("FILL(empty, REPEAT)", [GAP] * 6),
        ("TIME_SERIES(5 * MAX(m1))", [40] * 6),
        ("TIME_SERIES(MAX(empty))", [GAP] * 6),
        ("m1 - MIN(m1)", [GAP, 0, GAP, GAP, 6, GAP]),
        ("m1 / DATAPOINT_COUNT(m1)", [GAP, 1, GAP, GAP, 4, GAP]),
        ("m1 * STDDEV(m1)", [GAP, 6, GAP, GAP, 24, GAP]),
        ("0 * m1 + SUM(m1)", [GAP, 10, GAP, GAP, 10, GAP]),
        # Missing values are zeros of an average.
        ("0 * m1 + AVG(m1)", [GAP, 10 / 6, GAP, GAP, 10 / 6, GAP]),
        ("m1 / PERIOD(m1)", [GAP, 2 / 60, GAP, GAP, 8 / 60, GAP]),
        ("DIFF(m1)", [GAP, GAP, GAP, GAP, 6, GAP]),
        ("DIFF_TIME(m1)", [GAP, GAP, GAP, GAP, 180, GAP]),
        ("RATE(m1)", [GAP, GAP, GAP, GAP, 6 / 180, GAP]),
        ("RUNNING_SUM(m1)", [GAP, 2, GAP, GAP, 10, GAP]),
        ("ABS(1 - m1)", [GAP, 1, GAP, GAP, 7, GAP]),
        ("CEIL(m1 / 5)", [GAP, 1, GAP, GAP, 2, GAP]),
        ("FLOOR(m1 / 5)", [GAP, 0, GAP, GAP, 1, GAP]),
        ("LOG(m1 - 2)", [GAP, GAP, GAP, GAP, math.log(6), GAP]),
        ("LOG10(m1 * 50)", [GAP, 2, GAP, GAP, math.log10(400), GAP]),
    ],
)
def test_functions_of_one_series(expression, expected):
    metrics = {"m1": [GAP, 2, GAP, GAP, 8, GAP], "m2": [1, 1, 1, 1, 1, GAP], "empty": [GAP]}
    assert evaluate(expression, minutes=6, **metrics) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("SUM(METRICS())", [5, 12, GAP]),
        ("AVG(METRICS())", [5 / 3, 4, GAP]),
        ("MIN(METRICS())", [1, 2, GAP]),
        ("MAX([errors4xx, requests])", [4, 10, GAP]),
        ("STDDEV([errors4xx, requests])", [1.5, 0, GAP]),
        ("DATAPOINT_COUNT(METRICS())", [2, 2, GAP]),
        ('SUM(METRICS("errors"))', [1, 2, GAP]),
        ("SUM([METRICS('4xx'), METRICS('5xx')])", [1, 2, GAP]),
        ("requests / METRIC_COUNT(METRICS())", [4 / 3, 10 / 3, GAP]),
        ("FIRST(SORT(METRICS(), MAX, DESC))", [4, 10, GAP]),
        ("LAST(SORT(METRICS(), AVG, DESC))", [1, GAP, GAP]),
        ("IF(FIRST(SORT(METRICS(), SUM, DESC)) > 5, 1, 0)", [0, 1, GAP]),
        ("SUM(SORT(METRICS(), SUM, ASC, 2))", [1, 2, GAP]),
        ("SUM(SLICE(SORT(METRICS(), SUM, DESC), 1))", [1, 2, GAP]),
        ("SUM(SLICE(SORT(METRICS(), SUM, DESC), 0, 2))", [4, 12, GAP]),
        ("SUM(CEIL(METRICS() / 3))", [3, 5, GAP]),
        ("SUM(FILL(METRICS(), 1))", [6, 13, 3]),
    ],
)
def test_functions_of_arrays(expression, expected):
    metrics = {"errors4xx": [1, GAP, GAP], "errors5xx": [GAP, 2, GAP], "requests": [4, 10, GAP]}
    assert evaluate(expression, **metrics) == pytest.approx(expected)


def test_an_array_is_a_series_for_each_metric():
    assert evaluate("METRICS() / 2", m1=[2, GAP], m2=[GAP, 4]) == [[1, GAP], [GAP, 2]]


def test_series_without_values_are_sorted_last_and_can_be_removed():
    metrics = {"m1": [GAP], "m2": [3], "m3": [1]}
    assert evaluate("SORT(METRICS(), SUM, ASC)", **metrics) == [[1], [3], [GAP]]
    assert evaluate("REMOVE_EMPTY(METRICS())", **metrics) == [[3], [1]]


def test_functions_of_time_have_a_value_at_every_minute():
    assert evaluate("MINUTE(m1)", m1=[1, GAP, GAP]) == [0, 1, 2]
    for expression, value in {
        "HOUR(m1)": 10,
        "DAY(m1)": 1,
        "DATE(m1)": 2,
        "MONTH(m1)": 3,
        "YEAR(m1)": 2026,
        "EPOCH(m1)": BEGIN,
        "IF(DAY(m1) < 6 AND (HOUR(m1) >= 9 AND HOUR(m1) < 17), m1)": 7,
    }.items():
        assert evaluate(expression, m1=[7]) == [value]


def test_expressions_use_the_results_of_others_in_any_order():
    more = [("percent", "100 * share"), ("share", "m1 / m2")]
    assert evaluate("percent + METRIC_COUNT(METRICS())", more=more, m1=[1], m2=[4]) == [27]


def test_ids_may_be_words_of_python():
    assert evaluate("in + lambda / is - not", **{"in": [1], "lambda": [4], "is": [2], "not": [1]}) == [2]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("1 + 1", "must have a Period"),
        ("m1 +", "syntax is wrong"),
        ("m1 m2", "syntax is wrong"),
        ("m1 ** 2", "syntax is wrong"),
        ("m1 // 2", "syntax is wrong"),
        ("m1[0]", "syntax is wrong"),
        ("m1.real", "syntax is wrong"),
        ("(m1, m2)", "syntax is wrong"),
        ("+m1", "not supported"),
        ("m1 % 2", "syntax is wrong at '% 2'"),
        ("m1 and m2", "syntax is wrong"),
        ("m1 + 0x10", "syntax is wrong"),
        ("m1 < m2 < 3", "chained"),
        ("True + m1", "syntax is wrong"),
        ("M1 + m1", "M1 is no function"),
        ("m1 + AVG", "operand is AVG"),
        ("m1 + FILL", "FILL is a function and needs arguments"),
        ("m1 + nobody", "no query with the id nobody"),
        ("m1 + result", "uses itself"),
        ("m1 + 'text'", "syntax is wrong"),
        ("sum(m1)", "function sum is unknown"),
        ("__import__('os')", "function __import__ is unknown"),
        ("SEARCH('{AWS/SageMaker} Invocations', 'Sum')", "SEARCH is unknown or not simulated"),
        ("INSIGHT_RULE_METRIC('a', 'b') + m1", "INSIGHT_RULE_METRIC is unknown or not simulated"),
        ("SERVICE_QUOTA(m1)", "SERVICE_QUOTA is unknown or not simulated"),
        ("SUM(m1)", "result is S, but must be TS"),
        ("ABS(5) + m1", r"ABS does not take \(S\)"),
        ("ABS(m1, m2)", r"ABS does not take \(TS, TS\)"),
        ("FILL(m1)", r"FILL does not take \(TS\)"),
        ("FILL(m1, DESC)", r"FILL does not take \(TS, DESC\)"),
        ("FIRST(m1)", r"FIRST does not take \(TS\)"),
        ("SORT(METRICS(), REPEAT, DESC)", "SORT does not take"),
        ("SORT(METRICS(), SUM, SUM)", "SORT does not take"),
        ("SLICE(METRICS(), 0.5)", "whole number"),
        ("IF(METRICS(), 1, 0)", "IF does not take"),
        ("IF(m1, METRICS(), 0)", "IF does not take"),
        ("IF(SUM(m1) > 0, 1, 0)", "IF does not take"),
        ("METRICS() > 1", r"operand is TS\[\]"),
        ("METRICS() + METRICS()", r"operand is TS\[\]"),
        ("[m1, 5]", "an array holds TS, not S"),
        ("PERIOD(m1 + m2) + m1", "PERIOD takes a metric"),
        ("METRICS(m1)", "METRICS takes"),
        ("ANOMALY_DETECTION_BAND(METRICS())", "does not support METRICS"),
        ("ANOMALY_DETECTION_BAND(m1, 0)", "must be a number above 0"),
        ("ANOMALY_DETECTION_BAND(m1, m2)", "must be a number above 0"),
        ("ANOMALY_DETECTION_BAND(m1, 2, 3)", "takes a TS and a number"),
        ("ANOMALY_DETECTION_BAND(5) + m1", "takes a TS, not S"),
        ("ANOMALY_DETECTION_BAND(FIRST(ANOMALY_DETECTION_BAND(m1)))", "more than once"),
        ("m1" + " + m1" * 500, "longer than 2048"),
        ("(" * 300 + "m1" + ")" * 300, "syntax is wrong"),
        ("-" * 2000 + "m1", "syntax is wrong|nested too deeply"),
    ],
)
def test_what_is_no_metric_math_is_refused_with_the_id_and_the_reason(expression, reason):
    with pytest.raises(ValidationError, match=f"Error in expression 'result': .*(?:{reason})"):
        evaluate(expression, m1=[1], m2=[1])


def test_expressions_in_a_circle_are_refused():
    with pytest.raises(ValidationError, match="uses itself"):
        evaluate("first + m1", more=[("first", "second + m1"), ("second", "first + m1")], m1=[1])


def test_metrics_with_different_periods_are_refused_in_one_expression_only():
    late = {"Id": "late", "MetricStat": stat("late", 300)}
    queries = [{"Id": "m1", "MetricStat": stat("m1")}, late, {"Id": "sum", "Expression": "m1 * 2"}]

    assert QuerySet(queries).period("late") == 300
    assert QuerySet(queries).period("sum") == 60
    with pytest.raises(ValidationError, match=r"'sum': metrics with different periods \(\[60, 300\]\)"):
        QuerySet([*queries[:2], {"Id": "sum", "Expression": "SUM(METRICS())"}])


def test_a_doubling_chain_of_expressions_is_calculated_once_each():
    more = [("e0", "m1 + m1"), *((f"e{n}", f"e{n - 1} + e{n - 1}") for n in range(1, 60))]
    assert evaluate("e59", more=more, m1=[1]) == [2.0**60]
