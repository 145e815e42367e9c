"""Endpoints with models that really run."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from textwrap import dedent
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation

ROLE = "arn:aws:iam::123456789012:role/churn"
CONTENT_TYPE = "text/csv"


def artefact(model: Any) -> bytes:
    """A ``model.tar.gz`` as SageMaker's scikit-learn containers take it."""
    joblib_file = io.BytesIO()
    joblib.dump(model, joblib_file)
    return tar_gz("model.joblib", joblib_file.getvalue())


def tar_gz(name: str, content: bytes) -> bytes:
    return tar_gz_of({name: content})


def tar_gz_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def scripted(source: str, *, model: Any = None, name: str = "inference.py", **beside: str) -> bytes:
    """A ``model.tar.gz`` with code: the script *name*, and modules *beside* it."""
    files = {f"code/{name}": dedent(source).encode()}
    files |= {f"code/{module}.py": dedent(text).encode() for module, text in beside.items()}
    if model is not None:
        joblib_file = io.BytesIO()
        joblib.dump(model, joblib_file)
        files["model.joblib"] = joblib_file.getvalue()
    return tar_gz_of(files)


def doubling() -> LinearRegression:
    """Answers twice the first of two features; raises on a missing value."""
    x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 5.0]])
    return LinearRegression().fit(x, 2 * x[:, 0])


class Written:
    """A model whose ``predict`` is the given expression. Its pickle contains the code."""

    def __init__(self, predict: str) -> None:
        self.source = f"type('Model', (), {{'predict': {predict}}})()"

    def __reduce__(self):
        return eval, (self.source,)


def constant(value: float) -> Written:
    """Answers *value* to every row."""
    return Written(f"lambda self, rows: [{value}] * len(rows)")


class HostingHelper:
    """Short methods over boto3 for endpoints with models. Artefacts are in the bucket ``models``."""

    artefact = staticmethod(artefact)
    tar_gz = staticmethod(tar_gz)
    scripted = staticmethod(scripted)
    doubling = staticmethod(doubling)
    constant = staticmethod(constant)
    written = Written

    def __init__(self, simulator, aws) -> None:
        self.control = simulator.client
        self.clock = simulator.simulation.clock
        self.aws = aws
        self.sagemaker = aws("sagemaker")
        self.s3 = aws("s3")
        self.runtime = aws("sagemaker-runtime")
        self.cloudwatch = aws("cloudwatch")
        self.s3.create_bucket(Bucket="models")

    def upload(self, name: str, model: Any) -> str:
        content = model if isinstance(model, bytes) else artefact(model)
        self.s3.put_object(Bucket="models", Key=f"{name}/model.tar.gz", Body=content)
        return f"s3://models/{name}/model.tar.gz"

    def config(
        self,
        name: str,
        model: Any = None,
        *,
        url: str | None = None,
        model_name: str | None = None,
        capture: dict[str, Any] | None = None,
        **container: Any,
    ) -> None:
        """A configuration of four instances and a model of the same name, by default one without artefact."""
        model_name = model_name or name
        if model is not None:
            url = self.upload(name, model)
        if url:
            container["ModelDataUrl"] = url
        container = {"Image": "registry/sklearn:1", **container}
        self.sagemaker.create_model(ModelName=model_name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model_name,
            "InitialInstanceCount": 4,
            "InstanceType": "ml.m5.large",
        }
        more = {"DataCaptureConfig": capture} if capture else {}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)

    def serve(self, config: str, model: Any = None, **container: Any) -> None:
        """An endpoint ``churn`` in service on a new configuration."""
        self.config(config, model, **container)
        self.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName=config)
        self.advance(minutes=6)

    def canary(self, config: str, *, percent: int = 25, bake: int = 600) -> None:
        """Start a canary update of ``churn`` and wait 195 s: 180 to provision, 10 to shift; it bakes."""
        self.sagemaker.update_endpoint(
            EndpointName="churn",
            EndpointConfigName=config,
            DeploymentConfig={
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "CANARY",
                        "WaitIntervalInSeconds": bake,
                        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": percent},
                    },
                    "TerminationWaitInSeconds": 0,
                }
            },
        )
        self.advance(seconds=195)

    def advance(self, **duration: float) -> None:
        self.clock.advance(timedelta(**duration).total_seconds())

    def serving(self) -> str:
        return self.sagemaker.describe_endpoint(EndpointName="churn")["EndpointConfigName"]

    def ask(self, body: str | bytes = "3,0", *, content_type: str = CONTENT_TYPE, **more: Any) -> str:
        answer = self.runtime.invoke_endpoint(
            EndpointName="churn", Body=body, ContentType=content_type, **more
        )
        return answer["Body"].read().decode()

    def total(self, metric: str, **dimensions: str) -> float:
        return sum(self.by_minute(metric, "Sum", **dimensions))

    def by_minute(
        self, metric: str, statistic: str, *, namespace: str = "AWS/SageMaker", **dimensions: str
    ) -> list[float]:
        """Return a statistic of ``churn`` for each minute of the last hour that has data."""
        dimensions = {"EndpointName": "churn", "VariantName": "AllTraffic", **dimensions}
        now = self.control.now()
        query = {
            "Id": "m",
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": metric,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                },
                "Period": 60,
                "Stat": statistic,
            },
        }
        found = self.cloudwatch.get_metric_data(
            MetricDataQueries=[query],
            StartTime=now.timestamp() - 3600,
            EndTime=now.timestamp() + 60,
            ScanBy="TimestampAscending",
        )
        return found["MetricDataResults"][0]["Values"]


@pytest.fixture
def packed():
    """``packed(model)`` is a ``model.tar.gz``, as is ``packed(content, name="a path in it")``."""

    def pack(content: Any, *, name: str = "model.joblib") -> bytes:
        if isinstance(content, bytes):
            return tar_gz(name, content)
        joblib_file = io.BytesIO()
        joblib.dump(Written(content) if isinstance(content, str) else content, joblib_file)
        return tar_gz(name, joblib_file.getvalue())

    return pack


@pytest.fixture
def variants() -> dict[str, Any]:
    """``AllTraffic`` of model ``blue``, and its shadow ``Candidate`` of model ``candidate``."""
    production, shadow = (
        {
            "VariantName": variant,
            "ModelName": model,
            "InitialInstanceCount": 2,
            "InstanceType": "ml.m5.large",
            "InitialVariantWeight": 1.0,
        }
        for variant, model in (("AllTraffic", "blue"), ("Candidate", "candidate"))
    )
    return {"ProductionVariants": [production], "ShadowProductionVariants": [shadow]}


@pytest.fixture
def capture(hosting):
    """``capture(percent=20)`` is a DataCaptureConfig to ``s3://captures/live``, a bucket that exists."""

    def config(
        *, percent: int = 100, modes: Sequence[str] = ("Input", "Output"), **more: Any
    ) -> dict[str, Any]:
        return {
            "InitialSamplingPercentage": percent,
            "DestinationS3Uri": "s3://captures/live",
            "CaptureOptions": [{"CaptureMode": mode} for mode in modes],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
            **more,
        }

    hosting.s3.create_bucket(Bucket="captures")
    return config


@pytest.fixture
def hosting(simulator, aws):
    return HostingHelper(simulator, aws)


@pytest.fixture
def hosting_with_seed(aws_at):
    """``with hosting_with_seed(7) as hosting`` is a helper for a separate simulator; one at a time."""

    @contextmanager
    def hosting_with(seed: int):
        start = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
        with serve(Simulation(clock=Clock(start=start), seed=seed)) as running:
            yield HostingHelper(running, partial(aws_at, running.url))

    return hosting_with
