"""
The abort switch: an alarm of our own among those that make SageMaker roll back.

SageMaker has no call that cancels an update. An alarm on a metric that only we publish does it: 1 throws the
switch, 0 resets it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from airflow_guardrails.domain.endpoint import Endpoint, EndpointLook, MissingEndpoint

NAMESPACE = "AirflowGuardrails"
METRIC = "Abort"
PERIOD_SECONDS = 10

THROWN = 1.0
RESET = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortSwitch:
    """The switch of one endpoint; every update of it shares the same alarm."""

    endpoint_name: str

    @property
    def alarm_name(self) -> str:
        digest = hashlib.sha256(self.endpoint_name.encode()).hexdigest()[:12]
        return f"airflow-guardrails-abort-{digest}"


def why_not_abort(look: EndpointLook, *, target: str) -> str | None:
    """
    Say why throwing the switch would not roll back the update to *target*, and nothing else; None if it
    would.

    SageMaker tells the alarms of the update in flight, so the switch of an update that never had it is not
    thrown.
    """
    if refusal := why_not_in_flight(look, target=target):
        return refusal
    return why_not_guarded(look.name, look.rollback_alarms if isinstance(look, Endpoint) else ())


def why_not_in_flight(look: EndpointLook, *, target: str) -> str | None:
    """Say what is so instead of an update to *target* being in flight; None if one is."""
    if isinstance(look, MissingEndpoint):
        return f"endpoint {look.name} does not exist"
    if look.pending_config_name is None:
        return f"no update of endpoint {look.name} is in flight"
    if look.pending_config_name != target:
        return f"endpoint {look.name} is on its way to {look.pending_config_name}, not to {target}"
    return None


def why_not_guarded(endpoint_name: str, alarms: Collection[str]) -> str | None:
    """Say that the switch is not among the *alarms* of an update; None if it is."""
    name = AbortSwitch(endpoint_name=endpoint_name).alarm_name
    return None if name in alarms else f"the update does not name the abort switch ({name}) among its alarms"
