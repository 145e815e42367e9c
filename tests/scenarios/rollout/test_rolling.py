"""Rolling updates: batch by batch forward, batch by batch back, and a rollback that fails itself."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from airflow_guardrails.exceptions import EndpointRolledBack, RollbackFailed
from airflow_guardrails.strategies import Rolling

ROLLING = Rolling(batch_percent=25, bake=timedelta(minutes=5), rollback_batch_percent=50)


@pytest.fixture
def update(guarded_update):
    return partial(guarded_update, strategy=ROLLING)


@pytest.fixture
def tripped_at_half(churn, simulated_sleep):
    """Sleeping during which the alarm trips once two of the four instances are new."""

    slept = 0.0

    def sleep(seconds):
        nonlocal slept
        simulated_sleep(seconds)
        slept += seconds
        # A pause is slept in slices of half a second.
        if slept % 30:
            return
        pending = churn.describe().get("PendingDeploymentSummary")
        if pending and pending["ProductionVariants"][0]["CurrentInstanceCount"] == 2:
            churn.trip("errors")

    return sleep


def test_a_rolling_update_brings_the_new_fleet_up_batch_by_batch(churn, update, context):
    report = update().execute(context)

    assert report["outcome"] == "Succeeded"
    assert churn.describe()["EndpointConfigName"] == "churn-v2"
    baked = [stage["instances"] for stage in report["stages"] if stage["stage"] == "Baking"]
    assert baked == [1, 2, 3, 4]


def test_an_alarm_half_way_brings_the_old_fleet_back(churn, update, context, tripped_at_half):
    operator = update()
    operator.sleep = tripped_at_half

    with pytest.raises(EndpointRolledBack, match="Alarm errors was in ALARM") as caught:
        operator.execute(context)

    assert caught.value.report["serving_endpoint_config_name"] == "churn-v1"
    assert churn.describe()["ProductionVariants"][0]["CurrentInstanceCount"] == 4


def test_a_rollback_that_fails_is_reported_and_repaired_by_the_next_update(
    churn, update, context, tripped_at_half
):
    churn.simulator.client.set_knobs(rolling_rollback_ends_in="UpdateRollbackFailed")
    operator = update()
    operator.sleep = tripped_at_half
    with pytest.raises(
        RollbackFailed, match="Call UpdateEndpoint again with the configuration you want"
    ) as caught:
        operator.execute(context)
    assert caught.value.report["endpoint_status"] == "UpdateRollbackFailed"

    churn.alarm("errors", state="OK")
    churn.config("churn-v3")
    repaired = update(endpoint_config_name="churn-v3").execute(context)

    assert repaired["outcome"] == "Succeeded"
    assert churn.describe()["EndpointStatus"] == "InService"
    assert churn.describe()["EndpointConfigName"] == "churn-v3"
