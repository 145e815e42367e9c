"""Whatever a rollout or a shadow test asks for is asked of the hook, and answered alike sync and async."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timezone

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError

from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.domain.effects import (
    Compute,
    ComputeFailed,
    DeleteRolloutAlarms,
    DescribeAlarmHistory,
    DescribeAlarms,
    DescribeEndpoint,
    LogMessage,
    NoResponse,
    PublishReport,
    PutMetricData,
    SetAbortSwitch,
    Sleep,
    WaitForChange,
)
from airflow_guardrails.domain.shadow.process import CountRequests, DescribeExperiment
from airflow_guardrails.domain.snapshots.abort_switch import RESET
from airflow_guardrails.domain.snapshots.metrics import MetricDatum
from airflow_guardrails.hooks._effects import run_effects, run_effects_async
from tests.support.churn import switch_of

START, END = (
    datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc),
    datetime(2026, 3, 2, 11, 0, tzinfo=timezone.utc),
)
SWITCH = switch_of()
LOOK, PAUSE, SAY = DescribeEndpoint("churn"), Sleep(30.0), LogMessage("news", report={})
REST = WaitForChange(name="churn", seconds=40.0, within=1e9)
PUBLISH = PublishReport({"outcome": None})
DATUM = MetricDatum(metric="VerdictFail", value=1.0, dimensions=(("EndpointName", "churn"),))
ABOUT_ALARMS = [
    DescribeAlarms(("errors",)),
    DescribeAlarmHistory(("errors",), START, END),
    SetAbortSwitch(SWITCH, RESET),
    DeleteRolloutAlarms("churn", (SWITCH.alarm_name,), START),
    PutMetricData("Shop/Verdicts", (DATUM,)),
]
LOOK_AT_TEST = DescribeExperiment("trial")
COUNT = CountRequests("churn", ("live", "candidate"), START, END)
LOOKS = [LOOK, LOOK_AT_TEST]
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "Any")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, "Any")
EXPIRED = ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "Any")


class Calls:
    """Answers each call by its own name and arguments, or fails."""

    def __init__(self, error=None):
        self.error = error
        self.slept, self.said, self.published = [], [], []

    def answer(self, *call):
        if self.error:
            raise self.error
        return call

    def describe_endpoint(self, name):
        return self.answer("describe_endpoint", name)

    def describe_inference_experiment(self, name):
        return self.answer("describe_inference_experiment", name)

    def count_variant_requests(self, endpoint_name, names, *, start, end):
        return self.answer("count_variant_requests", endpoint_name, names, start, end)

    def describe_alarms(self, names):
        return self.answer("describe_alarms", names)

    def describe_alarm_history(self, names, *, start, end):
        return self.answer("describe_alarm_history", names, start, end)

    def set_abort_switch(self, switch, value):
        return self.answer("set_abort_switch", switch, value)

    def delete_rollout_alarms(self, endpoint_name, *, keep, before):
        return self.answer("delete_rollout_alarms", endpoint_name, keep, before)

    def put_metric_data(self, namespace, data):
        return self.answer("put_metric_data", namespace, data)


class Awaited:
    """The same calls, to be awaited."""

    def __init__(self, calls):
        self.calls = calls

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            return getattr(self.calls, name)(*args, **kwargs)

        return call


async def blocking(steps, calls):
    return run_effects(
        steps,
        calls,
        sleep=calls.slept.append,
        log=calls.said.append,
        publish=calls.published.append,
    )


async def on_a_loop(steps, calls):
    async def sleep(seconds):
        calls.slept.append(seconds)

    async def log(message):
        calls.said.append(message)

    async def publish(effect):
        calls.published.append(effect)

    return await run_effects_async(steps, Awaited(calls), sleep=sleep, log=log, publish=publish)


@pytest.fixture(params=[blocking, on_a_loop])
def driven(request):
    return request.param


def action_denied(error):
    return "sagemaker:Any" if error is DENIED else None


def asking(*asks):
    answers = []
    for ask in asks:
        answers.append((yield ask))  # noqa: PERF401 - nothing may yield in a comprehension
    return answers


async def test_every_ask_becomes_its_call_and_is_sent_the_answer(driven):
    calls = Calls()
    answers = await driven(asking(*LOOKS, COUNT, *ABOUT_ALARMS, PAUSE, REST, SAY, PUBLISH), calls)
    assert answers == [
        ("describe_endpoint", "churn"),
        ("describe_inference_experiment", "trial"),
        ("count_variant_requests", "churn", ("live", "candidate"), START, END),
        ("describe_alarms", ("errors",)),
        ("describe_alarm_history", ("errors",), START, END),
        ("set_abort_switch", SWITCH, RESET),
        ("delete_rollout_alarms", "churn", (SWITCH.alarm_name,), START),
        ("put_metric_data", "Shop/Verdicts", (DATUM,)),
        None,
        None,
        None,
        None,
    ]
    assert (calls.slept, calls.said, calls.published) == ([30.0, 40.0], [SAY], [PUBLISH])


async def test_steps_that_ask_for_nothing_end_with_their_value(driven):
    assert await driven(asking(), Calls()) == []


@pytest.mark.parametrize("ask", LOOKS, ids=lambda ask: type(ask).__name__)
@pytest.mark.parametrize(
    "error", [THROTTLED, ReadTimeoutError(endpoint_url="https://x")], ids=lambda error: type(error).__name__
)
async def test_a_look_that_may_be_answered_later_is_no_answer(driven, ask, error):
    (answer,) = await driven(asking(ask), Calls(error))
    assert answer == NoResponse(f"{type(error).__name__}: {error}")


@pytest.mark.parametrize("ask", LOOKS, ids=lambda ask: type(ask).__name__)
@pytest.mark.parametrize(
    "error",
    [DENIED, NoCredentialsError(), UnexpectedAnswer("a new status")],
    ids=lambda error: type(error).__name__,
)
async def test_a_look_that_will_never_be_answered_is_final(driven, ask, error):
    """Whoever follows then ends the watch with a report: nothing is raised here that would lose it."""
    (answer,) = await driven(asking(ask), Calls(error))
    assert answer == NoResponse(f"{type(error).__name__}: {error}", final=True, denied=action_denied(error))


@pytest.mark.parametrize("ask", ABOUT_ALARMS, ids=lambda ask: type(ask).__name__)
@pytest.mark.parametrize(
    "error",
    [THROTTLED, DENIED, NoCredentialsError(), UnexpectedAnswer("a new state")],
    ids=["throttled", "denied", "no credentials", "unexpected"],
)
async def test_whatever_fails_about_alarms_ends_nothing(driven, ask, error):
    (answer,) = await driven(asking(ask), Calls(error))
    assert answer == NoResponse(f"{type(error).__name__}: {error}", denied=action_denied(error))


@pytest.mark.parametrize(
    "error",
    [THROTTLED, EXPIRED, NoCredentialsError(), ReadTimeoutError(endpoint_url="https://x")],
    ids=["throttled", "expired", "no credentials", "no answer in time"],
)
async def test_requests_that_cannot_be_counted_now_are_no_answer(driven, error):
    (answer,) = await driven(asking(COUNT), Calls(error))
    assert answer == NoResponse(f"{type(error).__name__}: {error}")


async def test_requests_that_may_not_be_counted_are_a_final_answer(driven):
    (answer,) = await driven(asking(COUNT), Calls(DENIED))
    assert answer == NoResponse(f"ClientError: {DENIED}", final=True, denied="sagemaker:Any")


async def test_a_bug_is_not_taken_for_silence(driven):
    with pytest.raises(KeyError):
        await driven(asking(LOOK), Calls(KeyError("EndpointName")))


# What takes long to compute.


async def test_what_is_computed_is_sent_back_with_its_errors(driven):
    """Not even a StopIteration is lost, which no future can hold and which ends generators."""
    lost, broken = StopIteration(3), ZeroDivisionError("division by zero")

    def fail(error):
        raise error

    asked = asking(Compute(divmod, (17, 5)), Compute(fail, (lost,)), Compute(fail, (broken,)))

    assert await driven(asked, Calls()) == [(3, 2), ComputeFailed(lost), ComputeFailed(broken)]


async def test_a_request_that_fails_inside_of_it_is_its_error_too(driven):
    def fail():
        raise THROTTLED

    assert await driven(asking(Compute(fail)), Calls()) == [ComputeFailed(THROTTLED)]


async def test_a_loop_has_it_computed_in_another_thread():
    (thread,) = await on_a_loop(asking(Compute(threading.get_ident)), Calls())
    assert thread != threading.get_ident()


async def test_a_worker_computes_by_itself():
    (thread,) = await blocking(asking(Compute(threading.get_ident)), Calls())
    assert thread == threading.get_ident()


async def test_a_loop_goes_on_while_something_is_computed():
    """The computation waits for the loop: they would wait for each other in one thread."""
    loop, came = asyncio.get_running_loop(), threading.Event()

    def compute():
        loop.call_soon_threadsafe(came.set)
        return came.wait(60)

    assert await on_a_loop(asking(Compute(compute)), Calls()) == [True]


async def test_a_cancelled_wait_does_not_wait_for_what_is_computed():
    began, end, sent = threading.Event(), threading.Event(), []

    def compute():
        began.set()
        return end.wait(60)

    def process():
        sent.append((yield Compute(compute)))

    waiting = asyncio.ensure_future(on_a_loop(process(), Calls()))
    while not began.is_set():  # noqa: ASYNC110 - it is set by a thread
        await asyncio.sleep(0.001)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    end.set()
    # The thread is free for others, and nobody was sent the result.
    assert await on_a_loop(asking(Compute(str, (1,))), Calls()) == ["1"]
    assert sent == []
