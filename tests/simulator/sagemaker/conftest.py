"""The endpoint ``churn`` with four instances on configuration ``blue``, and a configuration ``green``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.refusing import refusal

ROLE = "arn:aws:iam::123456789012:role/churn"
VARIANT = "AllTraffic"


class EndpointHelper:
    """Short methods over boto3 for one endpoint. It uses the simulator's API and its clock."""

    refusal = staticmethod(refusal)

    def __init__(self, simulator, aws) -> None:
        self.simulator = simulator
        self.control = simulator.client
        self.clock = simulator.simulation.clock
        self.sagemaker = aws("sagemaker")
        self.cloudwatch = aws("cloudwatch")

    def model(self, name: str = "churn-model", **container: Any) -> None:
        container = {"Image": "registry/churn:1", **container}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def config(self, name: str, *variants: dict[str, Any], **more: Any) -> None:
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=list(variants) or [self.variant()], **more
        )

    def variant(self, name: str = VARIANT, instances: int = 4, **more: Any) -> dict[str, Any]:
        return {
            "VariantName": name,
            "ModelName": "churn-model",
            "InitialInstanceCount": instances,
            "InstanceType": "ml.m5.large",
            **more,
        }

    def create(self, config: str = "blue", **more: Any) -> None:
        self.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName=config, **more)
        self.advance(minutes=10)

    def update(self, config: str = "green", deployment: dict[str, Any] | None = None, **more: Any):
        if deployment is not None:
            more["DeploymentConfig"] = deployment
        return self.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=config, **more)

    def scale(self, *, instances: int) -> None:
        changes = [{"VariantName": VARIANT, "DesiredInstanceCount": instances}]
        self.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="churn", DesiredWeightsAndCapacities=changes
        )

    def delete(self) -> None:
        self.sagemaker.delete_endpoint(EndpointName="churn")

    def look(self) -> dict[str, Any]:
        return self.sagemaker.describe_endpoint(EndpointName="churn")

    def status(self) -> tuple[str, str]:
        look = self.look()
        return look["EndpointStatus"], look["EndpointConfigName"]

    def blue(self) -> dict[str, Any]:
        return self.look()["ProductionVariants"][0]

    def green(self) -> dict[str, Any]:
        return self.look()["PendingDeploymentSummary"]["ProductionVariants"][0]

    def stage(self) -> dict[str, Any] | None:
        """Return the VariantStatus of the pending fleet or of the fleet in service, or None."""
        look = self.look()
        pending = look.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
        stages = [s for v in (*pending, *look["ProductionVariants"]) for s in v.get("VariantStatus", [])]
        assert len(stages) <= 1
        return stages[0] if stages else None

    def stages(self, *, every: int = 10, limit: int = 20_000) -> list[tuple[str, int]]:
        """Return each stage until the endpoint is no longer busy, with its duration in seconds."""
        seen: list[list[Any]] = []
        for _ in range(0, limit, every):
            stage = self.stage()
            if stage is None:
                return [(name, seconds) for name, _, seconds in seen]
            if not seen or seen[-1][:2] != [stage["Status"], stage["StartTime"]]:
                seen.append([stage["Status"], stage["StartTime"], 0])
            seen[-1][2] += every
            self.advance(seconds=every)
        raise AssertionError(f"not at rest after {limit} seconds: {seen}")

    def advance(self, **time: float) -> None:
        self.clock.advance(timedelta(**time).total_seconds())

    def alarm(self, name: str, state: str = "OK") -> None:
        self.cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="Test",
            MetricName=name,
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="ignore",
        )
        self.turn(name, state)

    def composite(self, name: str, child: str) -> None:
        self.cloudwatch.put_composite_alarm(AlarmName=name, AlarmRule=f'ALARM("{child}")')

    def turn(self, name: str, state: str) -> None:
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="the test says so")


@pytest.fixture
def endpoint(simulator, aws) -> EndpointHelper:
    """A model, two configurations that differ only in their name, and no endpoint yet."""
    endpoint = EndpointHelper(simulator, aws)
    endpoint.model()
    for name in ("blue", "green"):
        endpoint.config(name)
    return endpoint


@pytest.fixture
def churn(endpoint) -> EndpointHelper:
    """The endpoint, InService on ``blue``."""
    endpoint.create()
    return endpoint


@pytest.fixture
def arn():
    return lambda kind, name: f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}"


@pytest.fixture
def canary():
    """A DeploymentConfig: one instance of four for ten minutes, then all for five, by default."""

    def config(
        *, percent=25, instances=None, bake=600, termination_wait=300, alarms=(), max_seconds=None
    ) -> dict[str, Any]:
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": bake, "CanarySize": _size(percent, instances)}
        return _blue_green(routing, termination_wait, alarms, max_seconds)

    return config


@pytest.fixture
def linear():
    def config(
        *, percent=25, instances=None, bake=300, termination_wait=0, alarms=(), max_seconds=None
    ) -> dict[str, Any]:
        routing = {
            "Type": "LINEAR",
            "WaitIntervalInSeconds": bake,
            "LinearStepSize": _size(percent, instances),
        }
        return _blue_green(routing, termination_wait, alarms, max_seconds)

    return config


@pytest.fixture
def rolling():
    """A DeploymentConfig: one instance of four at a time, five minutes each; a rollback at once."""

    def config(
        *, percent=25, instances=None, bake=300, back=None, alarms=(), max_seconds=None
    ) -> dict[str, Any]:
        policy = {"MaximumBatchSize": _size(percent, instances), "WaitIntervalInSeconds": bake}
        if back is not None:
            policy["RollbackMaximumBatchSize"] = back
        if max_seconds is not None:
            policy["MaximumExecutionTimeoutInSeconds"] = max_seconds
        return {"RollingUpdatePolicy": policy, **_guard(alarms)}

    return config


@pytest.fixture
def all_at_once():
    def config(*, termination_wait=300, alarms=(), max_seconds=None) -> dict[str, Any]:
        routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        return _blue_green(routing, termination_wait, alarms, max_seconds)

    return config


def _size(percent, instances) -> dict[str, Any]:
    if instances is None:
        return {"Type": "CAPACITY_PERCENT", "Value": percent}
    return {"Type": "INSTANCE_COUNT", "Value": instances}


def _blue_green(routing, termination_wait, alarms, max_seconds) -> dict[str, Any]:
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": termination_wait}
    if max_seconds is not None:
        policy["MaximumExecutionTimeoutInSeconds"] = max_seconds
    return {"BlueGreenUpdatePolicy": policy, **_guard(alarms)}


def _guard(alarms) -> dict[str, Any]:
    if not alarms:
        return {}
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}
