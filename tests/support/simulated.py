"""
A simulated AWS with a clock that only tests advance, and Airflow's connection to it.

What is heavy is imported where it is used, so that tests of the domain load neither Airflow nor boto3.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import pytest

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


@contextmanager
def new_simulator(patch: pytest.MonkeyPatch) -> Iterator[Any]:
    from airflow_guardrails.simulator.engine.clock import Clock  # noqa: PLC0415
    from airflow_guardrails.simulator.server import serve  # noqa: PLC0415
    from airflow_guardrails.simulator.world import Simulation  # noqa: PLC0415

    with serve(Simulation(clock=Clock(start=START))) as running:
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_to(running.url))
        yield running
    forget_masked_secrets()


def forget_masked_secrets() -> None:
    """Airflow masks what any connection ever held, by one pattern: after a thousand tests that is slow."""
    if "airflow.sdk.log" in sys.modules:
        from airflow.sdk._shared.secrets_masker import reset_secrets_masker  # noqa: PLC0415

        reset_secrets_masker()


def connection_to(url: str) -> str:
    """Write down a connection of Airflow's to the simulator at *url*, without retries."""
    extra = {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "config_kwargs": {"retries": {"total_max_attempts": 1}},
    }
    return json.dumps({"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra})


def deny(client: Any, *operations: str, times: int | None = None) -> None:
    """Let the simulator refuse *operations*: the next *times* calls of each, or all of them if None."""
    for operation in operations:
        client.fault(
            operation,
            kind="error",
            code="AccessDeniedException",
            message=f"no {operation}",
            status=400,
            times=times,
        )


def new_client(url: str, service: str, *, region: str = "us-east-1", **config: Any) -> Any:
    """A boto3 client of the simulator at *url*, which never retries."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )
