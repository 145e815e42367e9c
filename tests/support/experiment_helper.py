"""A simulated endpoint ``churn`` of variant ``live``, and experiment ``trial`` with shadow ``candidate``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from tests.support.refusing import refusal

ROLE = "arn:aws:iam::123456789012:role/churn"


NAME = "trial"


KEEP = MappingProxyType({"live": "Retain", "candidate": "Remove"})


class ExperimentHelper:
    """Short words over boto3; nothing here knows the simulator's inside."""

    refusal = staticmethod(refusal)

    KEEP = KEEP
    PROMOTE = MappingProxyType({"live": "Remove", "candidate": "Promote"})
    RETAIN = MappingProxyType({"live": "Retain", "candidate": "Retain"})

    def __init__(self, simulator, aws) -> None:
        self.control = simulator.client
        self.clock = simulator.simulation.clock
        self.sagemaker = aws("sagemaker")
        self.runtime = aws("sagemaker-runtime")
        self.cloudwatch = aws("cloudwatch")
        self.s3 = aws("s3")
        for model in ("churn-1", "churn-2"):
            self.model(model)
        self.config("blue")

    def model(self, name: str, **container: Any) -> None:
        container = {"Image": "registry/churn:1", **container}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def config(self, name: str, *, instances: int = 4, **more: Any) -> None:
        variant = {
            "VariantName": "live",
            "ModelName": "churn-1",
            "InitialInstanceCount": instances,
            "InstanceType": "ml.m5.large",
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)

    def endpoint(self, name: str = "churn", config: str = "blue") -> None:
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        self.advance(minutes=10)

    def variant(
        self, name: str = "candidate", model: str = "churn-2", instances: int = 2, kind: str = "ml.m5.large"
    ) -> dict[str, Any]:
        capacity = {"InstanceType": kind, "InstanceCount": instances}
        return {
            "VariantName": name,
            "ModelName": model,
            "InfrastructureConfig": {
                "InfrastructureType": "RealTimeInference",
                "RealTimeInferenceConfig": capacity,
            },
        }

    def mode(self, *, source: str = "live", shadow: str = "candidate", percent: int = 100) -> dict[str, Any]:
        return {
            "SourceModelVariantName": source,
            "ShadowModelVariants": [{"ShadowModelVariantName": shadow, "SamplingPercentage": percent}],
        }

    def request(self, name: str = NAME, *, start=None, end=None, **more: Any) -> dict[str, Any]:
        """For a ShadowMode experiment; *start* and *end* are timedeltas from now."""
        now = self.control.now()
        schedule = {"StartTime": start, "EndTime": end}
        schedule = {key: now + after for key, after in schedule.items() if after is not None}
        return {
            "Name": name,
            "Type": "ShadowMode",
            "RoleArn": ROLE,
            "EndpointName": "churn",
            "ModelVariants": [self.variant()],
            "ShadowModeConfig": self.mode(),
            **({"Schedule": schedule} if schedule else {}),
            **more,
        }

    def create(self, name: str = NAME, *, start=None, end=None, **more: Any) -> str:
        request = self.request(name, start=start, end=end, **more)
        return self.sagemaker.create_inference_experiment(**request)["InferenceExperimentArn"]

    def run(self, **more: Any) -> None:
        """Create it and wait until it is Running."""
        self.create(**more)
        self.advance(minutes=10)
        assert self.status() == "Running"

    def update(self, name: str = NAME, *, start=None, end=None, **more: Any) -> None:
        now = self.control.now()
        schedule = {"StartTime": start, "EndTime": end}
        schedule = {key: now + after for key, after in schedule.items() if after is not None}
        if schedule:
            more["Schedule"] = schedule
        self.sagemaker.update_inference_experiment(Name=name, **more)

    def start(self, name: str = NAME) -> None:
        self.sagemaker.start_inference_experiment(Name=name)

    def stop(self, actions: Mapping[str, str] = KEEP, *, name: str = NAME, **more: Any) -> None:
        self.sagemaker.stop_inference_experiment(Name=name, ModelVariantActions={**actions}, **more)

    def delete(self, name: str = NAME) -> None:
        self.sagemaker.delete_inference_experiment(Name=name)

    def look(self, name: str = NAME) -> dict[str, Any]:
        return self.sagemaker.describe_inference_experiment(Name=name)

    def status(self, name: str = NAME) -> str:
        return self.look(name)["Status"]

    def variants(self) -> dict[str, str]:
        return {variant["VariantName"]: variant["Status"] for variant in self.look()["ModelVariants"]}

    def churn(self) -> dict[str, Any]:
        return self.sagemaker.describe_endpoint(EndpointName="churn")

    def serving(self) -> tuple[str, str, list[str]]:
        """Status and configuration of the endpoint, and its variants, the shadow last."""
        look = self.churn()
        variants = [*look["ProductionVariants"], *look.get("ShadowProductionVariants", ())]
        names = [variant["VariantName"] for variant in variants]
        return look["EndpointStatus"], look["EndpointConfigName"], names

    def statuses(self, *, hours: float, every: int = 30) -> list[str]:
        """Each status of the experiment, in order, in the next so many hours."""
        seen: list[str] = []
        for _ in range(int(hours * 3600 / every)):
            now = self.status()
            if not seen or seen[-1] != now:
                seen.append(now)
            self.advance(seconds=every)
        return seen

    def total(self, metric: str, variant: str) -> float:
        dimensions = {"EndpointName": "churn", "VariantName": variant}
        found = self.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=self.control.now() - timedelta(days=1),
            EndTime=self.control.now() + timedelta(minutes=1),
            Period=86_400,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    def advance(self, **duration: float) -> None:
        self.clock.advance(timedelta(**duration).total_seconds())
