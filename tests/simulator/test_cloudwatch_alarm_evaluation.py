# ruff: noqa: E501 - CloudWatch's sentences stand here uncut
"""Alarm states by the tables of the CloudWatch user guide ("alarms-and-missing-data"), row by row; and reasons."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.simulator.cloudwatch.evaluation import (
    COMPARISONS,
    AlarmSpec,
    Datapoint,
    MissingData,
    State,
    decide,
    reason,
    reason_data,
)
from airflow_guardrails.simulator.cloudwatch.metrics import Metric

NOW = datetime(2026, 11, 24, 10, 5, tzinfo=timezone.utc)
RETAINED = "retained"
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")

THREE_OF_THREE = {
    "0 - X - X": ("OK", "OK", "OK", "OK"),
    "0 - - - -": ("OK", "OK", "OK", "OK"),
    "- - - - -": ("INSUFFICIENT_DATA", RETAINED, "ALARM", "OK"),
    "0 X X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "- - X - -": ("ALARM", RETAINED, "ALARM", "OK"),
}
TWO_OF_THREE = {
    "0 - X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 0 X 0 X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 - X - -": ("OK", "OK", "ALARM", "OK"),
    "- - - - 0": ("OK", "OK", "ALARM", "OK"),
    "- - - X -": ("ALARM", RETAINED, "ALARM", "OK"),
}


def decided(points: str, *, to_alarm: int, treat: str, state: State, periods: int = 3) -> State:
    return decide(
        [{"0": False, "X": True, "-": None}[point] for point in points.split()],
        evaluation_periods=periods,
        datapoints_to_alarm=to_alarm,
        treat_missing=MissingData(treat),
        state=state,
    )


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(
    ("points", "to_alarm", "treat", "expected"),
    [
        (points, to_alarm, treat, expected)
        for to_alarm, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
        for points, row in table.items()
        for treat, expected in zip(TREATMENTS, row, strict=True)
    ],
)
def test_each_cell_of_the_guides_tables(points, to_alarm, treat, expected, state):
    after = decided(points, to_alarm=to_alarm, treat=treat, state=state)

    assert after == (state if expected is RETAINED else State(expected))


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("points", ["- - - - X", "- - - X -"])
def test_a_breaching_point_that_may_have_a_good_successor_does_not_alarm_yet(points, state):
    assert decided(points, to_alarm=3, treat="missing", state=state) is state


@pytest.mark.parametrize("points", ["- - - X 0", "- - X - 0"])
def test_a_good_successor_ends_the_suspicion(points):
    assert decided(points, to_alarm=3, treat="missing", state=State.INSUFFICIENT_DATA) is State.OK


@pytest.mark.parametrize("treat", TREATMENTS)
def test_enough_breaching_points_alarm_whatever_missing_ones_count_as(treat):
    assert decided("- - - - X", to_alarm=1, treat=treat, state=State.OK) is State.ALARM


@pytest.mark.parametrize("treat", TREATMENTS)
def test_one_of_one_follows_the_newest_point_there_is(treat):
    for points, state in (("0 X -", State.ALARM), ("X 0 -", State.OK), ("X - -", State.ALARM)):
        assert decided(points, to_alarm=1, treat=treat, state=State.OK, periods=1) is state


@pytest.mark.parametrize(
    ("name", "below", "equal", "above"),
    [
        ("GreaterThanThreshold", False, False, True),
        ("GreaterThanOrEqualToThreshold", False, True, True),
        ("LessThanThreshold", True, False, False),
        ("LessThanOrEqualToThreshold", True, True, False),
    ],
)
def test_each_comparison_at_below_and_above_the_threshold(name, below, equal, above):
    breaches = spec(comparison=name, threshold=5).breaches
    assert tuple(breaches(Datapoint(at=NOW, value=value)) for value in (4, 5, 6)) == (below, equal, above)


def spec(*, periods=1, to_alarm=None, comparison="GreaterThanThreshold", threshold=0.05, treat="missing"):
    return AlarmSpec(
        metric=Metric("AWS/SageMaker", "Invocation5XXErrors", ()),
        statistic="Average",
        unit=None,
        period=60,
        evaluation_periods=periods,
        datapoints_to_alarm=to_alarm or periods,
        datapoints_given=to_alarm is not None,
        threshold=float(threshold),
        comparison=COMPARISONS[comparison],
        treat_missing=MissingData(treat),
    )


def points(*values):
    """One point a minute, the last one at 10:01."""
    last = datetime(2026, 11, 24, 10, 1, tzinfo=timezone.utc)
    return [
        None
        if value is None
        else Datapoint(at=last - timedelta(minutes=len(values) - place), value=value, sample_count=10.0)
        for place, value in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("alarm", "values", "state", "text"),
    [
        (
            spec(to_alarm=1),
            (None, None, 0.3),
            State.ALARM,
            "Threshold Crossed: 1 out of the last 1 datapoints [0.3 (24/11/26 10:01:00)] was greater than the threshold (0.05) (minimum 1 datapoint for OK -> ALARM transition).",
        ),
        (
            spec(),
            (None, None, 0.3),
            State.ALARM,
            "Threshold Crossed: 1 datapoint [0.3 (24/11/26 10:01:00)] was greater than the threshold (0.05).",
        ),
        (
            spec(periods=3, to_alarm=2),
            (0.0, 0.0, 0.3, 0.0, 0.4),
            State.ALARM,
            "Threshold Crossed: 2 out of the last 3 datapoints [0.4 (24/11/26 10:01:00), 0.3 (24/11/26 09:59:00)] were greater than the threshold (0.05) (minimum 2 datapoints for OK -> ALARM transition).",
        ),
        (
            spec(periods=3, to_alarm=3),
            (0.3, 0.3, 0.3, 0.3, 0.0),
            State.OK,
            "Threshold Crossed: 1 out of the last 3 datapoints [0.0 (24/11/26 10:01:00)] was not greater than the threshold (0.05) (minimum 1 datapoint for ALARM -> OK transition).",
        ),
        (
            spec(periods=2, treat="breaching"),
            (None, None, None, 0.3),
            State.ALARM,
            "Threshold Crossed: 1 datapoint [0.3 (24/11/26 10:01:00)] was greater than the threshold (0.05) and 1 missing datapoint was treated as [Breaching].",
        ),
        (
            spec(periods=3, treat="notBreaching"),
            (None,) * 5,
            State.OK,
            "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [NonBreaching].",
        ),
        (spec(), (None,) * 3, State.INSUFFICIENT_DATA, "Insufficient Data: 1 datapoint was unknown."),
        (
            spec(periods=2),
            (None,) * 4,
            State.INSUFFICIENT_DATA,
            "Insufficient Data: 2 datapoints were unknown.",
        ),
    ],
)
def test_reasons_read_like_cloudwatchs(alarm, values, state, text):
    assert reason(alarm, points(*values), state=state) == text


def test_a_reason_over_many_points_stays_within_its_1023_characters():
    alarm = spec(periods=500)
    text = reason(alarm, points(*[1e6 + 1 / 3] * 502), state=State.ALARM)

    assert text.startswith("Threshold Crossed: 500 datapoints were greater than the threshold (0.05).")
    assert len(text) < 1023
    assert len(reason_data(alarm, points(*[1e6 + 1 / 3] * 502), now=NOW)) < 4000


def test_reason_data_holds_the_points_behind_the_reason():
    data = json.loads(reason_data(spec(periods=2), points(0.9, None, 0.3, 0.4), now=NOW))

    assert data == {
        "version": "1.0",
        "queryDate": "2026-11-24T10:05:00.000+0000",
        "startDate": "2026-11-24T10:00:00.000+0000",
        "statistic": "Average",
        "period": 60,
        "recentDatapoints": [0.3, 0.4],
        "threshold": 0.05,
        "evaluatedDatapoints": [
            {"timestamp": "2026-11-24T10:01:00.000+0000", "sampleCount": 10.0, "value": 0.4},
            {"timestamp": "2026-11-24T10:00:00.000+0000", "sampleCount": 10.0, "value": 0.3},
        ],
    }
