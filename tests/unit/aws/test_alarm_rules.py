"""What alarms of DescribeAlarms watch, in each form that CloudWatch has."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from airflow_guardrails.aws.alarms import parse_alarms
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.rollout.progress import alarm_report
from tests.support.preflight import NEW, SWITCH, guards

DIMENSIONS = [
    {"Name": "EndpointName", "Value": "churn"},
    {"Name": "VariantName", "Value": "AllTraffic"},
]
METRIC = {"Namespace": "AWS/SageMaker", "MetricName": "Invocation5XXErrors", "Dimensions": DIMENSIONS}
CONDITION = {
    "AlarmName": "errors",
    "StateValue": "OK",
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 0.05,
    "EvaluationPeriods": 5,
    "DatapointsToAlarm": 3,
}


def parsed(**fields):
    (alarm,) = parse_alarms({"MetricAlarms": [{**CONDITION, **fields}]})
    return alarm


def query(name, stat="Sum", *, returned=False, **metric):
    spec = {"Metric": {**METRIC, **metric}, "Period": 60, "Stat": stat}
    return {"Id": name, "MetricStat": spec, "ReturnData": returned}


def expression(text, name="e1", *, returned=True):
    return {"Id": name, "Expression": text, "ReturnData": returned}


@pytest.mark.parametrize("stat", ["Average", "p99"])
@pytest.mark.parametrize("members", [{}, {"ReturnData": True}, {"Label": "errors", "ReturnData": True}])
def test_one_metric_in_a_list_is_the_same_as_a_plain_alarm(stat, members):
    kind = "ExtendedStatistic" if stat == "p99" else "Statistic"
    more = {"EvaluateLowSampleCountPercentile": "ignore", "TreatMissingData": "breaching"}
    in_list = {**query("m1", stat), **members}
    if not members:
        del in_list["ReturnData"]

    assert parsed(Metrics=[in_list], **more).rule == parsed(**METRIC, Period=60, **{kind: stat}, **more).rule
    assert parsed(Metrics=[in_list], **more).rule.low_samples == "ignore"


def test_a_metric_of_another_account_is_read_with_it():
    rule = parsed(Metrics=[{**query("m1", returned=True), "AccountId": "999999999999"}]).rule

    assert rule.account == "999999999999"
    assert rule.describe() == "AWS/SageMaker Invocation5XXErrors Sum of account 999999999999, 1 min"


def test_metric_math_is_read_with_all_metrics_that_it_uses():
    alarm = parsed(
        Metrics=[
            expression("IF(m2 > 100, e2, 0)"),
            expression("FILL(m1, 0) / m2", "e2", returned=False),
            query("m1"),
            query("m2", MetricName="Invocations"),
            query("m3", MetricName="ModelLatency"),
        ]
    )

    assert alarm.rule is None
    assert [metric.metric for metric in alarm.metrics] == ["Invocations", "Invocation5XXErrors"]
    assert alarm.watches == (
        "metric math IF(m2 > 100, e2, 0), e2 = FILL(m1, 0) / m2, m2 = AWS/SageMaker Invocations Sum, 1 min, "
        "m1 = AWS/SageMaker Invocation5XXErrors Sum, 1 min"
    )
    assert (alarm.expression.threshold, alarm.expression.datapoints_to_alarm) == (0.05, 3)
    assert alarm.expression.period == timedelta(minutes=1)


def test_expressions_that_use_each_other_are_read_to_an_end():
    alarm = parsed(Metrics=[expression("e2 + 1"), expression("e1 + m1", "e2", returned=False), query("m1")])

    assert [metric.metric for metric in alarm.metrics] == ["Invocation5XXErrors"]


def test_with_a_metric_that_cannot_be_read_nothing_is_said_of_the_metrics():
    alarm = parsed(Metrics=[expression("m1 / m2"), query("m1"), query("m2", MetricName=None)])

    assert alarm.metrics == ()
    assert alarm.watches == "metric math m1 / m2"


def test_a_band_is_no_threshold():
    alarm = parsed(
        Metrics=[query("m1", "Average", returned=True), expression("ANOMALY_DETECTION_BAND(m1, 2)", "ad1")],
        ThresholdMetricId="ad1",
        ComparisonOperator="GreaterThanUpperThreshold",
        Threshold=None,
    )

    assert alarm.watches == (
        "anomaly detection ANOMALY_DETECTION_BAND(m1, 2), "
        "m1 = AWS/SageMaker Invocation5XXErrors Average, 1 min"
    )
    assert alarm_report("errors", alarm, kind="theirs")["threshold"] is None


@pytest.mark.parametrize(
    ("fields", "watches"),
    [
        (
            {"Metrics": [{**expression("SELECT MAX(X) FROM Y"), "Period": 60}]},
            "a Metrics Insights query SELECT MAX(X) FROM Y",
        ),
        (
            {"EvaluationCriteria": {"PromQLCriteria": {"Query": "up\n== 0"}}},
            "a PromQL query up == 0",
        ),
    ],
)
def test_a_query_is_reported_as_it_is(fields, watches):
    report = alarm_report("errors", parsed(**fields), kind="theirs")

    assert (report["watches"], report["threshold"]) == (watches, 0.05)


@pytest.mark.parametrize(
    ("rule", "children"),
    [
        ('ALARM("rate") AND NOT OK(latency)', ("rate", "latency")),
        ("ALARM('a b') OR (ALARM(rate) AND INSUFFICIENT_DATA(rate))", ("a b", "rate")),
        ('ALARM("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:rate")', ("rate",)),
        ("AT_LEAST(2, ALARM, (rate, 'latency', \"load\"))", ("rate", "latency", "load")),
        ("TRUE", ()),
    ],
)
def test_a_composite_alarm_names_its_children(rule, children):
    (alarm,) = parse_alarms(
        {"CompositeAlarms": [{"AlarmName": "any", "StateValue": "OK", "AlarmRule": rule}]}
    )

    assert alarm.children == children
    assert alarm.watches == f"composite of {', '.join(children) or 'no alarms'}"


def test_what_is_read_exists_in_botocores_model(cloudwatch):
    alarm = set(cloudwatch.shape_for("MetricAlarm").members)

    assert {"Metrics", "ThresholdMetricId", "EvaluateLowSampleCountPercentile", "Unit"} <= alarm
    assert {*query("m1"), *expression("e1"), "AccountId", "Period"} <= set(
        cloudwatch.shape_for("MetricDataQuery").members
    )
    assert "AlarmRule" in cloudwatch.shape_for("CompositeAlarm").members


def test_counts_that_no_alarm_has_are_not_read():
    week = {**METRIC, "Statistic": "Sum", "Period": 604_800}

    assert parsed(**week, EvaluationPeriods=10**12).rule is None
    assert parsed(**week, DatapointsToAlarm=10**12).rule.datapoints_to_alarm == 5


# Whatever CloudWatch answers, an update is checked.

words = st.sampled_from(
    [
        "m1",
        "m2",
        "e1",
        "m1 / e1",
        "METRICS()",
        "SELECT x",
        "ANOMALY_DETECTION_BAND(m1)",
        "",
        "churn",
        NEW,
        "p99",
    ]
)
odd = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**9), st.floats(), words, st.just([None]), st.just({"Id": 1})
)
odd_dimensions = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "Name": st.sampled_from(["EndpointName", "VariantName", "EndpointConfigName", "X", None, 7]),
            "Value": words,
        },
    ),
    max_size=3,
)


def fields_of(values):
    return st.fixed_dictionaries({}, optional={key: st.one_of(value, odd) for key, value in values.items()})


namespaces = st.sampled_from(["AWS/SageMaker", "/aws/sagemaker/Endpoints", "aws/sagemaker", "Shop"])
metrics = st.sampled_from(
    ["Invocations", "Invocation5XXErrors", "ModelLatency", "5XXError", "CPUUtilization"]
)
stats = st.sampled_from(["Average", "Sum", "p50", "p99.9", "p0", "p100", "Minimum", "TM(1%:2%)", "x"])
metric_fields = {"Namespace": namespaces, "MetricName": metrics, "Dimensions": odd_dimensions}
queries = st.lists(
    fields_of(
        {
            "Id": words,
            "Expression": words,
            "ReturnData": st.booleans(),
            "MetricStat": fields_of(
                {"Metric": fields_of(metric_fields), "Period": st.just(60), "Stat": stats}
            ),
        }
    ),
    max_size=3,
)
alarms = fields_of(
    {
        **metric_fields,
        "Metrics": queries,
        "ThresholdMetricId": words,
        "EvaluationCriteria": fields_of({"PromQLCriteria": fields_of({"Query": words})}),
        "Statistic": stats,
        "ExtendedStatistic": stats,
        "Period": st.sampled_from([10, 60, 300]),
        "EvaluationPeriods": st.integers(1, 5),
        "DatapointsToAlarm": st.integers(1, 5),
        "Threshold": st.floats(-1, 200),
        "ComparisonOperator": st.sampled_from(
            ["GreaterThanThreshold", "LessThanOrEqualToThreshold", "LessThanLowerThreshold"]
        ),
        "TreatMissingData": st.sampled_from(["breaching", "notBreaching", "ignore", "missing"]),
        "EvaluateLowSampleCountPercentile": st.sampled_from(["ignore", "evaluate"]),
        "AlarmRule": words,
        "StateReasonData": words,
        "Unit": words,
    }
)


@settings(max_examples=300)
@for_all(alarm=alarms, kind=st.sampled_from(["MetricAlarms", "CompositeAlarms"]), traffic=st.booleans())
def test_no_alarm_makes_the_checks_fail(alarm, kind, traffic):
    found = parse_alarms({kind: [{**alarm, "AlarmName": "errors", "StateValue": "OK"}]})
    known = guards("errors", SWITCH, alarms=found, traffic={"AllTraffic": 100.0} if traffic else {})

    assert all(finding.text for finding in preflight(known))
    assert alarm_report("errors", found[0], kind="theirs")["name"] == "errors"
