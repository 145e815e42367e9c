"""Scripted ends: a test sets how an update ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedEnd:
    """
    The end of an update.

    :param after_seconds: simulated seconds since its start.
    :param endpoint_config_name: serves afterwards; None means that the old configuration does.
    """

    status: str
    failure_reason: str | None = None
    after_seconds: float = 0.0
    endpoint_config_name: str | None = None


def apply_scripted_end(
    endpoint: Endpoint, scripted_end: ScriptedEnd, fleet_of: Callable[[str], Fleet], *, now: datetime
) -> None:
    """Put the endpoint into the state that the script describes."""
    if scripted_end.endpoint_config_name:
        endpoint.serve(fleet_of(scripted_end.endpoint_config_name))
    elif scripted_end.status == "UpdateRollbackFailed" and endpoint.green:
        _mix(endpoint, fleet_of)
    else:
        _stay(endpoint)
    endpoint.finish(scripted_end.status, now=now, failure_reason=scripted_end.failure_reason)


def _mix(endpoint: Endpoint, fleet_of: Callable[[str], Fleet]) -> None:
    """Leave both fleets in service, as after a rolling update whose rollback failed."""
    # A mix needs at least one active instance of each variant of green.
    if endpoint.green and not endpoint.green_share:
        endpoint.green = fleet_of(endpoint.green.config_name)
        endpoint.green.activate([1] * len(endpoint.green.variants))
    if endpoint.blue:
        endpoint.blue.activate_share(1 - endpoint.green_share)


def _stay(endpoint: Endpoint) -> None:
    if fleet := endpoint.blue or endpoint.green:
        endpoint.serve(fleet)
