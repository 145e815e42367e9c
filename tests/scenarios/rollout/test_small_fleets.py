"""An endpoint of one instance: the canary of the DAG does not fit, and all at once runs instead."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.exceptions import EndpointBusy, EndpointRolledBack, PreflightFailed
from airflow_guardrails.rules import CanaryAnalysis, MetricRule
from airflow_guardrails.strategies import Canary, Linear, Rolling
from tests.support.churn import switch_of
from tests.support.triggers import event_of, executed

BAKE = {"bake": timedelta(minutes=10), "if_too_small": "all_at_once"}
CANARY = Canary(percent=25, termination_wait=timedelta(minutes=5), **BAKE)
ANALYSIS = CanaryAnalysis(rules=[MetricRule("ModelLatency", margin="10%")])


@pytest.fixture
def small(churn):
    """``churn`` on one instance."""
    churn.scale(1)
    churn.advance(minutes=10)
    return churn


@pytest.fixture
def update(guarded_update):
    def build(strategy=CANARY, **changes):
        return guarded_update(strategy=strategy, **changes)

    return build


def sent(churn):
    """The policy of the last deployment."""
    return churn.describe()["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (CANARY, 15),
        (Linear(percent=50, **BAKE), 10),
        (Rolling(batch_percent=50, **BAKE), 10),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_it_is_updated_all_at_once_with_the_same_bake(
    small, update, context, simulated_sleep, strategy, waits
):
    report = asyncio.run(executed(update(strategy, deferrable=True), context, simulated_sleep))

    assert (report["outcome"], report["guarded"]) == ("Succeeded", True)
    assert sent(small)["TrafficRoutingConfiguration"]["Type"] == "ALL_AT_ONCE"
    assert sent(small)["TerminationWaitInSeconds"] == waits * 60
    assert report["strategy"]["name"] == "all at once"
    assert report["strategy"]["steps"] == [{"minute": 0, "percent": 100, "bake_minutes": waits}]
    (said,) = (found for found in report["findings"] if found["code"] == "all_at_once")
    assert said["severity"] == "note"
    assert said["text"].startswith(
        f"{strategy.name} needs 2 instances > the 1 instance (live) of AllTraffic: with "
    )


def test_an_alarm_still_rolls_it_back(small, update, context, simulated_sleep):
    with pytest.raises(TaskDeferred) as deferral:
        update(deferrable=True).execute(context)
    small.advance(minutes=6)
    small.trip("errors")
    event = asyncio.run(event_of(deferral.value.trigger, simulated_sleep))

    with pytest.raises(EndpointRolledBack, match="alarm errors"):
        update(deferrable=True).execute_complete(context, event)


def test_without_it_the_update_is_refused_and_the_fix_names_it(small, update, context):
    strategy = Canary(percent=25, bake=timedelta(minutes=10))

    with pytest.raises(PreflightFailed, match='set if_too_small="all_at_once"'):
        update(strategy).execute(context)

    assert small.calls("UpdateEndpoint") == 0


def test_a_larger_fleet_gets_the_strategy_of_the_dag(churn, update, context):
    report = update().execute(context)

    assert sent(churn)["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert report["strategy"]["description"].startswith("canary: 25 % of the fleet")
    assert "too small" not in report["strategy"]["description"]
    assert "all_at_once" not in {found["code"] for found in report["findings"]}


def test_the_task_waits_for_what_really_runs(small, update, context):
    """An unbounded wait follows from the strategy: with ten bakes it would be hours longer."""
    strategy = Linear(percent=10, bake=timedelta(hours=1), if_too_small="all_at_once")

    with pytest.raises(TaskDeferred) as deferral:
        update(strategy, deferrable=True).execute(context)

    waits = deferral.value.trigger.serialize()[1]["memory"]["rollout"]["max_wait"]
    # The wait, an hour for the containers to start, and two quarters of an hour for SageMaker.
    assert waits <= timedelta(hours=2, minutes=30).total_seconds()


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_analysis_is_left_out_and_the_report_says_so(small, update, context, simulated_sleep, deferrable):
    operator = update(analysis=ANALYSIS, deferrable=deferrable)

    report = asyncio.run(executed(operator, context, simulated_sleep))

    assert (report["outcome"], report["analysis"]) == ("Succeeded", None)
    (said,) = (found for found in report["findings"] if found["code"] == "analysis_left_out")
    assert said["severity"] == "warning"
    assert said["fix"] == "scale out to 2 instances, or remove the analysis"
    assert small.calls("GetMetricData") == 0


# A retry.


def die_in_flight(update, context, **changes):
    with pytest.raises(TaskDeferred):
        update(deferrable=True, **changes).execute(context)


def test_a_retry_reports_what_really_runs(small, update, context):
    die_in_flight(update, context, analysis=ANALYSIS)

    report = update(analysis=ANALYSIS).execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")
    assert report["strategy"]["name"] == "all at once"
    assert report["analysis"] is None
    assert any("analysis is left out" in warning for warning in report["warnings"])
    assert small.calls("UpdateEndpoint") == 1


@pytest.mark.parametrize("shown", ["at_start", "at_end"])
def test_a_retry_after_the_end_reports_what_ran_although_the_fleet_has_grown(small, update, context, shown):
    small.simulator.client.set_knobs(last_deployment_config=shown)
    die_in_flight(update, context)
    small.advance(hours=1)
    small.scale(4)
    small.advance(minutes=10)

    report = update().execute(context)

    assert (report["outcome"], report["strategy"]["name"]) == ("Succeeded", "all at once")


def test_a_fleet_that_is_scaled_during_the_checks_stops_the_update(small, update, context, monkeypatch):
    operator = update()
    looks, describe = [], operator.hook.describe_endpoint

    def scaled_before_the_second_look(name):
        if looks:
            small.scale(4)
            small.advance(minutes=10)
        looks.append(name)
        return describe(name)

    monkeypatch.setattr(operator.hook, "describe_endpoint", scaled_before_the_second_look)

    with pytest.raises(EndpointBusy, match="was scaled while this task checked it"):
        operator.execute(context)

    assert small.calls("UpdateEndpoint") == 0
    assert small.simulator.client.alarm_state(switch_of().alarm_name) is None
