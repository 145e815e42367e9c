"""Simulated endpoints with real models behind them."""

from __future__ import annotations

import io
import tarfile
from datetime import timedelta
from textwrap import dedent
from typing import Any

import joblib
import numpy as np
from sklearn.linear_model import LinearRegression

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
    """A model whose ``predict`` is the given expression; its pickle carries the code."""

    def __init__(self, predict: str) -> None:
        self.source = f"type('Model', (), {{'predict': {predict}}})()"

    def __reduce__(self):
        return eval, (self.source,)


def constant(value: float) -> Written:
    """Answers *value* to every row."""
    return Written(f"lambda self, rows: [{value}] * len(rows)")


class HostingHelper:
    """Short words over boto3 for endpoints with models, all of them in bucket ``models``."""

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
        """An update of ``churn``, 195 s ago: 180 of provisioning and 10 of shifting are over, it bakes."""
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
        """Statistic of a metric of ``churn`` in each minute that has any, since an hour ago."""
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
