"""
The abort switch: an alarm of our own among those that make SageMaker roll back.

SageMaker has no call that cancels an update. An alarm on a metric that only we publish does it: 1 throws the
switch, 0 resets it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from airflow_guardrails.domain.endpoint import EndpointLook, MissingEndpoint

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
    switch = AbortSwitch(endpoint_name=look.name)
    if isinstance(look, MissingEndpoint):
        return f"endpoint {look.name} does not exist"
    if look.pending_config_name is None:
        return f"no update of endpoint {look.name} is in flight"
    if look.pending_config_name != target:
        return f"endpoint {look.name} is on its way to {look.pending_config_name}, not to {target}"
    if switch.alarm_name not in look.rollback_alarms:
        return f"the update in flight does not name the abort switch ({switch.alarm_name}) among its alarms"
    return None
