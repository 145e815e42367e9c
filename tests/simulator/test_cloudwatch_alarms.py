"""Alarms over simulated time: when they look, what they see, what moves their state."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_guardrails.simulator.cloudwatch.alarm_requests import parse_rule
from airflow_guardrails.simulator.cloudwatch.alarms import Alarms
from airflow_guardrails.simulator.cloudwatch.errors import ResourceNotFound, ValidationError
from airflow_guardrails.simulator.cloudwatch.metrics import MetricStore
from airflow_guardrails.simulator.engine.clock import Clock

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


class Watched:
    """A metric and the alarms on it."""

    def __init__(self) -> None:
        self.clock = Clock(start=START)
        self.knobs = SimpleNamespace(metric_delay_seconds=0)
        self.metrics = MetricStore(self.clock, self.knobs)
        self.alarms = Alarms(self.clock, self.metrics)

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
        """One value in the middle of each minute, None for a minute without."""
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
def watched():
    return Watched()


def test_a_new_alarm_has_insufficient_data_until_its_first_evaluation(watched):
    watched.put()
    assert watched.state() == "INSUFFICIENT_DATA"
    watched.record(0.0)
    watched.clock.advance(59)
    assert watched.state() == "INSUFFICIENT_DATA"
    watched.clock.advance(1)
    assert watched.state() == "OK"


def test_there_is_no_state_of_an_alarm_that_does_not_exist(watched):
    assert watched.state("nobody") is None


def test_an_unfinished_period_is_not_judged(watched):
    watched.put(Period=300)
    watched.minutes(0.0, 0.0, 0.0, 0.0, 0.0)
    assert watched.state() == "OK"
    watched.record(1.0)
    assert watched.state() == "OK"
    watched.clock.advance(60)
    assert watched.state() == "ALARM"


def test_windows_of_long_periods_slide_by_the_minute(watched):
    watched.put(Period=300, Statistic="Sum", Threshold=2.5)
    watched.minutes(None, None, None, 1, 1, 1)

    assert watched.transitions()[-1] == (360, "Alarm updated from OK to ALARM")


def test_data_recorded_in_the_moment_of_an_evaluation_is_seen_by_it(watched):
    watched.put()
    watched.clock.advance(59)
    watched.clock.after(1, lambda: watched.record(1.0, ago=1))
    watched.clock.advance(1)

    assert watched.state() == "ALARM"


def test_m_of_n_needs_m(watched):
    watched.put(EvaluationPeriods=3, DatapointsToAlarm=2)
    watched.minutes(0.0, 0.0, 1.0)
    assert watched.state() == "OK"
    watched.minutes(0.0, 1.0)
    assert watched.state() == "ALARM"
    watched.minutes(0.0)
    assert watched.state() == "OK"


def test_an_alarm_on_a_percentile(watched):
    watched.put(Statistic=None, ExtendedStatistic="p90", Threshold=100)
    watched.record(*[10.0] * 9, 500.0)
    watched.clock.advance(60)
    assert watched.state() == "OK"
    watched.record(*[10.0] * 8, 500.0, 500.0)
    watched.clock.advance(60)
    assert watched.state() == "ALARM"


def test_an_alarm_on_another_unit_sees_nothing(watched):
    watched.put(Unit="Seconds")
    watched.minutes(1.0)
    assert watched.state() == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("treat", "silent"),
    [("missing", "INSUFFICIENT_DATA"), ("ignore", "ALARM"), ("breaching", "ALARM"), ("notBreaching", "OK")],
)
def test_when_a_metric_falls_silent_its_last_point_counts_until_it_leaves_the_range(watched, treat, silent):
    watched.put(TreatMissingData=treat)
    watched.minutes(1.0, None, None)
    assert watched.state() == "ALARM"
    watched.minutes(None)
    assert watched.state() == silent


def test_a_high_resolution_alarm_looks_every_ten_seconds(watched):
    watched.put(
        Period=10, Statistic="Maximum", Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold"
    )
    watched.clock.advance(12)
    watched.record(1.0, resolution=1)
    watched.clock.advance(30)

    assert watched.transitions() == [(20, "Alarm updated from INSUFFICIENT_DATA to ALARM")]


@pytest.mark.parametrize("second", [0, 1, 5, 9, 10, 19, 31, 47, 59])
def test_a_new_high_resolution_alarm_is_ok_within_ten_seconds_of_its_first_datapoint(watched, second):
    watched.clock.advance(second)
    watched.put(Period=10, TreatMissingData="ignore")
    watched.record(0.0, resolution=1)

    assert watched.state() == "INSUFFICIENT_DATA"
    watched.clock.advance(10)
    assert watched.state() == "OK"


def test_without_a_datapoint_it_is_never_ok_where_missing_data_is_ignored(watched):
    watched.put(Period=10, TreatMissingData="ignore")
    watched.clock.advance(3600)
    assert watched.state() == "INSUFFICIENT_DATA"


def test_a_first_datapoint_that_is_visible_late_makes_it_ok_that_much_later(watched):
    watched.knobs.metric_delay_seconds = 20
    watched.put(Period=10, TreatMissingData="ignore")
    watched.record(0.0, resolution=1)

    watched.clock.advance(20)
    assert watched.state() == "INSUFFICIENT_DATA"
    watched.clock.advance(10)
    assert watched.state() == "OK"


def test_a_first_datapoint_of_standard_resolution_may_be_too_old_to_be_seen(watched):
    """It counts as of the beginning of its minute, which the alarm no longer looks at."""
    watched.clock.advance(45)
    watched.put(Period=10, TreatMissingData="ignore")
    watched.record(0.0)
    watched.clock.advance(120)
    assert watched.state() == "INSUFFICIENT_DATA"


def test_an_alarm_below_a_minute_on_a_one_minute_metric_has_gaps(watched):
    watched.put(Period=10)
    watched.minutes(1.0, 1.0)
    assert watched.state() == "INSUFFICIENT_DATA"


def test_a_period_whose_data_is_not_all_visible_is_not_judged_as_missing(watched):
    watched.minutes(*[0.0] * 10)
    watched.knobs.metric_delay_seconds = 200
    watched.put(TreatMissingData="breaching", EvaluationPeriods=3, DatapointsToAlarm=1)
    watched.minutes(*[0.0] * 10)

    assert watched.transitions() == [(660, "Alarm updated from INSUFFICIENT_DATA to OK")]


def test_the_metric_delay_delays_the_alarm(watched):
    watched.knobs.metric_delay_seconds = 120
    watched.put(TreatMissingData="notBreaching")
    watched.minutes(1.0, None)
    assert watched.state() == "OK"
    watched.minutes(None)
    assert watched.state() == "ALARM"


def test_an_update_keeps_the_state_and_replaces_everything_else(watched):
    watched.put(AlarmDescription="first", TreatMissingData="breaching")
    watched.minutes(1.0)
    watched.put(Threshold=5.0)

    alarm = watched.alarms.get("errors")
    assert watched.state() == "ALARM"
    assert alarm.transitioned == START + timedelta(seconds=60)
    assert {"AlarmDescription", "TreatMissingData"} & set(alarm.config) == set()
    watched.minutes(1.0)
    assert watched.state() == "OK"


def test_a_metric_alarm_set_by_hand_returns_at_its_next_evaluation(watched):
    watched.put()
    watched.minutes(0.0)
    watched.clock.advance(10)
    watched.alarms.set_state("errors", state="ALARM", reason="a drill")
    assert watched.state() == "ALARM"
    watched.clock.advance(50)

    assert watched.state() == "OK"
    assert watched.transitions()[1:] == [
        (70, "Alarm updated from OK to ALARM"),
        (120, "Alarm updated from ALARM to OK"),
    ]


def test_a_hand_set_state_that_is_true_gets_its_true_reason(watched):
    watched.put()
    watched.minutes(0.0)
    watched.alarms.set_state("errors", state="OK", reason="a drill")
    assert watched.alarms.get("errors").state.reason == "a drill"
    watched.minutes(0.0)
    assert watched.alarms.get("errors").state.reason.startswith("Threshold Crossed: 1 datapoint [0.0")
    assert len(watched.transitions()) == 1


def test_a_hand_set_state_stays_where_missing_data_is_ignored(watched):
    watched.put(TreatMissingData="ignore")
    watched.alarms.set_state("errors", state="ALARM", reason="a drill")
    watched.clock.advance(3600)
    assert watched.state() == "ALARM"


def test_a_deleted_alarm_leaves_its_history(watched):
    watched.put()
    watched.minutes(1.0)
    watched.alarms.delete(["errors"])
    watched.minutes(0.0)

    assert watched.state() is None
    assert watched.transitions() == [(60, "Alarm updated from INSUFFICIENT_DATA to ALARM")]


def test_a_name_that_does_not_exist_is_told_after_the_others_are_deleted(watched):
    for name in ("errors", "latency", "stays"):
        watched.put(name)
    with pytest.raises(ResourceNotFound, match="nobody"):
        watched.alarms.delete(["errors", "nobody", "latency"])

    assert [alarm.name for alarm in watched.alarms.all()] == ["stays"]


def test_an_alarm_that_a_composite_one_depends_on_is_not_deleted_nor_any_other(watched):
    for name in ("errors", "latency"):
        watched.put(name)
    watched.alarms.put_composite_alarm({"AlarmName": "any", "AlarmRule": "ALARM(errors)"})

    with pytest.raises(ValidationError, match=r"Cannot delete errors as there are composite alarm\(s\)"):
        watched.alarms.delete(["latency", "errors"])
    assert len(watched.alarms.all()) == 3

    watched.alarms.delete(["latency", "errors", "any"])
    assert watched.alarms.all() == []


def test_one_composite_alarm_at_a_time_is_deleted(watched):
    watched.put("errors")
    for name in ("one", "two"):
        watched.alarms.put_composite_alarm({"AlarmName": name, "AlarmRule": "ALARM(errors)"})

    with pytest.raises(ValidationError, match="At most one composite alarm"):
        watched.alarms.delete(["one", "two"])

    assert len(watched.alarms.all()) == 3


def test_a_composite_alarm_follows_its_children_at_once(watched):
    watched.put("errors")
    watched.put("latency", Threshold=5.0)
    watched.alarms.put_composite_alarm({"AlarmName": "both", "AlarmRule": "ALARM(errors) AND ALARM(latency)"})
    assert watched.state("both") == "OK"
    watched.minutes(1.0)
    assert watched.state("both") == "OK"
    watched.minutes(9.0)
    assert watched.state("both") == "ALARM"
    assert watched.transitions("both")[-1] == (120, "Alarm updated from OK to ALARM")


def test_a_composite_alarm_set_by_hand_sticks_until_a_child_changes(watched):
    watched.put()
    watched.minutes(0.0)
    watched.alarms.put_composite_alarm({"AlarmName": "any", "AlarmRule": 'ALARM("errors")'})
    watched.alarms.set_state("any", state="ALARM", reason="a drill")
    watched.minutes(0.0, 0.0, 0.0)
    assert watched.state("any") == "ALARM"
    watched.minutes(1.0, 0.0)
    assert watched.state("any") == "OK"


def test_composite_alarms_may_watch_composite_alarms_but_not_each_other(watched):
    watched.put()
    watched.alarms.put_composite_alarm({"AlarmName": "inner", "AlarmRule": "ALARM(errors)"})
    watched.alarms.put_composite_alarm({"AlarmName": "outer", "AlarmRule": "NOT OK(inner)"})
    watched.minutes(1.0)
    assert watched.state("outer") == "ALARM"
    with pytest.raises(ValidationError, match="cycle"):
        watched.alarms.put_composite_alarm({"AlarmName": "inner", "AlarmRule": "ALARM(outer)"})


def test_a_composite_alarm_on_an_alarm_that_does_not_exist_is_refused(watched):
    with pytest.raises(ValidationError, match="ghost"):
        watched.alarms.put_composite_alarm({"AlarmName": "any", "AlarmRule": "ALARM(ghost)"})
    assert watched.state("any") is None


def test_a_composite_alarm_does_not_take_the_name_of_a_metric_alarm(watched):
    watched.put("errors")
    watched.put("latency")
    with pytest.raises(ValidationError, match="another type"):
        watched.alarms.put_composite_alarm({"AlarmName": "errors", "AlarmRule": "ALARM(latency)"})
    assert watched.alarms.get("errors").type == "MetricAlarm"


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
        ({"ComparisonOperator": "LessThanLowerThreshold"}, "enum value set"),
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
        ({"ThresholdMetricId": "band"}, "not simulated"),
    ],
)
def test_what_put_metric_alarm_refuses(watched, changes, message):
    with pytest.raises(ValidationError, match=message):
        watched.put(**changes)
    assert watched.alarms.all() == []


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
def test_bounds_of_put_metric_alarm_are_inclusive(watched, changes):
    watched.put(**changes)
    assert len(watched.alarms.all()) == 1


def test_an_alarm_given_as_one_metric_stat_is_the_same_alarm(watched):
    stat = {
        "Metric": {
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocation5XXErrors",
            "Dimensions": [{"Name": "EndpointName", "Value": "churn"}],
        },
        "Period": 60,
        "Stat": "Average",
    }
    watched.put()
    own = dict.fromkeys(("Namespace", "MetricName", "Dimensions", "Statistic", "Period"))
    watched.put("as-metrics", **own, Metrics=[{"Id": "m1", "MetricStat": stat, "ReturnData": True}])

    assert watched.alarms.get("as-metrics").spec == watched.alarms.get("errors").spec


def test_metric_math_in_an_alarm_is_refused_by_name(watched):
    own = dict.fromkeys(("Namespace", "MetricName", "Dimensions", "Statistic", "Period"))
    with pytest.raises(ValidationError, match="Metric math alarms are not simulated"):
        watched.put(**own, Metrics=[{"Id": "e1", "Expression": "m1/m2"}])
