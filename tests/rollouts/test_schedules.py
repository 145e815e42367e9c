"""
Random schedules: tasks, crashes, retries, faults, alarms, aborts and other people, in simulated time.

A schedule is drawn, then played against the simulator's own objects in this process, so that thousands can be
played. What happens is written down as a story; the one of a schedule that fails is printed.

``SCHEDULES`` and ``SEED`` in the environment say how many are played, and which.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from threading import Semaphore, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from moto.core.exceptions import ServiceException
from werkzeug.http import http_date

from airflow_guardrails.domain.abort_switch import AbortSwitch
from airflow_guardrails.domain.deadline import longest_rollout
from airflow_guardrails.domain.endpoint import Endpoint, EndpointStatus, PendingDeployment
from airflow_guardrails.domain.guardrails import Guardrails
from airflow_guardrails.domain.rollout import Outcome, Rollout, Watch
from airflow_guardrails.exceptions import (
    AbortTooLate,
    ConfigAlreadyLive,
    GuardrailsError,
    RolloutError,
    UnexpectedAnswer,
)
from airflow_guardrails.hooks.guardrails import AsyncCalls, GuardrailsHook
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.simulator import constraints
from airflow_guardrails.simulator.alarm_queries import describe_alarm_history, describe_alarms
from airflow_guardrails.simulator.clock import Clock
from airflow_guardrails.simulator.faults import Fault
from airflow_guardrails.simulator.metric_publishing import put_metric_data
from airflow_guardrails.simulator.metric_queries import get_metric_statistics
from airflow_guardrails.simulator.simulation import Simulation
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from tests.conftest import alarm_request

SCHEDULES = int(os.environ.get("SCHEDULES", "100"))
SEED = int(os.environ.get("SEED", "2026"))

# Not on a whole second: the Date header tells no fractions, LastModifiedTime does.
START = datetime(2026, 3, 2, 10, 0, 0, 400_000, tzinfo=timezone.utc)
ENDPOINT = "churn"
SWITCH = AbortSwitch(endpoint_name=ENDPOINT).alarm_name
# A reset is seen by the alarm when the period of 10 s it falls into is over; metrics may be late besides.
SWITCH_SETTLES = timedelta(seconds=60)


# What is drawn.


@dataclass(frozen=True)
class Event:
    """Something happens *after* so many seconds of a run, whoever does it."""

    after: int
    does: str
    what: Any = None


@dataclass(frozen=True)
class Crash:
    """A try dies at a call of this *operation*: before it is ``sent``, or when it is carried out."""

    operation: str
    time: int
    sent: bool


@dataclass(frozen=True)
class Run:
    """One task instance: arguments of its operator, its tries (a crash or None), and what happens around."""

    arguments: dict[str, Any]
    tries: tuple[Crash | None, ...] = (None,)
    retry_after: int = 60
    events: tuple[Event, ...] = ()
    may_tag: bool = True


@dataclass(frozen=True)
class Schedule:
    runs: tuple[Run, ...]
    knobs: dict[str, Any] = field(default_factory=dict)
    # How long a call of a task is on its way, there and back; things happen meanwhile.
    latency: float = 0.0
    seed: int = 0


MINUTES = st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15)])
BAKES = MINUTES.filter(bool)
MOST = st.sampled_from([None, None, timedelta(minutes=45)])
STRATEGIES = st.one_of(
    st.builds(AllAtOnce, termination_wait=MINUTES, max_duration=MOST),
    st.builds(Canary, percent=st.just(25), bake=BAKES, termination_wait=MINUTES, max_duration=MOST),
    st.builds(Linear, percent=st.just(50), bake=BAKES, termination_wait=MINUTES),
    st.builds(
        Rolling,
        batch_percent=st.just(50),
        bake=BAKES,
        rollback_batch_percent=st.sampled_from([None, 25, 100]),
    ),
)
SECONDS = st.integers(0, 60) | st.integers(0, 600) | st.integers(0, 500).map(lambda n: n * 5)
CONFIGS = st.sampled_from(["churn-v1", "churn-v2", "churn-v3"])
CALLS = st.sampled_from(
    ["DescribeEndpoint"] * 3
    + ["UpdateEndpoint", "AddTags", "ListTags", "DescribeAlarms", "DescribeAlarmHistory", "PutMetricData"]
    + ["PutMetricAlarm", "DescribeEndpointConfig", "DescribeModel"]
)
FAULTS = st.tuples(CALLS, st.sampled_from(["throttle", "error", "hang", "lose"]), st.integers(1, 6))
LATER = st.integers(60, 900)
EVENTS = st.one_of(
    st.builds(Event, SECONDS, st.just("trip")),
    st.builds(Event, SECONDS, st.just("calm")),
    st.builds(
        Event,
        SECONDS,
        st.just("update"),
        st.tuples(CONFIGS, st.sampled_from(["plain", "canary", "switch", "retain", "retain"])),
    ),
    st.builds(Event, SECONDS, st.just("scale"), st.integers(1, 4)),
    st.builds(Event, SECONDS, st.just("system_update"), st.sampled_from([30, 300])),
    st.builds(Event, SECONDS, st.just("fault"), FAULTS),
    st.builds(Event, SECONDS, st.just("fault"), FAULTS),
    st.builds(Event, SECONDS, st.just("abort"), st.none() | CONFIGS),
    st.builds(Event, SECONDS, st.just("abort"), st.none() | CONFIGS),
    st.builds(Event, SECONDS, st.just("mark_failed")),
    st.builds(Event, SECONDS, st.just("mark_failed")),
    st.builds(Event, SECONDS, st.just("clear")),
    st.builds(Event, SECONDS, st.just("restart"), st.sampled_from([0, 30, 1200])),
    st.builds(Event, SECONDS, st.just("capacity"), st.booleans()),
    st.builds(
        Event,
        SECONDS,
        st.just("ending"),
        st.tuples(
            st.sampled_from(["UpdateRollbackFailed", "Failed", "OutOfService", "InService"]),
            st.sampled_from([60, 400]),
        ),
    ),
    st.builds(Event, st.integers(600, 3000), st.just("vanish")),
)
ARGUMENTS = st.fixed_dictionaries(
    {
        "endpoint_config_name": st.sampled_from(["churn-v2", "churn-v2", "churn-v3"]),
        "strategy": STRATEGIES,
        "alarms": st.sampled_from([["errors"], ["errors"], []]),
        "abort_switch": st.sampled_from([True, True, True, False]),
        "deferrable": st.booleans(),
        "waiter_delay": st.sampled_from([5, 30, 60]),
        "max_wait": st.sampled_from([None, None, timedelta(minutes=4), timedelta(minutes=20)]),
        "on_timeout": st.sampled_from(["fail", "abort"]),
        "on_kill": st.sampled_from(["leave", "abort", "abort"]),
        "if_busy": st.sampled_from(["fail", "wait"]),
        "if_already_live": st.sampled_from(["fail", "succeed"]),
        "relaunch": st.sampled_from([False, False, False, True]),
        "allow_unguarded": st.sampled_from([True, True, True, False]),
        # Some of them have no bake, or no alarm; that they are refused is shown elsewhere.
    }
)
CRASHES = st.one_of(
    st.none(),
    st.none(),
    st.builds(Crash, st.just("UpdateEndpoint"), st.just(1), st.booleans()),
    st.builds(Crash, CALLS, st.integers(1, 4), st.booleans()),
)
RUNS = st.builds(
    Run,
    arguments=ARGUMENTS,
    tries=st.lists(CRASHES, min_size=1, max_size=4).map(tuple),
    retry_after=st.sampled_from([0, 5, 60, 300, 3600]),
    events=st.lists(EVENTS, max_size=5).map(tuple),
    may_tag=st.sampled_from([True, True, True, False]),
)
KNOBS = st.fixed_dictionaries(
    {},
    optional={
        "provisioning_seconds": st.sampled_from([5.0, 60.0, 400.0]),
        "activation_seconds": st.just(0.0),
        "deleting_seconds": st.sampled_from([30.0, 300.0]),
        "describe_lag_seconds": st.sampled_from([5.0, 30.0, 90.0]),
        "stale_read_probability": st.sampled_from([0.1, 0.4]),
        "metric_delay_seconds": st.sampled_from([5.0, 30.0, 90.0]),
        "rollback_failure_reason": st.sampled_from([None, "", "An alarm tripped."]),
        "show_rolling_back": st.just(True),
        "alarms_judged": st.just("always"),
        "alarm_poll_seconds": st.just(60.0),
        "alarm_already_in_alarm": st.just("ignored"),
        "insufficient_data": st.just("rolls_back"),
        "timeout_ends_in": st.just("Failed"),
        "rolling_rollback_ends_in": st.just("UpdateRollbackFailed"),
        "linear_last_step_bakes": st.just(False),
        "same_config_update": st.just("reject"),
        "scaling_ends_in": st.just("rollback"),
    },
)
SCHEDULE = st.builds(
    Schedule,
    runs=st.lists(RUNS, min_size=1, max_size=2).map(tuple),
    knobs=KNOBS,
    latency=st.sampled_from([0.0, 0.5, 4.0]),
    seed=st.integers(0, 1000),
)


# The simulated account, and the truth about it.


# The story says it all, and Airflow's own logging costs half of the time.
SILENT = logging.getLogger("silent")
SILENT.disabled = True


class Killed(BaseException):
    """The process of a task is gone."""


@dataclass
class Update:
    """An UpdateEndpoint that SageMaker accepted."""

    by: str
    target: str
    at: datetime
    guarded_by_switch: bool
    thrown_for: bool = False
    # Whoever launched it has written down that it was accepted.
    marked: bool = False


class Account:
    """The simulator's objects, without a wire; and what is true of the endpoint, whatever a read says."""

    def __init__(self, schedule: Schedule) -> None:
        self.story: list[str] = []
        self.updates: list[Update] = []
        self.broken: list[str] = []
        self.thrown_at: datetime | None = None
        self.settled_at: datetime | None = None
        self.clock = Clock(start=START - timedelta(hours=1))
        self.simulation = Simulation(clock=self.clock, seed=schedule.seed)
        self.world = self.simulation.world("us-east-1")
        self.may_tag = True
        self.latency = schedule.latency
        self.over = False
        self.aborted: dict[str, str] = {}
        # Why the task of now may throw the switch; asked when it does.
        self.may_throw: Callable[[], bool] = lambda: False
        self._build()
        self.clock.advance(3600)
        self.simulation.knobs.update(**schedule.knobs)
        self.endpoint = self.world.sagemaker._find(ENDPOINT)
        self.clock.every(10, self._watch_the_switch)

    def _build(self) -> None:
        sagemaker = self.world.sagemaker
        sagemaker.catalogue.create_model(
            {
                "ModelName": "churn",
                "PrimaryContainer": {"Image": "churn:1"},
                "ExecutionRoleArn": "arn:aws:role",
            }
        )
        for name in ("churn-v1", "churn-v2", "churn-v3", "churn-v4"):
            variant = {"VariantName": "All", "ModelName": "churn", "InstanceType": "ml.m5.large"}
            variants = [{**variant, "InitialInstanceCount": 4}]
            sagemaker.catalogue.create_endpoint_config(
                {"EndpointConfigName": name, "ProductionVariants": variants}
            )
        sagemaker.create_endpoint({"EndpointName": ENDPOINT, "EndpointConfigName": "churn-v1"})
        self.world.alarms.put_metric_alarm(alarm_request("errors"))
        self.set_alarm("OK")

    def tell(self, who: str, what: str) -> None:
        passed = int((self.clock.now() - START).total_seconds())
        self.story.append(f"{passed // 3600:02}:{passed // 60 % 60:02}:{passed % 60:02}  {who}: {what}")

    def set_alarm(self, state: str) -> None:
        self.world.alarms.set_state("errors", state=state, reason=f"Set to {state}")

    def carry_out(self, operation: str, request: dict[str, Any], by: str) -> dict[str, Any]:
        constraints_apply = operation in _SAGEMAKER
        try:
            if constraints_apply:
                constraints.check(operation, request)
            answer = dict(_OPERATIONS[operation](self.world, request) or {})
        except ServiceException as error:
            raise self.error(operation, error.code, error.message) from None
        if operation == "UpdateEndpoint":
            self._accepted(request, by)
        if operation == "AddTags":
            self._tagged(request, by)
        if operation == "PutMetricData":
            self._published(request, by)
        return {**answer, "ResponseMetadata": self._metadata(200)}

    def error(self, operation: str, code: str, message: str, status: int = 400) -> ClientError:
        answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": self._metadata(status)}
        return ClientError(answer, operation)

    def _metadata(self, status: int) -> dict[str, Any]:
        return {"HTTPStatusCode": status, "HTTPHeaders": {"date": http_date(self.clock.now())}}

    def sleep(self, seconds: float) -> None:
        # A pause shorter than the clock's own resolution would never end.
        self.clock.advance(max(seconds, 0.001))
        assert self.clock.now() < START + timedelta(days=2), "this never ends"

    # The truth.

    @property
    def gone(self) -> bool:
        return not self.world.sagemaker.endpoint_names()

    @property
    def in_flight(self) -> Update | None:
        """The update that runs in truth."""
        going = not self.gone and self.endpoint.in_flight and self.endpoint.green
        return self.updates[-1] if going and self.updates else None

    def looks(self, window: timedelta) -> list[dict[str, Any]]:
        """How the endpoint truly was at some moment of the last *window*, which includes now."""
        now, history = self.clock.now(), self.endpoint.history
        recent = [look for when, look in history._looks if when >= now - window]
        return [dict(look or {}) for look in [*recent, history.as_of(now - window), history.as_of(now)]]

    @property
    def staleness(self) -> timedelta:
        """How old what a look says may be."""
        knobs = self.simulation.knobs
        stale = knobs.stale_read_seconds if knobs.stale_read_probability else 0.0
        return timedelta(seconds=max(stale, knobs.describe_lag_seconds))

    # What must hold whatever happens.

    def _accepted(self, request: dict[str, Any], by: str) -> None:
        alarms = (self.endpoint.last_deployment_config or {}).get("AutoRollbackConfiguration", {})
        named = {alarm["AlarmName"] for alarm in alarms.get("Alarms", ())}
        given = "DeploymentConfig" in request or request.get("RetainDeploymentConfig")
        update = Update(
            by=by,
            target=request["EndpointConfigName"],
            at=self.clock.now(),
            guarded_by_switch=bool(given) and SWITCH in named,
        )
        self.updates.append(update)

    def _tagged(self, request: dict[str, Any], by: str) -> None:
        launched = [tag for tag in request["Tags"] if tag["Key"].endswith("launched-at") and tag["Value"]]
        if launched:
            self.updates[-1].marked = self.updates[-1].by == by

    def _published(self, request: dict[str, Any], by: str) -> None:
        if request["MetricData"][0]["Value"] < 1:
            return
        self.thrown_at, self.settled_at = self.clock.now(), None
        if by.startswith("task") and not self.may_throw():
            self.broken.append(f"{by} threw the switch, and nobody wanted that")
        running = self.in_flight
        if running and running.guarded_by_switch:
            by_hand = by.startswith("abort") and self.aborted.get(by, running.target) == running.target
            # What started within the age of a look, nobody can have seen.
            unseen = self.clock.now() - running.at <= self.staleness + timedelta(seconds=4 * self.latency)
            if not (by_hand or running.by == by or unseen):
                self.broken.append(
                    f"{by} threw the switch for the update to {running.target} of {running.by}"
                )
            running.thrown_for = True

    def settled(self, report: dict[str, Any]) -> None:
        """A report says that a rollout is over; from now on the switch must come to rest."""
        excused = any("could not be reset" in warning for warning in report["warnings"])
        running = self.in_flight
        if running:
            return  # the report is on an earlier rollout; a reset might undo somebody's abort of this one
        if report["outcome"] != "TimedOut" and SWITCH in report["alarms"] and not excused:
            self.settled_at = self.clock.now()

    def _watch_the_switch(self) -> None:
        if self.world.alarms.state(SWITCH) != "ALARM":
            return
        now, running = self.clock.now(), self.in_flight
        late = timedelta(seconds=self.simulation.knobs.metric_delay_seconds)
        if self.settled_at and now - self.settled_at > SWITCH_SETTLES + late:
            self.broken.append("the switch is in ALARM though a report said that the rollout is over")
        if running and running.guarded_by_switch and running.by.startswith("task") and not running.thrown_for:
            self.broken.append(f"the switch is in ALARM for an update of {running.by} that nobody aborted")


_SAGEMAKER: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "DescribeEndpoint": lambda world, request: world.sagemaker.describe_endpoint(request),
    "UpdateEndpoint": lambda world, request: world.sagemaker.update_endpoint(request),
    "DescribeEndpointConfig": lambda world, request: world.sagemaker.catalogue.describe_endpoint_config(
        request
    ),
    "DescribeModel": lambda world, request: world.sagemaker.catalogue.describe_model(request),
    "AddTags": lambda world, request: world.sagemaker.catalogue.tags.add(request),
    "ListTags": lambda world, request: world.sagemaker.catalogue.tags.list(request),
}
_OPERATIONS = {
    **_SAGEMAKER,
    "DescribeAlarms": lambda world, request: describe_alarms(world.alarms, request),
    "DescribeAlarmHistory": lambda world, request: describe_alarm_history(world.alarms, request),
    "PutMetricAlarm": lambda world, request: world.alarms.put_metric_alarm(request),
    "PutMetricData": lambda world, request: put_metric_data(world.metrics, request, now=world.clock.now()),
    "GetMetricStatistics": lambda world, request: get_metric_statistics(world.metrics, request),
}


# One process and its calls.


class Line:
    """The calls of one process: what they meet, and where the process dies."""

    def __init__(self, account: Account, who: str, crash: Crash | None = None) -> None:
        self.account = account
        self.who = who
        self.crash = crash
        self.calls: Counter[str] = Counter()
        self.dies_at: datetime | None = None
        self.latency = 0.0
        self.looked_at = account.clock.now()
        self._seen: Any = None

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self.calls[operation] += 1
        self._travel()
        self._die(operation, sent=False)
        try:
            answer = self._call(operation, request)
        except (ClientError, BotoCoreError) as error:
            self.account.tell(self.who, f"{operation} fails: {error}")
            self._die(operation, sent=True)
            raise
        self._tell(operation, request, answer)
        self._travel()
        self._die(operation, sent=True)
        return answer

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        account = self.account
        fault = account.simulation.faults.draw(operation)
        kind = fault.kind if fault else None
        if kind == "hang":
            raise ConnectTimeoutError(endpoint_url="https://aws")
        if kind == "throttle":
            raise account.error(operation, "ThrottlingException", "Rate exceeded")
        if kind == "error":
            raise account.error(operation, "InternalFailure", "Something went wrong", status=500)
        if operation in {"AddTags", "ListTags"} and not account.may_tag:
            raise account.error(operation, "AccessDeniedException", f"not authorized to perform {operation}")
        answer = account.carry_out(operation, request, self.who)
        self.looked_at = account.clock.now() if operation == "DescribeEndpoint" else self.looked_at
        if kind == "lose":
            account.tell(self.who, f"{operation} is carried out, and its answer lost")
            raise ReadTimeoutError(endpoint_url="https://aws")
        return answer

    def _die(self, operation: str, *, sent: bool) -> None:
        if self.overdue or self.crash == Crash(operation, self.calls[operation], sent):
            self.account.tell(
                self.who, f"dies {'after' if sent else 'before'} its {operation} is carried out"
            )
            raise Killed

    def _travel(self) -> None:
        if self.latency:
            self.account.clock.advance(self.latency)

    @property
    def overdue(self) -> bool:
        return self.dies_at is not None and self.account.clock.now() >= self.dies_at

    def _tell(self, operation: str, request: dict[str, Any], answer: dict[str, Any]) -> None:
        if operation == "DescribeEndpoint":
            pending = answer.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
            seen = (answer["EndpointStatus"], answer.get("EndpointConfigName"), pending)
            if seen != self._seen:
                towards = f", on its way to {pending}" if pending else ""
                self.account.tell(self.who, f"sees {seen[0]} {seen[1]}{towards}")
            self._seen = seen
        if operation == "UpdateEndpoint":
            self.account.tell(self.who, f"asks for the update to {request['EndpointConfigName']}")
        if operation == "PutMetricData":
            value = request["MetricData"][0]["Value"]
            self.account.tell(self.who, "throws the switch" if value else "resets the switch")


class Client:
    """Looks like boto3's client."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = "".join(word.capitalize() for word in name.split("_"))
        return lambda **request: self._line.call(operation, request)

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=lambda **request: self._pages(name, request))

    def _pages(self, name: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        page = getattr(self, name)(**request)
        yield page
        while token := page.get("NextToken"):
            page = getattr(self, name)(**request, NextToken=token)
            yield page


class AsyncClient(Client):
    """Looks like aiobotocore's; nothing here ever waits."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = super().__getattr__(name)

        async def awaitable(**request: Any) -> Any:
            return call(**request)

        return awaitable

    def get_paginator(self, name: str) -> Any:
        async def pages(**request: Any) -> Any:
            for page in Client(self._line)._pages(name, request):
                yield page

        return SimpleNamespace(paginate=pages)


def hook_on(line: Line) -> GuardrailsHook:
    """The real hook, with the clients' place taken."""

    @asynccontextmanager
    async def asynchronous() -> AsyncIterator[AsyncCalls]:
        async with AsyncExitStack() as stack:
            calls = AsyncCalls(hook, stack)
            calls._clients.update(dict.fromkeys(("sagemaker", "cloudwatch"), AsyncClient(line)))
            yield calls

    hook = GuardrailsHook(aws_conn_id=None, region_name="us-east-1")
    vars(hook).update(
        conn=Client(line),
        _conn_without_retries=Client(line),
        _cloudwatch=SimpleNamespace(conn=Client(line), client_type="cloudwatch"),
        asynchronous=asynchronous,
        _client=SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1", partition="aws")),
    )
    return hook


class Nap:
    """What an awaited sleep is here: it hands its length to whoever drives the coroutine."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __await__(self) -> Iterator[float]:
        yield self._seconds


class WiredTrigger(SageMakerRolloutTrigger):
    """The trigger with a hook of ours; it is made of nothing but what was serialized."""

    line: Line

    def _hook(self) -> GuardrailsHook:
        return hook_on(self.line)


def revive(trigger: SageMakerRolloutTrigger, line: Line, task_instance: Any) -> WiredTrigger:
    revived = WiredTrigger(**trigger.serialize()[1])
    revived.line = line
    revived._log = SILENT
    revived.task_instance = task_instance
    revived.sleep, revived.shares = Nap, False
    revived.now = lambda: line.account.clock.now().timestamp()
    return revived


def pauses(awaitable: Any, done: Callable[[Any], Any] = lambda _: None) -> Iterator[float]:
    """Drive a coroutine; yields each of its pauses, and tells *done* (and returns) what it comes to."""
    while True:
        try:
            pause = awaitable.send(None)
        except StopIteration as end:
            done(end.value)
            return end.value
        yield pause


class TaskInstance:
    dag_id = "deploy"
    map_index = -1
    try_number = 1

    def __init__(self, task_id: str, run_id: str) -> None:
        self.task_id = task_id
        self.run_id = run_id
        self.state = "running"
        self.store = {}

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        return {self.run_id: {self.task_id: self.state}}

    def xcom_push(self, key: str, value: Any) -> None:
        pass


class TaskState(dict):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Supervisor:
    """Answers a trigger's question for the state of its task."""

    def __init__(self, task_instance: TaskInstance) -> None:
        self._task_instance = task_instance

    async def asend(self, _: Any) -> Any:
        return SimpleNamespace(task_states=self._task_instance.get_task_states())


# The play.


class Play:
    """One schedule, played to its end."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.account = Account(schedule)
        self.task: Task | None = None
        self.aborts = 0
        self.strands: list[Strand] = []

    def play(self) -> None:
        try:
            self._play()
        finally:
            self.account.over = True
            for strand in self.strands:
                strand.abandon()

    def _play(self) -> None:
        for number, run in enumerate(self.schedule.runs, start=1):
            self.account.may_tag = run.may_tag
            self.task = Task(self.account, run, f"task {number}")
            self.account.may_throw = self.task.may_throw
            for event in run.events:
                self.account.clock.after(event.after, lambda event=event: self._happen(event))
            self.task.play()
        self.task = None
        self.account.clock.advance(4 * 3600)
        assert not self.account.broken, self.account.broken[0]

    def _happen(self, event: Event) -> None:
        self.account.tell("then", f"{event.does} {'' if event.what is None else event.what}")
        getattr(self, f"_{event.does}")(event.what)

    def _trip(self, _: None) -> None:
        self.account.set_alarm("ALARM")

    def _calm(self, _: None) -> None:
        self.account.set_alarm("OK")

    def _update(self, what: tuple[str, str]) -> None:
        config, how = what
        request: dict[str, Any] = {"EndpointName": ENDPOINT, "EndpointConfigName": config}
        if how == "canary":
            request["DeploymentConfig"] = _canary("errors")
        if how == "switch":
            request["DeploymentConfig"] = _canary(SWITCH)
        if how == "retain":
            request["RetainDeploymentConfig"] = True
        self._by_hand("UpdateEndpoint", request)

    def _by_hand(self, operation: str, request: dict[str, Any]) -> None:
        try:
            self.account.carry_out(operation, request, "somebody")
        except ClientError as error:
            self.account.tell("somebody", f"is refused: {error}")

    def _scale(self, instances: int) -> None:
        wish = {"VariantName": "All", "DesiredInstanceCount": instances}
        request = {"EndpointName": ENDPOINT, "DesiredWeightsAndCapacities": [wish]}
        try:
            self.account.world.sagemaker.update_endpoint_weights_and_capacities(request)
        except ServiceException as error:
            self.account.tell("somebody", f"is refused: {error.message}")

    def _system_update(self, seconds: int) -> None:
        if not self.account.gone:
            self.account.world.sagemaker.system_update(ENDPOINT, seconds)

    def _vanish(self, _: None) -> None:
        if not self.account.gone:
            self.account.world.sagemaker.vanish(ENDPOINT)

    def _ending(self, what: tuple[str, int]) -> None:
        status, seconds = what
        config = "churn-v4" if status == "InService" else None
        if not self.account.gone:
            self.account.world.sagemaker.script_ending(
                ENDPOINT, status=status, after_seconds=seconds, endpoint_config_name=config
            )

    def _capacity(self, available: bool) -> None:
        self.account.simulation.knobs.update(capacity_available=available)

    def _fault(self, what: tuple[str, str, int]) -> None:
        operation, kind, times = what
        self.account.simulation.faults.add(Fault(operation=operation, kind=kind, times=times))

    def _mark_failed(self, _: None) -> None:
        if self.task:
            self.task.interrupt("failed")

    def _clear(self, _: None) -> None:
        if self.task:
            self.task.interrupt("running")

    def _restart(self, down: int) -> None:
        if self.task:
            self.task.lose_trigger(down)

    def _abort(self, target: str | None) -> None:
        self.aborts += 1
        who = f"abort {self.aborts}"
        if target:
            self.account.aborted[who] = target
        abort = Abort(self.account, target, who)
        self.strands.append(abort.strand)
        abort.strand.go()


def _canary(alarm: str) -> dict[str, Any]:
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
                "WaitIntervalInSeconds": 600,
            }
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
    }


class Judge:
    """Holds what a task says against the truth of the account."""

    def __init__(self, account: Account, who: str, *, on_timeout: str = "fail") -> None:
        self.account = account
        self.who = who
        self.on_timeout = on_timeout

    def ending(self, ending: Any, line: Line) -> None:
        if isinstance(ending, Exception):
            self.account.tell(self.who, f"fails: {type(ending).__name__}: {ending}")
            assert not isinstance(ending, UnexpectedAnswer)
        if isinstance(ending, RolloutError):
            self.report(ending.report, line)
        elif isinstance(ending, dict):
            self.report(ending, line)

    def report(self, report: dict[str, Any], line: Line) -> None:
        outcome = report["outcome"]
        self.account.tell(self.who, f"reports {outcome}, serving {report['serving_endpoint_config_name']}")
        claims = _CLAIMS[outcome]
        looks = self.account.looks(self._window(line))
        assert any(claims(look, report) for look in looks), f"{outcome}, but the truth is {looks[-1]}"
        if outcome != "TimedOut":
            served = {look.get("EndpointConfigName") for look in looks}
            assert report["serving_endpoint_config_name"] in served
        if outcome == "TimedOut":
            self._aborted(report)
        if outcome == "NotStarted":
            assert not self.accepted, "NotStarted, but SageMaker accepted the update"
        self.account.settled(report)

    def _aborted(self, report: dict[str, Any]) -> None:
        running, wished = self.account.in_flight, self.on_timeout == "abort"
        why_not = [warning for warning in report["warnings"] if "could not be aborted" in warning]
        if wished and running and running.by == self.who and running.guarded_by_switch:
            assert running.thrown_for or why_not, "out of time, and not aborted"
            doubted = any("nothing proves" in warning for warning in why_not)
            assert not (doubted and running.marked), "marked as launched, and not known as ours"

    def _window(self, line: Line) -> timedelta:
        """What others did a moment ago a look may not show; what this task itself did it knows."""
        now = self.account.clock.now()
        since = min((now - update.at for update in self.accepted), default=timedelta.max)
        return min(
            now - line.looked_at + self.account.staleness, max(since - timedelta(seconds=1), timedelta(0))
        )

    @property
    def accepted(self) -> list[Update]:
        return [update for update in self.account.updates if update.by == self.who]


def _pending(look: dict[str, Any]) -> str | None:
    return look.get("PendingDeploymentSummary", {}).get("EndpointConfigName")


_ON_THE_WAY = {"InService", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
_CLAIMS: dict[str, Callable[[dict[str, Any], dict[str, Any]], bool]] = {
    "Succeeded": lambda look, report: (
        look.get("EndpointConfigName") == report["endpoint_config_name"]
        and look["EndpointStatus"] in _ON_THE_WAY
    ),
    "RolledBack": lambda look, report: (
        look.get("EndpointConfigName") == report["previous_endpoint_config_name"]
        and report["previous_endpoint_config_name"] != report["endpoint_config_name"]
        and look["EndpointStatus"] in _ON_THE_WAY
        and _pending(look) != report["endpoint_config_name"]
    ),
    "NotStarted": lambda look, report: (
        look.get("EndpointConfigName") != report["endpoint_config_name"]
        and _pending(look) != report["endpoint_config_name"]
    ),
    "Superseded": lambda look, report: bool(
        {look.get("EndpointConfigName"), _pending(look)}
        - {None, report["endpoint_config_name"], report["previous_endpoint_config_name"]}
    ),
    "RollbackFailed": lambda look, _: look.get("EndpointStatus") == "UpdateRollbackFailed",
    "Failed": lambda look, _: look.get("EndpointStatus") in {None, "Failed", "OutOfService", "Deleting"},
    "TimedOut": lambda *_: True,
}


class Task:
    """A task instance of the update operator, as Airflow would run it: its tries, deferrals and ends."""

    def __init__(self, account: Account, run: Run, who: str) -> None:
        self.account = account
        self.run = run
        self.who = who
        self.judge = Judge(account, who, on_timeout=run.arguments["on_timeout"])
        self.task_instance = TaskInstance("update", who)
        self.state = TaskState()
        self.operator: Any = None
        self.line: Line | None = None
        self.asked: str | None = None
        self.down: int | None = None

    def play(self) -> None:
        tries = list(self.run.tries)
        while tries:
            self.asked = None
            self.task_instance.state = "running"
            again = self._try(tries.pop(0))
            self.operator = self.line = None
            if self.asked == "failed":
                self.account.tell(self.who, "stays failed")
                break
            if self.asked == "running":
                tries = [*tries, None][:4]
            elif not again:
                break
            else:
                self.account.clock.advance(self.run.retry_after)
        if not self.run.arguments["relaunch"]:
            assert len(self.judge.accepted) <= 1, f"{self.who} launched {len(self.judge.accepted)} times"

    def _try(self, crash: Crash | None) -> bool:
        """One try; whether Airflow would retry it."""
        self.account.tell(self.who, "begins a try")
        self.line = Line(self.account, self.who, crash)
        # An abort's calls are made while the clock moves on, and cannot move it themselves.
        self.line.latency = self.account.latency
        self.operator = self._make(self.line)
        try:
            ending = ended(lambda: self._execute(self.operator, self.line))
        except Killed:
            return True
        self.judge.ending(ending, self.line)
        if isinstance(ending, dict):
            assert ending["outcome"] == "Succeeded"
        if isinstance(ending, ConfigAlreadyLive):
            assert not self.judge.accepted, "this very task has launched what is live"
        return isinstance(ending, Exception) and not isinstance(ending, AirflowFailException)

    def _make(self, line: Line) -> SageMakerGuardedUpdateOperator:
        operator = SageMakerGuardedUpdateOperator(
            task_id="update", endpoint_name=ENDPOINT, aws_conn_id=None, **self.run.arguments
        )
        operator.hook = hook_on(line)
        operator._cached_logger = SILENT
        operator.sleep = self._sleep
        operator.monotonic = lambda: self.account.clock.now().timestamp()
        return operator

    def _execute(self, operator: Any, line: Line) -> dict[str, Any]:
        context = {"ti": self.task_instance, "task_state_store": self.state}
        try:
            report: dict[str, Any] = operator.execute(context)
        except TaskDeferred as deferral:
            event = self._wait(deferral, line)
            report = getattr(operator, deferral.method_name)(context, event=event)
        return report

    def _sleep(self, seconds: float) -> None:
        self.account.sleep(seconds)
        if self.line and self.line.overdue:
            self.account.tell(self.who, "is killed")
            raise Killed

    def _wait(self, deferral: TaskDeferred, line: Line) -> Any:
        self.account.tell(self.who, "is deferred")
        self.task_instance.state = "deferred"
        began, stored = self.account.clock.now(), deferral.trigger
        was_down = False
        while True:
            trigger = revive(stored, line, self.task_instance)
            process = pauses(trigger.run().__anext__())
            while True:
                try:
                    self.account.sleep(next(process))
                except StopIteration as end:
                    late = self.account.clock.now() - began > deferral.timeout
                    assert was_down or not late, "Airflow's deferral timeout came before our own deadline"
                    return end.value.payload
                if self.asked or self.down is not None:
                    break
            process.close()
            self._kill(trigger)
            if self.asked:
                raise Killed
            was_down = True
            self.account.clock.advance(self.down or 0)
            self.down = None
            if self.asked:
                raise Killed

    def _kill(self, trigger: WiredTrigger) -> None:
        from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - as the code itself imports it

        task_runner.SUPERVISOR_COMMS = Supervisor(self.task_instance)
        try:
            for _ in pauses(trigger.on_kill()):
                pass
        except (ClientError, BotoCoreError) as error:
            self.account.tell(self.who, f"on_kill fails: {error}")
        finally:
            del task_runner.SUPERVISOR_COMMS

    def may_throw(self) -> bool:
        """Marked failed, or out of time; how long without max_wait, the domain knows."""
        arguments, update = self.run.arguments, self.judge.accepted[-1:]
        waited = self.account.clock.now() - update[0].at if update else timedelta(0)
        limit = arguments["max_wait"] or longest_rollout(Guardrails(strategy=arguments["strategy"]))
        killed = self.asked == "failed" and arguments["on_kill"] == "abort"
        late = waited >= limit - timedelta(seconds=5) and arguments["on_timeout"] == "abort"
        return killed or late

    def interrupt(self, state: str) -> None:
        """Somebody marks the task failed, or clears it; then a new try is running already."""
        if self.operator is None or self.asked:
            return
        in_triggerer = self.task_instance.state == "deferred"
        self.asked = self.task_instance.state = state
        if self.line and not in_triggerer:
            self.operator.on_kill()
            self.line.dies_at = self.account.clock.now() + timedelta(seconds=5)

    def lose_trigger(self, seconds: int) -> None:
        if self.task_instance.state == "deferred":
            self.down = seconds


class Strand:
    """A thread that runs only while the clock stands: each of its sleeps ends by a timer."""

    def __init__(self, account: Account, body: Callable[[], None]) -> None:
        self._account = account
        self._body = body
        self._turn, self._back = Semaphore(0), Semaphore(0)
        self._pause: float | None = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def go(self) -> None:
        self._pause = None
        self._turn.release()
        self._back.acquire()
        if self._error:
            raise self._error
        if self._pause is not None:
            self._account.clock.after(self._pause, self.go)

    def sleep(self, seconds: float) -> None:
        self._pause = max(seconds, 0.001)
        self._back.release()
        self._turn.acquire()
        if self._account.over:
            raise Killed

    def abandon(self) -> None:
        if self._thread.is_alive():
            self._turn.release()
            self._thread.join()

    def _run(self) -> None:
        self._turn.acquire()
        try:
            if not self._account.over:
                self._body()
        except BaseException as error:  # noqa: BLE001 - it is raised where the strand was called
            self._error = error
        self._back.release()


class Abort:
    """Somebody's abort task, while everything else goes on."""

    def __init__(self, account: Account, target: str | None, who: str) -> None:
        self.account = account
        self.who = who
        self.judge = Judge(account, who)
        self.line = Line(account, who)
        self.strand = Strand(account, self._play)
        self.operator = SageMakerAbortRolloutOperator(
            task_id="abort",
            endpoint_name=ENDPOINT,
            endpoint_config_name=target,
            deferrable=True,
            aws_conn_id=None,
        )
        self.operator.hook = hook_on(self.line)
        self.operator._cached_logger = SILENT
        self.operator.sleep = self.strand.sleep
        self.operator.monotonic = lambda: account.clock.now().timestamp()
        self.task_instance = TaskInstance("abort", who)

    def _play(self) -> None:
        ending = ended(self._execute)
        self.judge.ending(ending, self.line)
        if isinstance(ending, dict):
            assert ending["outcome"] == "RolledBack"
        elif isinstance(ending, RolloutError):
            assert ending.report["outcome"] != "RolledBack"
            assert isinstance(ending, AbortTooLate) == (ending.report["outcome"] == "Succeeded")

    def _execute(self) -> dict[str, Any]:
        context = {"ti": self.task_instance}
        try:
            report: dict[str, Any] = self.operator.execute(context)
        except TaskDeferred as deferral:
            trigger = revive(deferral.trigger, self.line, self.task_instance)
            events: list[Any] = []
            for pause in pauses(trigger.run().__anext__(), events.append):
                self.strand.sleep(pause)
            report = self.operator.execute_complete(context, event=events[0].payload)
        return report


def ended(call: Callable[[], Any]) -> Any:
    """What a task ends with: a report, or the error; any that is not for users goes on."""
    try:
        return call()
    except (GuardrailsError, ClientError, BotoCoreError) as error:
        return error


def play(schedule: Schedule) -> list[str]:
    """Play it; returns its story, which is printed where it fails."""
    play = Play(schedule)
    try:
        play.play()
    except Exception:
        note("\n".join(["", f"knobs: {schedule.knobs}", *play.account.story]))
        raise
    return play.account.story


# Every schedule.


@seed(SEED)
@settings(
    max_examples=SCHEDULES,
    database=None,
    deadline=None,
    print_blob=False,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(schedule=SCHEDULE)
def random_schedules(schedule: Schedule) -> None:
    _PLAYED.append(len(play(schedule)))


_PLAYED: list[int] = []


def test_whatever_happens_the_report_is_true_and_nothing_foreign_is_aborted():
    began = time.monotonic()
    random_schedules()
    print(f"{len(_PLAYED)} schedules in {time.monotonic() - began:.0f} s, seed {SEED}")  # noqa: T201


# What schedules have found.


def played(arguments: dict[str, Any], **rest: Any) -> Play:
    knobs, latency = rest.pop("knobs", {}), rest.pop("latency", 0.0)
    run = Run(arguments={**_PLAIN, **arguments}, **rest)
    play = Play(Schedule(runs=(run,), knobs=knobs, latency=latency))
    play.play()
    return play


_PLAIN: dict[str, Any] = {
    "endpoint_config_name": "churn-v2",
    "strategy": Canary(percent=25, bake=timedelta(minutes=5)),
    "alarms": ["errors"],
    "max_wait": None,
    "on_timeout": "fail",
    "on_kill": "leave",
    "relaunch": False,
}


@pytest.mark.parametrize("retry_after", range(150, 210, 4))
def test_an_update_that_is_undone_between_two_looks_at_its_adoption_was_in_flight(retry_after):
    play = played(
        {},
        tries=(Crash("UpdateEndpoint", 1, sent=True), None),
        retry_after=retry_after,
        events=(Event(240, "trip"),),
        knobs={"alarms_judged": "always"},
        latency=4.0,
    )

    assert "reports RolledBack" in play.account.story[-1]


def test_an_update_that_began_before_ours_neither_overtakes_it_nor_is_it():
    launched = START
    rollout = Rollout(endpoint_name=ENDPOINT, target="churn-v2", previous="churn-v1", launched_at=launched)
    earlier = PendingDeployment(endpoint_config_name="churn-v3", started_at=launched - timedelta(minutes=4))
    stale = Endpoint(
        name=ENDPOINT,
        status=EndpointStatus.UPDATING,
        seen_at=launched + timedelta(seconds=5),
        endpoint_config_name="churn-v1",
        pending=earlier,
    )
    later = replace(stale, pending=replace(earlier, started_at=launched + timedelta(seconds=2)))
    to_the_same = replace(stale, pending=replace(earlier, endpoint_config_name="churn-v2"))
    watch = Watch(rollout=replace(rollout, max_wait=timedelta(minutes=2)))

    assert watch.after(stale).after(stale).outcome is None
    assert watch.after(later).after(later).outcome is Outcome.SUPERSEDED
    assert watch.after(to_the_same).outcome is None
    assert watch.after(to_the_same).started_at is None


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_that_begins_out_of_time_aborts_what_its_dead_try_has_launched(deferrable):
    play = played(
        {"on_timeout": "abort", "max_wait": timedelta(minutes=4), "deferrable": deferrable},
        tries=(Crash("AddTags", 2, sent=True), None),
        retry_after=300,
    )

    assert "reports RolledBack" in play.account.story[-1]
    assert play.account.updates[0].thrown_for


@pytest.mark.parametrize("kill", [(), (Event(420, "mark_failed"),)])
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_aborts_nothing_that_may_be_somebody_elses(deferrable, kill):
    """Its first try meant to launch, and died; meanwhile somebody else did, to the same target."""
    play = played(
        {
            "on_timeout": "abort",
            "on_kill": "abort",
            "max_wait": timedelta(minutes=8),
            "deferrable": deferrable,
        },
        tries=(Crash("UpdateEndpoint", 1, sent=False), None),
        retry_after=60,
        events=(
            Event(45, "update", ("churn-v2", "switch")),
            *kill,
        ),
    )

    (update,) = play.account.updates
    assert update.by == "somebody"
    assert update.guarded_by_switch
    assert not update.thrown_for
    assert play.account.thrown_at is None


def test_a_switch_is_not_reset_within_the_period_of_10_seconds_in_which_it_was_thrown():
    play = played(
        {
            "strategy": AllAtOnce(),
            "allow_unguarded": True,
            "on_timeout": "abort",
            "max_wait": timedelta(seconds=250),
            "waiter_delay": 5,
        },
        knobs={"provisioning_seconds": 185.0},
    )

    assert "reports Succeeded" in play.account.story[-1]
    assert play.account.updates[0].thrown_for
    assert play.account.world.alarms.state(SWITCH) == "OK"
