"""
The tasks of each example DAG run under exactly the policy that the command prints for it.

Without its optional statements they still run. Without any other action, a task fails and names it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_guardrails.cli.dag_file import load_dags
from airflow_guardrails.cli.main import main
from airflow_guardrails.cli.needs import needs_of
from airflow_guardrails.exceptions import AccessDenied
from airflow_guardrails.permissions.task_arguments import TaskArguments
from tests.support.churn import model_request
from tests.support.fakes import TaskInstance
from tests.support.simulated import new_client, new_simulator

EXAMPLES = Path(__file__).parents[2] / "example_dags"
DAGS = ("retrain_and_deploy", "retrain_and_compare", "shadow_test_and_deploy")
ENDPOINT = "tumours"

pytestmark = pytest.mark.proof


class Run:
    """One run of an example DAG: its tasks of this package, one after the other, in simulated time."""

    def __init__(self, dag: Any, simulator: Any) -> None:
        self.simulator = simulator
        self.tasks = [one for one in dag.topological_sort() if needs_of(TaskArguments(one)) is not None]
        self.params = dag.params.dump()
        self.run = SimpleNamespace(run_after=datetime(2026, 3, 2, 10, tzinfo=timezone.utc))
        self.xcoms: dict[tuple[str, str], Any] = {}

    def execute(self) -> None:
        for task in self.tasks:
            self._execute(copy.copy(task))

    def _execute(self, task: Any) -> None:
        clock = self.simulator.simulation.clock
        task.deferrable = False
        task.sleep = clock.advance
        task.monotonic = lambda: clock.now().timestamp()
        instance = Instance(task.task_id, self.xcoms)
        context = {"ti": instance, "params": self.params, "dag_run": self.run, "run_id": instance.run_id}
        task.render_template_fields(context)
        if hasattr(task, "poke"):
            # A sensor waits in wall time, so what it waits for happens before.
            clock.advance(3600)
        result = task.execute(context)
        instance.xcom_push("return_value", result)


class Instance(TaskInstance):
    """A task instance that finds the XComs of the other tasks."""

    def __init__(self, task_id: str, kept: dict[tuple[str, str], Any]) -> None:
        super().__init__(task_id=task_id)
        self._kept = kept

    def xcom_push(self, key: str, value: Any) -> None:
        self._kept[self.task_id, key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: Any, key: str = "return_value", default: Any = None, **_: Any) -> Any:
        name = task_ids if isinstance(task_ids, str) else task_ids[0]
        return self._kept.get((name, key), default)

    def get_task_states(self, *, run_ids, task_ids, **_):
        return {run_ids[0]: dict.fromkeys(task_ids, "success")}


@contextmanager
def account() -> Iterator[Any]:
    """A simulated account as the examples expect it, with the new model created already."""
    with pytest.MonkeyPatch.context() as patch, new_simulator(patch) as running:
        sagemaker, s3 = (new_client(running.url, name) for name in ("sagemaker", "s3"))
        s3.create_bucket(Bucket="tumour-models")
        for name in ("tumours-first", "tumours-20260302-100000-000000"):
            sagemaker.create_model(**model_request(name))
        variant = {
            "VariantName": "main",
            "ModelName": "tumours-first",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 4,
        }
        sagemaker.create_endpoint_config(EndpointConfigName="tumours-first", ProductionVariants=[variant])
        running.client.profile("*", latency_ms=20, latency_jitter_ms=2)
        sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="tumours-first")
        running.simulation.clock.advance(600)
        running.client.replay(ENDPOINT, ["1,2,3"], per_minute=600, inference_ids=True)
        running.simulation.clock.advance(3600)
        yield running


@pytest.fixture(params=DAGS)
def dag(request):
    return load_dags(str(EXAMPLES / f"{request.param}.py"))[request.param]


@pytest.fixture
def policy(dag, capfd):
    file = str(EXAMPLES / f"{dag.dag_id}.py")
    assert main(["policy", file, "--account", "123456789012", "--region", "us-east-1"]) == 0
    return json.loads(capfd.readouterr().out)


def run(dag: Any, *policies: dict[str, Any]) -> None:
    with account() as running:
        running.client.set_policies(policies)
        Run(dag, running).execute()


def needed(policy: dict[str, Any]) -> dict[str, Any]:
    return {**policy, "Statement": [one for one in policy["Statement"] if "Optional" not in one["Sid"]]}


def test_the_tasks_run_under_their_policy_and_without_what_is_optional(shared_models, dag, policy):
    run(dag, policy)
    run(dag, needed(policy))


def test_without_any_needed_action_a_task_names_it(shared_models, dag, policy):
    actions = {action for one in needed(policy)["Statement"] for action in one["Action"]}
    assert actions
    for action in sorted(actions):
        deny = {"Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}]}
        with pytest.raises(AccessDenied, match=f"^Access denied: {action} on "):
            run(dag, policy, deny)
