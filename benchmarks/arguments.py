"""The two triggers with the arguments that a deferring operator gives them, and the connections they use."""

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
    return [f"endpoint-{index:04}" for index in range(waits)]


def alarms_of(endpoint_name: str) -> list[str]:
    """Name two alarms of a user's, and the abort switch, which every update has unless told otherwise."""
    return ["errors", "latency", switch_of(endpoint_name).alarm_name]


def switch_of(endpoint_name: str) -> AbortSwitch:
    return AbortSwitch(endpoint_name=endpoint_name, rollout=f"{'0' * 20}-{'0' * 8}")


def connection_names(count: int) -> list[str]:
    return [f"benchmark_{index}" for index in range(count)]


def connections(names: list[str], url: str, *, with_role: bool) -> dict[str, str]:
    """Make environment variables of Airflow's connections to *url*."""
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
    # The connection's endpoint_url does not count for the call that assumes the role.
    return {
        "role_arn": f"arn:aws:iam::123456789012:role/{name}",
        "service_config": {"sts": {"endpoint_url": url}},
    }


def default_gap() -> float | None:
    """Tell how often our trigger looks at every endpoint, news or not; None if it has no such setting."""
    gap = inspect.signature(SageMakerRolloutTrigger).parameters.get("max_describe_gap")
    return None if gap is None else float(gap.default)


def their_arguments(connection_of: Mapping[str, str], *, beat: float) -> dict[str, Any]:
    return {
        endpoint: {
            "job_name": endpoint,
            "job_type": "endpoint",
            "waiter_delay": beat,
            "waiter_max_attempts": int(LONGEST_WAIT.total_seconds() / beat),
            "aws_conn_id": connection,
        }
        for endpoint, connection in connection_of.items()
    }


def our_arguments(
    connection_of: Mapping[str, str], *, beat: float, gap: float | None, url: str
) -> dict[str, Any]:
    """
    Make the arguments of waits whose operators have seen the update in flight before they deferred.

    :param gap: ``max_describe_gap``, where the trigger has it.
    """
    client = boto3.client("sagemaker", endpoint_url=url, region_name=REGION, **KEYS)
    now = time.time()
    arguments = {}
    for endpoint, connection in connection_of.items():
        watch = _seen_in_flight(client.describe_endpoint(EndpointName=endpoint))
        arguments[endpoint] = {
            "endpoint_name": endpoint,
            "endpoint_config_name": watch.rollout.target,
            "previous_endpoint_config_name": watch.rollout.previous,
            "waiter_delay": beat,
            "deadline": now + LONGEST_WAIT.total_seconds(),
            "memory": dump_state(watch),
            "aws_conn_id": connection,
            **({} if default_gap() is None else {"max_describe_gap": gap}),
        }
    return arguments


def _seen_in_flight(answer: Mapping[str, Any]) -> RolloutState:
    look = parse_endpoint(answer)
    assert look.pending is not None
    rollout = Rollout(
        endpoint_name=look.name,
        target=look.pending.endpoint_config_name,
        previous=look.endpoint_config_name,
        launched_at=look.pending.started_at,
        guardrails=look.guardrails,
        switch=switch_of(look.name),
        max_wait=LONGEST_WAIT - timedelta(hours=1),
    )
    return replace(RolloutState(rollout=rollout).with_update_in_flight(look).after(look), last_look=None)


def ended_well(name: str, payload: Any) -> bool:
    """Whether the event of *name*'s trigger tells that the update went well."""
    if not isinstance(payload, Mapping):
        return False
    if name == "theirs":
        return payload.get("status") == "success"
    return (payload.get("report") or {}).get("outcome") == "Succeeded"
