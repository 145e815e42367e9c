"""One simulated endpoint ``churn``: four instances on ``blue``, and a configuration ``green``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.support.refusing import refusal

ROLE = "arn:aws:iam::123456789012:role/churn"


VARIANT = "AllTraffic"


class EndpointHelper:
    """Short words over boto3, for one endpoint; of the inside of the simulator it knows the clock."""

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
        wishes = [{"VariantName": VARIANT, "DesiredInstanceCount": instances}]
        self.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="churn", DesiredWeightsAndCapacities=wishes
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
        """The one VariantStatus there is, be it of the pending fleet or of the one in service."""
        look = self.look()
        pending = look.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
        stages = [s for v in (*pending, *look["ProductionVariants"]) for s in v.get("VariantStatus", [])]
        assert len(stages) <= 1
        return stages[0] if stages else None

    def stages(self, *, every: int = 10, limit: int = 20_000) -> list[tuple[str, int]]:
        """Each stage until the endpoint rests, with how many seconds it was seen."""
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
