"""Anomaly bands: what the simple model learns, alarms on bands, and anomaly detectors."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.simulator.cloudwatch.alarms import Alarms
from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands
from airflow_guardrails.simulator.cloudwatch.errors import ValidationError
from airflow_guardrails.simulator.cloudwatch.metrics import MetricStore
from airflow_guardrails.simulator.cloudwatch.queries import get_metric_data
from airflow_guardrails.simulator.engine.clock import Clock

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
LATENCY = {"Namespace": "Shop", "MetricName": "latency", "Dimensions": []}
WATCHED = {"Id": "m1", "MetricStat": {"Metric": LATENCY, "Period": 60, "Stat": "Average"}}
BAND = {"Id": "band", "Expression": "ANOMALY_DETECTION_BAND(m1, 2)"}
BOTH = "LessThanLowerOrGreaterThanUpperThreshold"


class Shop:
    """A metric whose value is 9 and 11 in turns, so the mean is 10 and the deviation is 1."""

    def __init__(self, start=START):
        self.clock = Clock(start=start)
        self.metrics = MetricStore(self.clock)
        self.bands = Bands(lambda: self.metrics.visible_until)
        self.alarms = Alarms(self.clock, self.metrics, self.bands)

    def put(self, comparison=BOTH, **changes):
        request = {
            "AlarmName": "slow",
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "ComparisonOperator": comparison,
            "ThresholdMetricId": "band",
            "Metrics": [WATCHED, BAND],
            **changes,
        }
        self.alarms.put_metric_alarm({field: value for field, value in request.items() if value is not None})

    def minute(self, value):
        self.clock.advance(30)
        self.record(value)
        self.clock.advance(30)
        return self.alarms.state("slow")

    def record(self, *values, at=None):
        self.metrics.record("Shop", "latency", {}, values, at=at or self.clock.now())

    def usual(self, minutes):
        return [self.minute(9.0 + 2 * (self.clock.now().minute % 2)) for _ in range(minutes)]

    def band(self, *, start=None, expression=BAND["Expression"], period=60):
        """Return the upper and the lower bound of one period, or None."""
        start = start or self.clock.now()
        stat = {**WATCHED["MetricStat"], "Period": period}
        answer = get_metric_data(
            self.metrics,
            self.bands,
            {
                "MetricDataQueries": [
                    {"Id": "m1", "MetricStat": stat, "ReturnData": False},
                    {"Id": "band", "Expression": expression},
                ],
                "StartTime": start,
                "EndTime": start + timedelta(seconds=period),
            },
        )
        values = [result["Values"] for result in answer["MetricDataResults"]]
        return tuple(value for [value] in values) if all(values) else None


@pytest.fixture
def shop():
    return Shop()


def test_a_band_is_the_mean_and_deviations_of_what_was_learned_every_15_minutes(shop):
    shop.usual(29)
    assert shop.band() is None
    shop.usual(1)
    assert shop.band() == pytest.approx((12, 8))
    assert shop.band(expression="ANOMALY_DETECTION_BAND(m1)") == pytest.approx((12, 8))
    assert shop.band(expression="ANOMALY_DETECTION_BAND(m1, 0.5)") == pytest.approx((10.5, 9.5))

    for _ in range(14):
        shop.minute(1000.0)
    assert shop.band() == pytest.approx((12, 8))
    shop.minute(1000.0)
    assert shop.band()[0] > 500


def test_the_bounds_of_a_band_are_two_series_the_upper_one_first(shop):
    shop.usual(30)
    for function, expected in (("FIRST", 12), ("LAST", 8)):
        assert shop.band(expression=f"{function}({BAND['Expression']})") == pytest.approx((expected,))


def test_a_band_of_the_past_does_not_know_what_came_later(shop):
    shop.usual(45)
    then = shop.clock.now()
    before = shop.band()
    for _ in range(60):
        shop.minute(500.0)

    assert shop.band(start=then) == before
    assert shop.band(start=START + timedelta(minutes=29)) is None


def test_a_band_of_metric_math_learns_its_values(shop):
    shop.usual(30)
    assert shop.band(expression="ANOMALY_DETECTION_BAND(10 * m1, 1)") == pytest.approx((110, 90))


def test_a_band_of_long_periods_learns_whole_periods(shop):
    for hour in range(30):
        shop.record(100.0 + 2 * (hour % 2), at=START - timedelta(hours=30 - hour))
    assert shop.band(period=3600) == pytest.approx((103, 99))


def test_the_same_hour_of_three_days_counts_alone(shop):
    for day in range(1, 4):
        for minute in range(30):
            shop.record(100.0 + minute % 2, at=START - timedelta(days=day, minutes=-minute))
            shop.record(5.0, at=START - timedelta(days=day, minutes=-60 - minute))

    upper, lower = shop.band()
    assert (upper, lower) == pytest.approx((101.5, 99.5))
    assert shop.band(start=START + timedelta(hours=1)) == pytest.approx((5, 5))
    # No three days have data of this hour, so all values count.
    assert shop.band(start=START + timedelta(hours=2))[0] > 140


def test_what_is_older_than_two_weeks_is_forgotten(shop):
    shop.usual(30)
    assert shop.band(start=START + timedelta(days=13)) is not None
    assert shop.band(start=START + timedelta(days=15)) is None


def test_an_alarm_has_no_datapoint_before_there_is_a_band(shop):
    shop.put()
    states = shop.usual(32)
    assert states[:30] == ["INSUFFICIENT_DATA"] * 30
    assert states[31] == "OK"


@pytest.mark.parametrize(
    ("comparison", "below", "above"),
    [
        (BOTH, "ALARM", "ALARM"),
        ("LessThanLowerThreshold", "ALARM", "OK"),
        ("GreaterThanUpperThreshold", "OK", "ALARM"),
    ],
)
def test_each_comparison_with_a_band(shop, comparison, below, above):
    shop.put(comparison)
    shop.usual(32)

    # The bounds themselves are inside.
    states = [shop.minute(value) for value in (8.0, 12.0, 7.9, 10.0, 12.1)]
    assert states == ["OK", "OK", below, "OK", above]


@pytest.mark.parametrize(
    ("comparison", "text", "data"),
    [
        (
            BOTH,
            "was less than the lower thresholds [8.0] or greater than the upper thresholds [12.0]",
            {"recentLowerThresholds": [8.0], "recentUpperThresholds": [12.0]},
        ),
        (
            "GreaterThanUpperThreshold",
            "was greater than the upper thresholds [12.0]",
            {"recentUpperThresholds": [12.0]},
        ),
    ],
)
def test_the_reason_names_the_thresholds_in_the_words_of_cloudwatch(shop, comparison, text, data):
    shop.put(comparison)
    shop.usual(32)
    shop.minute(13.0)

    state = shop.alarms.get("slow").state
    assert state.reason == (
        f"Thresholds Crossed: 1 out of the last 1 datapoints [13.0 (02/03/26 10:32:00)] {text} "
        "(minimum 1 datapoint for OK -> ALARM transition)."
    )
    shown = json.loads(state.reason_data)
    assert {field: shown.get(field) for field in data} == data
    assert "threshold" not in shown
    assert shown["recentDatapoints"] == [13.0]

    shop.minute(10.0)
    reason = shop.alarms.get("slow").state.reason
    assert text.replace("was", "was not").replace(" or ", " or not ") in reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ThresholdMetricId": "other"}, "exactly one metric matching the ThresholdMetricId"),
        (
            {"Metrics": [WATCHED, {**BAND, "ReturnData": False}]},
            "exactly one metric matching the ThresholdMetricId",
        ),
        ({"Metrics": [{**WATCHED, "ReturnData": False}, BAND]}, "Exactly one element"),
        ({"Metrics": [WATCHED, {**BAND, "Expression": "m1 * 2"}]}, "Id of an ANOMALY_DETECTION_BAND"),
        (
            {"Metrics": [WATCHED, {**BAND, "Expression": "FIRST(ANOMALY_DETECTION_BAND(m1))"}]},
            "Id of an ANOMALY_DETECTION_BAND",
        ),
        ({"Threshold": 5.0}, "mutually exclusive"),
        ({"ComparisonOperator": "GreaterThanThreshold"}, "requires one of the ComparisonOperators"),
        (
            {"ThresholdMetricId": None, "Metrics": [WATCHED, {**BAND, "ReturnData": False}]},
            "for ranges require ThresholdMetricId",
        ),
    ],
)
def test_alarms_on_a_band_that_are_refused(shop, changes, message):
    with pytest.raises(ValidationError, match=message):
        shop.put(**changes)
    assert shop.alarms.all() == []


@pytest.fixture
def cloudwatch(aws):
    return aws("cloudwatch")


SINGLE = {**LATENCY, "Stat": "Average"}
MATH = {"MetricDataQueries": [{**WATCHED, "ReturnData": False}, {"Id": "twice", "Expression": "2 * m1"}]}


def error_code(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def test_detectors_are_put_described_and_deleted(cloudwatch):
    cloudwatch.put_anomaly_detector(SingleMetricAnomalyDetector=SINGLE)
    cloudwatch.put_anomaly_detector(**{**SINGLE, "MetricName": "errors"})
    cloudwatch.put_anomaly_detector(
        MetricMathAnomalyDetector=MATH, MetricCharacteristics={"PeriodicSpikes": True}
    )

    def described(**request):
        return cloudwatch.describe_anomaly_detectors(**request)["AnomalyDetectors"]

    first, second = described()
    assert first["SingleMetricAnomalyDetector"] == SINGLE
    assert (first["MetricName"], first["Stat"]) == ("latency", "Average")
    assert first["StateValue"] == "TRAINED_INSUFFICIENT_DATA"
    assert described(MetricName="errors") == [second]
    assert described(Namespace="Other") == []
    [math] = described(AnomalyDetectorTypes=["METRIC_MATH"])
    assert math["MetricMathAnomalyDetector"] == MATH
    assert math["MetricCharacteristics"] == {"PeriodicSpikes": True}
    assert len(described(AnomalyDetectorTypes=["METRIC_MATH", "SINGLE_METRIC"])) == 3
    assert cloudwatch.describe_anomaly_detectors(MaxResults=1)["NextToken"]

    cloudwatch.delete_anomaly_detector(SingleMetricAnomalyDetector=SINGLE)
    cloudwatch.delete_anomaly_detector(MetricMathAnomalyDetector=MATH)
    assert described() == [second]
    assert (
        error_code(cloudwatch.delete_anomaly_detector, SingleMetricAnomalyDetector=SINGLE)
        == "ResourceNotFoundException"
    )


def test_a_detector_excludes_times_and_its_state_tells_when_it_has_learned(cloudwatch, simulator):
    for number in range(45):
        value = 1000.0 if number < 10 else 9.0 + 2 * (number % 2)
        cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "latency", "Value": value}])
        simulator.client.clock.advance(minutes=1)

    def band():
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=[{**WATCHED, "ReturnData": False}, BAND],
            StartTime=START + timedelta(minutes=45),
            EndTime=START + timedelta(minutes=46),
        )
        return [result["Values"] for result in answer["MetricDataResults"]]

    assert band()[0][0] > 500
    excluded = [{"StartTime": START, "EndTime": START + timedelta(minutes=11)}]
    cloudwatch.put_anomaly_detector(
        SingleMetricAnomalyDetector=SINGLE, Configuration={"ExcludedTimeRanges": excluded}
    )
    [detector] = cloudwatch.describe_anomaly_detectors()["AnomalyDetectors"]

    assert [value for [value] in band()] == pytest.approx([12, 8], abs=0.1)
    assert detector["StateValue"] == "TRAINED"
    assert detector["Configuration"]["ExcludedTimeRanges"] == excluded


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "MissingParameter"),
        ({"SingleMetricAnomalyDetector": {**SINGLE, "Stat": "Mean"}}, "InvalidParameterValue"),
        ({**SINGLE, "MetricMathAnomalyDetector": MATH}, "InvalidParameterCombination"),
        ({"MetricMathAnomalyDetector": {"MetricDataQueries": [WATCHED, BAND]}}, "InvalidParameterValue"),
        ({**SINGLE, "Configuration": {"MetricTimezone": "Moon/Base"}}, "InvalidParameterValue"),
        (
            {**SINGLE, "Configuration": {"ExcludedTimeRanges": [{"StartTime": START, "EndTime": START}]}},
            "InvalidParameterValue",
        ),
    ],
)
def test_detectors_that_are_refused(cloudwatch, request_, code):
    assert error_code(cloudwatch.put_anomaly_detector, **request_) == code
    assert cloudwatch.describe_anomaly_detectors()["AnomalyDetectors"] == []
