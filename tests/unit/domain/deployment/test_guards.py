"""Guards say what they watch, refuse what cannot be meant, and may be written as dicts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.deployment.guard_dicts import as_guard
from airflow_guardrails.guards import Alarm, ErrorRate, InvalidGuard, Latency, Metric

QUARTER = timedelta(milliseconds=250)
SHARE = {
    "errors": Metric(metric="Invocation5XXErrors", stat="Sum"),
    "requests": Metric(metric="Invocations", stat="Sum"),
}


@pytest.mark.parametrize(
    ("guard", "line"),
    [
        (ErrorRate(above=0.01), "5xx errors of the new fleet > 1 %, 1 min"),
        (ErrorRate(above=0.005, status="4xx", on="both"), "4xx errors of both fleets > 0.5 %, 1 min"),
        (
            ErrorRate(above=0.2, status="model", periods=3),
            "model errors of the new fleet > 20 %, 3 x 1 min",
        ),
        (Latency(above=QUARTER), "p99 latency of the new fleet > 250 ms, 1 min"),
        (Latency(above=QUARTER, percentile=99.9), "p99.9 latency of the new fleet > 250 ms, 1 min"),
        (Alarm(metric="Invocations", stat="Sum", below=10), "Invocations Sum of the new fleet < 10, 1 min"),
        (
            Alarm(metric="OverheadLatency", stat="Average", above=50_000),
            "OverheadLatency Average of the new fleet > 50 ms, 1 min",
        ),
        (
            Alarm(metric="Orders", stat="Sum", namespace="Shop", dimensions={}, below=1),
            "Orders Sum < 1, 1 min",
        ),
        (
            Alarm(expression="errors / requests", metrics=SHARE, above=0.01, on="both"),
            "errors / requests of both fleets > 0.01, 1 min",
        ),
    ],
)
def test_a_guard_says_in_a_line_what_it_does(guard, line):
    assert str(guard) == line


@pytest.mark.parametrize("above", [0, 1, -0.1, 1.5, 100, "0.01", None, float("nan"), True])
def test_an_error_rate_is_a_share(above):
    with pytest.raises(InvalidGuard, match=r"ErrorRate\.above must be a share above 0 and below 1"):
        ErrorRate(above=above)


@pytest.mark.parametrize("above", [timedelta(0), timedelta(minutes=9), -QUARTER, 250, 0.25, None])
def test_a_latency_is_a_duration_that_a_request_can_take(above):
    with pytest.raises(InvalidGuard, match=r"Latency\.above must be a timedelta"):
        Latency(above=above)


@pytest.mark.parametrize("percentile", [0, 100, -1, "p99", None])
def test_a_percentile_is_between_0_and_100(percentile):
    with pytest.raises(InvalidGuard, match=r"Latency\.percentile"):
        Latency(above=QUARTER, percentile=percentile)


@pytest.mark.parametrize("periods", [0, 1441, 1.5, True, "2"])
@pytest.mark.parametrize("guard", [ErrorRate(above=0.01), Latency(above=QUARTER)])
def test_periods_are_whole_minutes_of_a_day(guard, periods):
    with pytest.raises(InvalidGuard, match="periods must be a whole number of minutes from 1 to 1440"):
        type(guard)(above=guard.above, periods=periods)


ONE = {"metric": "Invocations", "stat": "Sum"}
MATH = {"expression": "errors / requests", "metrics": SHARE, "above": 0.01}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (ONE, "must have one of above and below"),
        ({**ONE, "above": 1, "below": 1}, "must have one of above and below"),
        ({**ONE, "above": "many"}, r"Alarm\.above must be a number"),
        ({**ONE, "above": 1, "stat": "p101th"}, r"Alarm\.stat must be a statistic of CloudWatch"),
        ({"metric": "Invocations", "above": 1}, r"Alarm\.stat must be"),
        ({"stat": "Sum", "above": 1}, r"Alarm\.metric must be text"),
        ({**ONE, "above": 1, "namespace": "Shop"}, r"Alarm\.dimensions must be given"),
        ({**ONE, "above": 1, "dimensions": {"A": 1}}, r"Alarm\.dimensions must be a dict of texts"),
        ({**ONE, "above": 1, "dimensions": {}, "on": "new"}, r"Alarm\.on must be left out with dimensions"),
        ({**ONE, "above": 1, "on": "old"}, r"Alarm\.on must be one of 'new', 'both'"),
        ({**ONE, "above": 1, "missing": "bad"}, r"Alarm\.missing must be one of"),
        ({**ONE, "above": 1, "missing": "breaching"}, 'another value with on="new"'),
        ({**ONE, "above": 1, "metrics": SHARE}, r"Alarm\.metrics must be left out without expression"),
        ({**MATH, "metric": "Invocations"}, r"Alarm\.metric must be left out with expression"),
        ({**MATH, "namespace": "Shop"}, r"Alarm\.namespace must be left out with expression"),
        ({**MATH, "metrics": None}, r"Alarm\.metrics must be a dict of names and metrics"),
        ({**MATH, "expression": ""}, r"Alarm\.expression must be text"),
        ({**MATH, "expression": "errors / all"}, r"must be the names in the expression, all, errors"),
        ({**MATH, "expression": "errors"}, r"must be the names in the expression, errors"),
        ({**MATH, "metrics": {**SHARE, "Total": SHARE["errors"]}}, "beginning with a lower-case letter"),
        ({**MATH, "metrics": {**SHARE, "requests": "Invocations"}}, r"Alarm\.metrics\['requests'\] must be"),
        ({**MATH, "metrics": {**SHARE, "requests": {"metric": "Invocations"}}}, "stat"),
    ],
)
def test_an_alarm_that_cannot_be_meant_is_refused(arguments, text):
    with pytest.raises(InvalidGuard, match=text):
        Alarm(**arguments)


def test_functions_and_numbers_of_metric_math_are_no_metrics():
    expression = "IF(requests > 1e2, 100 * errors / requests, 0)"

    assert Alarm(expression=expression, metrics=SHARE, above=1).expression == expression


def test_missing_data_may_count_as_bad_where_there_is_data_before_the_update():
    assert Alarm(**ONE, below=1, on="both", missing="breaching").missing == "breaching"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"guard": "ErrorRate", "above": 0.01}, ErrorRate(above=0.01)),
        (
            {"guard": "ErrorRate", "above": " 1e-2 ", "status": "4xx", "periods": "2", "on": "both"},
            ErrorRate(above=0.01, status="4xx", periods=2, on="both"),
        ),
        (
            {"guard": "Latency", "percentile": "95", "above": {"seconds": "1.5"}},
            Latency(percentile=95, above=timedelta(seconds=1.5)),
        ),
        ({"guard": "Alarm", **ONE, "below": "10"}, Alarm(**ONE, below=10)),
        (
            {**MATH, "guard": "Alarm", "metrics": {**SHARE, "requests": ONE}},
            Alarm(**MATH),
        ),
        (ErrorRate(above=0.01), ErrorRate(above=0.01)),
    ],
)
def test_a_dict_stands_for_the_guard_that_it_names(written, meant):
    assert as_guard(written) == meant


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("ErrorRate", "guards must be built from"),
        (None, "guards must be built from"),
        ({}, "guards must be built from"),
        ({"guard": "Errors", "above": 1}, "with one of ErrorRate, Latency, Alarm"),
        ({"guard": "ErrorRate"}, "above"),
        ({"guard": "ErrorRate", "over": 0.01}, "ErrorRate: no argument 'over'"),
        ({"guard": "Latency", "above": "250"}, "milliseconds"),
        ({"guard": "Latency", "above": {"milliseconds": "x"}}, "milliseconds"),
    ],
)
def test_what_is_no_guard_is_refused(written, text):
    with pytest.raises(InvalidGuard, match=text):
        as_guard(written)
