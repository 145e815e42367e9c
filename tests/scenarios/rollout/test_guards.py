"""Alarms that an update makes for itself: what they roll back, and how long they stay."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix
from airflow_guardrails.exceptions import (
    AccessDenied,
    EndpointRolledBack,
    GuardNotReady,
    InvalidArgument,
    PreflightFailed,
)
from airflow_guardrails.guards import Alarm, ErrorRate, Latency
from airflow_guardrails.strategies import Canary
from tests.support.simulated import deny
from tests.support.triggers import executed

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
ERRORS = ErrorRate(above=0.01)
PAIR = [
    {
        "VariantName": name,
        "ModelName": "churn",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 4,
        "InitialVariantWeight": 1,
    }
    for name in ("A", "B")
]
SLOW = Latency(percentile=99, above=timedelta(milliseconds=250))


@pytest.fixture
def busy(churn):
    """``churn`` with traffic, and two configurations that answer in 20 ms."""
    for config in ("churn-v1", "churn-v2"):
        behave(churn, config)
    churn.simulator.client.replay("churn", ["1,2"], per_minute=40)
    churn.advance(minutes=5)
    return churn


def behave(churn, config: str, **behaviour: float) -> None:
    churn.simulator.client.profile(config, **{"latency_ms": 20, "latency_jitter_ms": 4, **behaviour})


@pytest.fixture
def update(guarded_update):
    return partial(guarded_update, alarms=[], guards=[ERRORS], strategy=CANARY)


def guards_of(churn, endpoint: str = "churn") -> list[str]:
    found = churn.cloudwatch.describe_alarms(AlarmNamePrefix=guard_prefix(endpoint), MaxRecords=100)
    return sorted(alarm["AlarmName"] for alarm in found["MetricAlarms"])


def rolled_back(operator, context):
    with pytest.raises(EndpointRolledBack) as caught:
        operator.execute(context)
    return caught.value.report


def blocking(operator, context, simulated_sleep):
    return rolled_back(operator, context)


def deferred(operator, context, simulated_sleep):
    operator.deferrable = True
    with pytest.raises(EndpointRolledBack) as caught:
        asyncio.run(executed(operator, context, simulated_sleep))
    return caught.value.report


@pytest.mark.parametrize("follower", [blocking, deferred])
def test_a_model_that_fails_on_the_new_fleet_alone_is_rolled_back_and_the_guard_is_the_cause(
    busy, update, context, simulated_sleep, follower
):
    behave(busy, "churn-v2", error_rate=0.5)
    # Both fleets together show about an eighth, which the guard on them does not mind.
    guards = [ErrorRate(above=0.01), ErrorRate(above=0.4, on="both")]

    report = follower(update(guards=guards), context, simulated_sleep)

    assert report["cause"]["kind"] == "alarm"
    (tripped,) = {alarm["name"] for alarm in report["cause"]["alarms"]}
    new, both, switch = report["alarms"]
    assert tripped == new["name"]
    assert (new["kind"], both["kind"], switch["kind"]) == ("guard", "guard", "switch")
    assert (new["title"], new["watches"]) == (
        "5xx errors of the new fleet",
        "AWS/SageMaker Invocation5XXErrors Average, 1 min",
    )
    assert (new["comparison"], new["threshold"], new["unit"]) == (">", 0.01, "%")
    assert new["value"] is not None
    assert report["summary"].startswith("ROLLED BACK: 5xx errors of the new fleet ")
    assert report["summary"].endswith(" % > 1 %; churn-v1 serves")


def test_a_slow_model_is_rolled_back(busy, update, context):
    behave(busy, "churn-v2", latency_ms=400)

    report = rolled_back(update(guards=[ERRORS, SLOW]), context)

    assert report["summary"].startswith("ROLLED BACK: p99 latency of the new fleet 4")
    assert report["summary"].endswith(" ms > 250 ms; churn-v1 serves")


def test_a_guard_on_both_fleets_sees_what_clients_see(busy, update, context):
    behave(busy, "churn-v2", error_rate=0.5)

    report = rolled_back(update(guards=[ErrorRate(above=0.05, on="both")]), context)

    assert report["summary"].startswith("ROLLED BACK: 5xx errors of both fleets ")


def test_an_expression_over_several_metrics_rolls_back(busy, update, context):
    behave(busy, "churn-v2", error_rate=0.5)
    share = Alarm(
        expression="100 * errors / requests",
        metrics={
            "errors": {"metric": "Invocation5XXErrors", "stat": "Sum"},
            "requests": {"metric": "Invocations", "stat": "Sum"},
        },
        above=5,
    )

    report = rolled_back(update(guards=[share]), context)

    assert report["summary"].startswith("ROLLED BACK: 100 * errors / requests of the new fleet ")
    assert " > 5; " in report["summary"]


def test_guards_may_be_dicts_with_text_as_a_template_renders_it(busy, update, context):
    behave(busy, "churn-v2", error_rate=0.5)
    rendered = [
        {"guard": "ErrorRate", "above": "0.01", "periods": "2"},
        {"guard": "Latency", "above": {"milliseconds": "250"}, "percentile": "99"},
    ]

    report = rolled_back(update(guards=rendered), context)

    assert report["summary"].startswith("ROLLED BACK: 5xx errors of the new fleet ")


@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
def test_the_guards_of_a_good_model_stay_until_the_next_rollout_has_ended(
    churn, update, context, simulated_sleep, deferrable
):
    first = update(guards=[ERRORS, SLOW]).execute(context)
    of_first = guards_of(churn)
    theirs = churn.alarm("airflow-guardrails-guard-of-people")

    churn.config("churn-v3")
    operator = update(endpoint_config_name="churn-v3", deferrable=deferrable)
    second = (
        asyncio.run(executed(operator, context, simulated_sleep)) if deferrable else operator.execute(context)
    )

    assert (first["outcome"], second["outcome"]) == ("Succeeded", "Succeeded")
    assert (first["warnings"], second["warnings"]) == ([], [])
    assert len(of_first) == 2
    assert guards_of(churn) == [alarm["name"] for alarm in second["alarms"] if alarm["kind"] == "guard"]
    assert not set(of_first) & set(guards_of(churn))
    assert churn.simulator.client.alarm_state(theirs) == "OK"


def test_guards_are_cleaned_up_without_an_abort_switch_as_well(churn, update, context):
    update(abort_switch=False).execute(context)
    first = guards_of(churn)
    churn.config("churn-v3")

    update(endpoint_config_name="churn-v3", abort_switch=False).execute(context)

    assert len(first) == len(guards_of(churn)) == 1
    assert first != guards_of(churn)


@pytest.mark.proof
def test_a_model_that_is_rolled_back_keeps_its_guards_and_loses_those_of_before(busy, update, context):
    update().execute(context)
    busy.config("churn-v3")
    behave(busy, "churn-v3", error_rate=0.5)

    report = rolled_back(update(endpoint_config_name="churn-v3"), context)

    assert report["alarms"][0]["name"] in guards_of(busy)
    named = busy.describe()["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert set(guards_of(busy)) <= {report["alarms"][0]["name"], *(alarm["AlarmName"] for alarm in named)}


def test_a_preflight_that_refuses_leaves_no_guard(churn, update, context):
    with pytest.raises(PreflightFailed):
        update(alarms=["no-such-alarm"]).execute(context)

    assert guards_of(churn) == []
    assert churn.calls("UpdateEndpoint") == 0


def test_preflight_names_a_guard_that_needs_longer_than_the_bakes(churn, update, context):
    with pytest.raises(PreflightFailed) as caught:
        update(alarms=["no-such-alarm"], guards=[ErrorRate(above=0.01, periods=20)]).execute(context)

    texts = [finding["text"] for finding in caught.value.findings]
    slow = (
        "guard 5xx errors of the new fleet > 1 %, 20 x 1 min needs about 23 min (20 x 1 min, and 3 min lag)"
    )
    assert any(text.startswith(slow) for text in texts)


def test_a_guard_that_is_in_alarm_already_stops_the_launch_and_is_removed(busy, update, context):
    behave(busy, "churn-v1", error_rate=0.5)
    busy.advance(minutes=10)
    operator = update(guards=[ErrorRate(above=0.05, on="both")])
    operator.monotonic = lambda: busy.now().timestamp()

    with pytest.raises(
        GuardNotReady, match=r"Guard 5xx errors of both fleets > 5 %, 1 min of endpoint churn"
    ):
        operator.execute(context)

    assert busy.calls("UpdateEndpoint") == 0
    assert guards_of(busy) == []


def test_a_guard_that_cloudwatch_does_not_evaluate_in_time_stops_no_launch(churn, update, context):
    operator = update(abort_switch=False, wait_for_completion=False)
    operator.sleep = lambda _: None  # no time passes in AWS
    clock = iter(range(0, 100_000, 60))
    operator.monotonic = lambda: next(clock)

    report = operator.execute(context)

    assert churn.simulator.client.alarm_state(report["alarms"][0]["name"]) == "INSUFFICIENT_DATA"
    assert churn.calls("UpdateEndpoint") == 1


def test_a_guard_that_may_be_without_data_is_not_waited_for(churn, update, context):
    guards = [Alarm(metric="Invocations", stat="Sum", above=9e9, missing="missing")]
    operator = update(guards=guards, abort_switch=False, wait_for_completion=False)
    slept = []
    operator.sleep = slept.append

    operator.execute(context)

    assert slept == []
    assert churn.calls("UpdateEndpoint") == 1


def test_a_guard_that_cloudwatch_rejects_stops_the_launch(churn, update, context):
    rejected = {"kind": "error", "code": "ValidationError", "message": "too odd", "status": 400}
    operator = update(abort_switch=False)
    churn.simulator.client.fault("PutMetricAlarm", **rejected)

    with pytest.raises(GuardNotReady, match=r"CloudWatch rejected it: .*too odd"):
        operator.execute(context)

    assert churn.calls("UpdateEndpoint") == 0


def test_a_guard_that_may_not_be_made_says_what_to_allow(churn, update, context):
    deny(churn.simulator.client, "PutMetricAlarm")

    with pytest.raises(AccessDenied, match="cloudwatch:PutMetricAlarm"):
        update(abort_switch=False).execute(context)

    assert churn.calls("UpdateEndpoint") == 0


def test_without_permission_to_delete_old_guards_stay_and_a_warning_says_so(churn, update, context):
    update().execute(context)
    deny(churn.simulator.client, "DeleteAlarms")
    churn.config("churn-v3")

    report = update(endpoint_config_name="churn-v3").execute(context)

    assert report["outcome"] == "Succeeded"
    (warning,) = report["warnings"]
    assert warning.startswith("Alarms of earlier rollouts could not be deleted (")
    assert "allow cloudwatch:DescribeAlarms and DeleteAlarms" in warning
    assert len(guards_of(churn)) == 2


def test_a_retry_makes_no_second_set_and_watches_the_guards_it_finds(busy, update, context):
    began = update(wait_for_completion=False).execute(context)
    context["ti"].try_number += 1
    behave(busy, "churn-v2", error_rate=0.5)

    report = rolled_back(update(), context)

    assert report["adopted"] == "own"
    assert [alarm["kind"] for alarm in report["alarms"]] == ["guard", "switch"]
    assert guards_of(busy) == [began["alarms"][0]["name"]]
    assert report["summary"].startswith("ROLLED BACK: 5xx errors of the new fleet ")


def test_each_variant_has_a_guard_of_its_own(churn, update, context):
    for config in ("pair-v1", "pair-v2"):
        churn.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=PAIR)
    churn.sagemaker.create_endpoint(EndpointName="pair", EndpointConfigName="pair-v1")
    churn.advance(minutes=10)

    report = update(endpoint_name="pair", endpoint_config_name="pair-v2").execute(context)

    titles = [alarm["title"] for alarm in report["alarms"] if alarm["kind"] == "guard"]
    assert titles == [f"5xx errors of variant {name} of the new fleet" for name in ("A", "B")]


def test_variants_count_before_the_launch(churn, update, context):
    churn.sagemaker.create_endpoint_config(EndpointConfigName="pair-v2", ProductionVariants=PAIR)

    with pytest.raises(InvalidArgument, match=r"got 11: 0 alarms, 5 guards on 2 variants and the switch"):
        update(guards=[ERRORS] * 5, endpoint_config_name="pair-v2").execute(context)

    found = churn.cloudwatch.describe_alarms(AlarmNamePrefix="airflow-guardrails-")["MetricAlarms"]
    assert (found, churn.calls("UpdateEndpoint")) == ([], 0)


@pytest.mark.parametrize("abort_switch", [True, False])
def test_alarms_guards_and_switch_are_at_most_ten(churn, update, context, abort_switch):
    guards = [ErrorRate(above=0.01)] * (10 if abort_switch else 11)

    with pytest.raises(InvalidArgument, match=r"alarms and guards must be at most 10 .*\(got 11: "):
        update(guards=guards, abort_switch=abort_switch).execute(context)

    assert churn.calls("DescribeEndpointConfig") == 0


def test_a_guard_that_is_none_says_its_place(churn, update, context):
    with pytest.raises(InvalidArgument, match=r"guards\[1\]: ErrorRate.above must be a share"):
        update(guards=[ERRORS, {"guard": "ErrorRate", "above": "1"}]).execute(context)
