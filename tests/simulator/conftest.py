"""The simulator with a clock that tests advance, and boto3 clients that check the shape of responses."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from datetime import datetime, timezone
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.validate import ParamValidator

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation

if "AIRFLOW_HOME" not in os.environ:
    # Importing Airflow writes files into its home. Tests must not write into the user's.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def _shared_models(shared_models):
    """Every test here builds clients."""


@pytest.fixture
def simulator():
    """A simulator in this process; its clock stands at 2026-03-02 10:00 UTC until ``.client`` advances it."""
    with serve(Simulation(clock=Clock(start=START))) as running:
        yield running


@pytest.fixture
def aws(simulator, aws_at):
    """
    ``aws("sagemaker")`` is a boto3 client that never retries and checks answers against their shape.

    ``checked=False`` turns the check off, where moto's responses do not match their shape.
    """
    return partial(aws_at, simulator.url)


@pytest.fixture
def aws_at():
    """Like ``aws``, for a simulator at any URL."""

    def client(url: str, service: str, *, region: str = "us-east-1", checked: bool = True):
        made = boto3.client(
            service,
            region_name=region,
            endpoint_url=url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60),
        )
        if checked:
            made.meta.events.register("after-call", check_answer)
        return made

    return client


def check_answer(http_response, parsed, model, **_: Any) -> None:
    if http_response.status_code >= 300 or model.output_shape is None:
        return
    if model.service_model.service_name == "iam":
        return  # botocore has already parsed policies, which are texts in the shape
    answer = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
    report = ParamValidator().validate(answer, model.output_shape)
    assert not report.has_errors(), f"{model.name}: {report.generate_report()}"
    if http_response.headers.get("Content-Type", "").startswith("application/x-amz-json"):
        foreign = list(foreign_members(json.loads(http_response.content or b"{}"), model.output_shape))
        assert not foreign, f"{model.name} answers members botocore does not know: {foreign}"


def foreign_members(value: Any, shape: Any, path: str = ""):
    """Return the paths in a JSON response that its shape does not have. botocore's parser drops them."""
    if shape.type_name == "structure":
        for name, member in (value or {}).items():
            if name not in shape.members:
                yield f"{path}.{name}"
            else:
                yield from foreign_members(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for index, item in enumerate(value or []):
            yield from foreign_members(item, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map":
        for name, item in (value or {}).items():
            yield from foreign_members(item, shape.value, f"{path}.{name}")
