"""The simulated AWS account of the demo, and the endpoint in it."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from types import ModuleType
from typing import Any

import boto3

from airflow_guardrails.demo.processes import DemoError, Processes, free_port
from airflow_guardrails.simulator.client import SimulatorClient

_REGION = "us-east-1"
_TOKEN_VARIABLE = "AIRFLOW_GUARDRAILS_SIMULATOR_TOKEN"  # noqa: S105 - its name
_START_TIMEOUT = 60


class Cloud:
    """
    A simulated AWS account at :attr:`url`.

    :param speed: simulated seconds for each real second.
    """

    def __init__(self, processes: Processes, *, speed: float) -> None:
        self._processes = processes
        self._port = free_port()
        self._token = secrets.token_urlsafe(24)
        self.speed = speed
        self.url = f"http://127.0.0.1:{self._port}"
        self.control = SimulatorClient(self.url, self._token, region=_REGION)

    def start(self) -> None:
        """Start the simulator and wait until it answers; raise DemoError after 60 seconds."""
        options = ("--port", str(self._port), "--speed", str(self.speed))
        program = [sys.executable, "-m", "airflow_guardrails.simulator", *options]
        self._processes.start("simulator", program, env={_TOKEN_VARIABLE: self._token})
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            self._processes.check()
            if time.monotonic() > deadline:
                last = self._processes.last_lines("simulator")
                raise DemoError(f"The simulator was not ready after {_START_TIMEOUT} s.{last}")
            time.sleep(0.2)

    def client(self, service: str) -> Any:
        """Return a boto3 client of the simulated account."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=_REGION,
            aws_access_key_id="demo",
            aws_secret_access_key="demo",  # noqa: S106 - no secret: any value will do
        )

    def env(self) -> dict[str, str]:
        """Return environment variables that point AWS clients and Airflow's connection to the simulator."""
        connection = (
            f'{{"conn_type": "aws", "extra": {{"region_name": "{_REGION}", "endpoint_url": "{self.url}"}}}}'
        )
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AIRFLOW_CONN_AWS_DEFAULT": connection,
        }

    def _answers(self) -> bool:
        try:
            self.control.status()
        except OSError:
            return False
        return True


def isolated_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return *environ* without variables that lead to a real AWS account or another Airflow."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("AWS_", "AIRFLOW_"))}
    return kept | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONWARNINGS": "ignore",
        "PYTHONUNBUFFERED": "1",
    }


ENDPOINT = "tumours"
_BUCKET = "tumour-models"
_VARIANT = "main"
_FIRST_VERSION = "tumours-first"
_ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
REQUESTS_PER_MINUTE = 600
_IN_SERVICE_TIMEOUT = 90


class Production:
    """
    The endpoint, and the clients that send requests to it.

    :param models: the example's module ``tumour_model``.
    """

    def __init__(self, cloud: Cloud, models: ModuleType) -> None:
        self.speed = cloud.speed
        self._cloud = cloud
        self._models = models
        self._sagemaker = cloud.client("sagemaker")
        self._runtime = cloud.client("sagemaker-runtime")
        self._s3 = cloud.client("s3")
        self._cloudwatch = cloud.client("cloudwatch")

    def seed(self) -> None:
        """Deploy a first model, trained on the older half of the rows."""
        # The real latency of a model means nothing when a simulated hour takes a minute.
        self._cloud.control.profile("*", latency_ms=20, latency_jitter_ms=10)
        self._s3.create_bucket(Bucket=_BUCKET)
        # The DAGs train on all rows, so the first model must be replaceable by a better one.
        older = self._models.Rows(*(part[:200] for part in self._models.training_rows()))
        model = self._models.train("gradient-boosting", self._models.complete(older))
        key = f"{_FIRST_VERSION}/model.tar.gz"
        self._s3.put_object(Bucket=_BUCKET, Key=key, Body=self._models.pack(model))
        container = {"Image": "scikit-learn-serving", "ModelDataUrl": f"s3://{_BUCKET}/{key}"}
        self._sagemaker.create_model(
            ModelName=_FIRST_VERSION, ExecutionRoleArn=_ROLE, PrimaryContainer=container
        )
        self._sagemaker.create_endpoint_config(
            EndpointConfigName=_FIRST_VERSION, ProductionVariants=[_variant(_FIRST_VERSION)]
        )
        self._sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=_FIRST_VERSION)
        self._wait_in_service()

    def replay_requests(self) -> int:
        """Let clients send the held-out rows again and again; return the number of rows."""
        rows = self._models.as_requests(self._models.held_out_rows())
        self._cloud.control.replay(ENDPOINT, rows=rows, per_minute=REQUESTS_PER_MINUTE)
        return len(rows)

    def advance_clock(self, hours: float) -> None:
        """Move simulated time forward at once."""
        self._cloud.control.clock.advance(hours=hours)

    def stop_requests(self) -> None:
        """Stop the requests of clients."""
        self._cloud.control.stop_replay(ENDPOINT)

    def slow_down_newest_model(self, latency_ms: float) -> None:
        """Set the latency of the newest model, in milliseconds."""
        newest = self._sagemaker.list_models(SortBy="CreationTime", SortOrder="Descending", MaxResults=1)
        name = newest["Models"][0]["ModelName"]
        self._cloud.control.profile(name, latency_ms=latency_ms, latency_jitter_ms=10)

    def serving(self) -> str:
        """Return the name of the endpoint configuration in service."""
        described = self._sagemaker.describe_endpoint(EndpointName=ENDPOINT)
        return f"{described['EndpointConfigName']}"

    def invoke(self, row: str) -> str:
        """Send one row of CSV to the endpoint and return its response."""
        answer = self._runtime.invoke_endpoint(
            EndpointName=ENDPOINT, ContentType="text/csv", Accept="text/csv", Body=row
        )
        return f"{answer['Body'].read().decode().strip()}"

    def model_name(self, endpoint_config_name: str) -> str:
        """Return the name of the model in an endpoint configuration."""
        config = self._sagemaker.describe_endpoint_config(EndpointConfigName=endpoint_config_name)
        return f"{config['ProductionVariants'][0]['ModelName']}"

    def model(self, name: str) -> Any:
        """Load the model with this name."""
        described = self._sagemaker.describe_model(ModelName=name)
        bucket, _, key = described["PrimaryContainer"]["ModelDataUrl"].removeprefix("s3://").partition("/")
        return self._models.unpack(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def now(self) -> datetime:
        """Return the simulated time."""
        return self._cloud.control.now()

    def requests_to(self, endpoint_config_name: str, *, since: datetime) -> tuple[int, int]:
        """Return how many requests a configuration's fleet got since then, and how many of them failed."""
        return self._requests({"VariantName": _VARIANT, "EndpointConfigName": endpoint_config_name}, since)

    def client_errors(self, *, since: datetime) -> int:
        """Return how many requests of clients have failed since then, in any fleet."""
        return self._requests({"VariantName": _VARIANT}, since)[1]

    def _requests(self, dimensions: dict[str, str], since: datetime) -> tuple[int, int]:
        all_dimensions = {"EndpointName": ENDPOINT} | dimensions
        statistics = self._cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Dimensions=[{"Name": name, "Value": value} for name, value in all_dimensions.items()],
            StartTime=since,
            EndTime=self.now(),
            # SampleCount is the number of requests, Sum the number that failed.
            Period=60,
            Statistics=["Sum", "SampleCount"],
        )["Datapoints"]
        return int(sum(d["SampleCount"] for d in statistics)), int(sum(d["Sum"] for d in statistics))

    def _wait_in_service(self) -> None:
        deadline = time.monotonic() + _IN_SERVICE_TIMEOUT
        while (status := self._status()) != "InService":
            if status == "Failed" or time.monotonic() > deadline:
                raise DemoError(
                    f"The endpoint is not in service after {_IN_SERVICE_TIMEOUT} s (status {status})"
                )
            time.sleep(0.2)

    def _status(self) -> str:
        return f"{self._sagemaker.describe_endpoint(EndpointName=ENDPOINT)['EndpointStatus']}"


def _variant(version: str) -> dict[str, Any]:
    return {
        "VariantName": _VARIANT,
        "ModelName": version,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 4,
    }
