"""One random order, played to its end; after each move, what must hold is checked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_guardrails.exceptions import (
    EndpointBusy,
    GuardrailsError,
    NoRollbackTarget,
    RolloutError,
    VersionRolledBack,
)
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce
from tests.proofs.orders.endpoint import ALARM, NAME, VERSIONS, TheEndpoint, variant
from tests.proofs.schedules.process import Killed
from tests.support.churn import model_request
from tests.support.crashing import Crash, Moment, new_context
from tests.support.fakes import TaskState
from tests.support.without_wire import AccountWithoutWire

STRATEGY = AllAtOnce(termination_wait=timedelta(minutes=5))
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
MOVES = {"deploy": 6, "roll back": 2, "clean up": 2, "by hand": 3, "wait": 1}
# A task makes about 50 calls.
LAST_CALL = 55
MOST_TRIES = 6


@dataclass
class Ran:
    """What came of a task, over all of its tries."""

    report: Mapping[str, Any] | None = None
    error: GuardrailsError | None = None
    launched: list[str] = field(default_factory=list)
    # Whether somebody else changes, or may have changed, the endpoint before the end.
    disturbed: bool = False

    @property
    def succeeded(self) -> bool:
        return self.report is not None and self.report["outcome"] == "Succeeded"

    @property
    def is_recorded(self) -> bool:
        return (
            self.report is not None
            and self.report["adopted"] != "foreign"
            and self.report["outcome"] in {"Succeeded", "RolledBack"}
        )


class Order:
    """
    A random order of moves.

    :ivar story: what happened, for the reader of a failure.
    :ivar told: outcomes and errors, counted.
    """

    def __init__(self, seed: str) -> None:
        self.dice = random.Random(seed)
        self.account = AccountWithoutWire(self.dice.randrange(10_000))
        self.endpoint = TheEndpoint(self.account, self.dice)
        self.story: list[str] = []
        self.told: Counter[str] = Counter()
        self.number = 0
        # What was learned of a version, by the moves since the endpoint exists: True is refused; missing, not
        # known to this test. And configurations whose own last rollout was undone.
        self.refused: dict[str, bool] = {}
        self.bad_configs: set[str] = set()
        self.unsure: set[str] = set()
        # Whether the alarm goes off while the endpoint is updated.
        self.is_bad = False
        if self.dice.random() < 0.7:
            self.endpoint.create()

    def play(self, moves: int) -> None:
        """Make so many moves, and then let the clean-up delete all that it may."""
        for _ in range(moves):
            kind = self.dice.choices(list(MOVES), list(MOVES.values()))[0]
            {
                "deploy": self.deploy,
                "roll back": self.roll_back,
                "clean up": self.clean_up,
                "by hand": self.by_hand,
                "wait": lambda: self.advance(3600),
            }[kind]()
            self.advance(self.dice.choice([60, 600, 5400]))
            self.check()
        # Until then, the target of a task that has recorded no outcome stays.
        self.account.clock.advance(25 * 3600)
        self.clean_up(keep=1)
        self.check_what_is_left()

    def tell(self, text: str) -> None:
        self.story.append(f"{self.account.now():%d %H:%M:%S}  {text}")

    def advance(self, seconds: float) -> None:
        left = max(seconds, 0.001)
        while left > 0:
            step = min(left, 60.0)
            self.account.clock.advance(step)
            self.endpoint.set_alarm("ALARM" if self.is_bad and self.endpoint.pending else "OK")
            left -= step

    # Moves.

    def deploy(self) -> None:
        endpoint, dice = self.endpoint, self.dice
        redeploy = dice.random() < 0.15
        arguments: dict[str, Any] = {"redeploy": redeploy, "if_missing": "create"}
        if dice.random() < 0.3:
            arguments["guards"] = [ErrorRate(above=0.05)]
        version = self._choose(arguments)
        config, serving = arguments.get("endpoint_config_name"), endpoint.serves
        is_new = endpoint.version_of(serving) not in {version, None}
        must_refuse = not redeploy and (
            config in self.bad_configs or (is_new and self.refused.get(version) is True)
        )
        may_refuse = must_refuse or version in self.unsure or not is_new or config in self.unsure
        self.is_bad = dice.random() < 0.35
        names = {kind: set(endpoint.made(kind)) for kind in ("config", "model")}
        self.tell(f"deploys version {version} {'badly ' if self.is_bad else ''}with {_shown(arguments)}")

        ran = self.run(lambda: SageMakerGuardedUpdateOperator(endpoint_name=NAME, **_common(arguments)))

        self.is_bad = False
        if must_refuse and not ran.disturbed:
            assert not ran.launched, f"version {version} was rolled back, and is deployed"
        if not may_refuse and not ran.disturbed:
            assert not isinstance(ran.error, VersionRolledBack), ran.error
        for kind, before in names.items():
            assert len(endpoint.made(kind) - before) <= 1, f"a {kind} for each try"
        self.learn(ran, version, is_new=is_new)

    def _choose(self, arguments: dict[str, Any]) -> str:
        """Choose what to deploy; return its version."""
        endpoint, dice = self.endpoint, self.dice
        kind = dice.choice(["model", "config", "named", "named"])
        others = [name for name in endpoint.configs if name != endpoint.serves and endpoint.version_of(name)]
        if kind == "named":
            name = dice.choice(others) if others and dice.random() < 0.6 else endpoint.new_config()
            arguments["endpoint_config_name"] = name
            return endpoint.version_of(name) or ""
        if kind == "model":
            arguments |= {"model_name": endpoint.new_model(), "instance_type": "ml.m5.large"}
            model = endpoint.account.world.sagemaker.catalogue.describe_model(
                {"ModelName": arguments["model_name"]}
            )
            return str(model["PrimaryContainer"]["Environment"]["VERSION"])
        version, name = str(dice.randrange(VERSIONS)), dice.choice([NAME, "nightly"])
        container = {**model_request(name)["PrimaryContainer"], "Environment": {"VERSION": version}}
        arguments["config"] = {
            "Model": {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": ROLE},
            "EndpointConfig": {"EndpointConfigName": name, "ProductionVariants": [variant(name)]},
            "Endpoint": {"EndpointName": NAME, "EndpointConfigName": name},
        }
        return version

    def roll_back(self) -> None:
        endpoint = self.endpoint
        before, expected = endpoint.serves, endpoint.rollback_target
        version = endpoint.version_of(before)
        self.tell(f"goes back from {before}; expected: {expected}")

        ran = self.run(lambda: SageMakerRollbackOperator(**_common({"endpoint_name": NAME})))

        if ran.disturbed:
            self.forget()
            return
        if isinstance(ran.error, NoRollbackTarget):
            assert expected is None
        if ran.succeeded:
            assert expected in {endpoint.serves, None}
            assert endpoint.history.find(before).reverted_at is not None
            self.bad_configs.add(before or "")
            self.bad_configs.discard(endpoint.serves or "")
            for learned, refused in ((endpoint.version_of(endpoint.serves), False), (version, True)):
                if learned is not None:
                    self.refused[learned] = refused
            if version is None or version == endpoint.version_of(endpoint.serves):
                self.forget()

    def clean_up(self, keep: int | None = None) -> None:
        endpoint = self.endpoint
        target, serving, pending = endpoint.rollback_target, endpoint.serves, endpoint.pending
        operator = SageMakerCleanUpOperator(
            task_id="clean", endpoint_name=NAME, keep=keep or self.dice.randint(1, 3)
        )
        try:
            with self.account.runs():
                report = self.account.wire(operator, sleep=self.advance).execute(new_context("clean"))
        except GuardrailsError as error:
            self.tell(f"clean-up: {type(error).__name__}")
            assert serving is None
            return
        deleted = {each["name"] for each in report["deleted"]}
        self.tell(f"clean-up deletes {sorted(deleted)}")
        self.told["deleted"] += len(deleted)
        assert not deleted & {serving, pending, target}, "what is needed was deleted"
        assert not deleted & endpoint.peoples, "what people made was deleted"
        if (endpoint.serves, endpoint.pending) == (serving, pending):
            assert endpoint.rollback_target == target

    def by_hand(self) -> None:
        existed = self.endpoint.serves is not None
        self.tell(f"somebody {self.endpoint.change_by_hand()}")
        if existed and self.endpoint.serves is None:
            self.forget()

    # A task and its tries.

    def run(self, make: Callable[[], Any]) -> Ran:
        """Run a task until it ends: it may die at any call, and something may happen before its retry."""
        self.number += 1
        context = new_context("update")
        context["ti"].run_id = f"run-{self.number}"
        if self.dice.random() < 0.5:
            context["task_state_store"] = TaskState()
        # An update in flight may end, or fail, before the task looks again.
        ran, first = Ran(disturbed=self.endpoint.in_flight), len(self.account.launched)
        for _ in range(MOST_TRIES):
            context["ti"].try_number += 1
            if not self._try(make, context, ran):
                break
        ran.launched = self.account.launched[first:]
        assert len(ran.launched) <= 1, f"{len(ran.launched)} updates by one task"
        self.check_report(ran)
        return ran

    def _try(self, make: Callable[[], Any], context: dict[str, Any], ran: Ran) -> bool:
        """Run one try; return whether there is another one."""
        crash = None
        if self.dice.random() < 0.35:
            crash = Crash(
                self.dice.randint(1, LAST_CALL), self.dice.choice([Moment.UNSENT, Moment.UNANSWERED])
            )
        ran.report = ran.error = None
        try:
            with self.account.runs(crash):
                ran.report = self.account.wire(make(), sleep=self.advance).execute(context)
        except Killed:
            self.told["killed"] += 1
            self.tell(f"is killed at call {crash.at if crash else 0}, {crash.moment.value if crash else ''}")
            self._between(ran)
            return True
        except RolloutError as error:
            ran.report = ran.error = None
            ran.report, ran.error = error.report, error
        except EndpointBusy as error:
            ran.error = error
            self.tell(f"EndpointBusy: {error}")
            self.advance(1800)
            return True
        except GuardrailsError as error:
            ran.error = error
            self.told[type(error).__name__] += 1
            self.tell(f"{type(error).__name__}: {error}")
            return False
        self.told[ran.report["outcome"]] += 1
        self.tell(
            f"{ran.report['outcome']}, adopted {ran.report['adopted']}, warnings {ran.report['warnings']}"
        )
        return False

    def _between(self, ran: Ran) -> None:
        what = self.dice.choices(["nothing", "clean up", "by hand"], [6, 2, 1.5])[0]
        if what == "by hand":
            ran.disturbed = True
            self.by_hand()
        self.advance(self.dice.choice([1, 30, 600, 5400]))
        if what == "clean up":
            self.clean_up()

    # What must hold.

    def check_report(self, ran: Ran) -> None:
        """A report never says anything about what serves that is not so."""
        report, serves = ran.report, self.endpoint.serves
        if report is None:
            return
        if report["outcome"] == "Succeeded":
            assert serves == report["endpoint_config_name"], "success, and something else serves"
        if report["outcome"] == "RolledBack":
            assert serves == report["previous_endpoint_config_name"], "rolled back to something else"
        if ran.launched:
            assert ran.launched == [report["endpoint_config_name"]]

    def check(self) -> None:
        """What serves, and what people made, is there; each configuration has its model."""
        endpoint = self.endpoint
        configs, models = set(endpoint.configs), set(endpoint.models)
        needed = {endpoint.serves, endpoint.pending, *endpoint.peoples} - {None} - endpoint.gone
        assert needed <= configs | models, f"gone: {needed - configs - models}"
        for name in configs:
            assert endpoint.model_of(name) in models, f"the model of {name} is gone"

    def check_what_is_left(self) -> None:
        """Nothing is left that neither the endpoint nor a rollback needs."""
        endpoint = self.endpoint
        if endpoint.serves is None:
            return
        needed = {endpoint.serves, endpoint.rollback_target, endpoint.base}
        spare = endpoint.made("config") - needed
        assert len(spare) <= 1, f"left, with keep=1: {spare}"
        assert endpoint.own_alarms <= endpoint.alarms_in_use
        if endpoint.serves in endpoint.configs:
            used = {endpoint.model_of(name) for name in endpoint.configs}
            assert endpoint.made("model") <= used

    def learn(self, ran: Ran, version: str, *, is_new: bool) -> None:
        """Note what the outcome says about the version."""
        target = ran.report["endpoint_config_name"] if ran.report else None
        if not ran.is_recorded or ran.disturbed:
            if ran.launched or ran.disturbed:
                self.doubt(version, *ran.launched)
            return
        self.unsure.discard(version)
        if ran.succeeded:
            self.refused[version] = False
            self.bad_configs.discard(target or "")
        else:
            self.bad_configs.add(target or "")
            if is_new:
                self.refused[version] = True
            else:
                self.doubt(version)

    def doubt(self, *names: str) -> None:
        """Nothing is known any more about these versions and configurations."""
        for name in names:
            self.unsure.add(name)
            self.refused.pop(name, None)
            self.bad_configs.discard(name)

    def forget(self) -> None:
        """The history went with the endpoint, or this test does not know what it says."""
        self.doubt(*self.refused, *self.bad_configs, *self.endpoint.configs)
        self.doubt(*map(str, range(VERSIONS)))


def _common(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"task_id": "update", "strategy": STRATEGY, "alarms": [ALARM], "waiter_delay": 60, **arguments}


def _shown(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={'...' if key == 'config' else value}" for key, value in arguments.items())
