from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_guardrails.exceptions import (
    InvalidArgument,
    ShadowTestCancelled,
    ShadowTestError,
    ShadowTestNotFound,
    ShadowTestTimedOut,
    ShadowTestTooShort,
)
from airflow_guardrails.links.sagemaker import LINK_DATA_KEY
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from airflow_guardrails.tasks.aws_task import AIRFLOW_TIMEOUT_MARGIN
from tests.support.triggers import executed

MODES = ["poke", "reschedule", "deferrable"]
HOUR = 3600.0


@pytest.fixture
def wait(simulator, simulated_sleep):
    started = simulator.simulation.clock.now()

    def now():
        return (simulator.simulation.clock.now() - started).total_seconds()

    def build(**changes):
        sensor = SageMakerShadowTestSensor(**{"task_id": "wait", "name": "trial", **changes})
        sensor.sleep, sensor.monotonic = simulated_sleep, now
        return sensor

    return build


@pytest.fixture
def report_in(lab, wait, context, simulated_sleep):
    """What the sensor returns in a mode, looking every five minutes of simulated time; or what it raises."""

    async def in_mode(mode, **arguments):
        if mode == "deferrable":
            return await executed(wait(deferrable=True, **arguments), context, simulated_sleep)
        sensor = wait(mode=mode, **arguments)
        while not (done := sensor.poke(context)):
            lab.advance(minutes=5)
            # Airflow makes a new one for each look where it reschedules.
            sensor = wait(mode=mode, **arguments) if mode == "reschedule" else sensor
        return done.xcom_value

    return in_mode


# How a test ends, in all modes.


def completed(lab):
    lab.create()
    lab.script("Completed", after_seconds=1800)


def cancelled(lab):
    lab.create()
    lab.script("Cancelled", after_seconds=900, reason="No capacity.")


def missing(lab):
    """There is none."""


def lagging(lab):
    completed(lab)
    lab.simulator.client.fault(
        "DescribeInferenceExperiment",
        kind="error",
        code="ResourceNotFound",
        message="none",
        status=400,
        times=1,
    )


def busy(lab):
    lab.replay(per_minute=100)
    lab.create()


def quiet(lab):
    lab.replay(per_minute=5)
    completed(lab)


def never_began(lab):
    lab.create(start=timedelta(days=2), end=timedelta(days=4))
    lab.advance(minutes=5)
    lab.stop(reason="Not needed")


MANY = {"min_requests": 500}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("arrange", "arguments", "outcome"),
    [
        (completed, {}, ("Reached", None)),
        (completed, {"until": "Running"}, ("Reached", None)),
        (cancelled, {}, ("Cancelled", ShadowTestCancelled)),
        (missing, {}, ("NotFound", ShadowTestNotFound)),
        (lagging, {"until": "Running"}, ("Reached", None)),
        (busy, MANY, ("Reached", None)),
        (quiet, MANY, ("TooFewRequests", ShadowTestTooShort)),
    ],
    ids=["completed", "running", "cancelled", "missing", "lagging", "enough", "too few"],
)
@pytest.mark.proof
async def test_each_outcome_is_reported_alike_in_every_mode(
    lab, context, report_in, arrange, arguments, outcome, mode
):
    arrange(lab)

    try:
        told, how = await report_in(mode, **arguments), None
    except ShadowTestError as error:
        told, how = error.report, type(error)

    assert (told["outcome"], how) == outcome
    assert context["ti"].xcoms["shadow_test_report"] == told


async def test_a_test_that_runs_is_reached_while_it_runs(lab, report_in):
    lab.create()
    assert (await report_in("poke", until="Running"))["status"] == "Running"


async def test_requests_decide_and_not_the_clock(lab, report_in):
    busy(lab)
    report = await report_in("poke", **MANY)
    assert report["status"] == "Running"
    assert min(report["requests"].values()) >= 500


@pytest.mark.parametrize("mode", MODES)
async def test_requests_of_the_warm_up_do_not_count(lab, report_in, mode):
    """At a hundred a minute, 2,000 come within 20 minutes of the first; the judge would see none of them."""
    lab.replay(per_minute=100)
    lab.create()
    began = lab.now()

    report = await report_in(mode, min_requests=2000, warm_up=timedelta(minutes=30))

    assert lab.now() - began >= timedelta(minutes=50)
    assert min(report["requests"].values()) >= 2000
    assert report["warm_up_minutes"] == 30


async def test_a_test_that_ends_before_enough_came_after_the_warm_up_says_so(lab, report_in):
    lab.replay(per_minute=100)
    completed(lab)

    with pytest.raises(ShadowTestTooShort, match=r"< 4000 each after a warm-up of 5 min\."):
        await report_in("poke", min_requests=4000)


async def test_a_cancelled_test_fails_with_what_sagemaker_says(lab, report_in):
    cancelled(lab)
    with pytest.raises(ShadowTestCancelled, match="Shadow test trial was cancelled: No capacity"):
        await report_in("poke")


@pytest.mark.parametrize("until", ["Running", "Completed"])
async def test_a_test_that_was_stopped_before_it_began_is_no_success(lab, report_in, until):
    never_began(lab)
    with pytest.raises(ShadowTestCancelled, match="was stopped before it began: Not needed"):
        await report_in("poke", until=until)


async def test_a_deleted_test_is_distinguished_from_one_that_never_existed(lab, wait, context):
    sensor = wait(until="Completed")
    lab.run()
    assert sensor.poke(context) is False
    lab.stop()
    lab.advance(minutes=10)
    lab.sagemaker.delete_inference_experiment(Name="trial")
    assert sensor.poke(context) is False
    lab.advance(minutes=2)
    with pytest.raises(ShadowTestNotFound, match="was deleted by somebody; its last status was Running"):
        sensor.poke(context)


def test_the_endpoint_is_linked_once_it_is_known(lab, wait, context):
    sensor = wait()
    sensor.poke(context)
    assert LINK_DATA_KEY not in context["ti"].xcoms
    lab.create()
    sensor.poke(context)
    assert context["ti"].xcoms[LINK_DATA_KEY]["endpoint_name"] == "churn"


# Reschedule: nothing is kept between two looks.


def test_a_rescheduled_sensor_looks_again_at_once_for_a_test_that_is_missing(lab, wait, context, simulator):
    before = simulator.simulation.clock.now()
    with pytest.raises(ShadowTestNotFound):
        wait(mode="reschedule").poke(context)
    assert (simulator.simulation.clock.now() - before).total_seconds() == 120


def test_a_rescheduled_sensor_does_not_hold_its_slot_while_aws_is_silent(lab, wait, context, simulator):
    simulator.client.fault(
        "DescribeInferenceExperiment",
        kind="error",
        code="ResourceNotFound",
        message="none",
        status=400,
        times=1,
    )
    simulator.client.throttle("DescribeInferenceExperiment")
    assert wait(mode="reschedule").poke(context) is False
    assert lab.calls("DescribeInferenceExperiment") == 2


@pytest.fixture
def airflows_own(task_instance, context):
    """What of Airflow's task instance the loop of a sensor asks in reschedule mode."""
    from airflow.sdk import timezone  # noqa: PLC0415

    task_instance.get_first_reschedule_date = lambda _: timezone.utcnow() - timedelta(hours=2)
    return context


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize("soft_fail", [False, True])
def test_the_time_that_airflow_counts_ends_the_wait_with_the_report(lab, wait, airflows_own, mode, soft_fail):
    lab.run()
    # Poking, Airflow counts from now, and rescheduled from two hours ago.
    sensor = wait(mode=mode, timeout=0 if mode == "poke" else HOUR, soft_fail=soft_fail)

    with pytest.raises(
        AirflowSkipException if soft_fail else ShadowTestTimedOut, match="timed out: it was still Running"
    ):
        sensor.execute(airflows_own)

    assert airflows_own["ti"].xcoms["shadow_test_report"]["outcome"] == "TimedOut"
    assert lab.status() == "Running"


def test_within_its_time_a_rescheduled_sensor_gives_its_slot_back(lab, wait, airflows_own):
    lab.run()
    with pytest.raises(AirflowRescheduleException):
        wait(mode="reschedule", timeout=3 * HOUR).execute(airflows_own)


# Deferrable.


def test_a_deferrable_sensor_looks_before_it_defers(lab, wait, context):
    lab.run()
    assert wait(until="Running", deferrable=True).execute(context)["status"] == "Running"


def test_a_deferrable_sensor_defers_what_is_under_way_with_a_time_out(lab, wait, context):
    lab.run()
    sensor = wait(deferrable=True, timeout=HOUR, poke_interval=30, min_requests=7, max_describe_gap=100)

    with pytest.raises(TaskDeferred) as deferral:
        sensor.execute(context)

    trigger = deferral.value.trigger
    assert (trigger.name, trigger.until, trigger.min_requests) == ("trial", "Completed", 7)
    assert (trigger.waiter_delay, trigger.max_describe_gap) == (30, 100)
    # On AWS's clock, whatever this machine takes for the time.
    assert trigger.deadline == lab.now().timestamp() + HOUR
    assert trigger.kill_action == "leave"
    assert deferral.value.timeout == timedelta(seconds=HOUR) + AIRFLOW_TIMEOUT_MARGIN


async def test_a_deadline_in_the_triggerer_ends_with_the_report(lab, report_in, context):
    lab.run()
    with pytest.raises(ShadowTestTimedOut, match="timed out: it was still Running"):
        await report_in("deferrable", timeout=HOUR)
    assert context["ti"].xcoms["shadow_test_report"]["outcome"] == "TimedOut"


def test_by_default_a_sensor_outlasts_the_longest_test(wait):
    assert wait().timeout == timedelta(days=31).total_seconds()


# Flags: what may be skipped, and what nothing may hide.


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("arrange", "arguments", "ends_in"),
    [
        (quiet, MANY, AirflowSkipException),
        (cancelled, {}, ShadowTestCancelled),
        (missing, {}, ShadowTestNotFound),
    ],
    ids=["too few", "cancelled", "missing"],
)
async def test_soft_fail_skips_what_was_too_short_and_hides_no_other_end(
    lab, report_in, arrange, arguments, ends_in, deferrable
):
    arrange(lab)
    with pytest.raises(ends_in):
        await report_in("deferrable" if deferrable else "poke", soft_fail=True, **arguments)


@pytest.mark.parametrize("flag", ["silent_fail", "never_fail"])
def test_flags_that_would_hide_a_cancelled_test_are_refused_when_the_dag_is_parsed(wait, flag):
    with pytest.raises(
        InvalidArgument, match=f"{flag} must not be set .* would hide a cancelled shadow test"
    ):
        wait(**{flag: True})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"until": "Ended"}, "until must be one of 'Running', 'Completed'"),
        ({"min_requests": 0}, r"min_requests must be a whole number of at least 1 \(got 0\)"),
        ({"min_requests": 1.5}, "min_requests must be a whole number"),
        ({"min_requests": True}, "min_requests must be a whole number"),
        ({"min_requests": 9, "until": "Running"}, "until must be left out with min_requests"),
        ({"max_describe_gap": 0}, "max_describe_gap must be a number of seconds greater than 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_when_the_dag_is_parsed(wait, arguments, text):
    with pytest.raises(InvalidArgument, match=text):
        wait(**arguments)
