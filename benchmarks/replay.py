"""
Requests a second of a simulated endpoint, compared with the same model called row by row without a simulator.

Run: ``python benchmarks/replay.py``. Both answer the same rows with the same scikit-learn model. The
simulator's figure includes its process, its metrics and the clock. The simulator can be faster, because it
predicts many rows in one call.
"""

from __future__ import annotations

import io
import tarfile
import time

import boto3
import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import RunningSimulator, serve
from airflow_guardrails.simulator.world import Simulation

REQUESTS = 6_000


def main() -> None:
    """Print both figures and their ratio."""
    measurements, labels = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(measurements, labels)
    peer = _row_by_row(model, measurements)
    with serve(Simulation(clock=Clock())) as simulator:
        _endpoint(simulator, model)
        simulated = _replayed(simulator, measurements)
    print(f"{'model.predict, row by row':30} {peer:10,.0f} requests/s   1.00")
    print(f"{'replayed to an endpoint':30} {simulated:10,.0f} requests/s   {simulated / peer:.2f}")


def _row_by_row(model: LogisticRegression, measurements: np.ndarray) -> float:
    started = time.perf_counter()
    for index in range(REQUESTS):
        model.predict(measurements[index % len(measurements)][None, :])
    return REQUESTS / (time.perf_counter() - started)


def _replayed(simulator: RunningSimulator, measurements: np.ndarray) -> float:
    rows = [",".join(repr(float(value)) for value in row) for row in measurements]
    simulator.client.replay("tumours", rows, per_minute=REQUESTS)
    simulator.client.clock.advance(minutes=1)
    started = time.perf_counter()
    simulator.client.clock.advance(minutes=1)
    return REQUESTS / (time.perf_counter() - started)


def _endpoint(simulator: RunningSimulator, model: LogisticRegression) -> None:
    aws = boto3.Session(aws_access_key_id="bench", aws_secret_access_key="bench", region_name="us-east-1")
    s3 = aws.client("s3", endpoint_url=simulator.url)
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=_artefact(model))
    sagemaker = aws.client("sagemaker", endpoint_url=simulator.url)
    sagemaker.create_model(
        ModelName="tumours",
        PrimaryContainer={"Image": "image", "ModelDataUrl": "s3://models/model.tar.gz"},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
    )
    variant = {
        "VariantName": "main",
        "ModelName": "tumours",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="tumours", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="tumours", EndpointConfigName="tumours")
    simulator.client.clock.advance(minutes=10)


def _artefact(model: LogisticRegression) -> bytes:
    dumped, packed = io.BytesIO(), io.BytesIO()
    joblib.dump(model, dumped)
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("model.joblib")
        member.size = len(dumped.getvalue())
        archive.addfile(member, io.BytesIO(dumped.getvalue()))
    return packed.getvalue()


if __name__ == "__main__":
    main()
