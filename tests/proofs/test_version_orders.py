"""Random orders of deployments, rollbacks, clean-ups and changes by hand, against the simulator."""

from __future__ import annotations

import random

import pytest

from airflow_guardrails.domain.versions.history import rollback_target
from airflow_guardrails.exceptions import NoRollbackTarget, VersionRolledBack
from tests.support.churn import new_churn
from tests.support.simulated import new_simulator
from tests.support.versions import Runs

pytestmark = pytest.mark.proof

# As many orders, of so many moves each; a thousand more run without AWS in the tests of the domain.
ORDERS, MOVES = 25, 12
KINDS = ["deploy", "deploy", "deploy badly", "roll back", "by hand", "clean up", "clean up"]


class Order:
    """One random order on an endpoint of its own."""

    def __init__(self, runs: Runs, seed: int) -> None:
        self.runs = runs
        self.random = random.Random(seed)
        self.made = 0

    def new(self) -> str:
        self.made += 1
        return self.runs.config(f"churn-{self.made}-made", made=True)

    def exists(self, name: str) -> bool:
        return name in self.runs.churn.config_names()

    def target(self) -> str | None:
        found = rollback_target(self.runs.history, self.runs.serves, exists=self.exists)
        return found.config if found else None

    def move(self) -> None:
        kind, runs = self.random.choice(KINDS), self.runs
        if kind == "deploy":
            assert runs.deploy(self.new())["outcome"] == "Succeeded"
        elif kind == "deploy badly":
            runs.deploy_badly(bad := self.new())
            with pytest.raises(VersionRolledBack):
                runs.deploy(bad)
        elif kind == "roll back":
            self.roll_back()
        elif kind == "by hand":
            others = [name for name in runs.churn.config_names() if name != runs.serves]
            runs.put_by_hand(self.random.choice(others))
        else:
            self.clean_up()
        runs.churn.advance(minutes=self.random.choice([1, 90]))

    def roll_back(self) -> None:
        expected, before = self.target(), self.runs.serves
        try:
            self.runs.roll_back()
        except NoRollbackTarget:
            assert expected is None
            return
        assert self.runs.serves == expected
        assert self.runs.history.find(before).reverted_at is not None

    def clean_up(self) -> None:
        runs = self.runs
        serving, target, people = runs.serves, self.target(), {"churn-v1", "churn-v2"}
        report = runs.clean_up(keep=self.random.randint(1, 3))
        left = set(runs.churn.config_names())
        assert {serving, *people} <= left
        assert self.target() == target
        deleted = {each["name"] for each in report["deleted"] if each["kind"] == "endpoint configuration"}
        assert not deleted & left
        for name in left:
            (variant,) = runs.churn.sagemaker.describe_endpoint_config(EndpointConfigName=name)[
                "ProductionVariants"
            ]
            runs.churn.sagemaker.describe_model(ModelName=variant["ModelName"])


@pytest.mark.parametrize("seed", range(ORDERS))
def test_what_serves_and_what_a_rollback_needs_is_never_deleted(shared_models, seed):
    with pytest.MonkeyPatch.context() as patch, new_simulator(patch) as simulator:
        order = Order(Runs(new_churn(simulator)), seed)
        for _ in range(MOVES):
            order.move()
