"""What a test does: put models and endpoints into the simulator, let things go wrong, run a DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from airflow_guardrails.testing.runs import DagTestRun, run_dag

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_guardrails.simulator.client import SimulatorClient
    from airflow_guardrails.simulator.server import RunningSimulator

_BUCKET = "rollout-world"
_ROLE = "arn:aws:iam::123456789012:role/rollout-world"
_CREATION_MINUTES = 10


class RolloutWorld:
    """
    Short words for a test. All times are simulated.

    :ivar simulator: the control of the simulator, for whatever has no word here.
    """

    def __init__(self, simulator: RunningSimulator) -> None:
        self.simulator: SimulatorClient = simulator.client
        self._clock = simulator.simulation.clock
        self._world = simulator.simulation.world("us-east-1")
        self._url = simulator.url

    def client(self, service: str) -> Any:
        """Return a boto3 client of the simulated *service*, for example ``"sagemaker"``."""
        return boto3.client(
            service,
            endpoint_url=self._url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",  # noqa: S106 - the simulator takes any
        )

    def now(self) -> datetime:
        """Return the simulated time."""
        return self._clock.now()

    def advance(self, *, minutes: float) -> None:
        """Let time pass, without anything that waits."""
        self._clock.advance(minutes * 60)

    def model(self, name: str, *, artefact: str | Path | None = None, **behaviour: Any) -> str:
        """
        Create a model; return its name.

        :param artefact: path of a ``model.tar.gz``; default: the model answers ``0``, by its profile.
        :param behaviour: its profile: ``latency_ms``, ``error_rate`` (0 to 1), ``from_minute``,
            ``never_healthy`` and others, see :meth:`SimulatorClient.profile`.
        """
        container = {"Image": "any"}
        if artefact is not None:
            container["ModelDataUrl"] = self.upload(artefact, f"{name}.tar.gz")
        self.client("sagemaker").create_model(
            ModelName=name, PrimaryContainer=container, ExecutionRoleArn=_ROLE
        )
        if behaviour:
            self.simulator.profile(name, **behaviour)
        return name

    def upload(self, path: str | Path, key: str) -> str:
        """Copy a file to the simulated S3; return its ``s3://`` URL."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=_BUCKET)
        s3.upload_file(str(path), _BUCKET, key)
        return f"s3://{_BUCKET}/{key}"

    def endpoint(
        self,
        name: str,
        *,
        model: str,
        instances: int = 4,
        instance_type: str = "ml.m5.large",
        variant_name: str = "AllTraffic",
    ) -> str:
        """
        Create an endpoint that serves *model*, and wait until it is in service; return its name.

        :param model: name of a model, which is created if there is none, and of the endpoint configuration.
        """
        sagemaker = self.client("sagemaker")
        if not any(found["ModelName"] == model for found in sagemaker.list_models()["Models"]):
            self.model(model)
        variant = {
            "VariantName": variant_name,
            "ModelName": model,
            "InstanceType": instance_type,
            "InitialInstanceCount": instances,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=model, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=model)
        self.advance(minutes=_CREATION_MINUTES)
        return name

    def traffic(self, endpoint: str, *, per_minute: float = 600, rows: Sequence[str] = ("1",)) -> None:
        """Send *rows* to the endpoint again and again, *per_minute* requests in a simulated minute."""
        self.simulator.replay(endpoint, rows, per_minute=per_minute)

    def alarm(
        self,
        name: str,
        *,
        endpoint: str,
        metric: str = "ModelLatency",
        above: float = 1_000_000,
        variant_name: str = "AllTraffic",
    ) -> str:
        """
        Create an alarm on the average of a metric of an endpoint, in state OK; return its name.

        :param metric: a metric of SageMaker, ``ModelLatency`` or ``Invocation5XXErrors`` for example.
        :param above: in the metric's own unit: latencies in microseconds, errors as a share of the requests.
        """
        cloudwatch = self.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": variant_name},
            ],
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=above,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="created by a test")
        return name

    def trip(self, alarm: str, *, at_minute: float = 0) -> None:
        """
        Set an alarm to ALARM.

        :param at_minute: minutes from now. Time passes while a task waits, so with a DAG that begins with an
            update these are minutes of the update.
        """

        def set_state() -> None:
            self._world.alarms.set_state(alarm, state="ALARM", reason="set by a test")

        self._clock.after(at_minute * 60, set_state)

    def serving(self, endpoint: str) -> list[str]:
        """Return the models that the endpoint serves now, in the order of its variants."""
        sagemaker = self.client("sagemaker")
        config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        return [variant["ModelName"] for variant in variants]

    def run(self, dag: DAG, *, conf: Mapping[str, Any] | None = None) -> DagTestRun:
        """
        Run all tasks of a DAG, as ``dag.test()`` does, and return what came of them.

        A task that fails is no error here: look at the run.

        :param conf: configuration of the DAG run.
        """
        return run_dag(dag, conf=conf)
