"""Extended statistics through boto3, against figures worked out by hand from CloudWatch's definitions."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated import START

METRIC = {"Namespace": "Churn", "MetricName": "Latency", "Dimensions": []}
MINUTE = timedelta(minutes=1)
# In another order, because CloudWatch sorts.
HUNDREDS = [1000.0, 100.0, 900.0, 200.0, 800.0, 300.0, 700.0, 400.0, 600.0, 500.0]


@pytest.fixture
def cloudwatch(aws):
    return aws("cloudwatch")


@pytest.fixture
def publish(cloudwatch):
    """Publish a datum at a minute after START."""

    def publish(*values, minute=0, **datum):
        datum = {"MetricName": "Latency", "Timestamp": START + minute * MINUTE, **datum}
        if values:
            datum["Values"] = list(values)
        cloudwatch.put_metric_data(Namespace="Churn", MetricData=[datum])

    return publish


@pytest.fixture
def query(simulator, cloudwatch):
    """Return minute -> value of a statistic by GetMetricData, for the first ten minutes."""

    def query(statistic, metric=METRIC):
        simulator.client.clock.advance(minutes=10)
        stat = {"Metric": metric, "Period": 60, "Stat": statistic}
        [result] = cloudwatch.get_metric_data(
            MetricDataQueries=[{"Id": "q", "MetricStat": stat}],
            StartTime=START,
            EndTime=START + 10 * MINUTE,
        )["MetricDataResults"]
        minutes = [(at - START) // MINUTE for at in result["Timestamps"]]
        return dict(zip(minutes, result["Values"], strict=True))

    return query


@pytest.fixture
def datapoints(cloudwatch):
    """Return the datapoints of GetMetricStatistics for extended statistics."""

    def datapoints(*statistics):
        return cloudwatch.get_metric_statistics(
            **METRIC, StartTime=START, EndTime=START + MINUTE, Period=60, ExtendedStatistics=list(statistics)
        )["Datapoints"]

    return datapoints


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("p50", 500),
        ("p90", 900),
        ("p90.1", 1000),
        ("p0.0", 100),
        ("p100", 1000),
        # Percents: ranks. 100 to 900; 200 to 900; 900 and 1000.
        ("tm90", 500),
        ("TM(:90%)", 500),
        ("TM(10%:90%)", 550),
        ("TM(80%:)", 950),
        ("TM(0%:100%)", 550),
        # 100 to 800 and half of 900: (3600 + 450) / 8.5.
        ("tm85", 4050 / 8.5),
        # Half of 300, 400 to 700, half of 800: 2750 / 5.
        ("IQM", 550),
        ("TM(25%:75%)", 550),
        # Values: the lower bound is exclusive, the upper one inclusive.
        ("TM(200:900)", 600),
        ("TM(150:1000)", 600),
        ("TM(:500)", 300),
        ("TM(500:)", 800),
        # 1000 becomes 900.
        ("wm90", 540),
        ("WM(:90%)", 540),
        # Also, 100 becomes 200.
        ("WM(20%:90%)", 550),
        # Three times 750 and two times 250 around 300 to 700.
        ("WM(250:750)", 525),
        ("WM(:300)", 270),
        ("WM(800:)", 830),
        ("tc90", 9),
        ("tc85", 8.5),
        ("TC(10%:90%)", 8),
        ("TC(99.5%:)", 0.05),
        ("TC(:300)", 3),
        ("TC(300:)", 7),
        ("TC(300:500)", 2),
        ("TC(99.5:100.5)", 1),
        ("TC(1000:)", 0),
        ("ts90", 4500),
        ("ts85", 4050),
        ("TS(80%:)", 1900),
        ("TS(300:500)", 900),
        ("TS(1000:)", 0),
        ("PR(:300)", 30),
        ("PR(100:300)", 20),
        ("PR(300:)", 70),
        ("PR(:99.9)", 0),
        ("PR(:2000)", 100),
    ],
)
def test_a_statistic_by_both_operations(publish, query, datapoints, statistic, value):
    publish(*HUNDREDS)

    assert query(statistic) == {0: pytest.approx(value)}
    [point] = datapoints(statistic)
    assert point["ExtendedStatistics"] == {statistic: pytest.approx(value)}


@pytest.mark.parametrize("statistic", ["TM(1000:)", "TM(:99)", "TM(100.1:199.9)", "tm0"])
def test_a_range_without_values_has_no_mean(publish, query, datapoints, statistic):
    publish(*HUNDREDS)

    assert query(statistic) == {}
    [point] = datapoints(statistic, "tc0")
    assert point["ExtendedStatistics"] == {"tc0": 0}


def test_ranks_of_adjacent_bins_add_up_to_one_hundred(publish, query):
    publish(*HUNDREDS)

    bins = [query(f"PR({bounds})")[0] for bounds in (":100", "100:500", "500:900", "900:")]
    assert bins == [10, 40, 40, 10]


def test_the_interquartile_mean_is_the_mean_of_the_middle_half(publish, query):
    publish(0.0, 10.0, 100.0, 1000.0)

    assert query("IQM") == {0: 55}


def test_equal_values_across_a_rank_count_in_part(publish, query):
    publish(10.0, 20.0, Counts=[1.0, 3.0])

    # Ranks 0 to 2 of 4: 10 and one of the three 20.
    assert query("tc50") == {0: 2}
    assert query("ts50") == {0: 30}
    assert query("tm50") == {0: 15}


def test_slow_requests_of_an_endpoint_by_minute(simulator, query):
    variant = {"EndpointName": "churn", "VariantName": "AllTraffic"}
    record = simulator.simulation.world("us-east-1").metrics.record
    for minute, latencies in {0: [200.0, 300.0, 301.0, 900.0], 2: [100.0, 300.0]}.items():
        record("AWS/SageMaker", "ModelLatency", variant, latencies, at=START + minute * MINUTE)

    metric = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "ModelLatency",
        "Dimensions": [{"Name": name, "Value": value} for name, value in variant.items()],
    }
    # A minute with fast requests only has 0, a minute without requests has no datapoint.
    assert query("TC(300:)", metric) == {0: 2, 2: 0}
    assert query("PR(:300)", metric) == {0: 50, 2: 100}


def test_values_weigh_as_often_as_their_counts(publish, query):
    publish(100.0, 900.0, Counts=[98.0, 1.5])
    publish(900.0)

    assert query("TC(100:)") == {0: 2.5}
    assert query("PR(:100)") == {0: pytest.approx(100 * 98 / 100.5)}
    assert query("TS(100:)") == {0: 2250}


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({"SampleCount": 1, "Sum": 7, "Minimum": 7, "Maximum": 7}, True),
        ({"SampleCount": 3, "Sum": 0.1 + 0.1 + 0.1, "Minimum": 0.1, "Maximum": 0.1}, True),
        ({"SampleCount": 3, "Sum": 9, "Minimum": 1, "Maximum": 7}, False),
        ({"SampleCount": 1, "Sum": 7, "Minimum": 1, "Maximum": 7}, False),
        ({"SampleCount": 3, "Sum": 22, "Minimum": 7, "Maximum": 7}, False),
    ],
)
@pytest.mark.parametrize("statistic", ["p50", "tm90", "IQM", "wm90", "tc90", "ts90", "PR(:300)", "TC(300:)"])
def test_a_statistic_set_counts_only_if_all_its_values_are_known(publish, query, statistic, given, known):
    publish(5.0)
    publish(StatisticValues=given)

    assert (0 in query(statistic)) == known
    assert query("SampleCount") == {0: given["SampleCount"] + 1}


@pytest.mark.parametrize("statistic", ["p50", "tm90", "IQM", "wm90", "tc90", "ts90", "PR(:300)", "TC(300:)"])
def test_a_period_with_a_negative_value_has_no_extended_statistic(publish, query, datapoints, statistic):
    publish(-1.0, 400.0)
    publish(0.0, 400.0, minute=1)

    assert list(query(statistic)) == [1]
    assert query("Sum") == {0: 399, 1: 400}
    [point] = datapoints(statistic)
    assert "ExtendedStatistics" not in point


WRONG = [
    "TM90",
    "tm(10%:90%)",
    "tm101",
    "tm",
    "tm1.12345678901",
    "TM(:)",
    "TM()",
    "TM(90%)",
    "TM(10%:900)",
    "TM(10:90%)",
    "TM(:101%)",
    "TM(90%:10%)",
    "TC(300:300)",
    "TC(-1:2)",
    "TC(1e2:)",
    "TC( 1:2)",
    "pr90",
    "PR(10%:90%)",
    "P(10%:90%)",
    "P(10:90)",
    "iqm",
    "IQM(1:2)",
    "p101",
]


@pytest.mark.parametrize("statistic", WRONG)
def test_no_operation_accepts_what_is_no_statistic(query, datapoints, put_alarm, statistic):
    for call, code, text in (
        (query, "ValidationError", "MetricDataQueries.member.1.MetricStat.Stat is not a valid statistic."),
        (datapoints, "InvalidParameterValue", "ExtendedStatistics is not supported."),
        (put_alarm, "ValidationError", "ExtendedStatistic is not supported."),
    ):
        with pytest.raises(ClientError) as caught:
            call(statistic)
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == (code, f"The value {statistic} for parameter {text}")


def test_get_metric_data_names_each_wrong_statistic(cloudwatch):
    queries = [
        {"Id": f"q{i}", "MetricStat": {"Metric": METRIC, "Period": 60, "Stat": name}}
        for i, name in enumerate(["Mean", "Sum", "TM90"])
    ]
    with pytest.raises(ClientError) as caught:
        cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=START, EndTime=START + MINUTE)

    assert caught.value.response["Error"]["Message"] == (
        "The value Mean for parameter MetricDataQueries.member.1.MetricStat.Stat is not a valid statistic.\n"
        "The value TM90 for parameter MetricDataQueries.member.3.MetricStat.Stat is not a valid statistic."
    )


@pytest.fixture
def put_alarm(cloudwatch):
    def put_alarm(statistic, threshold=1.0, **more):
        cloudwatch.put_metric_alarm(
            AlarmName="slow",
            **METRIC,
            ExtendedStatistic=statistic,
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
            **more,
        )

    return put_alarm


@pytest.mark.parametrize(
    "statistic",
    [
        "p88.0",
        "tm90",
        "TM(2%:98%)",
        "TM(150:1000)",
        "IQM",
        "wm98",
        "PR(:300)",
        "tc90",
        "TS(80%:)",
        "TC(:0.5)",
    ],
)
def test_an_alarm_accepts_the_statistics_that_aws_accepts(cloudwatch, put_alarm, statistic):
    put_alarm(statistic)

    [alarm] = cloudwatch.describe_alarms()["MetricAlarms"]
    assert alarm["ExtendedStatistic"] == statistic


def test_an_alarm_on_the_number_of_slow_requests(simulator, cloudwatch, publish, put_alarm):
    put_alarm("TC(300:)", threshold=2.0)

    def state_after(*values, minute):
        publish(*values, minute=minute)
        simulator.client.clock.advance(minutes=1)
        [alarm] = cloudwatch.describe_alarms()["MetricAlarms"]
        return alarm["StateValue"], json.loads(alarm["StateReasonData"])

    state, data = state_after(300.0, 400.0, 500.0, minute=0)
    assert (state, data["extendedStatistic"], data["recentDatapoints"]) == ("OK", "TC(300:)", [2.0])
    state, data = state_after(301.0, 400.0, 500.0, minute=1)
    assert (state, data["recentDatapoints"]) == ("ALARM", [3.0])


@pytest.mark.parametrize("statistic", ["tm90", "TC(300:)"])
def test_low_sample_counts_are_an_option_of_percentiles_only(put_alarm, statistic):
    put_alarm("p90", EvaluateLowSampleCountPercentile="ignore")

    with pytest.raises(ClientError, match=r"only for percentile statistics\.") as caught:
        put_alarm(statistic, EvaluateLowSampleCountPercentile="ignore")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
