"""Replayed traffic, what it leaves in CloudWatch, and behaviour laid over models."""

from __future__ import annotations

import pytest

from airflow_guardrails.simulator.client import SimulatorError
from tests.support.captured import inputs, records

BLUE = {"EndpointConfigName": "blue"}
GREEN = {"EndpointConfigName": "green"}


def test_the_stated_rate_arrives_in_every_minute_under_the_variant_and_under_the_fleet(shop):
    shop.serve("blue")
    shop.control.replay("churn", ["1,2", "3,4"], per_minute=600)

    shop.advance(minutes=5, seconds=30)

    assert shop.by_minute("Invocations", "Sum")[:5] == [550, 600, 600, 600, 600]
    assert shop.by_minute("Invocations", "Sum", **BLUE)[:5] == [550, 600, 600, 600, 600]


def test_a_rate_that_does_not_divide_evenly_is_kept_over_time(shop):
    shop.serve("blue")
    shop.control.replay("churn", ["1,2"], per_minute=7)

    shop.advance(minutes=30)

    assert shop.control.stop_replay("churn") == 210


def test_every_metric_has_its_unit_and_one_value_a_request(shop):
    shop.serve("blue")
    shop.control.replay("churn", ["1,2"], per_minute=60)
    shop.advance(minutes=3)

    assert shop.by_minute("InvocationsPerInstance", "Sum")[1] == 15
    assert shop.by_minute("ModelLatency", "Average")[1] == 20_000
    assert 1_500 <= shop.by_minute("OverheadLatency", "p50")[1] <= 4_000
    for name in ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors"):
        assert shop.by_minute(name, "Average")[1] == 0
        assert shop.by_minute(name, "SampleCount")[1] == 60
    latency = shop.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=[
            {"Name": "EndpointName", "Value": "churn"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        StartTime=shop.control.now().timestamp() - 600,
        EndTime=shop.control.now(),
        Period=60,
        Statistics=["Average"],
    )
    assert {point["Unit"] for point in latency["Datapoints"]} == {"Microseconds"}


def test_no_traffic_leaves_no_metric(shop):
    shop.serve("blue")
    shop.advance(minutes=10)

    assert shop.cloudwatch.list_metrics(Namespace="AWS/SageMaker")["Metrics"] == []


def test_a_canary_fleet_gets_its_share_and_has_metrics_from_then_on_only(shop):
    shop.serve("blue")
    shop.config("green")
    shop.control.replay("churn", ["1,2"], per_minute=1200)
    shop.canary("green", percent=25)
    shop.advance(minutes=8)

    share = shop.total("Invocations", **GREEN) / 8 / 1200
    assert 0.22 < share < 0.28
    blended = shop.total("Invocations", **BLUE) + shop.total("Invocations", **GREEN)
    assert shop.total("Invocations") == blended


def test_after_the_update_only_the_new_fleet_is_counted(shop):
    shop.serve("blue")
    shop.config("green")
    shop.control.replay("churn", ["1,2"], per_minute=60)
    shop.canary("green", bake=60)
    shop.advance(minutes=5)
    before = shop.total("Invocations", **BLUE)
    shop.advance(minutes=5)

    assert shop.total("Invocations", **BLUE) == before
    assert shop.by_minute("Invocations", "Sum", **GREEN)[-2] == 60


def test_rows_a_model_cannot_take_are_its_error_rate(shop):
    fails_on_missing = "lambda self, rows: [0 if (r == r).all() else 1 // 0 for r in rows]"
    shop.serve("blue", shop.written(fails_on_missing))
    shop.control.replay("churn", ["1,2", "1,2", "1,2", "1,"], per_minute=600, shuffle=False)
    shop.advance(minutes=4)

    assert shop.by_minute("Invocation5XXErrors", "Average")[1:3] == [0.25, 0.25]
    assert shop.by_minute("Invocation4XXErrors", "Sum")[1:3] == [0, 0]


def test_the_measured_latency_of_a_model_is_its_own(shop):
    slow = "lambda self, rows: __import__('time').sleep(0.02) or [0] * len(rows)"
    shop.serve("blue", shop.written(slow))
    shop.control.replay("churn", ["1,2"], per_minute=120)
    shop.advance(minutes=1)

    assert shop.by_minute("ModelLatency", "p50")[0] >= 20_000


def test_traffic_waits_for_an_endpoint_that_is_gone_and_goes_on_when_it_is_back(shop):
    shop.serve("blue")
    shop.control.replay("churn", ["1,2"], per_minute=60)
    shop.advance(minutes=2)
    shop.sagemaker.delete_endpoint(EndpointName="churn")
    shop.advance(minutes=2)
    gone = shop.total("Invocations")
    shop.advance(minutes=10)
    assert shop.total("Invocations") == gone

    shop.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    shop.advance(minutes=6)
    assert shop.total("Invocations") > gone


def test_a_stopped_replay_sends_nothing_more_and_a_second_one_replaces_the_first(shop):
    shop.serve("blue")
    shop.control.replay("churn", ["1,2"], per_minute=600)
    shop.control.replay("churn", ["1,2"], per_minute=60)
    shop.advance(minutes=2)

    assert shop.control.stop_replay("churn") == 120
    assert shop.control.stop_replay("churn") == 0
    shop.advance(minutes=2)
    assert shop.total("Invocations") == 120


def test_rows_come_in_their_order_or_in_one_drawn_from_the_seed(shop, capture):
    shop.serve("blue", capture=capture())
    rows = [str(number) for number in range(20)]

    def first_round(*, shuffle):
        sent = len(records(shop.s3))
        shop.control.replay("churn", rows, per_minute=240, shuffle=shuffle)
        shop.advance(seconds=5)
        shop.control.stop_replay("churn")
        shop.advance(minutes=10)
        return inputs(records(shop.s3))[sent:]

    assert first_round(shuffle=False) == rows
    shuffled = first_round(shuffle=True)
    assert shuffled != rows
    assert sorted(shuffled) == sorted(rows)


def test_the_same_seed_gives_the_same_traffic_and_another_one_another(shop_of_seed):
    def split(seed):
        with shop_of_seed(seed) as shop:
            shop.serve("blue")
            shop.config("green")
            shop.control.profile("green", error_rate=0.5)
            shop.control.replay("churn", ["1,2"], per_minute=600)
            shop.canary("green")
            shop.advance(minutes=3)
            return shop.by_minute("Invocations", "Sum", **GREEN), shop.by_minute("Invocation5XXErrors", "Sum")

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


def test_a_profile_slows_and_fails_requests_of_its_model(shop):
    shop.serve("blue")
    shop.control.profile("blue", latency_factor=2, extra_latency_ms=100, error_rate=0.5)
    shop.control.replay("churn", ["1,2"], per_minute=600)
    shop.advance(minutes=4)

    assert shop.by_minute("ModelLatency", "p50")[1] == pytest.approx(140_000)
    assert 0.4 < shop.by_minute("Invocation5XXErrors", "Average")[1] < 0.6


def test_a_profile_sets_the_latency_of_real_code_and_leaves_its_answers_alone(shop):
    shop.serve("blue", shop.doubling())
    shop.control.profile("blue", latency_ms=80, latency_factor=2, extra_latency_ms=5)
    shop.control.replay("churn", ["1,2", "x,2"], per_minute=60, shuffle=False)
    shop.advance(minutes=3)

    assert set(shop.by_minute("ModelLatency", "Minimum")) == {165_000}
    assert set(shop.by_minute("ModelLatency", "Maximum")) == {165_000}
    assert shop.by_minute("Invocation4XXErrors", "Sum")[1] == 30  # rows that the model cannot read
    assert float(shop.ask("3,0")) == pytest.approx(6)


def test_jitter_spreads_latency_so_that_percentiles_differ(shop):
    shop.serve("blue")
    shop.control.profile("blue", latency_jitter_ms=100)
    shop.control.replay("churn", ["1,2"], per_minute=600)
    shop.advance(minutes=3)

    assert 60_000 < shop.by_minute("ModelLatency", "p50")[1] < 80_000
    assert 105_000 < shop.by_minute("ModelLatency", "p90")[1] < 120_000


def test_a_configurations_profile_outranks_its_models_and_the_other_fleet_is_spared(shop):
    shop.serve("blue")
    shop.config("green", model_name="candidate")
    shop.control.profile("candidate", error_rate=1)
    shop.control.profile("green", extra_latency_ms=400)
    shop.control.replay("churn", ["1,2"], per_minute=600)
    shop.canary("green")
    shop.advance(minutes=3)

    assert shop.by_minute("ModelLatency", "p50", **BLUE)[-2] == 20_000
    assert shop.by_minute("ModelLatency", "p50", **GREEN)[-2] == pytest.approx(420_000)
    assert shop.total("Invocation5XXErrors") == 0


def test_a_profile_from_minute_four_holds_four_minutes_after_the_fleets_first_request(shop):
    shop.serve("blue")
    shop.control.profile("blue", error_rate=1, from_minute=4)
    shop.advance(minutes=30)
    shop.control.replay("churn", ["1,2"], per_minute=12)
    shop.advance(minutes=6)

    rates = shop.by_minute("Invocation5XXErrors", "Average")
    assert rates[:4] == [0, 0, 0, 0]
    assert rates[5] == 1


def test_a_fleet_launched_again_begins_at_minute_zero(shop):
    shop.serve("blue")
    shop.config("green")
    shop.control.profile("green", error_rate=1, from_minute=3)
    shop.control.replay("churn", ["1,2"], per_minute=60)
    shop.canary("green", bake=300)
    shop.control.script_ending("churn", status="InService", endpoint_config_name="blue")
    shop.advance(minutes=10)
    assert shop.serving() == "blue"

    shop.canary("green", bake=300)
    shop.advance(minutes=1)

    assert shop.by_minute("Invocation5XXErrors", "Sum", **GREEN)[-1] == 0


def test_a_cleared_profile_holds_no_more(shop):
    shop.serve("blue")
    shop.control.profile("blue", error_rate=1)
    shop.control.clear_profile("blue")

    assert shop.ask() == "0"


def test_a_model_said_never_to_be_healthy_rolls_its_update_back(shop):
    shop.serve("blue")
    shop.config("green")
    shop.control.profile("green", never_healthy=True)
    shop.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")

    shop.advance(minutes=20)

    assert shop.serving() == "blue"


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


def test_a_busy_replay_sends_exactly_its_rate(shop):
    shop.serve("blue", shop.doubling())
    shop.control.replay("churn", [f"{n},0" for n in range(500)], per_minute=6000)

    shop.advance(minutes=3)

    assert shop.by_minute("Invocations", "Sum")[1] == 6000
