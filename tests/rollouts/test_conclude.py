"""The task behind an update: it aborts only what was marked failed while deferred, and tells how it ended."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk.execution_time.context import set_current_context

from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.strategies import Canary
from tests.conftest import switch_of

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
WAITING = {"try_number": 1, "deferred": True}


class Database:
    """What Airflow knows of the task instances of one run."""

    def __init__(self):
        self.states = {}
        self.xcoms = {}
        self.refusing = set()

    def task(self, task_id, map_index=-1):
        return Task(self, task_id, map_index)

    def clear(self, task_id, map_index=-1):
        """Delete the XComs of a task, as Airflow does when its next try starts."""
        self.xcoms = {key: value for key, value in self.xcoms.items() if key[:2] != (task_id, map_index)}


class Task:
    dag_id = "deploy"
    run_id = "scheduled__2026-03-02"
    try_number = 1

    def __init__(self, database, task_id, map_index):
        self.database = database
        self.task_id = task_id
        self.map_index = map_index

    def get_task_states(self, *, dag_id, run_ids, task_ids, map_index=None):
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        if "get_task_states" in self.database.refusing:
            raise RuntimeError("no states")
        key = task_ids[0] if map_index is None else f"{task_ids[0]}_{map_index}"
        index = -1 if map_index is None else map_index
        return {self.run_id: {key: self.database.states[task_ids[0], index]}}

    def xcom_push(self, key, value):
        if "xcom_push" in self.database.refusing:
            raise RuntimeError("no room")
        self.database.xcoms[self.task_id, self.map_index, key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids, key, map_indexes):
        if "xcom_pull" in self.database.refusing:
            raise RuntimeError("no answer")
        return self.database.xcoms.get((task_ids, map_indexes, key))


class Events(dict):
    """The outlet events of a task, as Airflow hands them to it."""

    def __missing__(self, outlet):
        self[outlet] = Added()
        return self[outlet]


class Added(list):
    def add(self, asset, extra):
        self.append((asset.uri, extra))


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def update(guarded_update):
    def build(**changes):
        return guarded_update(**{"strategy": CANARY, "deferrable": True, **changes})

    return build


@pytest.fixture
def deferred(churn, database, update):
    """Launch an update as its task does, and leave it in flight, a quarter of it live."""

    def launch(map_index=-1, **changes):
        operator = update(**changes)
        run(operator, {"ti": database.task("update", map_index)})
        database.states["update", map_index] = "deferred"
        churn.advance(minutes=5)
        return operator

    return launch


def run(operator, context):
    with set_current_context(context), pytest.raises(TaskDeferred) as deferral:
        operator.execute(context)
    return deferral.value


@pytest.fixture
def conclude(simulated_sleep):
    def build(**changes):
        arguments = {
            "task_id": "conclude",
            "update_task_id": "update",
            "endpoint_name": "churn",
            "endpoint_config_name": "churn-v2",
            "waiter_delay": 60,
            "deferrable": False,
        }
        operator = SageMakerConcludeRolloutOperator(**{**arguments, **changes})
        operator.sleep = simulated_sleep
        return operator

    return build


@pytest.fixture
def context(database):
    return {"ti": database.task("conclude"), "outlet_events": Events()}


def mark_failed(database, map_index=-1):
    database.states["update", map_index] = "failed"


def thrown(churn):
    """Whether the switch was thrown: 0 is published, too, when it is reset."""
    history = churn.cloudwatch.describe_alarm_history(
        AlarmName=switch_of().alarm_name, HistoryItemType="StateUpdate"
    )
    return any(" to ALARM" in item["HistorySummary"] for item in history["AlarmHistoryItems"])


# What is aborted.


def test_an_update_marked_failed_while_deferred_is_rolled_back(churn, deferred, database, conclude, context):
    deferred()
    mark_failed(database)

    report = conclude().execute(context)

    assert report["outcome"] == "RolledBack"
    assert report["cause"]["kind"] == "abort"
    assert report["abort_switch"] == switch_of().alarm_name
    assert report["previous_endpoint_config_name"] == "churn-v1" == churn.describe()["EndpointConfigName"]
    assert report["adopted"] == "own"
    assert database.xcoms["conclude", -1, "rollout_report"] == report
    churn.advance(seconds=30)
    assert churn.simulator.client.alarm_state(switch_of().alarm_name) == "OK"


async def test_the_rollback_can_be_waited_for_in_the_triggerer(
    churn, deferred, database, conclude, context, simulated_sleep
):
    deferred()
    mark_failed(database)
    operator = conclude(deferrable=True)
    deferral = run(operator, context)
    event = await event_of(deferral.trigger, simulated_sleep)

    report = operator.execute_complete(context, event=event)

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "abort")
    assert churn.describe()["EndpointConfigName"] == "churn-v1"


async def event_of(trigger, simulated_sleep):
    revived = type(trigger)(**trigger.serialize()[1])

    async def sleep(seconds):
        simulated_sleep(seconds)

    revived.sleep, revived.shares = sleep, False
    return (await anext(revived.run())).payload


# What is not.


@pytest.mark.parametrize(
    ("state", "mark"),
    [
        pytest.param("failed", None, id="cleared, and the new try has failed at once"),
        pytest.param("failed", {"try_number": 2, "deferred": False}, id="failed by itself, or timed out"),
        pytest.param("success", WAITING, id="marked success"),
        pytest.param("skipped", WAITING, id="dagrun_timeout, or marked skipped"),
        pytest.param("running", WAITING, id="cleared, and the new try runs"),
        pytest.param("queued", WAITING, id="cleared, and the new try is about to run"),
        pytest.param("failed", 1, id="a mark that is none"),
    ],
)
def test_nothing_else_that_airflow_does_to_the_update_aborts_it(
    churn, deferred, database, conclude, context, state, mark
):
    deferred()
    database.states["update", -1] = state
    database.clear("update")
    if mark is not None:
        database.xcoms["update", -1, "rollout_try"] = mark

    assert conclude().execute(context)["outcome"] == "Succeeded"

    assert not thrown(churn)
    assert churn.describe()["EndpointConfigName"] == "churn-v2"
