"""Alarms over simulated time: when they are evaluated, on which data, and what changes their state."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_guardrails.simulator.cloudwatch.alarm_requests import parse_rule
from airflow_guardrails.simulator.cloudwatch.alarms import Alarms
from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands
from airflow_guardrails.simulator.cloudwatch.errors import ResourceNotFound, ValidationError
from airflow_guardrails.simulator.cloudwatch.metrics import MetricStore
from airflow_guardrails.simulator.engine.clock import Clock

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


class AlarmHelper:
    """A metric and the alarms on it."""

    def __init__(self) -> None:
        self.clock = Clock(start=START)
        self.knobs = SimpleNamespace(metric_delay_seconds=0)
        self.metrics = MetricStore(self.clock, self.knobs)
        self.alarms = Alarms(self.clock, self.metrics, Bands(lambda: self.metrics.visible_until))

    def put(self, name="errors", **changes):
        request = {
            "AlarmName": name,
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocation5XXErrors",
            "Dimensions": [{"Name": "EndpointName", "Value": "churn"}],
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0.05,
            "ComparisonOperator": "GreaterThanThreshold",
            **changes,
        }
        self.alarms.put_metric_alarm({key: value for key, value in request.items() if value is not None})

    def record(self, *values, resolution=60, ago=0):
        self.metrics.record(
            "AWS/SageMaker",
            "Invocation5XXErrors",
            {"EndpointName": "churn"},
            values,
            at=self.clock.now() - timedelta(seconds=ago),
            storage_resolution=resolution,
        )

    def minutes(self, *values):
        """Record a value in the middle of each minute; None records nothing."""
        for value in values:
            self.clock.advance(30)
            if value is not None:
                self.record(value)
            self.clock.advance(30)

    def state(self, name="errors"):
        return self.alarms.state(name)

    def transitions(self, name="errors"):
        items = self.alarms.history.find(
            name=name,
            alarm_types={"MetricAlarm", "CompositeAlarm"},
            item_type="StateUpdate",
            start=None,
            end=None,
        )
        return [((item.at - START).total_seconds(), item.summary) for item in items]


@pytest.fixture
def helper():
    return AlarmHelper()


def test_a_new_alarm_has_insufficient_data_until_its_first_evaluation(helper):
    helper.put()
    assert helper.state() == "INSUFFICIENT_DATA"
    helper.record(0.0)
    helper.clock.advance(59)
    assert helper.state() == "INSUFFICIENT_DATA"
    helper.clock.advance(1)
    assert helper.state() == "OK"


def test_there_is_no_state_of_an_alarm_that_does_not_exist(helper):
    assert helper.state("nobody") is None


def test_an_unfinished_period_is_not_judged(helper):
    helper.put(Period=300)
    helper.minutes(0.0, 0.0, 0.0, 0.0, 0.0)
    assert helper.state() == "OK"
    helper.record(1.0)
    assert helper.state() == "OK"
    helper.clock.advance(60)
    assert helper.state() == "ALARM"


def test_windows_of_long_periods_slide_by_the_minute(helper):
    helper.put(Period=300, Statistic="Sum", Threshold=2.5)
    helper.minutes(None, None, None, 1, 1, 1)

    assert helper.transitions()[-1] == (360, "Alarm updated from OK to ALARM")


def test_data_recorded_in_the_moment_of_an_evaluation_is_seen_by_it(helper):
    helper.put()
    helper.clock.advance(59)
    helper.clock.after(1, lambda: helper.record(1.0, ago=1))
    helper.clock.advance(1)

    assert helper.state() == "ALARM"


def test_m_of_n_needs_m(helper):
    helper.put(EvaluationPeriods=3, DatapointsToAlarm=2)
    helper.minutes(0.0, 0.0, 1.0)
    assert helper.state() == "OK"
    helper.minutes(0.0, 1.0)
    assert helper.state() == "ALARM"
    helper.minutes(0.0)
    assert helper.state() == "OK"


def test_an_alarm_on_a_percentile(helper):
    helper.put(Statistic=None, ExtendedStatistic="p90", Threshold=100)
    helper.record(*[10.0] * 9, 500.0)
    helper.clock.advance(60)
    assert helper.state() == "OK"
    helper.record(*[10.0] * 8, 500.0, 500.0)
    helper.clock.advance(60)
    assert helper.state() == "ALARM"


def test_an_alarm_on_another_unit_sees_nothing(helper):
    helper.put(Unit="Seconds")
    helper.minutes(1.0)
    assert helper.state() == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("treat", "silent"),
    [("missing", "INSUFFICIENT_DATA"), ("ignore", "ALARM"), ("breaching", "ALARM"), ("notBreaching", "OK")],
)
def test_when_a_metric_falls_silent_its_last_point_counts_until_it_leaves_the_range(helper, treat, silent):
    helper.put(TreatMissingData=treat)
    helper.minutes(1.0, None, None)
    assert helper.state() == "ALARM"
    helper.minutes(None)
    assert helper.state() == silent


def test_a_high_resolution_alarm_looks_every_ten_seconds(helper):
    helper.put(
        Period=10, Statistic="Maximum", Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold"
    )
    helper.clock.advance(12)
    helper.record(1.0, resolution=1)
    helper.clock.advance(30)

    assert helper.transitions() == [(20, "Alarm updated from INSUFFICIENT_DATA to ALARM")]


@pytest.mark.parametrize("second", [0, 1, 5, 9, 10, 19, 31, 47, 59])
def test_a_new_high_resolution_alarm_is_ok_within_ten_seconds_of_its_first_datapoint(helper, second):
    helper.clock.advance(second)
    helper.put(Period=10, TreatMissingData="ignore")
    helper.record(0.0, resolution=1)

    assert helper.state() == "INSUFFICIENT_DATA"
    helper.clock.advance(10)
    assert helper.state() == "OK"


def test_without_a_datapoint_it_is_never_ok_where_missing_data_is_ignored(helper):
    helper.put(Period=10, TreatMissingData="ignore")
    helper.clock.advance(3600)
    assert helper.state() == "INSUFFICIENT_DATA"


def test_a_first_datapoint_that_is_visible_late_makes_it_ok_that_much_later(helper):
    helper.knobs.metric_delay_seconds = 20
    helper.put(Period=10, TreatMissingData="ignore")
    helper.record(0.0, resolution=1)

    helper.clock.advance(20)
    assert helper.state() == "INSUFFICIENT_DATA"
    helper.clock.advance(10)
    assert helper.state() == "OK"


def test_a_first_datapoint_of_standard_resolution_may_be_too_old_to_be_seen(helper):
    """It counts at the beginning of its minute, which the alarm does not evaluate any more."""
    helper.clock.advance(45)
    helper.put(Period=10, TreatMissingData="ignore")
    helper.record(0.0)
    helper.clock.advance(120)
    assert helper.state() == "INSUFFICIENT_DATA"


def test_an_alarm_below_a_minute_on_a_one_minute_metric_has_gaps(helper):
    helper.put(Period=10)
    helper.minutes(1.0, 1.0)
    assert helper.state() == "INSUFFICIENT_DATA"


def test_a_period_whose_data_is_not_all_visible_is_not_judged_as_missing(helper):
    helper.minutes(*[0.0] * 10)
    helper.knobs.metric_delay_seconds = 200
    helper.put(TreatMissingData="breaching", EvaluationPeriods=3, DatapointsToAlarm=1)
    helper.minutes(*[0.0] * 10)

    assert helper.transitions() == [(660, "Alarm updated from INSUFFICIENT_DATA to OK")]


def test_the_metric_delay_delays_the_alarm(helper):
    helper.knobs.metric_delay_seconds = 120
    helper.put(TreatMissingData="notBreaching")
    helper.minutes(1.0, None)
    assert helper.state() == "OK"
    helper.minutes(None)
    assert helper.state() == "ALARM"


def test_an_update_keeps_the_state_and_replaces_everything_else(helper):
    helper.put(AlarmDescription="first", TreatMissingData="breaching")
    helper.minutes(1.0)
    helper.put(Threshold=5.0)

    alarm = helper.alarms.get("errors")
    assert helper.state() == "ALARM"
    assert alarm.transitioned == START + timedelta(seconds=60)
    assert {"AlarmDescription", "TreatMissingData"} & set(alarm.config) == set()
    helper.minutes(1.0)
    assert helper.state() == "OK"


def test_a_metric_alarm_set_by_hand_returns_at_its_next_evaluation(helper):
    helper.put()
    helper.minutes(0.0)
    helper.clock.advance(10)
    helper.alarms.set_state("errors", state="ALARM", reason="a drill")
    assert helper.state() == "ALARM"
    helper.clock.advance(50)

    assert helper.state() == "OK"
    assert helper.transitions()[1:] == [
        (70, "Alarm updated from OK to ALARM"),
        (120, "Alarm updated from ALARM to OK"),
    ]


def test_a_hand_set_state_that_is_true_gets_its_true_reason(helper):
    helper.put()
    helper.minutes(0.0)
    helper.alarms.set_state("errors", state="OK", reason="a drill")
    assert helper.alarms.get("errors").state.reason == "a drill"
    helper.minutes(0.0)
    assert helper.alarms.get("errors").state.reason.startswith("Threshold Crossed: 1 datapoint [0.0")
    assert len(helper.transitions()) == 1


def test_a_hand_set_state_stays_where_missing_data_is_ignored(helper):
    helper.put(TreatMissingData="ignore")
    helper.alarms.set_state("errors", state="ALARM", reason="a drill")
    helper.clock.advance(3600)
    assert helper.state() == "ALARM"


def test_a_deleted_alarm_leaves_its_history(helper):
    helper.put()
    helper.minutes(1.0)
    helper.alarms.delete(["errors"])
    helper.minutes(0.0)

    assert helper.state() is None
    assert helper.transitions() == [(60, "Alarm updated from INSUFFICIENT_DATA to ALARM")]


def test_a_name_that_does_not_exist_is_an_error_after_the_others_are_deleted(helper):
    for name in ("errors", "latency", "stays"):
        helper.put(name)
    with pytest.raises(ResourceNotFound, match="Alarms nobody, other do not exist"):
        helper.alarms.delete(["errors", "nobody", "latency", "other"])

    assert [alarm.name for alarm in helper.alarms.all()] == ["stays"]


def test_an_alarm_that_a_composite_one_depends_on_is_not_deleted_nor_any_other(helper):
    for name in ("errors", "latency"):
        helper.put(name)
    helper.alarms.put_composite_alarm({"AlarmName": "any", "AlarmRule": "ALARM(errors)"})

    with pytest.raises(ValidationError, match=r"Cannot delete errors as there are composite alarm\(s\)"):
        helper.alarms.delete(["latency", "errors"])
    assert len(helper.alarms.all()) == 3

    helper.alarms.delete(["latency", "errors", "any"])
    assert helper.alarms.all() == []


def test_one_composite_alarm_at_a_time_is_deleted(helper):
    helper.put("errors")
    for name in ("one", "two"):
        helper.alarms.put_composite_alarm({"AlarmName": name, "AlarmRule": "ALARM(errors)"})

    with pytest.raises(ValidationError, match="At most one composite alarm"):
        helper.alarms.delete(["one", "two"])

    assert len(helper.alarms.all()) == 3


def test_a_composite_alarm_follows_its_children_at_once(helper):
    helper.put("errors")
    helper.put("latency", Threshold=5.0)
    helper.alarms.put_composite_alarm({"AlarmName": "both", "AlarmRule": "ALARM(errors) AND ALARM(latency)"})
    assert helper.state("both") == "OK"
    helper.minutes(1.0)
    assert helper.state("both") == "OK"
    helper.minutes(9.0)
    assert helper.state("both") == "ALARM"
    assert helper.transitions("both")[-1] == (120, "Alarm updated from OK to ALARM")


def test_a_composite_alarm_set_by_hand_sticks_until_a_child_changes(helper):
    helper.put()
    helper.minutes(0.0)
    helper.alarms.put_composite_alarm({"AlarmName": "any", "AlarmRule": 'ALARM("errors")'})
    helper.alarms.set_state("any", state="ALARM", reason="a drill")
    helper.minutes(0.0, 0.0, 0.0)
    assert helper.state("any") == "ALARM"
    helper.minutes(1.0, 0.0)
    assert helper.state("any") == "OK"


def test_composite_alarms_may_watch_composite_alarms_but_not_each_other(helper):
    helper.put()
    helper.alarms.put_composite_alarm({"AlarmName": "inner", "AlarmRule": "ALARM(errors)"})
    helper.alarms.put_composite_alarm({"AlarmName": "outer", "AlarmRule": "NOT OK(inner)"})
    helper.minutes(1.0)
    assert helper.state("outer") == "ALARM"
    with pytest.raises(ValidationError, match="cycle"):
        helper.alarms.put_composite_alarm({"AlarmName": "inner", "AlarmRule": "ALARM(outer)"})


def test_a_composite_alarm_on_an_alarm_that_does_not_exist_is_refused(helper):
    with pytest.raises(ValidationError, match="ghost"):
        helper.alarms.put_composite_alarm({"AlarmName": "any", "AlarmRule": "ALARM(ghost)"})
    assert helper.state("any") is None


def test_a_composite_alarm_does_not_take_the_name_of_a_metric_alarm(helper):
    helper.put("errors")
    helper.put("latency")
    with pytest.raises(ValidationError, match="another type"):
        helper.alarms.put_composite_alarm({"AlarmName": "errors", "AlarmRule": "ALARM(latency)"})
    assert helper.alarms.get("errors").type == "MetricAlarm"


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("ALARM(a)", True),
        ("OK('a')", False),
        ('NOT ALARM("a")', False),
        ("ALARM(b) OR ALARM(a) AND OK(b)", True),
        ("(ALARM(b) OR ALARM(a)) AND NOT OK(b)", False),
        ('ALARM("arn:aws:cloudwatch:us-east-1:123456789012:alarm:a")', True),
        ("INSUFFICIENT_DATA(c) AND TRUE AND NOT FALSE", True),
    ],
)
def test_rules_of_composite_alarms(rule, holds):
    states = {"a": "ALARM", "b": "OK", "c": "INSUFFICIENT_DATA"}
    assert parse_rule(rule).holds(states.get) is holds


@pytest.mark.parametrize(
    "rule", ["", "ALARM()", "ALARM(a) AND", "ALARM(a) ALARM(b)", "(ALARM(a)", "NOT", "a", ")"]
)
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(ValidationError, match="malformed"):
        parse_rule(rule)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Period": 15}, "'15' at 'period' .* 10, 20, 30 or a multiple of 60"),
        ({"Period": 90}, "'90' at 'period'"),
        ({"Period": None}, "'period'.*must not be null"),
        ({"EvaluationPeriods": None}, "'evaluationPeriods'.*must not be null"),
        ({"EvaluationPeriods": 0}, "'0' at 'evaluationPeriods'"),
        ({"EvaluationPeriods": 1441}, r"86400 seconds .*1441 \* 60"),
        ({"Period": 3600, "EvaluationPeriods": 169}, "604800 seconds"),
        ({"DatapointsToAlarm": 2}, r"from 1 to EvaluationPeriods \(1\) \(got 2\)"),
        ({"DatapointsToAlarm": 0}, "got 0"),
        ({"Threshold": None}, "'threshold'"),
        ({"ComparisonOperator": "Greater"}, "'Greater' at 'comparisonOperator'"),
        ({"ComparisonOperator": "LessThanLowerThreshold"}, "for ranges require ThresholdMetricId"),
        ({"TreatMissingData": "notbreaching"}, "'notbreaching' at 'treatMissingData'"),
        ({"Statistic": "Mean"}, "'Mean' at 'statistic'"),
        ({"Statistic": None}, "Exactly one of Statistic and ExtendedStatistic"),
        ({"ExtendedStatistic": "p90"}, "Exactly one of Statistic and ExtendedStatistic"),
        ({"Statistic": None, "ExtendedStatistic": "p101"}, "p101"),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "percentile"),
        ({"MetricName": None}, "'metricName'"),
        ({"AlarmName": " "}, "'alarmName'"),
        ({"AlarmName": "x" * 256}, "255"),
        ({"AlarmActions": ["arn"] * 6}, "'alarmActions'"),
        ({"Metrics": [{"Id": "m", "Expression": "a/b"}]}, "mutually exclusive"),
        ({"ThresholdMetricId": "band"}, "requires one of the ComparisonOperators"),
        (
            {"ThresholdMetricId": "band", "ComparisonOperator": "LessThanLowerThreshold"},
            "Threshold and ThresholdMetricId",
        ),
        (
            {
                "ThresholdMetricId": "band",
                "ComparisonOperator": "LessThanLowerThreshold",
                "Threshold": None,
            },
            "exactly one metric matching the ThresholdMetricId",
        ),
        ({"EvaluationCriteria": {"PromQLCriteria": {"Query": "up"}}}, "not simulated"),
    ],
)
def test_what_put_metric_alarm_refuses(helper, changes, message):
    with pytest.raises(ValidationError, match=message):
        helper.put(**changes)
    assert helper.alarms.all() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"Period": 20},
        {"Period": 30},
        {"EvaluationPeriods": 1440},
        {"Period": 3600, "EvaluationPeriods": 168, "DatapointsToAlarm": 168},
        {"AlarmName": "x" * 255},
    ],
)
def test_bounds_of_put_metric_alarm_are_inclusive(helper, changes):
    helper.put(**changes)
    assert len(helper.alarms.all()) == 1


def test_an_alarm_given_as_one_metric_stat_is_the_same_alarm(helper):
    stat = {
        "Metric": {
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocation5XXErrors",
            "Dimensions": [{"Name": "EndpointName", "Value": "churn"}],
        },
        "Period": 60,
        "Stat": "Average",
    }
    helper.put()
    own = dict.fromkeys(("Namespace", "MetricName", "Dimensions", "Statistic", "Period"))
    helper.put("as-metrics", **own, Metrics=[{"Id": "m1", "MetricStat": stat, "ReturnData": True}])

    assert helper.alarms.get("as-metrics").spec == helper.alarms.get("errors").spec


SHOP = {"Namespace": "Shop", "Dimensions": []}
REQUESTS = {**SHOP, "MetricName": "requests"}
WITHOUT_METRIC = dict.fromkeys(("Namespace", "MetricName", "Dimensions", "Statistic", "Period"))


def queries(expression: str, *, period: int = 60, **result):
    stats = [
        {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}, "ReturnData": False}
        for name, metric in (("errors", {**SHOP, "MetricName": "errors"}), ("requests", REQUESTS))
    ]
    return [*stats, {"Id": "share", "Expression": expression, "ReturnData": True, **result}]


def test_an_alarm_on_an_expression_counts_a_missing_value_as_zero(helper):
    def record(name, value):
        helper.metrics.record("Shop", name, {}, [value], at=helper.clock.now())

    helper.put(**WITHOUT_METRIC, Metrics=queries("errors / requests"), Threshold=0.1)
    states = []
    for values in ({}, {"errors": 2.0}, {"requests": 10.0}, {"requests": 10.0, "errors": 2.0}):
        helper.clock.advance(30)
        for name, value in values.items():
            record(name, value)
        helper.clock.advance(30)
        states.append(helper.alarms.state("errors"))

    # A division by zero leaves no datapoint.
    assert states == ["INSUFFICIENT_DATA", "INSUFFICIENT_DATA", "OK", "ALARM"]
    assert "[0.2 (" in helper.alarms.get("errors").state.reason


@pytest.mark.parametrize(
    "wrong",
    [
        [{"Id": "e1", "Expression": "m1/m2"}],
        queries("MAX(errors)"),
        queries("METRICS()"),
        queries("errors / unknown"),
        queries("errors / requests", ReturnData=False),
        queries("errors / requests", Id="Share"),
        [*queries("errors"), {"Id": "second", "Expression": "requests", "ReturnData": True}],
        [
            *queries("errors")[:2],
            queries("errors", period=300)[1] | {"Id": "late"},
            queries("errors + late")[2],
        ],
        [*(queries("errors")[0] | {"Id": f"m{number}"} for number in range(9)), *queries("errors")],
        [
            *queries("errors"),
            *({"Id": f"e{number}", "Expression": "errors", "ReturnData": False} for number in range(10)),
        ],
    ],
)
def test_metrics_that_cannot_be_an_alarm_are_refused(helper, wrong):
    with pytest.raises(ValidationError):
        helper.put(**WITHOUT_METRIC, Metrics=wrong)
