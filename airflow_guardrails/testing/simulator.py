"""The simulator that a test uses, and the Airflow connection to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_guardrails.exceptions import MissingExtra

if TYPE_CHECKING:
    from airflow_guardrails.simulator.server import RunningSimulator


def start_simulator() -> RunningSimulator:
    """
    Start a simulator on a free port of this machine.

    :raises MissingExtra: if what it needs is not installed.
    """
    try:
        from airflow_guardrails.simulator.server import serve  # noqa: PLC0415 - slow, and perhaps not there
        from airflow_guardrails.simulator.world import Simulation  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"The fixtures of airflow-guardrails need the simulator, and {error.name} is not installed: "
            "pip install 'airflow-guardrails[simulator]'"
        ) from error
    return serve(Simulation())


def connection_variable(conn_id: str, url: str) -> tuple[str, str]:
    """Return name and value of the environment variable that makes *conn_id* lead to *url*."""
    # Without retries: a failure that a test asks for is seen at once.
    extra = {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "config_kwargs": {"retries": {"total_max_attempts": 1}},
    }
    connection = {"conn_type": "aws", "login": "any", "password": "any", "extra": extra}
    return f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection)
