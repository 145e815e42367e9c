"""The DAG in docs/deploying-a-model.md from an empty account on: four nights in a real Airflow."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_guardrails.demo.airflow import Airflow
from airflow_guardrails.demo.production import Cloud
from tests.support.hosting_helper import Written, artefact, constant
from tests.support.pages import page, section

pytestmark = pytest.mark.e2e

UPDATE = "guarded_deployment.guarded_update"
PATIENCE = 120
# The operators wait half a minute or a minute between two calls, which is half an hour of simulated time.
POLICY = """
def task_policy(task):
    for name in ("waiter_delay", "check_interval"):
        if hasattr(task, name):
            setattr(task, name, 1)
"""


def code() -> str:
    (found,) = re.findall(
        r"```python\n(.*?)```", section(page("deploying-a-model"), "The whole way"), re.DOTALL
    )
    return str(found)


@dataclass(kw_only=True)
class Account:
    """An account that is empty but for a bucket, and an Airflow with the DAG."""

    airflow: Airflow
    cloud: Cloud
    nights: int = 0
    clients: bool = field(default=False, init=False)

    def train_to(self, model: bytes) -> str:
        """Start the next night's run, with this artefact as what the training makes; return its id."""
        self.nights += 1
        if self.clients:
            self.cloud.control.stop_replay("churn")
            self.cloud.control.clock.advance(hours=24)
            self.cloud.control.replay("churn", rows=["1,2", "3,4"], per_minute=120)
        night = datetime(2026, 3, 1, 2, tzinfo=timezone.utc) + timedelta(days=self.nights)
        self.cloud.client("s3").put_object(
            Bucket="churn-models",
            Key=f"models/churn-{night:%Y%m%d-%H%M%S}/output/model.tar.gz",
            Body=model,
        )
        run_id, moment = f"night-{self.nights}", night.isoformat()
        self.airflow._call(
            "/dags/churn/dagRuns",
            {"dag_run_id": run_id, "logical_date": moment, "run_after": moment, "conf": {}},
        )
        return run_id

    def end(self, run_id: str) -> str:
        state = self.airflow.wait_for_run("churn", run_id, timeout=PATIENCE, each=lambda: None)
        if not self.clients:
            self.cloud.control.replay("churn", rows=["1,2", "3,4"], per_minute=120)
            self.clients = True
        return state

    def states(self, run_id: str) -> dict[str, str | None]:
        return self.airflow.task_states("churn", run_id)

    def report(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.airflow.xcom("churn", run_id, UPDATE, "rollout_report") or {}
        return found

    def why(self, run_id: str) -> str:
        """All logs, for a run that should not have failed."""
        return "\n".join(
            f"--- {task} {state}\n{self.airflow.log('churn', run_id, task)[-3000:]}"
            for task, state in self.states(run_id).items()
            if state in {"success", "failed"}
        )

    def error(self, run_id: str) -> str:
        return self.airflow.error("churn", run_id, UPDATE)

    def answer(self) -> str:
        runtime = self.cloud.client("sagemaker-runtime")
        found = runtime.invoke_endpoint(EndpointName="churn", ContentType="text/csv", Body="1,2")
        return str(found["Body"].read().decode().strip())

    def serving(self) -> str:
        described = self.cloud.client("sagemaker").describe_endpoint(EndpointName="churn")
        return str(described["EndpointConfigName"])

    def configs(self) -> set[str]:
        listed = self.cloud.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]
        return {found["EndpointConfigName"] for found in listed}


@pytest.fixture(scope="module")
def account(processes, tmp_path_factory) -> Account:
    cloud = Cloud(processes, speed=120)
    cloud.start()
    cloud.control.set_knobs(provisioning_seconds=60, deleting_seconds=60)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="churn-models")
    s3.put_object(Bucket="churn-models", Key="data/train.csv", Body=b"1,2,3")
    home, dags = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("dags")
    (dags / "churn.py").write_text(code())
    (home / "config").mkdir()
    (home / "config" / "airflow_local_settings.py").write_text(POLICY)
    env = {**cloud.env(), "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1"}
    airflow = Airflow(processes, home=home, dags=dags, env=env)
    airflow.start()
    airflow.wait_until_ready("churn")
    return Account(airflow=airflow, cloud=cloud)


def test_the_dag_has_at_most_25_lines():
    assert len([line for line in code().splitlines() if line.strip()]) <= 25


def test_every_night_of_an_empty_account(account):
    first = account.train_to(artefact(constant(1.0)))
    assert account.end(first) == "success", account.why(first)
    created = account.report(first)
    assert (created["outcome"], created["guarded"]) == ("Succeeded", False)
    assert account.serving() == created["endpoint_config_name"]
    assert account.answer() == "1.0"

    second = account.train_to(artefact(constant(2.0)))
    assert account.end(second) == "success", account.why(second)
    updated = account.report(second)
    assert (updated["outcome"], updated["guarded"]) == ("Succeeded", True)
    assert updated["previous_endpoint_config_name"] == created["endpoint_config_name"]
    assert account.answer() == "2.0"

    bad = artefact(Written("lambda self, rows: 1 / 0"))
    third = account.train_to(bad)
    assert account.end(third) == "failed", account.why(third)
    rolled_back = account.report(third)
    assert (rolled_back["outcome"], rolled_back["cause"]["kind"]) == ("RolledBack", "alarm")
    assert account.error(third).startswith("EndpointRolledBack: ")
    assert "5xx errors of the new fleet" in account.error(third)
    assert account.answer() == "2.0"

    kept = {created["endpoint_config_name"], updated["endpoint_config_name"]}
    assert account.configs() == {*kept, rolled_back["endpoint_config_name"]}

    fourth = account.train_to(bad)
    assert account.end(fourth) == "failed", account.why(fourth)
    assert account.error(fourth).startswith("VersionRolledBack: ")
    assert rolled_back["endpoint_config_name"] in account.error(fourth)
    assert account.serving() == updated["endpoint_config_name"]
    assert account.answer() == "2.0"
    # What was rolled back a day ago is not needed; what served before is.
    assert account.states(fourth)["guarded_deployment.clean_up"] == "success"
    assert account.configs() == kept
