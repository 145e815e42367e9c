"""
The matrix: one or two task instances that update endpoints, and a crash of each at every call.

Cases are enumerated: {1, 2 tasks} x {same, other endpoint} x {same, other target} x a crash at every call x
{the update succeeds, is rolled back before the retry, is still in flight} x {tags, task state, both, neither}
x {SageMaker names an update's alarms at its start, at its end}. Of each it must be so that

- SageMaker accepts at most one update of each task instance,
- the outcome is the true one, or ``LaunchUnknown`` where nothing can tell,
- nobody else's intent, alarm or switch is changed (see ``Instance.check_changes``).

What is left out, and why:

- A process that dies leaves the same behind at several calls: where it has only read, and whether it dies
  unanswered or right after the answer. So a crash at each call, in each of its three moments, is made once
  for each of the stores, and of those that leave the same behind (``Instance.left``), one is gone on with. A
  call that is added is crashed at, too; one that changes anything must be allowed in ``check_changes``.
- The second instance runs whole between the crash of the first one and its retry. It dies itself only where
  they share an endpoint or a target, and the first one has made its switch at least.
- Two instances with other endpoints and other targets have nothing in common but the task: they always have
  their switches. Both stores at once are left out where the second one begins late.
- Crashes after the task waits are in ``test_crashes``: what is written down changes no more by then.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice, product
from typing import Any

import pytest

from airflow_guardrails.exceptions import ConfigAlreadyLive, EndpointBusy, LaunchUnknown
from tests.support.crashing import Account, Crash
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
from tests.support.crashing_updates import End, crashes, updating_account

pytestmark = pytest.mark.proof

OWN, FOREIGN = End("Succeeded", adopted="own"), End("Succeeded", adopted="foreign")
UNDONE, SUPERSEDED = End("RolledBack", adopted="own"), End("Superseded", adopted="own")
LAUNCHED, DEFERRED = End("Succeeded"), End("deferred")
UNKNOWN, ALREADY_LIVE, BUSY = (End(e.__name__) for e in (LaunchUnknown, ConfigAlreadyLive, EndpointBusy))


# What happens between a crash and the retry.


def goes_well(first: Instance, *others: Instance) -> None:
    """The first one's update does; on another endpoint, the other one's is rolled back."""
    _time_passes(first, *others, undone=[other for other in others if other.endpoint != first.endpoint])


def is_rolled_back(first: Instance, *others: Instance) -> None:
    """The first one's update is; on another endpoint, the other one's goes well."""
    _time_passes(first, *others, undone=[first])


def is_in_flight(first: Instance, *others: Instance) -> None:
    first.account.advance(seconds=30)


def _time_passes(*tasks: Instance, undone: list[Instance]) -> None:
    account = tasks[0].account
    account.advance(minutes=4)
    for task in tasks:
        requests_are_answered(task)
    for task in undone:
        task.set_alarm("ALARM")
    account.advance(minutes=30)
    for task in undone:
        task.set_alarm("OK")
    account.advance(minutes=1)
    for task in tasks:
        task.note_ends()


STORIES = [goes_well, is_rolled_back, is_in_flight]
KNOBS = ["at_start", "at_end"]


# What must be so.


def expected(task: Instance, *, knob: str) -> End:
    """Say how a retry must end, by what is true now and what the task has written down."""
    known, last = task.intent, (task.updates[-1] if task.updates else None)
    # What SageMaker has among the alarms of the last deployment; a proof only of its owner's own update.
    named = task.has_switch and last_deployed(task, knob) is task
    proven = bool(known) and (bool(known.accepted_at) or named)
    if last is not None and task.in_flight and last.owner.new == task.new:
        return OWN if proven and last.owner is task else FOREIGN
    if task.in_flight:
        return SUPERSEDED if proven else BUSY
    if task.serves == task.new:
        return expected_at_target(task, named=named, proven=proven)
    if proven:
        return UNDONE if task.serves == known.previous else SUPERSEDED
    return expected_elsewhere(task, named=named)


def last_deployed(task: Instance, knob: str) -> Instance | None:
    """Return whose update SageMaker shows as the last deployment."""
    shown = [update.owner for update in task.updates if knob == "at_start" or update.ended]
    return shown[-1] if shown else None


def expected_at_target(task: Instance, *, named: bool, proven: bool) -> End:
    if named or (proven and (task.updates[-1].owner is task or not task.has_switch)):
        # Without a switch it is unknown that its own was rolled back and another one deployed the target.
        return OWN
    if proven:
        return FOREIGN
    return UNKNOWN if task.intent and not task.has_switch else ALREADY_LIVE


def expected_elsewhere(task: Instance, *, named: bool) -> End:
    """Nothing proves that it has asked: what may have happened since it meant to?"""
    if named:
        return UNKNOWN
    if task.intent and changed_since(task):
        return expected_if_perhaps_undone(task)
    return LAUNCHED


def expected_if_perhaps_undone(task: Instance) -> End:
    """It meant to ask, and something has run since: was it its own update?"""
    ran = any(update.owner.new == task.new for update in task.updates)
    if task.has_switch or not ran:
        # Its own update would be named.
        return UNKNOWN
    return End("RolledBack" if task.serves == task.old else "Superseded", adopted="foreign")


def changed_since(task: Instance) -> bool:
    return task.describe()["LastModifiedTime"] > task.intent.modified_at


# Which crashes leave something different behind.


class Classes:
    """The crashes of a first try, one for each state that such a crash leaves behind."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._found: dict[str, list[Crash]] = {}

    def of(self, plan: Plan) -> list[Crash]:
        # Whoever else there is has done nothing yet.
        alone = Plan(stores=plan.stores, arguments=plan.arguments)
        if str(alone) not in self._found:
            self._found[str(alone)] = self._find(alone)
        return self._found[str(alone)]

    def _find(self, plan: Plan) -> list[Crash]:
        allow(self._account, plan.stores)
        found: dict[Any, Crash] = {}
        for crash in crashes(self._calls(plan)):
            first, second = begin_pair(self._account, plan)
            assert first.run(crash=crash, deferrable=True) is None
            found.setdefault(first.left, crash)
            forget(first, second)
        return list(found.values())

    def _calls(self, plan: Plan) -> list[str]:
        first, second = begin_pair(self._account, plan)
        assert first.run(deferrable=True) == DEFERRED
        calls = list(self._account.wire.calls)
        forget(first, second)
        return calls


# The cases, and how each goes.


@dataclass(frozen=True)
class Relation:
    """What two task instances have in common."""

    same_endpoint: bool
    same_target: bool

    def __str__(self) -> str:
        return f"{_same(self.same_endpoint)} endpoint, {_same(self.same_target)} target"

    def plan(self, stores: Stores, **arguments: Any) -> Plan:
        return Plan(
            stores=stores,
            same_endpoint=self.same_endpoint,
            same_target=self.same_target,
            arguments=arguments,
        )


def _same(same: bool) -> str:
    return "same" if same else "other"


RELATIONS = [Relation(endpoint, target) for endpoint in (True, False) for target in (True, False)]
TAGS, TASK_STATE = Stores(tags=True, task_state=False), Stores(tags=False, task_state=True)
NEITHER = Stores(tags=False, task_state=False)
ALONE = Relation(same_endpoint=False, same_target=False)


class Matrix:
    """Goes through cases; each try is held against what was true right before it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.classes = Classes(account)
        self.cases = 0
        self.ends: Counter[str] = Counter()
        self._knob = KNOBS[0]

    @contextmanager
    def case(self, plan: Plan, knob: str) -> Iterator[tuple[Instance, Instance]]:
        allow(self.account, plan.stores, last_deployment_config=knob)
        self._knob = knob
        self.cases += 1
        pair = begin_pair(self.account, plan)
        yield pair
        forget(*pair)

    def retry(self, task: Instance, other: Instance | None = None, *, deferrable: bool = False) -> End:
        """Run a try; it must end as the state of the endpoint demands."""
        task.note_ends()
        kept, wanted = other and other.intent, expected(task, knob=self._knob)
        named = task.has_switch and last_deployed(task, self._knob) is task
        end = task.run(deferrable=deferrable)
        assert end == wanted or (deferrable and end == DEFERRED), f"{end} instead of {wanted}"
        assert (other and other.intent) == kept, "somebody else's intent was changed"
        # If nothing is recorded, and the last deployment is not its own, it is unknown.
        assert launched_by(task) <= 1 or (task.stores == NEITHER and not named), "it was launched twice"
        self.ends[str(end)] += 1
        return end


def launched_by(task: Instance) -> int:
    return sum(update.owner is task for update in task.updates)


@pytest.fixture(scope="module")
def matrix(shared_models):
    with updating_account() as account:
        yield Matrix(account)


# One case of five, or all with FULL_MATRIX in the environment: every crash, and stories and knobs in turn,
# because no number of their combinations is a multiple of five.
STEP = 1 if os.environ.get("FULL_MATRIX") else 5


def in_turn(*choices: Iterable[Any]) -> Iterator[Any]:
    return islice(product(*choices), 0, None, STEP)


def knobs(abort_switch: bool) -> list[str]:
    """When SageMaker names the alarms of an update matters where one of them is the switch."""
    return KNOBS if abort_switch else KNOBS[:1]


@pytest.mark.parametrize("stores", ALL_STORES, ids=str)
@pytest.mark.parametrize("abort_switch", [True, False])
def test_one_task(matrix, stores, abort_switch):
    plan = ALONE.plan(stores, abort_switch=abort_switch)
    for crash, story, knob in product(matrix.classes.of(plan), STORIES, knobs(abort_switch)):
        with matrix.case(plan, knob) as (task, _):
            task.run(crash=crash, deferrable=True)
            story(task)
            matrix.retry(task)
            matrix.retry(task)  # it is cleared: nothing is asked for again


@pytest.mark.parametrize("stores", ALL_STORES, ids=str)
def test_one_task_whose_configuration_is_deleted_after_the_launch(matrix, stores):
    plan = ALONE.plan(stores)
    for crash, story, knob in in_turn(matrix.classes.of(plan), STORIES, KNOBS):
        with matrix.case(plan, knob) as (task, _):
            task.run(crash=crash, deferrable=True)
            if not task.updates:
                continue
            task.account.delete_config(task.new)
            story(task)
            matrix.retry(task)


@pytest.mark.parametrize("stores", ALL_STORES, ids=str)
@pytest.mark.parametrize(
    ("relation", "abort_switch"),
    [*product(RELATIONS, [True]), *product(RELATIONS[:3], [False])],
    ids=lambda value: value if isinstance(value, bool) else str(value),
)
def test_two_tasks_of_which_the_other_runs_before_the_retry(matrix, relation, stores, abort_switch):
    plan = relation.plan(stores, abort_switch=abort_switch)
    for crash, story, knob in in_turn(matrix.classes.of(plan), STORIES, knobs(abort_switch)):
        with matrix.case(plan, knob) as (first, second):
            first.run(crash=crash, deferrable=True)
            matrix.retry(second, first, deferrable=True)
            story(first, second)
            matrix.retry(first, second)
            matrix.retry(second, first)


@pytest.mark.parametrize("stores", [TAGS, TASK_STATE, NEITHER], ids=str)
@pytest.mark.parametrize("relation", RELATIONS[:2], ids=str)
def test_two_tasks_of_which_the_other_begins_when_the_first_ones_update_is_over(matrix, relation, stores):
    plan = relation.plan(stores)
    stories = [goes_well, is_rolled_back]
    for crash, story, then, knob in in_turn(matrix.classes.of(plan), stories, stories, KNOBS):
        with matrix.case(plan, knob) as (first, second):
            first.run(crash=crash, deferrable=True)
            story(first)
            matrix.retry(second, first, deferrable=True)
            then(second)
            matrix.retry(first, second)
            matrix.retry(second, first)


@pytest.mark.parametrize("stores", [TAGS, NEITHER], ids=str)
@pytest.mark.parametrize("relation", RELATIONS[:3], ids=str)
def test_two_tasks_that_both_crash(matrix, relation, stores):
    """The first one has at least written its intent, or may not; the second one may end before it dies."""
    plan = relation.plan(stores)
    points = matrix.classes.of(plan)
    for crash, then, story in product(points[2:], points, [goes_well, is_rolled_back]):
        with matrix.case(plan, KNOBS[0]) as (first, second):
            first.run(crash=crash, deferrable=True)
            matrix.account.align()
            second.run(crash=then, deferrable=True)
            story(first, second)
            matrix.retry(first, second)
            matrix.retry(second, first)


# What is stopped is nobody else's.


def nobody_else_is_stopped(*tasks: Instance) -> None:
    for task in tasks:
        task.account.advance(hours=1)
        task.note_ends()
    for update in {id(update): update for task in tasks for update in task.updates}.values():
        assert update.ended == "Succeeded" or update.owner.threw
    assert all(launched_by(task) <= 1 for task in tasks)


@pytest.mark.parametrize("knob", KNOBS)
@pytest.mark.parametrize("relation", RELATIONS[:3], ids=str)
def test_a_time_out_stops_no_update_but_its_own(matrix, relation, knob):
    arguments = {"on_timeout": "abort", "max_wait": timedelta(minutes=2), "waiter_delay": 30}
    plan = relation.plan(TAGS, **arguments)
    stopped = 0
    for crash, late in product(matrix.classes.of(plan), [False, True]):
        with matrix.case(plan, knob) as (first, second):
            first.run(crash=crash, deferrable=True)
            second.run(deferrable=True)
            matrix.account.advance(minutes=3 if late else 0)
            stops = first.in_flight and expected(first, knob=knob) == OWN
            end = first.run()
            assert not stops or (end, first.own_update.ended) == (UNDONE, "RolledBack")
            nobody_else_is_stopped(first, second)
            stopped += stops
    assert stopped > 0


@pytest.mark.parametrize("knob", KNOBS)
@pytest.mark.parametrize("relation", RELATIONS[:3], ids=str)
def test_marking_a_task_failed_stops_no_update_but_its_own(matrix, relation, knob):
    plan, stopped = relation.plan(TAGS), 0
    for crash in matrix.classes.of(plan):
        with matrix.case(plan, knob) as (first, second):
            first.run(crash=crash, deferrable=True)
            second.run(deferrable=True)
            stops = first.in_flight and expected(first, knob=knob) == OWN
            first.event = (20, first.is_marked_failed)
            end = first.run()
            assert not stops or (end, first.own_update.ended) == (UNDONE, "RolledBack")
            nobody_else_is_stopped(first, second)
            stopped += stops
    assert stopped > 0
