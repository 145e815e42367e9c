"""The arguments that a deferring operator passes to each of the two triggers, and their connections."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3

from airflow_guardrails.aws.endpoint import parse_endpoint
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.triggers._state import dump_state
from airflow_guardrails.triggers.rollout import LONGEST_WAIT, SageMakerRolloutTrigger

REGION = "us-east-1"
KEYS = {"aws_access_key_id": "benchmark", "aws_secret_access_key": "benchmark"}


def endpoint_names(waits: int) -> list[str]:
    """Return a name for the endpoint of each wait."""
    return [f"endpoint-{index:04}" for index in range(waits)]


def alarms_of(endpoint_name: str) -> list[str]:
    """Return the alarms of an update: two of the user, and the abort switch, which is the default."""
    return ["errors", "latency", switch_of(endpoint_name).alarm_name]


def switch_of(endpoint_name: str) -> AbortSwitch:
    """Return the abort switch of the endpoint's update."""
    return AbortSwitch(endpoint_name=endpoint_name, rollout=f"{'0' * 20}-{'0' * 8}")


def connection_names(count: int) -> list[str]:
    """Return the ids of *count* Airflow connections."""
    return [f"benchmark_{index}" for index in range(count)]


def connections(names: list[str], url: str, *, with_role: bool) -> dict[str, str]:
    """Return environment variables of Airflow connections to the fake at *url*, each with a role or none."""
    return {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps(
            {
                "conn_type": "aws",
                "login": KEYS["aws_access_key_id"],
                "password": KEYS["aws_secret_access_key"],
                "extra": {
                    "endpoint_url": url,
                    "region_name": REGION,
                    **(_role(name, url) if with_role else {}),
                },
            }
        )
        for name in names
    }


def _role(name: str, url: str) -> dict[str, Any]:
    # The amazon provider does not use the connection's endpoint_url to assume the role.
    return {
        "role_arn": f"arn:aws:iam::123456789012:role/{name}",
        "service_config": {"sts": {"endpoint_url": url}},
    }


def default_max_gap() -> float | None:
    """Return the default of ``max_describe_gap`` in seconds; ``None`` if our trigger has no such argument."""
    max_gap = inspect.signature(SageMakerRolloutTrigger).parameters.get("max_describe_gap")
    return None if max_gap is None else float(max_gap.default)


def their_arguments(connection_of: Mapping[str, str], *, interval: float) -> dict[str, Any]:
    """Return endpoint -> arguments of the amazon provider's trigger."""
    return {
        endpoint: {
            "job_name": endpoint,
            "job_type": "endpoint",
            "waiter_delay": interval,
            "waiter_max_attempts": int(LONGEST_WAIT.total_seconds() / interval),
            "aws_conn_id": connection,
        }
        for endpoint, connection in connection_of.items()
    }


def our_arguments(
    connection_of: Mapping[str, str], *, interval: float, max_gap: float | None, url: str
) -> dict[str, Any]:
    """
    Return endpoint -> arguments of our trigger, as after the first look in the worker.

    :param connection_of: endpoint -> id of its connection.
    :param interval: seconds between looks.
    :param max_gap: ``max_describe_gap`` in seconds, if the trigger has this argument.
    """
    client = boto3.client("sagemaker", endpoint_url=url, region_name=REGION, **KEYS)
    now = time.time()
    arguments = {}
    for endpoint, connection in connection_of.items():
        state = _seen_in_flight(client.describe_endpoint(EndpointName=endpoint))
        arguments[endpoint] = {
            "endpoint_name": endpoint,
            "endpoint_config_name": state.rollout.target,
            "previous_endpoint_config_name": state.rollout.previous,
            "waiter_delay": interval,
            "deadline": now + LONGEST_WAIT.total_seconds(),
            "memory": dump_state(state),
            "aws_conn_id": connection,
            **({} if default_max_gap() is None else {"max_describe_gap": max_gap}),
        }
    return arguments


def _seen_in_flight(answer: Mapping[str, Any]) -> RolloutState:
    endpoint = parse_endpoint(answer)
    assert endpoint.pending is not None
    rollout = Rollout(
        endpoint_name=endpoint.name,
        target=endpoint.pending.endpoint_config_name,
        previous=endpoint.endpoint_config_name,
        launched_at=endpoint.pending.started_at,
        guardrails=endpoint.guardrails,
        switch=switch_of(endpoint.name),
        max_wait=LONGEST_WAIT - timedelta(hours=1),
    )
    return replace(
        RolloutState(rollout=rollout).with_update_in_flight(endpoint).after(endpoint), last_look=None
    )


def ended_well(name: str, payload: Any) -> bool:
    """Say whether the event of *name*'s trigger ("ours" or "theirs") reports a successful update."""
    if not isinstance(payload, Mapping):
        return False
    if name == "theirs":
        return payload.get("status") == "success"
    return (payload.get("report") or {}).get("outcome") == "Succeeded"
