"""A task that updates an endpoint and dies at a call, and what is true of the endpoint then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.aws.tags import parse_intent
from airflow_guardrails.domain.rollout.launch import Intent
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch, guard_prefix, switch_prefix
from airflow_guardrails.exceptions import GuardrailsError, RolloutError
from airflow_guardrails.operators._launch.intent_store import STATE_KEY
from tests.support.churn import alarm_request, switch_of
from tests.support.crashing import Account, Crash, Died, Moment, crashable_simulator
from tests.support.fakes import TaskState
from tests.support.simulated import deny

VARIANT = {
    "VariantName": "All",
    "ModelName": "churn",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 4,
}


@dataclass(frozen=True)
class End:
    """How a try ended: ``outcome`` of the report, or the error's name, or ``deferred``."""

    what: str
    adopted: str | None = None


@dataclass(kw_only=True)
class UpdateCase(ABC):
    """One endpoint with all that belongs to it, and the task that is to change it."""

    account: Account
    endpoint: str
    old: str
    alarm: str
    context: dict[str, Any]
    launches: int = 0
    # Something that happens once the task has slept so many seconds.
    event: tuple[float, Callable[[], object]] | None = None
    slept: float = 0.0
    report: Mapping[str, Any] = field(default_factory=dict)  # of the last try that had one

    @abstractmethod
    def operator(self, *, deferrable: bool, **arguments: Any) -> Any:
        """Make the operator, fresh as every try has it, with *arguments* besides its own."""

    def run(self, *, crash: Crash | None = None, deferrable: bool = False) -> End | None:
        """Run a try; None if it died."""
        self.context["ti"].try_number += 1
        operator = self.operator(
            endpoint_name=self.endpoint, alarms=[self.alarm], deferrable=deferrable, waiter_delay=240
        )
        operator.sleep, operator.monotonic = self.sleep, self.account.time
        wire = self.account.wire
        wire.begin(crash)
        before = self.account.accepted(self.endpoint)
        try:
            end = self._end_of(operator)
            wire.go_on()
        except Died:
            return None
        finally:
            self.launches += self.account.accepted(self.endpoint) - before
        return end

    def sleep(self, seconds: float) -> None:
        self.account.wire.go_on()
        self.account.advance(seconds=seconds)
        self.slept += seconds
        if self.event and self.slept >= self.event[0]:
            happens, self.event = self.event[1], None
            happens()

    def _end_of(self, operator: Any) -> End:
        try:
            self.report = operator.execute(self.context)
        except TaskDeferred:
            return End("deferred")
        except RolloutError as error:
            self.report = error.report
        except GuardrailsError as error:
            return End(type(error).__name__)
        return End(self.report["outcome"], self.report["adopted"])

    # The truth, asked by somebody else.

    def describe(self) -> dict[str, Any]:
        return self.account.world.sagemaker.describe_endpoint({"EndpointName": self.endpoint})

    @property
    def in_flight(self) -> bool:
        return self.describe()["EndpointStatus"] != "InService"

    @property
    def serves(self) -> str:
        return self.describe()["EndpointConfigName"]

    @property
    @abstractmethod
    def target(self) -> str | None:
        """Name of the configuration that the task brings into service; None while nobody knows it."""

    @property
    def switch(self) -> AbortSwitch | None:
        target = self.target
        return switch_of(self.endpoint, target, self.context["ti"]) if target else None

    @property
    def is_thrown(self) -> bool:
        switch = self.switch
        return switch is not None and self.account.world.alarms.state(switch.alarm_name) == "ALARM"

    @property
    def leftover(self) -> str:
        """Name of the abort switch of an earlier rollout."""
        return f"{switch_prefix(self.endpoint)}{'0' * 20}-{'0' * 8}"

    @property
    def old_guard(self) -> str:
        """Name of the guard of an earlier rollout."""
        return f"{guard_prefix(self.endpoint)}{'0' * 20}-{'0' * 8}-1-5xx-errors"

    @property
    def switches(self) -> list[str]:
        """Names of the abort switches that there are of this endpoint."""
        return self._alarms(switch_prefix(self.endpoint))

    @property
    def guards(self) -> list[str]:
        """Names of the alarms of guards that there are of this endpoint."""
        return self._alarms(guard_prefix(self.endpoint))

    def _alarms(self, prefix: str) -> list[str]:
        names = (alarm.name for alarm in self.account.world.alarms.all())
        return [name for name in names if name.startswith(prefix)]

    def set_alarm(self, state: str) -> None:
        self.account.world.alarms.set_state(self.alarm, state=state, reason="Set by the test")

    def scale(self) -> None:
        wanted = {"VariantName": "All", "DesiredInstanceCount": 3}
        self.account.world.sagemaker.update_endpoint_weights_and_capacities(
            {"EndpointName": self.endpoint, "DesiredWeightsAndCapacities": [wanted]}
        )

    # From the beginning to the end.

    def begin(self, **config: Any) -> None:
        """
        Let the endpoint serve its old configuration, made of *config*, under its alarm.

        An earlier rollout has left its abort switch, and a guard.
        """
        self.account.config(self.old, **config)
        world = self.account.world
        world.sagemaker.create_endpoint({"EndpointName": self.endpoint, "EndpointConfigName": self.old})
        world.alarms.put_metric_alarm(alarm_request(self.alarm))
        self.set_alarm("OK")
        for left in (self.leftover, self.old_guard):
            world.alarms.put_metric_alarm(alarm_request(left))
        self.account.advance(minutes=10)
        self.account.align()

    def forget(self) -> None:
        """Keep the simulator small, and so quick."""
        world = self.account.world
        world.sagemaker.vanish(self.endpoint)
        world.alarms.delete([self.alarm, *self.switches, *self.guards])


Case = TypeVar("Case", bound=UpdateCase)


class OneAtATime(Generic[Case]):
    """Makes a case anew, and forgets the one before."""

    def __init__(self, make: Callable[..., Case]) -> None:
        self._make = make
        self._cases: list[Case] = []

    def __call__(self, *arguments: Any) -> Case:
        self.forget()
        self._cases.append(self._make(*arguments))
        return self._cases[-1]

    def forget(self) -> None:
        while self._cases:
            self._cases.pop().forget()


@contextmanager
def updating_account() -> Iterator[Account]:
    """Serve a simulator for updates of endpoints that serve the model ``churn``."""
    with crashable_simulator() as account:
        account.model("churn")
        yield account


def stored_intents(store: TaskState) -> list[Intent | None]:
    """The intents in the task state store of a task instance."""
    return [parse_intent(text) for text in (store.get(STATE_KEY) or {}).values()]


def may_not_tag(account: Account) -> None:
    deny(account.running.client, "AddTags", "ListTags")


def crashes(calls: Sequence[str], *, beginning: int = 0) -> Iterator[Crash]:
    for at in range(beginning, len(calls)):
        yield from (Crash(at, moment) for moment in Moment)


# What happens between a crash and the retry; the alarm is OK again by then, as a retry would not get by it.


def time_passes(case: UpdateCase) -> None:
    case.account.advance(minutes=60)


def is_in_flight(case: UpdateCase) -> None:
    case.account.advance(seconds=30)


def is_rolled_back(case: UpdateCase, *, after: float = 5) -> None:
    case.account.advance(minutes=after)
    case.set_alarm("ALARM")
    case.account.advance(minutes=30)
    case.set_alarm("OK")
    case.account.advance(minutes=1)


def is_scaled(case: UpdateCase) -> None:
    case.scale()
    case.account.advance(minutes=60)
