"""Replayed traffic, its metrics in CloudWatch, and profiles."""

from __future__ import annotations

import pytest

from airflow_guardrails.simulator.client import SimulatorError
from tests.support.captured import inputs, records

BLUE = {"EndpointConfigName": "blue"}
GREEN = {"EndpointConfigName": "green"}


def test_the_stated_rate_arrives_in_every_minute_under_the_variant_and_under_the_fleet(hosting):
    hosting.serve("blue")
    hosting.control.replay("churn", ["1,2", "3,4"], per_minute=600)

    hosting.advance(minutes=5, seconds=30)

    assert hosting.by_minute("Invocations", "Sum")[:5] == [550, 600, 600, 600, 600]
    assert hosting.by_minute("Invocations", "Sum", **BLUE)[:5] == [550, 600, 600, 600, 600]


def test_a_rate_that_does_not_divide_evenly_is_kept_over_time(hosting):
    hosting.serve("blue")
    hosting.control.replay("churn", ["1,2"], per_minute=7)

    hosting.advance(minutes=30)

    assert hosting.control.stop_replay("churn") == 210


def test_every_metric_has_its_unit_and_one_value_a_request(hosting):
    hosting.serve("blue")
    hosting.control.replay("churn", ["1,2"], per_minute=60)
    hosting.advance(minutes=3)

    assert hosting.by_minute("InvocationsPerInstance", "Sum")[1] == 15
    assert hosting.by_minute("ModelLatency", "Average")[1] == 20_000
    assert 1_500 <= hosting.by_minute("OverheadLatency", "p50")[1] <= 4_000
    for name in ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors"):
        assert hosting.by_minute(name, "Average")[1] == 0
        assert hosting.by_minute(name, "SampleCount")[1] == 60
    latency = hosting.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=[
            {"Name": "EndpointName", "Value": "churn"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        StartTime=hosting.control.now().timestamp() - 600,
        EndTime=hosting.control.now(),
        Period=60,
        Statistics=["Average"],
    )
    assert {point["Unit"] for point in latency["Datapoints"]} == {"Microseconds"}


def test_no_traffic_leaves_no_metric(hosting):
    hosting.serve("blue")
    hosting.advance(minutes=10)

    assert hosting.cloudwatch.list_metrics(Namespace="AWS/SageMaker")["Metrics"] == []


def test_a_canary_fleet_gets_its_share_and_has_metrics_from_then_on_only(hosting):
    hosting.serve("blue")
    hosting.config("green")
    hosting.control.replay("churn", ["1,2"], per_minute=1200)
    hosting.canary("green", percent=25)
    hosting.advance(minutes=8)

    share = hosting.total("Invocations", **GREEN) / 8 / 1200
    assert 0.22 < share < 0.28
    blended = hosting.total("Invocations", **BLUE) + hosting.total("Invocations", **GREEN)
    assert hosting.total("Invocations") == blended


def test_after_the_update_only_the_new_fleet_is_counted(hosting):
    hosting.serve("blue")
    hosting.config("green")
    hosting.control.replay("churn", ["1,2"], per_minute=60)
    hosting.canary("green", bake=60)
    hosting.advance(minutes=5)
    before = hosting.total("Invocations", **BLUE)
    hosting.advance(minutes=5)

    assert hosting.total("Invocations", **BLUE) == before
    assert hosting.by_minute("Invocations", "Sum", **GREEN)[-2] == 60


def test_rows_a_model_cannot_take_are_its_error_rate(hosting):
    fails_on_missing = "lambda self, rows: [0 if (r == r).all() else 1 // 0 for r in rows]"
    hosting.serve("blue", hosting.written(fails_on_missing))
    hosting.control.replay("churn", ["1,2", "1,2", "1,2", "1,"], per_minute=600, shuffle=False)
    hosting.advance(minutes=4)

    assert hosting.by_minute("Invocation5XXErrors", "Average")[1:3] == [0.25, 0.25]
    assert hosting.by_minute("Invocation4XXErrors", "Sum")[1:3] == [0, 0]


def test_the_measured_latency_of_a_model_is_its_own(hosting):
    slow = "lambda self, rows: __import__('time').sleep(0.02) or [0] * len(rows)"
    hosting.serve("blue", hosting.written(slow))
    hosting.control.replay("churn", ["1,2"], per_minute=120)
    hosting.advance(minutes=1)

    assert hosting.by_minute("ModelLatency", "p50")[0] >= 20_000


def test_traffic_waits_for_an_endpoint_that_is_gone_and_goes_on_when_it_is_back(hosting):
    hosting.serve("blue")
    hosting.control.replay("churn", ["1,2"], per_minute=60)
    hosting.advance(minutes=2)
    hosting.sagemaker.delete_endpoint(EndpointName="churn")
    hosting.advance(minutes=2)
    gone = hosting.total("Invocations")
    hosting.advance(minutes=10)
    assert hosting.total("Invocations") == gone

    hosting.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    hosting.advance(minutes=6)
    assert hosting.total("Invocations") > gone


def test_a_stopped_replay_sends_nothing_more_and_a_second_one_replaces_the_first(hosting):
    hosting.serve("blue")
    hosting.control.replay("churn", ["1,2"], per_minute=600)
    hosting.control.replay("churn", ["1,2"], per_minute=60)
    hosting.advance(minutes=2)

    assert hosting.control.stop_replay("churn") == 120
    assert hosting.control.stop_replay("churn") == 0
    hosting.advance(minutes=2)
    assert hosting.total("Invocations") == 120


def test_rows_come_in_their_order_or_in_one_drawn_from_the_seed(hosting, capture):
    hosting.serve("blue", capture=capture())
    rows = [str(number) for number in range(20)]

    def first_round(*, shuffle):
        sent = len(records(hosting.s3))
        hosting.control.replay("churn", rows, per_minute=240, shuffle=shuffle)
        hosting.advance(seconds=5)
        hosting.control.stop_replay("churn")
        hosting.advance(minutes=10)
        return inputs(records(hosting.s3))[sent:]

    assert first_round(shuffle=False) == rows
    shuffled = first_round(shuffle=True)
    assert shuffled != rows
    assert sorted(shuffled) == sorted(rows)


def test_the_same_seed_gives_the_same_traffic_and_another_one_another(hosting_with_seed):
    def split(seed):
        with hosting_with_seed(seed) as hosting:
            hosting.serve("blue")
            hosting.config("green")
            hosting.control.profile("green", error_rate=0.5)
            hosting.control.replay("churn", ["1,2"], per_minute=600)
            hosting.canary("green")
            hosting.advance(minutes=3)
            return hosting.by_minute("Invocations", "Sum", **GREEN), hosting.by_minute(
                "Invocation5XXErrors", "Sum"
            )

    first = split(7)

    assert split(7) == first
    assert split(8) != first


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"rows": []}, "rows must have at least one request"),
        ({"rows": ["1"], "per_minute": 0}, "per_minute must be above 0 and at most 60000"),
        ({"rows": ["1"], "per_minute": 60_001}, "per_minute must be above 0 and at most 60000"),
    ],
)
def test_a_replay_that_makes_no_sense_is_refused(simulator, arguments, rule):
    with pytest.raises(SimulatorError, match=rule):
        simulator.client.replay("churn", **arguments)


def test_a_profile_slows_and_fails_requests_of_its_model(hosting):
    hosting.serve("blue")
    hosting.control.profile("blue", latency_factor=2, extra_latency_ms=100, error_rate=0.5)
    hosting.control.replay("churn", ["1,2"], per_minute=600)
    hosting.advance(minutes=4)

    assert hosting.by_minute("ModelLatency", "p50")[1] == pytest.approx(140_000)
    assert 0.4 < hosting.by_minute("Invocation5XXErrors", "Average")[1] < 0.6


def test_a_profile_sets_the_latency_of_real_code_and_leaves_its_answers_alone(hosting):
    hosting.serve("blue", hosting.doubling())
    hosting.control.profile("blue", latency_ms=80, latency_factor=2, extra_latency_ms=5)
    hosting.control.replay("churn", ["1,2", "x,2"], per_minute=60, shuffle=False)
    hosting.advance(minutes=3)

    assert set(hosting.by_minute("ModelLatency", "Minimum")) == {165_000}
    assert set(hosting.by_minute("ModelLatency", "Maximum")) == {165_000}
    assert hosting.by_minute("Invocation4XXErrors", "Sum")[1] == 30  # rows that the model cannot read
    assert float(hosting.ask("3,0")) == pytest.approx(6)


def test_jitter_spreads_latency_so_that_percentiles_differ(hosting):
    hosting.serve("blue")
    hosting.control.profile("blue", latency_jitter_ms=100)
    hosting.control.replay("churn", ["1,2"], per_minute=600)
    hosting.advance(minutes=3)

    assert 60_000 < hosting.by_minute("ModelLatency", "p50")[1] < 80_000
    assert 105_000 < hosting.by_minute("ModelLatency", "p90")[1] < 120_000


def test_a_configurations_profile_outranks_its_models_and_the_other_fleet_is_spared(hosting):
    hosting.serve("blue")
    hosting.config("green", model_name="candidate")
    hosting.control.profile("candidate", error_rate=1)
    hosting.control.profile("green", extra_latency_ms=400)
    hosting.control.replay("churn", ["1,2"], per_minute=600)
    hosting.canary("green")
    hosting.advance(minutes=3)

    assert hosting.by_minute("ModelLatency", "p50", **BLUE)[-2] == 20_000
    assert hosting.by_minute("ModelLatency", "p50", **GREEN)[-2] == pytest.approx(420_000)
    assert hosting.total("Invocation5XXErrors") == 0


def test_a_profile_from_minute_four_holds_four_minutes_after_the_fleets_first_request(hosting):
    hosting.serve("blue")
    hosting.control.profile("blue", error_rate=1, from_minute=4)
    hosting.advance(minutes=30)
    hosting.control.replay("churn", ["1,2"], per_minute=12)
    hosting.advance(minutes=6)

    rates = hosting.by_minute("Invocation5XXErrors", "Average")
    assert rates[:4] == [0, 0, 0, 0]
    assert rates[5] == 1


def test_a_fleet_launched_again_begins_at_minute_zero(hosting):
    hosting.serve("blue")
    hosting.config("green")
    hosting.control.profile("green", error_rate=1, from_minute=3)
    hosting.control.replay("churn", ["1,2"], per_minute=60)
    hosting.canary("green", bake=300)
    hosting.control.script_ending("churn", status="InService", endpoint_config_name="blue")
    hosting.advance(minutes=10)
    assert hosting.serving() == "blue"

    hosting.canary("green", bake=300)
    hosting.advance(minutes=1)

    assert hosting.by_minute("Invocation5XXErrors", "Sum", **GREEN)[-1] == 0


def test_a_cleared_profile_holds_no_more(hosting):
    hosting.serve("blue")
    hosting.control.profile("blue", error_rate=1)
    hosting.control.clear_profile("blue")

    assert hosting.ask() == "0"


def test_a_model_said_never_to_be_healthy_rolls_its_update_back(hosting):
    hosting.serve("blue")
    hosting.config("green")
    hosting.control.profile("green", never_healthy=True)
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")

    hosting.advance(minutes=20)

    assert hosting.serving() == "blue"


@pytest.mark.parametrize(
    ("behaviour", "rule"),
    [
        ({"error_rate": 1.5}, "error_rate must be between 0 and 1"),
        ({"extra_latency_ms": -1}, "extra_latency_ms must not be negative"),
        ({"latency_ms": -1}, "latency_ms must not be negative"),
        ({"slowness": 1}, "slowness"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(simulator, behaviour, rule):
    with pytest.raises(SimulatorError, match=rule):
        simulator.client.profile("blue", **behaviour)


def test_a_busy_replay_sends_exactly_its_rate(hosting):
    hosting.serve("blue", hosting.doubling())
    hosting.control.replay("churn", [f"{n},0" for n in range(500)], per_minute=6000)

    hosting.advance(minutes=3)

    assert hosting.by_minute("Invocations", "Sum")[1] == 6000
