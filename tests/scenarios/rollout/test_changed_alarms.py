"""An alarm that is changed during a rollout may not go off any more: that is reported at once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.exceptions import EndpointRolledBack
from airflow_guardrails.strategies import Canary
from tests.support.churn import alarm_request

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))


@pytest.fixture
def update(guarded_update):
    return partial(guarded_update, strategy=CANARY)


def change_dimensions(churn):
    elsewhere = [{"Name": "EndpointName", "Value": "another"}, {"Name": "VariantName", "Value": "AllTraffic"}]
    churn.cloudwatch.put_metric_alarm(**alarm_request("errors", Dimensions=elsewhere))


def change_threshold(churn):
    known = churn.cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]
    dimensions = known["Dimensions"]
    churn.cloudwatch.put_metric_alarm(**alarm_request("errors", Dimensions=dimensions, Threshold=0.9))


def delete(churn):
    churn.cloudwatch.delete_alarms(AlarmNames=["errors"])


CHANGES = [
    (change_dimensions, "Alarm errors was changed (Dimensions "),
    (change_threshold, "Alarm errors was changed (Threshold 0.05 -> 0.9) during the update"),
    (delete, "Alarm errors was deleted during the update"),
]


def meanwhile(churn, operator, change):
    """Let somebody *change* the alarm once the canary bakes."""
    sleep, due, slept = operator.sleep, [change], 0.0

    def sleep_and_more(seconds):
        nonlocal slept
        sleep(seconds)
        slept += seconds
        # A pause is slept in slices of half a second.
        if not due or slept % 30:
            return
        pending = churn.describe().get("PendingDeploymentSummary", {})
        stages = [
            mark["Status"]
            for each in pending.get("ProductionVariants", ())
            for mark in each.get("VariantStatus", ())
        ]
        if "Baking" in stages:
            due.pop()(churn)

    operator.sleep = sleep_and_more
    return operator


@pytest.mark.parametrize(("change", "told"), CHANGES, ids=lambda each: getattr(each, "__name__", None))
def test_a_change_is_a_warning_of_the_report(churn, update, context, change, told):
    churn.simulator.client.set_knobs(missing_alarm="ignore")

    report = meanwhile(churn, update(), change).execute(context)

    assert report["outcome"] == "Succeeded"
    (warning,) = report["warnings"]
    assert warning.startswith(told)
    assert warning.endswith("so it may no longer guard it")


@pytest.mark.parametrize(("change", "told"), CHANGES[:2], ids=lambda each: getattr(each, "__name__", None))
def test_with_require_alarms_ok_it_aborts_the_rollout(churn, update, context, change, told):
    operator = meanwhile(churn, update(require_alarms_ok=True), change)

    with pytest.raises(EndpointRolledBack) as caught:
        operator.execute(context)

    report = caught.value.report
    assert report["cause"]["kind"] == "abort"
    assert report["abort_switch_thrown_at"] is not None
    assert any(warning.startswith(told) for warning in report["warnings"])


async def test_a_deferred_watch_notices_it_too(churn, update, context, simulated_sleep):
    operator = update(deferrable=True)
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(context)
    trigger = type(deferral.value.trigger)(**deferral.value.trigger.serialize()[1])
    churn.advance(minutes=6)
    change_threshold(churn)

    async def sleep(seconds):
        simulated_sleep(seconds)

    trigger.sleep, trigger.shares_poller = sleep, False
    report = operator.execute_complete(context, event=(await anext(trigger.run())).payload)

    assert any("Threshold 0.05 -> 0.9" in warning for warning in report["warnings"])


def test_an_alarm_whose_description_is_changed_guards_as_before(churn, update, context):
    def describe(churn):
        dimensions = churn.cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]["Dimensions"]
        more = {"Dimensions": dimensions, "AlarmDescription": "page the team", "ActionsEnabled": False}
        churn.cloudwatch.put_metric_alarm(**alarm_request("errors", **more))

    assert meanwhile(churn, update(), describe).execute(context)["warnings"] == []
