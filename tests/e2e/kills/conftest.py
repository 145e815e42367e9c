"""The real thing: Airflow's four components and PostgreSQL, in front of a simulated AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_guardrails.demo.production import Cloud
from tests.support.real_airflow import NUMBERS, SPEED, House, Update

DAGS = Path(__file__).parent / "dags"

SETTINGS = {
    # The dead are missed within seconds instead of minutes.
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # So many that one which was killed is not missed.
    "AIRFLOW__CORE__PARALLELISM": "16",
}

# Read by each component as it starts. Workers are forked from the scheduler, and tasks from them: what it has
# imported and read, none of hundreds of tasks has to import and read again.
LOCAL_SETTINGS = """
import contextlib
import functools
import importlib

import boto3
from botocore import session

for module in (
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "airflow_guardrails.hooks.guardrails",
    "airflow_guardrails.sensors.rollout",
    "airflow_guardrails.triggers.rollout",
):
    with contextlib.suppress(ModuleNotFoundError):  # Airflow 3.1 has its own elsewhere
        importlib.import_module(module)

session.create_loader = functools.cache(session.create_loader)
for service in ("sagemaker", "cloudwatch"):
    boto3.client(service)

__all__ = []
"""


@pytest.fixture(scope="module")
def cloud(processes) -> Cloud:
    cloud = Cloud(processes, speed=SPEED)
    cloud.start()
    cloud.control.set_knobs(provisioning_seconds=30, deleting_seconds=30)
    return cloud


@pytest.fixture(scope="module")
def house(processes, cloud, postgresql, tmp_path_factory) -> House:
    env = cloud.env() | SETTINGS | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgresql}
    home = tmp_path_factory.mktemp("airflow")
    (home / "config").mkdir()
    (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    house = House(processes, home=home, dags=DAGS, env=env)
    house.start()
    for where in ("in_triggerer", "in_worker"):
        for kind in ("", "_fails_again", "_times_out"):
            house.wait_until_ready(f"update_{where}{kind}")
    house.wait_until_ready("update_concluded")
    return house


@pytest.fixture
def update(house, cloud) -> Iterator[Callable[[str], Update]]:
    """Build the update of this test, by where it waits."""

    def build(where: str) -> Update:
        return Update(house=house, cloud=cloud, dag_id=f"update_{where}", name=f"churn-{next(NUMBERS)}")

    yield build
    cloud.control.clear_faults()
