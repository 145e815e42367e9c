"""
Run one plain canary against the simulator, and print as JSON how deep the calls of the operator are.

``benchmarks/structure.py`` runs it in a new process, with the package to measure on ``PYTHONPATH``. Only
frames of the provider count: neither Airflow's and botocore's, nor those of the simulator.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType, SimpleNamespace
from typing import Any

PACKAGE = f"{os.sep}airflow_guardrails{os.sep}"
SIMULATOR = f"{PACKAGE}simulator{os.sep}"
REGION = "us-east-1"
KEYS = {"aws_access_key_id": "benchmark", "aws_secret_access_key": "benchmark"}


class Profile:
    """The deepest stack of our frames so far, outermost first, and the files of all frames."""

    def __init__(self) -> None:
        self.deepest: list[str] = []
        self.files: set[str] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take one event of ``sys.setprofile``."""
        if event != "call" or not _is_ours(frame):
            return
        self.files.add(frame.f_code.co_filename)
        stack = list(_stack(frame))
        if len(stack) > len(self.deepest):
            self.deepest = stack[::-1]

    @contextmanager
    def on(self) -> Iterator[None]:
        """Measure this thread; the simulator answers in other threads."""
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)


def main() -> None:
    """Measure ``execute()`` and print the figures."""
    profile = Profile()
    with tempfile.TemporaryDirectory() as home:
        # Airflow writes there as soon as it is imported.
        os.environ["AIRFLOW_HOME"] = home
        run_canary(profile)
    figures = {"depth": len(profile.deepest), "files": len(profile.files), "deepest": profile.deepest}
    print(json.dumps(figures))


def run_canary(profile: Profile) -> None:
    """Update an endpoint by a canary, in simulated time, and profile only ``execute()``."""
    from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator  # noqa: PLC0415
    from airflow_guardrails.simulator.engine.clock import Clock  # noqa: PLC0415
    from airflow_guardrails.simulator.server import serve  # noqa: PLC0415
    from airflow_guardrails.simulator.world import Simulation  # noqa: PLC0415
    from airflow_guardrails.strategies import Canary  # noqa: PLC0415

    with serve(Simulation(clock=Clock())) as simulator:
        create_endpoint(simulator)
        os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = connection_to(simulator.url)
        operator = SageMakerGuardedUpdateOperator(
            task_id="update",
            endpoint_name="churn",
            endpoint_config_name="churn-v2",
            strategy=Canary(percent=25, bake=timedelta(minutes=10)),
            alarms=["errors"],
            waiter_delay=60,
        )
        operator.sleep = simulator.simulation.clock.advance
        with profile.on():
            report = operator.execute({"ti": task_instance()})
    if report["outcome"] != "Succeeded":
        raise SystemExit(f"the update ended with {report['outcome']}")


def create_endpoint(simulator: Any) -> None:
    """Create endpoint churn, which serves churn-v1, with a configuration churn-v2 and an alarm that is OK."""
    import boto3  # noqa: PLC0415

    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=simulator.url, region_name=REGION, **KEYS)

    sagemaker, cloudwatch = client("sagemaker"), client("cloudwatch")
    image = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"}
    role = "arn:aws:iam::123456789012:role/sagemaker"
    sagemaker.create_model(ModelName="churn", PrimaryContainer=image, ExecutionRoleArn=role)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "churn",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 4,
    }
    for name in ("churn-v1", "churn-v2"):
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": "churn"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.05,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="Set by the benchmark")
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="churn-v1")
    simulator.simulation.clock.advance(timedelta(minutes=10).total_seconds())


def connection_to(url: str) -> str:
    """Return an Airflow connection to the simulator as JSON."""
    extra = {"endpoint_url": url, "region_name": REGION}
    login, password = KEYS.values()
    return json.dumps({"conn_type": "aws", "login": login, "password": password, "extra": extra})


def task_instance() -> SimpleNamespace:
    """Return as much of Airflow's task instance as ``execute()`` uses."""
    return SimpleNamespace(
        dag_id="deploy",
        run_id="benchmark",
        task_id="update",
        map_index=-1,
        try_number=1,
        xcom_push=lambda key, value: None,  # noqa: ARG005 - called by keyword
    )


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return PACKAGE in name and SIMULATOR not in name


def _stack(frame: FrameType | None) -> Iterator[str]:
    """Yield our frames from the innermost on, as "operators/rollout.py: execute"."""
    while frame is not None:
        if _is_ours(frame):
            yield f"{frame.f_code.co_filename.rpartition(PACKAGE)[2]}: {frame.f_code.co_name}"
        frame = frame.f_back


if __name__ == "__main__":
    main()
