"""What people and other DAGs see of an outcome in a real Airflow: log, list of tasks, asset events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_guardrails.demo.production import Cloud
from tests.support.real_airflow import House

pytestmark = pytest.mark.e2e

DAGS = Path(__file__).parent / "dags"
PATIENCE = 180
SETTINGS = {
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # The demo starts all runs itself; here, assets start some.
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
}


class Account:
    """Endpoints in the simulated AWS, and an Airflow that updates them."""

    def __init__(self, house: House, cloud: Cloud) -> None:
        self.house = house
        self.cloud = cloud

    def endpoint(self, name: str) -> dict[str, str]:
        """Create an endpoint that serves version 1, and return what updates it to version 2."""
        sagemaker = self.cloud.client("sagemaker")
        for config in (f"{name}-v1", f"{name}-v2"):
            sagemaker.create_model(
                ModelName=config,
                PrimaryContainer={"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"},
                ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
            )
            variant = {"VariantName": "main", "ModelName": config, "InstanceType": "ml.m5.large"}
            sagemaker.create_endpoint_config(
                EndpointConfigName=config, ProductionVariants=[{**variant, "InitialInstanceCount": 4}]
            )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-v1")
        self.house.until(
            lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService",
            f"endpoint {name} in service",
            instead=str,
        )
        return {"endpoint": name, "target": f"{name}-v2"}

    def roll_back(self, name: str) -> None:
        """Let the next update of the endpoint end on its old configuration, by itself."""
        self.cloud.control.script_ending(
            name, status="InService", after_seconds=400, endpoint_config_name=f"{name}-v1"
        )

    def run(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> str:
        self.house.trigger(dag_id, run_id, conf)
        return self.house.wait_for_run(dag_id, run_id, timeout=PATIENCE, each=lambda: None)

    def instances(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """What the list of task instances shows in the column "Map Index", by task and index."""
        listed = self.house._call(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {f"{each['task_id']}/{each['map_index']}": each["rendered_map_index"] for each in listed}

    def reports(self, dag_id: str) -> dict[str, Any]:
        """Return what the newest run of a DAG returned that an asset event has started."""
        found: list[Any] = []

        def ended() -> bool:
            runs = self.house._call(f"/dags/{dag_id}/dagRuns?order_by=-id")["dag_runs"]
            found[:] = [run for run in runs if run["state"] in ("success", "failed")][:1]
            return bool(found)

        self.house.until(ended, f"a run of {dag_id}", instead=str)
        assert found[0]["state"] == "success", self.house.log(dag_id, found[0]["dag_run_id"], "report")
        value: dict[str, Any] = self.house.xcom(dag_id, found[0]["dag_run_id"], "report", "return_value")
        return value


@pytest.fixture(scope="module")
def account(processes, tmp_path_factory) -> Account:
    cloud = Cloud(processes, speed=60)
    cloud.start()
    cloud.control.set_knobs(provisioning_seconds=60, deleting_seconds=60)
    house = House(processes, home=tmp_path_factory.mktemp("airflow"), dags=DAGS, env=cloud.env() | SETTINGS)
    house.start()
    for dag_id in ("deploy", "deploy_mapped", "after_rollback", "after_success", "after_any"):
        house.wait_until_ready(dag_id)
    return Account(house, cloud)


def test_a_rollback_ends_the_log_shows_in_the_list_and_starts_other_dags(account):
    conf = account.endpoint("churn-bad")
    account.roll_back("churn-bad")

    assert account.run("deploy", "bad", conf) == "failed"

    lines = account.house._log_lines("deploy", "bad", "update", 1)
    # The lines that fold what Airflow does after the end of the task are not shown, and fold the rest.
    last = [line for line in lines if "ROLLED BACK" in line["event"]][-1]
    assert (last["error"], last["level"]) == ("EndpointRolledBack", "error")
    assert "error_detail" not in last
    assert not any("Task failed with exception" in line["event"] for line in lines)
    shown = account.instances("deploy", "bad")
    assert shown["update/-1"].startswith("ROLLED BACK")
    assert shown["conclude/-1"] == shown["update/-1"]
    reports = account.reports("after_rollback")
    assert reports["sagemaker://endpoint/churn-bad/rollout/RolledBack"]["outcome"] == "RolledBack"
    assert account.house.xcom("deploy", "bad", "conclude", "rollout_report") in reports.values()


def test_a_success_shows_in_the_list_and_starts_other_dags(account):
    conf = account.endpoint("churn-good")

    assert account.run("deploy", "good", conf) == "success"

    assert account.instances("deploy", "good") == {"update/-1": "SUCCEEDED", "conclude/-1": "SUCCEEDED"}
    report = account.reports("after_success")["sagemaker://endpoint/churn-good/rollout/Succeeded"]
    assert report == account.house.xcom("deploy", "good", "conclude", "rollout_report")
    # The alias covers all endpoints and outcomes.
    assert any(uri.startswith("sagemaker://endpoint/churn-") for uri in account.reports("after_any"))


def test_mapped_tasks_show_index_and_outcome_and_a_crash_shows_its_index(account):
    conf = {"updates": [account.endpoint("churn-0"), {"endpoint": "not-there", "target": "not-there-v2"}]}

    assert account.run("deploy_mapped", "mapped", conf) == "failed"

    shown = account.instances("deploy_mapped", "mapped")
    assert shown["one.update/0"] == shown["one.conclude/0"] == "0: SUCCEEDED"
    assert shown["one.update/1"] == "1"
