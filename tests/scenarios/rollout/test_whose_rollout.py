"""
Whose rollout is it? Examples of what one task instance must not do to another's, and say of its own.

``test_matrix`` goes through all combinations; these are the ones that people meet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_guardrails.exceptions import EndpointConfigNotFound, LaunchUnknown
from airflow_guardrails.simulator.engine.faults import Fault
from tests.support.crashing import Crash, Died, Moment
from tests.support.crashing_pairs import (
    ALL_STORES,
    Instance,
    Plan,
    Stores,
    allow,
    begin_pair,
    forget,
    requests_are_answered,
)
from tests.support.crashing_updates import End, UpdateCase, updating_account

TAGS = Stores(tags=True, task_state=False)
SOME = [stores for stores in ALL_STORES if stores.tags or stores.task_state]
OWN, FOREIGN = End("Succeeded", adopted="own"), End("Succeeded", adopted="foreign")
LAUNCHED, UNDONE = End("Succeeded"), End("RolledBack", adopted="own")


@pytest.fixture(scope="module")
def shared_account(shared_models):
    with updating_account() as account:
        yield account


@pytest.fixture
def account(shared_account):
    yield shared_account
    allow(shared_account, TAGS)
    shared_account.running.simulation.knobs.update(describe_lag_seconds=0)


@pytest.fixture
def pair(account):
    """Make two task instances, mapped from one task."""

    made = []

    def make(stores: Stores = TAGS, **plan: Any) -> tuple[Instance, Instance]:
        allow(account, stores)
        made.append(begin_pair(account, Plan(stores=stores, **plan)))
        return made[-1]

    yield make
    for each in made:
        forget(*each)


@pytest.fixture
def task(pair):
    def make(stores: Stores = TAGS, **arguments: Any) -> Instance:
        return pair(stores, arguments=arguments)[0]

    return make


def fault(task: Instance, operation: str, *, kind: str = "error", times: int | None = None) -> None:
    denied = {"code": "AccessDeniedException", "message": "no", "status": 400} if kind == "error" else {}
    task.account.running.simulation.faults.add(Fault(operation=operation, kind=kind, times=times, **denied))


def dies_at(call: str, moment: Moment) -> Callable[[Instance], None]:
    def die(task: Instance) -> None:
        task.run(deferrable=True, crash=Crash(calls_before(task, call), moment))

    return die


def calls_before(task: Instance, call: str) -> int:
    """Count the calls of a clean run before the first *call*."""
    other, unused = begin_pair(task.account, Plan(stores=task.stores, arguments=task.arguments))
    other.run(deferrable=True)
    at = other.account.wire.calls.index(call)
    forget(other, unused)
    task.account.align()
    return at


def dies_after(seconds: float) -> Callable[[Instance], None]:
    def die(task: Instance) -> None:
        task.event = (seconds, dies)
        assert task.run() is None

    return die


def dies() -> None:
    raise Died


def is_undone(*tasks: Instance, after: float = 5) -> None:
    """Let their alarms trip *after* so many minutes, while the new fleet bakes."""
    tasks[0].account.advance(minutes=after)
    for task in tasks:
        task.set_alarm("ALARM")
    tasks[0].account.advance(minutes=30)
    for task in tasks:
        task.set_alarm("OK")
        task.note_ends()


# One configuration for several endpoints.


@pytest.mark.parametrize(
    "die",
    [
        dies_at("UpdateEndpoint", Moment.UNANSWERED),
        dies_at("UpdateEndpoint", Moment.ANSWERED),
        dies_after(180),
    ],
    ids=["while it asks", "once it has asked", "at minute 3"],
)
@pytest.mark.parametrize("stores", ALL_STORES, ids=str)
@pytest.mark.proof
def test_one_configuration_expanded_over_endpoints_is_launched_once_on_each(pair, stores, die):
    first, second = pair(stores, same_endpoint=False)
    die(first)
    second.run(deferrable=True)
    is_undone(first, second)

    ends = first.run(), second.run()

    unknown = not (stores.tags or stores.task_state)
    assert ends == ((End(LaunchUnknown.__name__),) * 2 if unknown else (UNDONE, UNDONE))
    assert (first.launches, second.launches) == (1, 1)
    assert (first.serves, second.serves) == (first.old, second.old)


@pytest.mark.parametrize("stores", SOME, ids=str)
def test_what_withdraws_in_preflight_leaves_the_intent_of_the_other_alone(pair, stores):
    first, second = pair(stores)
    second.event = (0.5, lambda: UpdateCase.run(first, deferrable=True))

    # The first one launches while the second one waits for its abort switch.
    assert UpdateCase.run(second) == FOREIGN

    assert first.intent is not None
    assert first.intent.accepted_at is not None
    assert second.intent is None
    assert UpdateCase.run(first) == OWN
    assert first.account.accepted(first.endpoint) == 1


@pytest.mark.parametrize("stores", SOME, ids=str)
def test_a_changed_endpoint_name_and_a_clear_launch_on_the_new_endpoint(pair, stores):
    before, now = pair(stores, same_endpoint=False)
    assert before.run() == LAUNCHED
    # The same task instance, and all it has kept.
    now.context = before.context

    assert now.run() == LAUNCHED

    assert (before.launches, now.launches) == (1, 1)
    assert now.serves == now.new
    assert now.run() == OWN
    assert before.run() == OWN


def test_requests_that_another_ones_update_has_answered_do_not_prove_its_own(pair):
    first, second = pair()
    dies_at("UpdateEndpoint", Moment.UNSENT)(first)
    second.run(deferrable=True)
    first.account.advance(minutes=4)
    requests_are_answered(second)
    is_undone(second, after=1)

    assert first.run() == End(LaunchUnknown.__name__)
    assert second.run() == UNDONE
    assert (first.launches, second.launches) == (0, 1)


def test_a_configuration_that_another_ones_update_has_brought_is_no_success_of_its_own(pair):
    first, second = pair()
    first.run(deferrable=True)
    is_undone(first)
    second.run()

    assert first.run() == FOREIGN
    assert any("another deployment brought the same" in each for each in first.report["warnings"])
    assert (first.launches, second.launches) == (1, 1)


# A configuration that is deleted after the launch.


@pytest.mark.parametrize("stores", ALL_STORES, ids=str)
def test_a_configuration_deleted_after_the_launch_hides_no_success(task, stores):
    case = task(stores)
    case.run(deferrable=True)
    case.account.delete_config(case.new)
    case.account.advance(hours=1)

    assert case.run() == OWN
    assert case.launches == 1


@pytest.mark.parametrize("stores", ALL_STORES, ids=str)
def test_a_configuration_deleted_after_the_launch_is_not_launched_again(task, stores):
    case = task(stores)
    case.run(deferrable=True)
    case.account.delete_config(case.new)
    is_undone(case)

    assert case.run() == (UNDONE if stores.task_state else End(LaunchUnknown.__name__))
    assert case.launches == 1


@pytest.mark.parametrize("stores", ALL_STORES, ids=str)
def test_a_configuration_deleted_before_the_launch_is_missed(task, stores):
    case = task(stores)
    dies_at("UpdateEndpoint", Moment.UNSENT)(case)
    case.account.delete_config(case.new)
    case.account.advance(minutes=3)

    assert case.run() == End(EndpointConfigNotFound.__name__)


# An update that never ran.


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("abort_switch", [False, True])
def test_an_update_that_never_ran_is_never_said_to_be_rolled_back(task, scaled, abort_switch):
    """The FailureReason of an earlier update is still there, and an alarm has gone off since the intent."""
    case = task(abort_switch=abort_switch)
    undone_before(case)
    dies_at("UpdateEndpoint", Moment.UNSENT)(case)
    assert case.intent is not None
    if scaled:
        case.scale()
    is_undone(case)

    end = case.run()

    assert end == (End(LaunchUnknown.__name__) if scaled else LAUNCHED)
    assert case.launches == (0 if scaled else 1)


def undone_before(case: Instance) -> None:
    request = {"EndpointName": case.endpoint, "EndpointConfigName": case.new}
    case.account.world.sagemaker.update_endpoint(request)
    case.account.world.sagemaker.script_ending(
        case.endpoint,
        status="InService",
        failure_reason="An alarm tripped.",
        after_seconds=60,
        endpoint_config_name=case.old,
    )
    case.account.advance(hours=4)
    assert case.describe()["FailureReason"] == "An alarm tripped."


# A lost answer, and reads that lag.


@pytest.mark.parametrize("lag", [0, 30, 100])
def test_an_update_whose_answer_was_lost_is_its_own_however_late_it_is_seen(task, lag):
    case = task(waiter_delay=30)
    lose_the_answer(case, lag=lag)

    # One try, as with retries=0.
    assert case.run() == OWN
    assert case.launches == 1


@pytest.mark.parametrize("lag", [0, 30, 100])
def test_an_update_whose_answer_was_lost_is_aborted_by_its_time_out(task, lag):
    case = task(waiter_delay=30, on_timeout="abort", max_wait=timedelta(minutes=4))
    lose_the_answer(case, lag=lag)

    assert case.run() == UNDONE
    assert case.report["cause"]["kind"] == "timeout"
    assert (case.launches, case.serves) == (1, case.old)


def lose_the_answer(case: Instance, *, lag: float) -> None:
    case.account.running.simulation.knobs.update(describe_lag_seconds=lag)
    fault(case, "UpdateEndpoint", kind="lose", times=1)


# What may not be called.

OPTIONAL = ["GetMetricStatistics", "DescribeAlarmHistory", "ListTags", "AddTags", "DeleteAlarms"]


@pytest.mark.parametrize("operation", OPTIONAL)
@pytest.mark.parametrize("stores", SOME, ids=str)
@pytest.mark.proof
def test_a_call_that_is_denied_on_the_first_try_ends_nothing(task, stores, operation):
    case = task(stores)
    fault(case, operation)

    assert case.run() == LAUNCHED
    assert case.launches == 1


@pytest.mark.parametrize("operation", OPTIONAL)
@pytest.mark.parametrize("stores", SOME, ids=str)
def test_a_call_that_is_denied_on_a_retry_ends_nothing(task, stores, operation):
    case = task(stores)
    case.run(deferrable=True)
    fault(case, operation)
    is_undone(case)

    # Tags that cannot be read any more may have been the only store; the switch shows the rest.
    unread = operation == "ListTags" and not stores.task_state
    assert case.run() == (End(LaunchUnknown.__name__) if unread else UNDONE)
    assert case.launches == 1


def test_metrics_that_may_not_be_read_leave_an_update_without_a_switch_unknown(task):
    case = task(abort_switch=False)
    dies_at("UpdateEndpoint", Moment.UNANSWERED)(case)
    fault(case, "GetMetricStatistics")
    is_undone(case)

    assert case.run() == End(LaunchUnknown.__name__)
    assert case.launches == 1


# Airflow's own stores.


class Failing:
    """Raises whatever is done to it."""

    def __call__(self, *_: Any, **__: Any) -> None:
        raise ConnectionError("Airflow's API server does not answer")

    get = set = __call__


def test_failing_xcom_ends_nothing_and_is_in_the_report(task):
    case = task()
    case.context["ti"].xcom_push = Failing()

    assert case.run() == LAUNCHED

    assert any("XCom" in warning for warning in case.report["warnings"])
    assert case.launches == 1


def test_failing_task_state_after_the_launch_ends_nothing_and_is_in_the_report(task):
    case = task(Stores(tags=True, task_state=True))

    def fails_from_now_on() -> None:
        case.context["task_state_store"].set = Failing()

    case.event = (0.5, fails_from_now_on)  # it waits for its switch; its intent is written

    assert case.run() == LAUNCHED

    assert any("task state could not be written" in warning for warning in case.report["warnings"])
    assert case.launches == 1
