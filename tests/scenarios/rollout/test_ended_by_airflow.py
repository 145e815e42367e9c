"""Airflow ends a deferred wait where no triggerer has run for too long, or where the trigger has failed."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_guardrails.exceptions import EndpointRolledBack, RolloutTimedOut, RolloutUnwatched
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.strategies import Canary

CANARY = Canary(percent=25, bake=timedelta(minutes=10))
TIMED_OUT = ("__fail__", {"error": "Trigger timeout"})
FAILED = ("__fail__", {"error": "Trigger failure", "traceback": ["ZeroDivisionError"]})


@pytest.fixture
def update(guarded_update):
    return partial(guarded_update, strategy=CANARY, deferrable=True)


@pytest.fixture
def wait(churn, simulated_sleep):
    def build(**changes):
        arguments = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2", "deferrable": True}
        sensor = SageMakerRolloutSensor(task_id="update", **{**arguments, **changes})
        sensor.sleep = simulated_sleep
        return sensor

    return build


def deferred(operator, context, task_instance):
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    xcoms = task_instance.xcoms

    def xcom_pull(*, task_ids, key, map_indexes):
        assert (task_ids, map_indexes) == (task_instance.task_id, task_instance.map_index)
        return xcoms.get(key)

    task_instance.xcom_pull = xcom_pull
    return operator


def undo(churn):
    churn.advance(minutes=5)
    churn.trip("errors")
    churn.advance(hours=2)


@pytest.mark.parametrize("ended", [TIMED_OUT, FAILED], ids=["timed out", "trigger failed"])
def test_a_rollout_that_has_ended_meanwhile_has_its_true_outcome(
    churn, update, context, task_instance, ended
):
    operator = deferred(update(), context, task_instance)
    undo(churn)

    with pytest.raises(EndpointRolledBack) as caught:
        operator.resume_execution(*ended, context)

    assert caught.value.report["cause"]["kind"] == "alarm"
    assert task_instance.xcoms["rollout_report"]["outcome"] == "RolledBack"


def test_one_that_went_well_is_a_success(churn, update, context, task_instance):
    operator = deferred(update(), context, task_instance)
    churn.advance(hours=2)

    assert operator.resume_execution(*TIMED_OUT, context)["outcome"] == "Succeeded"


def test_one_that_is_still_in_flight_has_timed_out_with_its_report(churn, update, context, task_instance):
    operator = deferred(update(), context, task_instance)
    thrown = churn.calls("PutMetricData")

    with pytest.raises(RolloutTimedOut, match="left running"):
        operator.resume_execution(*TIMED_OUT, context)

    assert churn.calls("PutMetricData") == thrown


def test_one_that_is_to_be_aborted_in_time_is_aborted_by_the_worker(churn, update, context, task_instance):
    long = Canary(percent=25, bake=timedelta(hours=1))
    operator = deferred(
        update(strategy=long, on_timeout="abort", max_wait=timedelta(minutes=20)), context, task_instance
    )
    churn.advance(minutes=25)

    with pytest.raises(RolloutTimedOut) as caught:
        operator.resume_execution(*TIMED_OUT, context)

    assert caught.value.report["serving_endpoint_config_name"] == "churn-v1"


def test_a_trigger_that_failed_says_why_with_the_report_so_far(churn, update, context, task_instance, capsys):
    operator = deferred(update(), context, task_instance)

    with pytest.raises(RolloutUnwatched, match="Airflow ended the wait: Trigger failure") as caught:
        operator.resume_execution(*FAILED, context)

    assert caught.value.report["endpoint_status"] == "Updating"
    assert caught.value.report["stages_complete"] is False
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_without_the_xcom_of_the_watch_nothing_is_claimed(churn, update, context, task_instance):
    operator = deferred(update(), context, task_instance)
    task_instance.xcoms.clear()
    churn.advance(hours=2)

    with pytest.raises(RolloutUnwatched, match="so its outcome is unknown"):
        operator.resume_execution(*TIMED_OUT, context)


@pytest.mark.parametrize(
    ("soft_fail", "error"), [(False, RolloutTimedOut), (True, AirflowSkipException)], ids=["fails", "skips"]
)
def test_a_sensor_ends_with_its_report_and_honours_soft_fail(
    churn, wait, context, task_instance, soft_fail, error
):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    sensor = deferred(wait(soft_fail=soft_fail), context, task_instance)

    with pytest.raises(error, match="timed out"):
        sensor.resume_execution(*TIMED_OUT, context)

    assert task_instance.xcoms["rollout_report"]["outcome"] == "TimedOut"
