"""The demo's AWS: the simulator as a process of its own, and boto3 clients that can reach nothing else."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

import boto3

from airflow_guardrails.demo.errors import DemoError
from airflow_guardrails.demo.ports import free_port
from airflow_guardrails.demo.processes import Processes
from airflow_guardrails.simulator.client import SimulatorClient

REGION = "us-east-1"
TOKEN_VARIABLE = "AIRFLOW_GUARDRAILS_SIMULATOR_TOKEN"  # noqa: S105 - its name
START_TIMEOUT = 60


class Cloud:
    """A simulated AWS account at :attr:`url`, *speed* times as fast as the wall clock."""

    def __init__(self, processes: Processes, *, speed: float) -> None:
        self._processes = processes
        self._port = free_port()
        self._token = secrets.token_urlsafe(24)
        self.speed = speed
        self.url = f"http://127.0.0.1:{self._port}"
        self.control = SimulatorClient(self.url, self._token, region=REGION)

    def start(self) -> None:
        options = ("--port", str(self._port), "--speed", str(self.speed))
        program = [sys.executable, "-m", "airflow_guardrails.simulator", *options]
        self._processes.start("simulator", program, env={TOKEN_VARIABLE: self._token})
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            self._processes.check()
            if time.monotonic() > deadline:
                last = self._processes.last_lines("simulator")
                raise DemoError(f"The simulator was not ready after {START_TIMEOUT} s.{last}")
            time.sleep(0.2)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="demo",
            aws_secret_access_key="demo",  # noqa: S106 - the simulator asks for some
        )

    def env(self) -> dict[str, str]:
        """What leads a child process, and an Airflow connection, here."""
        connection = (
            f'{{"conn_type": "aws", "extra": {{"region_name": "{REGION}", "endpoint_url": "{self.url}"}}}}'
        )
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
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


def sheltered(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """*environ* without anything by which a child could reach a real AWS, or another Airflow."""
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
