"""CPU, memory and disk of the instances behind endpoints, in CloudWatch."""

from __future__ import annotations

import pytest

from airflow_guardrails.simulator.client import SimulatorError

NAMES = ("CPUUtilization", "MemoryUtilization", "DiskUtilization")


@pytest.fixture
def reported(hosting):
    """``reported("CPUUtilization")`` is what CloudWatch has of it, minute by minute."""

    def report(name, statistic="Average", **dimensions):
        return hosting.by_minute(name, statistic, namespace="/aws/sagemaker/Endpoints", **dimensions)

    return report


def test_every_instance_reports_once_a_minute_without_any_traffic(hosting, reported):
    hosting.serve("blue")
    begun = {name: len(reported(name)) for name in NAMES}
    hosting.advance(minutes=10)

    for name in NAMES:
        assert len(reported(name)) == begun[name] + 10
        assert set(reported(name, "SampleCount")) == {4}
        assert len(set(reported(name))) == 1


def test_they_are_percent_of_the_variant_and_have_no_other_dimension(hosting):
    hosting.serve("blue")

    listed = hosting.cloudwatch.list_metrics(Namespace="/aws/sagemaker/Endpoints")["Metrics"]

    assert sorted(metric["MetricName"] for metric in listed) == sorted(NAMES)
    for metric in listed:
        assert {d["Name"]: d["Value"] for d in metric["Dimensions"]} == {
            "EndpointName": "churn",
            "VariantName": "AllTraffic",
        }
    now = hosting.control.now().timestamp()
    points = hosting.cloudwatch.get_metric_statistics(
        **listed[0], StartTime=now - 600, EndTime=now, Period=60, Statistics=["Average"]
    )["Datapoints"]
    assert {point["Unit"] for point in points} == {"Percent"}


def test_a_profile_says_how_busy_its_model_is_and_since_when(hosting, reported):
    hosting.serve("blue")
    hosting.control.profile("blue", cpu_percent=180, memory_percent=70, disk_percent=5, from_minute=3)
    usual = reported("CPUUtilization")[-1]
    hosting.advance(minutes=5)
    assert reported("CPUUtilization")[-1] == usual
    hosting.control.replay("churn", ["1,2"], per_minute=12)

    hosting.advance(minutes=6)

    assert [reported(name)[-1] for name in NAMES] == [180, 70, 5]


def test_a_shadow_reports_under_its_own_name(hosting, reported, variants):
    hosting.config("blue")
    hosting.config("candidate")
    hosting.sagemaker.create_endpoint_config(EndpointConfigName="both", **variants)
    hosting.control.profile("candidate", cpu_percent=90)
    hosting.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="both")

    hosting.advance(minutes=6)

    assert set(reported("CPUUtilization", VariantName="Candidate")) == {90}
    assert set(reported("CPUUtilization", "SampleCount", VariantName="Candidate")) == {2}
    assert 90 not in reported("CPUUtilization")


def test_both_fleets_of_an_update_report_under_the_one_name_and_apart_by_a_knob(hosting, reported):
    hosting.control.set_knobs(instance_metrics_by_config=True)
    hosting.serve("blue")
    hosting.config("green")
    hosting.control.profile("blue", cpu_percent=10)
    hosting.control.profile("green", cpu_percent=50)

    hosting.canary("green", percent=25)
    hosting.advance(minutes=2)

    assert reported("CPUUtilization")[-1] == pytest.approx((4 * 10 + 50) / 5)
    assert reported("CPUUtilization", EndpointConfigName="green")[-1] == 50
    assert reported("CPUUtilization", EndpointConfigName="blue")[-1] == 10


def test_what_does_not_serve_reports_nothing(hosting, reported):
    hosting.config("blue")
    hosting.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    hosting.advance(minutes=2)
    assert reported("CPUUtilization") == []
    hosting.advance(minutes=6)
    hosting.sagemaker.delete_endpoint(EndpointName="churn")
    before = reported("CPUUtilization")

    hosting.advance(minutes=10)

    assert reported("CPUUtilization") == before != []


def test_an_alarm_can_watch_them(hosting):
    hosting.serve("blue")
    hosting.cloudwatch.put_metric_alarm(
        AlarmName="busy",
        Namespace="/aws/sagemaker/Endpoints",
        MetricName="CPUUtilization",
        Dimensions=[
            {"Name": "EndpointName", "Value": "churn"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=2,
        Threshold=80,
        ComparisonOperator="GreaterThanThreshold",
    )
    hosting.advance(minutes=3)
    assert hosting.control.alarm_state("busy") == "OK"
    hosting.control.profile("blue", cpu_percent=95)

    hosting.advance(minutes=4)

    assert hosting.control.alarm_state("busy") == "ALARM"


@pytest.mark.parametrize(
    ("behaviour", "rule"),
    [
        ({"cpu_percent": -1}, r"cpu_percent must not be negative \(got -1\)"),
        ({"memory_percent": 101}, r"memory_percent must be between 0 and 100 \(got 101\)"),
        ({"disk_percent": -1}, r"disk_percent must be between 0 and 100 \(got -1\)"),
    ],
)
def test_a_share_that_cannot_be_is_refused(simulator, behaviour, rule):
    with pytest.raises(SimulatorError, match=rule):
        simulator.client.profile("blue", **behaviour)
