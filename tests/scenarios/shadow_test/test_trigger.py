from __future__ import annotations

import asyncio
import itertools
import json
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.comms import SetXCom

from airflow_guardrails.domain.shadow.state import LONGEST_WAIT
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.triggers import _base
from airflow_guardrails.triggers._base import FIRE_FLOOR
from airflow_guardrails.triggers._polling import pool
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger
from tests.support.simulated import deny
from tests.support.supervisor import Supervisor
from tests.support.triggers import in_simulated_time, only_event, report_of

# Seconds since the epoch, in the simulated year of 2026.
DEADLINE = datetime(2026, 3, 9, tzinfo=timezone.utc).timestamp()


@pytest.fixture
def trigger(simulated_sleep):
    """A trigger in simulated time, which looks for itself."""

    def build(**changes):
        return in_simulated_time(SageMakerShadowTestTrigger(**{"name": "trial", **changes}), simulated_sleep)

    return build


# What it carries.


def test_a_trigger_is_carried_as_plain_json():
    made = SageMakerShadowTestTrigger(
        name="trial",
        until="Running",
        min_requests=100,
        deadline=1e9,
        adopted=True,
        warnings=("short",),
        botocore_config={"read_timeout": 5},
        on_kill="stop",
    )
    path, arguments = made.serialize()

    assert path == "airflow_guardrails.triggers.shadow_test.SageMakerShadowTestTrigger"
    assert json.loads(json.dumps(arguments)) == arguments
    assert SageMakerShadowTestTrigger(**arguments).serialize() == (path, arguments)


def test_nothing_is_waited_for_longer_than_a_test_can_take():
    before = datetime.now(timezone.utc)
    deadline = SageMakerShadowTestTrigger(name="trial").absolute_deadline
    assert before + LONGEST_WAIT <= deadline <= datetime.now(timezone.utc) + LONGEST_WAIT


# How a test ends.


async def test_a_test_is_waited_for_until_it_is_completed(lab, trigger):
    lab.create()
    lab.script("Completed", after_seconds=3600)

    report = await report_of(trigger(adopted=True, warnings=["short"]))

    assert (report["outcome"], report["status"]) == ("Reached", "Completed")
    assert (report["adopted"], report["warnings"]) == (True, ["short"])
    assert (report["production"]["model_name"], report["shadow"]["status"]) == ("churn", "Deleted")


async def test_a_test_is_waited_for_until_it_runs(lab, trigger):
    lab.create()
    assert (await report_of(trigger(until="Running")))["status"] == "Running"


async def test_a_cancelled_test_is_reported_with_its_reason(lab, trigger):
    lab.create()
    lab.script("Cancelled", after_seconds=900, reason="No capacity.")

    report = await report_of(trigger())

    assert (report["outcome"], report["reason"]) == ("Cancelled", "No capacity.")


async def test_a_wait_for_the_end_accepts_a_cancelled_test(lab, trigger):
    lab.run()
    lab.stop(state="Cancelled")
    assert (await report_of(trigger(until="Ended")))["outcome"] == "Reached"


async def test_a_test_that_does_not_exist_is_reported_after_the_grace(lab, trigger):
    before = lab.now()
    assert (await report_of(trigger()))["outcome"] == "NotFound"
    assert (lab.now() - before).total_seconds() == 120


async def test_reads_that_lag_behind_the_creation_are_looked_at_again(lab, trigger):
    lab.create()
    lab.simulator.client.fault(
        "DescribeInferenceExperiment",
        kind="error",
        code="ResourceNotFound",
        message="none",
        status=400,
        times=2,
    )
    assert (await report_of(trigger(until="Running")))["outcome"] == "Reached"


async def test_a_deadline_ends_the_watch_though_aws_never_answers(lab, trigger):
    lab.simulator.client.throttle("DescribeInferenceExperiment")
    # Until AWS has answered once, this machine's time of day says how long it is until then.
    waiting = trigger(deadline=datetime.now(timezone.utc).timestamp() + 1_000)
    waiting.monotonic = itertools.count(step=100).__next__

    report = await report_of(waiting)

    assert (report["outcome"], report["status"]) == ("TimedOut", None)


async def test_a_read_that_is_not_allowed_ends_the_watch_with_the_reason(lab, trigger):
    deny(lab.simulator.client, "DescribeInferenceExperiment")
    event = await only_event(trigger())
    assert event["report"]["outcome"] is None
    assert "no DescribeInferenceExperiment" in event["error"]


# By its requests.


async def test_a_test_is_waited_for_until_both_variants_have_had_so_many_requests(lab, trigger):
    lab.replay(per_minute=100)
    lab.create()

    report = await report_of(trigger(min_requests=1000))

    assert report["status"] == "Running"
    assert 1000 <= report["requests"]["candidate"] <= 1200
    # Production has had more: it has served while the shadow was on its way.
    assert report["requests"]["AllTraffic"] > report["requests"]["candidate"]


async def test_a_test_that_is_over_with_fewer_was_too_short(lab, trigger):
    lab.replay(per_minute=10)
    lab.create()
    lab.script("Completed", after_seconds=1800)

    report = await report_of(trigger(min_requests=1000))

    assert (report["outcome"], report["status"]) == ("TooFewRequests", "Completed")
    assert 0 < report["requests"]["candidate"] < 300


def shown(lab):
    """Requests that the shadow has had as far as CloudWatch shows them now."""
    names = {"EndpointName": "churn", "VariantName": "candidate"}
    found = lab.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": name, "Value": value} for name, value in names.items()],
        StartTime=lab.look()["CreationTime"],
        EndTime=lab.now(),
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in found["Datapoints"])


async def test_requests_that_cloudwatch_shows_late_are_not_too_few(lab, trigger):
    lab.simulator.client.set_knobs(metric_delay_seconds=120)
    lab.replay(per_minute=60)
    lab.run()
    lab.stop()
    while lab.status() != "Completed":
        lab.advance(seconds=10)
    by_now = shown(lab)

    report = await report_of(trigger(min_requests=int(by_now) + 1))

    assert report["outcome"] == "Reached"
    assert report["requests"]["candidate"] > by_now


async def test_requests_that_may_not_be_counted_end_the_watch_with_the_reason(lab, trigger):
    lab.run()
    deny(lab.simulator.client, "GetMetricStatistics")
    event = await only_event(trigger(min_requests=100))
    assert "no GetMetricStatistics" in event["error"]


async def test_without_a_count_no_permission_to_count_is_needed(lab, trigger):
    lab.run()
    deny(lab.simulator.client, "GetMetricStatistics")
    assert (await report_of(trigger(until="Running")))["outcome"] == "Reached"


# In a triggerer.


async def test_in_a_triggerer_it_does_not_fire_before_its_floor(lab, trigger):
    lab.run()
    quick = trigger(until="Running")
    quick.trigger_id, slept = 7, []

    async def sleep(seconds):
        slept.append(seconds)

    watch, clock = quick.wait_for_report, {"now": 100.0}

    async def watch_for_a_second():
        report = await watch()
        clock["now"] += 1.0
        return report

    quick.wait_for_report = watch_for_a_second
    quick.sleep, quick.monotonic = sleep, lambda: clock["now"]
    await only_event(quick)

    assert slept == [FIRE_FLOOR - 1.0]


@pytest.fixture
def supervisor(monkeypatch):
    """Let Airflow say that the task instance has failed, and keep the messages of the trigger."""
    return Supervisor.in_place(monkeypatch)


@pytest.fixture
def held(trigger):
    """A trigger as a triggerer holds it."""

    def build(**changes):
        made = trigger(**changes)
        made.task_instance = SimpleNamespace(dag_id="deploy", run_id="run", task_id="wait", map_index=-1)
        return made

    return build


async def test_the_report_so_far_is_published_at_changes_and_about_once_a_minute(
    lab, held, supervisor, monkeypatch
):
    # Simulated minutes pass in less time than a triggerer gives one trigger.
    monkeypatch.setattr(_base, "_SECONDS_A_PUSH", 0.0)
    lab.create()
    lab.script("Completed", after_seconds=3600)

    await only_event(held())

    shown = supervisor.kept(SetXCom)
    assert {message.key for message in shown} == {"shadow_test_report"}
    statuses = [message.value["status"] for message in shown]
    assert list(dict.fromkeys(statuses)) == ["Creating", "Starting", "Running", "Stopping", "Completed"]
    looked = [datetime.fromisoformat(message.value["as_of"]) for message in shown]
    assert max(after - before for before, after in pairwise(looked)) <= timedelta(seconds=120)


async def test_two_copies_of_a_trigger_tell_the_same_and_change_nothing(lab, trigger):
    lab.create()
    lab.script("Cancelled", after_seconds=1800, reason="No capacity.")
    copies = [trigger(deadline=DEADLINE), trigger(deadline=DEADLINE)]

    one, other = await asyncio.gather(*(report_of(copy) for copy in copies))

    assert one == other
    assert lab.calls("StopInferenceExperiment") == 0


# Together with others, in wall time.

QUICK = 0.05


@pytest.fixture
def waiting(lab):
    """Waits for tests on four endpoints of their own, and for an update of ``churn``, all under way."""
    for number in range(4):
        lab.sagemaker.create_endpoint(EndpointName=f"churn-{number}", EndpointConfigName="churn-v1")
    lab.advance(minutes=10)
    for number in range(4):
        lab.create(f"trial-{number}", EndpointName=f"churn-{number}")
        lab.script("Cancelled" if number % 2 else "Completed", name=f"trial-{number}", after_seconds=3600)
    lab.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")

    def begin():
        tests = [
            SageMakerShadowTestTrigger(name=f"trial-{number}", waiter_delay=QUICK) for number in range(4)
        ]
        update = SageMakerRolloutTrigger(
            endpoint_name="churn", endpoint_config_name="churn-v2", waiter_delay=QUICK
        )
        return [asyncio.ensure_future(only_event(each)) for each in (*tests, update)]

    return begin


async def called(lab, operation, times):
    while await asyncio.to_thread(lab.calls, operation) < times:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(QUICK)


async def test_waits_of_all_kinds_share_a_connection_and_each_fires_its_own_end(lab, waiting, monkeypatch):
    looked_up = []
    get_connection = GuardrailsHook.get_connection

    def look_up(conn_id):
        looked_up.append(conn_id)
        return get_connection(conn_id)

    monkeypatch.setattr(GuardrailsHook, "get_connection", staticmethod(look_up))
    tasks = waiting()
    await called(lab, "ListInferenceExperiments", 3)
    (shared,) = pool._BY_LOOP[asyncio.get_running_loop()].values()
    assert {kind.name for kind in shared.by_kind} == {"Endpoints", "Shadow tests"}
    await asyncio.to_thread(lab.advance, hours=2)

    *tests, update = [event["report"] for event in await asyncio.gather(*tasks)]

    assert [report["outcome"] for report in tests] == ["Reached", "Cancelled"] * 2
    assert update["outcome"] == "Succeeded"
    assert looked_up == ["aws_default"]
    assert not any(pool._BY_LOOP.values())


async def test_the_last_of_a_kind_leaves_the_connection_to_the_others(lab, waiting):
    *tests, update = waiting()
    await called(lab, "ListInferenceExperiments", 1)
    for task in tests:
        task.cancel()
    await asyncio.gather(*tests, return_exceptions=True)

    (shared,) = pool._BY_LOOP[asyncio.get_running_loop()].values()
    assert [kind.name for kind in shared.by_kind] == ["Endpoints"]
    looks = lab.calls("DescribeInferenceExperiment")
    await asyncio.to_thread(lab.advance, hours=2)
    assert (await update)["report"]["outcome"] == "Succeeded"
    assert lab.calls("DescribeInferenceExperiment") == looks
    assert not any(pool._BY_LOOP.values())
    assert asyncio.all_tasks() == {asyncio.current_task()}
