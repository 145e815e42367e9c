"""Endpoints with models that really run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import joblib
import pytest

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation
from tests.support.hosting_helper import HostingHelper, Written, tar_gz
from tests.support.simulated import START


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
        with serve(Simulation(clock=Clock(start=START), seed=seed)) as running:
            yield HostingHelper(running, partial(aws_at, running.url))

    return hosting_with
