"""The endpoint ``churn`` through many runs: deployments, rollbacks, clean-ups and changes by hand."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from airflow_guardrails.aws.tags import DERIVED_FROM, MADE_FOR
from airflow_guardrails.domain.versions.history import History
from airflow_guardrails.exceptions import EndpointRolledBack
from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce
from tests.support.churn import Churn, model_request
from tests.support.fakes import TaskInstance

ENDPOINT = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn"
QUICK = AllAtOnce(termination_wait=timedelta(minutes=1))


@dataclass
class Runs:
    """DAG runs that change ``churn``; each task of a run has the run's own number in its name."""

    churn: Churn
    number: int = 0
    logs: list[str] = field(default_factory=list)

    @property
    def world(self) -> Any:
        return self.churn.simulator.simulation.world("us-east-1")

    @property
    def catalogue(self) -> Any:
        return self.world.sagemaker.catalogue

    def context(
        self, *, date: datetime | None = None, task_id: str = "update", run: str | None = None
    ) -> Any:
        self.number += 1
        instance = TaskInstance(run_id=run or f"run-{self.number}", task_id=task_id)
        return {"ti": instance, "dag_run": SimpleNamespace(logical_date=date)}

    def model(self, name: str, *, made: bool = False, **container: Any) -> str:
        request = model_request(name)
        request["PrimaryContainer"] |= container or {"Environment": {"MODEL": name}}
        self.catalogue.create_model({**request, **_tags(made)})
        return name

    def config(
        self, name: str, *, model: str | None = None, made: bool = False, base: str | None = None
    ) -> str:
        """Create a configuration, and a model of the same name unless one is named."""
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model or self.model(name, made=made),
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 4,
        }
        request = {"EndpointConfigName": name, "ProductionVariants": [variant]}
        self.catalogue.create_endpoint_config({**request, **_tags(made, base)})
        return name

    def operator(self, kind: Any, **arguments: Any) -> Any:
        operator = kind(
            **{
                "task_id": "update",
                "endpoint_name": "churn",
                "alarms": ["errors"],
                "strategy": QUICK,
                "waiter_delay": 300,
                **arguments,
            }
        )
        operator.sleep = self.churn.simulator.simulation.clock.advance
        return operator

    def deploy(self, config: str, *, context: Any = None, **arguments: Any) -> Any:
        operator = self.operator(SageMakerGuardedUpdateOperator, endpoint_config_name=config, **arguments)
        return operator.execute(context or self.context())

    def deploy_badly(self, config: str, *, context: Any = None, **arguments: Any) -> None:
        """Deploy, and let the alarm go off in the bake."""
        operator = self.operator(
            SageMakerGuardedUpdateOperator, endpoint_config_name=config, **{"waiter_delay": 60, **arguments}
        )
        advance = operator.sleep

        def sleep(seconds: float) -> None:
            advance(seconds)
            found = self.world.sagemaker.describe_endpoint({"EndpointName": "churn"})
            if found.get("PendingDeploymentSummary"):
                self.set_alarm("ALARM")

        operator.sleep = sleep
        with suppress(EndpointRolledBack):
            operator.execute(context or self.context())
        self.set_alarm("OK")
        self.churn.advance(minutes=1)

    def roll_back(self, *, context: Any = None, **arguments: Any) -> Any:
        operator = self.operator(SageMakerRollbackOperator, **{"task_id": "back", **arguments})
        return operator.execute(context or self.context(task_id="back"))

    def clean_up(self, **arguments: Any) -> Any:
        operator = SageMakerCleanUpOperator(task_id="clean", endpoint_name="churn", **arguments)
        operator.sleep = self.churn.simulator.simulation.clock.advance
        return operator.execute(self.context(task_id="clean"))

    def put_by_hand(self, config: str) -> None:
        self.world.sagemaker.update_endpoint({"EndpointName": "churn", "EndpointConfigName": config})
        self.churn.advance(minutes=60)

    def set_alarm(self, state: str) -> None:
        self.world.alarms.set_state("errors", state=state, reason="Set by the test")

    @property
    def serves(self) -> str:
        found: str = self.churn.describe()["EndpointConfigName"]
        return found

    @property
    def history(self) -> History:
        return History.of_tags(self.catalogue.tags.of(ENDPOINT))

    def tags(self, kind: str, name: str) -> dict[str, str]:
        return dict(self.catalogue.tags.of(self.catalogue.arn(kind, name)))


def _tags(made: bool, base: str | None = None) -> dict[str, Any]:
    pairs = {**({MADE_FOR: "churn"} if made else {}), **({DERIVED_FROM: base} if base else {})}
    return {"Tags": [{"Key": key, "Value": value} for key, value in pairs.items()]} if pairs else {}
