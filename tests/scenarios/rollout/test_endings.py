"""Every ending, followed by operator (blocking and deferred), sensor and trigger: one right outcome each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.exceptions import (
    EndpointRolledBack,
    RollbackFailed,
    RolloutFailed,
    RolloutSuperseded,
    RolloutTimedOut,
)
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.strategies import Canary
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
EVERY = 60  # seconds between two looks
CANARY_ON_THE_WIRE = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            "WaitIntervalInSeconds": 600,
        },
        "TerminationWaitInSeconds": 300,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
}


@dataclass(frozen=True)
class Ending:
    """What happens, in minutes of simulated time after the launch, and what has to be said of it."""

    name: str
    outcome: str
    error: type[Exception] | None = None
    before: Callable[[Any], None] | None = None
    happens: Sequence[tuple[float, Callable[[Any], None]]] = ()
    serves: str | None = None
    cause: str | None = None
    report: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def trip(churn):
    churn.trip("errors")


def knobs(**values):
    return lambda churn: churn.simulator.client.set_knobs(**values)


def ends(status, *, reason=None, after=300.0, config=None):
    return lambda churn: churn.simulator.client.script_ending(
        "churn", status=status, failure_reason=reason, after_seconds=after, endpoint_config_name=config
    )


def throttle(times):
    return lambda churn: churn.simulator.client.throttle("DescribeEndpoint", times=times)


def update_to_v3(churn):
    churn.config("churn-v3")
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v3")


ENDINGS = [
    Ending(name="success", outcome="Succeeded", serves="churn-v2"),
    Ending(
        name="rollback with a reason",
        outcome="RolledBack",
        error=EndpointRolledBack,
        before=knobs(rollback_failure_reason="An alarm tripped."),
        happens=[(5, trip)],
        serves="churn-v1",
        cause="alarm",
        report={"failure_reason": "An alarm tripped."},
    ),
    Ending(
        name="rollback without a reason",
        outcome="RolledBack",
        error=EndpointRolledBack,
        before=knobs(rollback_failure_reason=""),
        happens=[(5, trip)],
        serves="churn-v1",
        cause="alarm",
        report={"failure_reason": None},
    ),
    Ending(
        name="rollback in the final wait",
        outcome="RolledBack",
        error=EndpointRolledBack,
        happens=[(15, trip)],
        serves="churn-v1",
        cause="alarm",
    ),
    Ending(
        name="rollback that shows RollingBack",
        outcome="RolledBack",
        error=EndpointRolledBack,
        before=knobs(show_rolling_back=True),
        happens=[(5, trip)],
        serves="churn-v1",
        cause="alarm",
    ),
    Ending(
        name="container that never passes its ping",
        outcome="RolledBack",
        error=EndpointRolledBack,
        before=lambda churn: churn.simulator.client.profile("churn", never_healthy=True),
        serves="churn-v1",
        cause="health_check",
    ),
    Ending(
        name="stale first looks, then success",
        outcome="Succeeded",
        before=knobs(describe_lag_seconds=90),
        serves="churn-v2",
    ),
    Ending(
        name="stale first looks, then rollback",
        outcome="RolledBack",
        error=EndpointRolledBack,
        before=knobs(describe_lag_seconds=90),
        happens=[(5, trip)],
        serves="churn-v1",
        cause="alarm",
    ),
    Ending(
        name="stale looks now and then",
        outcome="Succeeded",
        before=knobs(stale_read_probability=0.4, stale_read_seconds=60),
        serves="churn-v2",
    ),
    Ending(
        name="SystemUpdating in the middle",
        outcome="Succeeded",
        happens=[(6, lambda churn: churn.simulator.client.system_update("churn", 180))],
        serves="churn-v2",
    ),
    Ending(
        name="UpdateRollbackFailed",
        outcome="RollbackFailed",
        error=RollbackFailed,
        before=ends("UpdateRollbackFailed"),
        cause="unknown",
        report={"endpoint_status": "UpdateRollbackFailed"},
    ),
    Ending(
        name="Failed without a reason",
        outcome="Failed",
        error=RolloutFailed,
        before=ends("Failed"),
        cause="unknown",
        report={"endpoint_status": "Failed", "failure_reason": None},
    ),
    Ending(
        name="OutOfService",
        outcome="Failed",
        error=RolloutFailed,
        before=ends("OutOfService", reason="All variants are at zero instances."),
        cause="unknown",
        report={"endpoint_status": "OutOfService"},
    ),
    Ending(
        name="superseded by the time it ends",
        outcome="Superseded",
        error=RolloutSuperseded,
        before=lambda churn: ends("InService", config=churn.config("churn-v3"))(churn),
        serves="churn-v3",
    ),
    Ending(
        name="superseded in flight",
        outcome="Superseded",
        error=RolloutSuperseded,
        # Over before anybody can have looked twice.
        before=ends("InService", after=285.0),
        happens=[(5, update_to_v3)],
    ),
    Ending(
        name="throttled looks",
        outcome="Succeeded",
        happens=[(0.5, throttle(3)), (8, throttle(5)), (17, throttle(3))],
        serves="churn-v2",
    ),
    Ending(
        name="deleted under way",
        outcome="Failed",
        error=RolloutFailed,
        happens=[(5, lambda churn: churn.simulator.client.vanish("churn"))],
        cause="unknown",
        report={"endpoint_status": None, "serving_endpoint_config_name": None},
    ),
]


@pytest.fixture
def plot(churn):
    """Lets an ending happen while somebody sleeps."""

    class Plot:
        def __init__(self) -> None:
            self.passed = 0.0
            self.due: list[tuple[float, Callable[[Any], None]]] = []

        def begin(self, ending: Ending) -> None:
            self.due = sorted((minute * 60, action) for minute, action in ending.happens)
            if ending.before:
                ending.before(churn)

        def sleep(self, seconds: float) -> None:
            until = self.passed + seconds
            while self.due and self.due[0][0] <= until:
                moment, action = self.due.pop(0)
                churn.advance(seconds=moment - self.passed)
                self.passed = moment
                action(churn)
            churn.advance(seconds=until - self.passed)
            self.passed = until

        async def asleep(self, seconds: float) -> None:
            self.sleep(seconds)

    return Plot()


async def by_operator(churn, plot, context):
    operator = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=CANARY,
        alarms=["errors"],
        deferrable=False,
        waiter_delay=EVERY,
    )
    operator.sleep = plot.sleep
    return operator.execute(context)


async def by_deferred_operator(churn, plot, context):
    operator = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=CANARY_ON_THE_WIRE,
        deferrable=True,
        waiter_delay=EVERY,
    )
    operator.sleep = plot.sleep
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(context)
    event = await fire(deferral.value.trigger, plot)
    return getattr(operator, deferral.value.method_name)(context, event=event)


async def by_sensor(churn, plot, context):
    launch(churn)
    sensor = SageMakerRolloutSensor(
        task_id="wait", endpoint_name="churn", endpoint_config_name="churn-v2", deferrable=False
    )
    while not (done := sensor.poke(context)):
        plot.sleep(EVERY)
    return done.xcom_value


async def by_trigger(churn, plot, context):
    launch(churn)
    trigger = SageMakerRolloutTrigger(
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        previous_endpoint_config_name="churn-v1",
        waiter_delay=EVERY,
    )
    return (await fire(trigger, plot))["report"]


def launch(churn):
    churn.sagemaker.update_endpoint(
        EndpointName="churn", EndpointConfigName="churn-v2", DeploymentConfig=CANARY_ON_THE_WIRE
    )


async def fire(trigger, plot):
    """Carry the trigger over as Airflow does, and run it to its event."""
    path, arguments = trigger.serialize()
    assert path == "airflow_guardrails.triggers.rollout.SageMakerRolloutTrigger"
    revived = SageMakerRolloutTrigger(**arguments)
    revived.sleep, revived.shares_poller = plot.asleep, False
    events = [event async for event in revived.run()]
    assert len(events) == 1
    return events[0].payload


@pytest.mark.parametrize("follower", [by_operator, by_deferred_operator, by_sensor, by_trigger])
@pytest.mark.parametrize("ending", ENDINGS, ids=str)
@pytest.mark.proof
async def test_every_ending_has_one_outcome_in_every_mode(ending, follower, churn, plot, context):
    plot.begin(ending)
    if ending.error is None or follower is by_trigger:
        report = await follower(churn, plot, context)
    else:
        with pytest.raises(ending.error) as caught:
            await follower(churn, plot, context)
        report = caught.value.report

    assert report["outcome"] == ending.outcome
    assert report["previous_endpoint_config_name"] == "churn-v1"
    assert (report["cause"] or {}).get("kind") == ending.cause
    assert {key: report[key] for key in ending.report} == ending.report
    if ending.cause == "alarm":
        assert [alarm["name"] for alarm in report["cause"]["alarms"]] == ["errors"]
    if ending.serves:
        churn.simulator.client.set_knobs(stale_read_probability=0)
        assert (
            report["serving_endpoint_config_name"] == ending.serves == churn.describe()["EndpointConfigName"]
        )
    if follower is not by_trigger:
        assert context["ti"].xcoms["rollout_report"] == report
    assert churn.calls("UpdateEndpoint") == (2 if ending.name == "superseded in flight" else 1)


async def test_a_rollout_that_outlasts_max_wait_is_timed_out_and_left_running(churn, plot, context):
    operator = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=CANARY,
        alarms=["errors"],
        max_wait=timedelta(minutes=8),
    )
    operator.sleep = plot.sleep

    with pytest.raises(RolloutTimedOut, match="left running") as caught:
        operator.execute(context)

    assert caught.value.report["outcome"] == "TimedOut"
    assert churn.describe()["EndpointStatus"] == "Updating"
