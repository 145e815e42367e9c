"""
What holds for every test, and an endpoint in the simulator for those that need one.

Fixtures import what is heavy themselves, so that tests of the domain load neither Airflow nor boto3.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no bug, and one commit gives one answer; --hypothesis-profile=default looks further.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

# Where threads outnumber cores, those that wait by spinning take a hundred times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if "AIRFLOW_HOME" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    # Airflow writes there as soon as it is imported; a test must not touch the one of whoever runs it, nor
    # of another process that runs tests.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def shared_models():
    """
    Let all sessions of botocore share the service models they have read, and the methods made of them.

    Reading one takes a tenth of a second, and SageMaker has four hundred methods.
    """
    from botocore import session  # noqa: PLC0415
    from botocore.client import ClientCreator  # noqa: PLC0415

    make_methods, made = ClientCreator._create_methods, {}

    def kept(creator, service_model):
        key = (type(creator), service_model.service_name)
        if key not in made:
            made[key] = make_methods(creator, service_model)
        return dict(made[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", functools.cache(session.create_loader))
        patch.setattr(ClientCreator, "_create_methods", kept)
        yield


@pytest.fixture
def simulator(monkeypatch, shared_models):
    """A simulator with a manual clock, which Airflow's connection aws_default leads to."""
    with new_simulator(monkeypatch) as running:
        yield running


@contextmanager
def new_simulator(patch: pytest.MonkeyPatch) -> Iterator[Any]:
    from airflow_guardrails.simulator.engine.clock import Clock  # noqa: PLC0415
    from airflow_guardrails.simulator.server import serve  # noqa: PLC0415
    from airflow_guardrails.simulator.world import Simulation  # noqa: PLC0415

    with serve(Simulation(clock=Clock(start=START))) as running:
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_to(running.url))
        yield running
    forget_masked_secrets()


def forget_masked_secrets() -> None:
    """Airflow masks what any connection ever held, by one pattern: after a thousand tests that is slow."""
    if "airflow.sdk.log" in sys.modules:
        from airflow.sdk._shared.secrets_masker import reset_secrets_masker  # noqa: PLC0415

        reset_secrets_masker()


def connection_to(url: str) -> str:
    """Write down a connection of Airflow's to the simulator at *url*, without retries."""
    extra = {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "config_kwargs": {"retries": {"total_max_attempts": 1}},
    }
    return json.dumps({"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra})


@dataclass
class Churn:
    """
    Endpoint ``churn``, serving ``churn-v1`` on four instances, and what it takes to update it.

    AWS's calls go over HTTP; time and counts of calls are asked of the simulation itself, which is quicker.
    """

    simulator: Any
    sagemaker: Any
    cloudwatch: Any

    def begin(self) -> None:
        """Make what every test begins with: not by requests, which takes half of the time."""
        world = self.simulator.simulation.world("us-east-1")
        catalogue = world.sagemaker.catalogue
        catalogue.create_model(model_request("churn"))
        for name in ("churn-v1", "churn-v2"):
            catalogue.create_endpoint_config(_config(name))
        world.alarms.put_metric_alarm(alarm_request("errors", Dimensions=_DIMENSIONS))
        world.alarms.set_state("errors", state="OK", reason="Set by the test")
        world.sagemaker.create_endpoint({"EndpointName": "churn", "EndpointConfigName": "churn-v1"})
        self.advance(minutes=10)

    def config(self, name: str, *, model: str = "churn", instances: int = 4) -> str:
        self.sagemaker.create_endpoint_config(**_config(name, model=model, instances=instances))
        return name

    def alarm(self, name: str, *, state: str = "OK") -> str:
        self.cloudwatch.put_metric_alarm(**alarm_request(name, Dimensions=_DIMENSIONS))
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="Set by the test")
        return name

    def trip(self, name: str, reason: str = "Threshold Crossed: 1 datapoint was greater than 0.05") -> None:
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=reason)

    def advance(self, **time: float) -> None:
        self.simulator.simulation.clock.advance(timedelta(**time).total_seconds())

    def now(self) -> datetime:
        now: datetime = self.simulator.simulation.clock.now()
        return now

    def describe(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName="churn")
        return answer

    def calls(self, operation: str) -> int:
        count: int = self.simulator.simulation.calls[operation]
        return count


def _config(name: str, *, model: str = "churn", instances: int = 4) -> dict[str, Any]:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": instances,
    }
    return {"EndpointConfigName": name, "ProductionVariants": [variant]}


_DIMENSIONS = [
    {"Name": "EndpointName", "Value": "churn"},
    {"Name": "VariantName", "Value": "AllTraffic"},
]


def model_request(name: str) -> dict[str, Any]:
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"},
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/sagemaker",
    }


def alarm_request(name: str, **more: Any) -> dict[str, Any]:
    """An alarm on errors, for ``PutMetricAlarm``; without dimensions nothing but a test sets its state."""
    return {
        "AlarmName": name,
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.05,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
        **more,
    }


@pytest.fixture
def churn(simulator):
    return new_churn(simulator)


def new_churn(simulator: Any) -> Churn:
    """Let the endpoint ``churn`` be in service."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    def client(service: str) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=simulator.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}),
        )

    churn = Churn(simulator=simulator, sagemaker=client("sagemaker"), cloudwatch=client("cloudwatch"))
    churn.begin()
    assert churn.describe()["EndpointStatus"] == "InService"
    return churn


class TaskInstance:
    """Keeps what a task pushes; Airflow's own is exercised in the end-to-end tests."""

    dag_id = "deploy"
    run_id = "scheduled__2026-03-02"
    task_id = "update"
    map_index = -1
    try_number = 1

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}
        self.state = "running"

    def get_task_states(self, *, dag_id, run_ids, task_ids, map_index=None):
        assert (dag_id, run_ids, task_ids, map_index) == (self.dag_id, [self.run_id], [self.task_id], None)
        return {self.run_id: {self.task_id: self.state}}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))


def switch_of(endpoint_name: str = "churn", target: str = "churn-v2", task_instance: Any = TaskInstance):
    """Return the abort switch of the update that *task_instance* launches."""
    from airflow_guardrails.domain.rollout.launch import owner_of  # noqa: PLC0415
    from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch  # noqa: PLC0415

    owner = owner_of(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=task_instance.map_index,
        endpoint_name=endpoint_name,
    )
    return AbortSwitch.of(endpoint_name, owner=owner, target=target)


@pytest.fixture
def task_instance():
    return TaskInstance()


@pytest.fixture
def context(task_instance):
    return {"ti": task_instance}


@pytest.fixture
def simulated_sleep(simulator):
    """Sleeping that takes simulated time only."""

    return simulator.simulation.clock.advance
