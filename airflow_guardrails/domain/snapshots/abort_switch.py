"""
The abort switch: a CloudWatch alarm of this package that makes SageMaker roll an update back.

SageMaker has no call that cancels an update. So each update gets an alarm on a metric that only this package
publishes: value 1 throws the switch, 0 resets it. Each rollout has its own switch, so throwing it cannot
affect another update.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook, MissingEndpoint

NAMESPACE = "AirflowGuardrails"
METRIC = "Abort"
# The shortest period of a CloudWatch alarm.
PERIOD_SECONDS = 10

THROWN = 1.0
RESET = 0.0

_PREFIX = "airflow-guardrails-abort"
_GUARD_PREFIX = "airflow-guardrails-guard"
_OWNER_LENGTH, _TARGET_LENGTH = 20, 8
_ROLLOUT = re.compile(rf"[0-9a-f]{{{_OWNER_LENGTH}}}-[0-9a-f]{{{_TARGET_LENGTH}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortSwitch:
    """
    The switch of one rollout.

    :param rollout: id of the rollout: its owner and a hash of its target, see :meth:`of`.
    """

    endpoint_name: str
    rollout: str

    @classmethod
    def of(cls, endpoint_name: str, *, owner: str, target: str) -> AbortSwitch:
        """Return the switch of the update to *target* by *owner*, see ``launch.owner_of``."""
        return cls(endpoint_name=endpoint_name, rollout=f"{owner}-{_digest(target, _TARGET_LENGTH)}")

    @property
    def alarm_name(self) -> str:
        """Name of the switch's alarm."""
        return f"{switch_prefix(self.endpoint_name)}{self.rollout}"

    @property
    def owner(self) -> str:
        """The owner of the rollout, see ``launch.owner_of``."""
        return self.rollout[:_OWNER_LENGTH]

    def is_for(self, target: str) -> bool:
        """Whether the switch belongs to an update to the configuration *target*."""
        return self.rollout.endswith(f"-{_digest(target, _TARGET_LENGTH)}")

    def is_named_by(self, look: EndpointLook) -> bool:
        """Whether the endpoint's last deployment names the switch among its alarms."""
        return isinstance(look, Endpoint) and self.alarm_name in look.rollback_alarms


def switch_prefix(endpoint_name: str) -> str:
    """Return the prefix of the alarm names of all switches of an endpoint."""
    # A hash, so that the prefix of endpoint "a" does not also begin the names of endpoint "a-b".
    return f"{_PREFIX}-{_digest(endpoint_name, 12)}-"


def guard_prefix(endpoint_name: str) -> str:
    """Return the prefix of the names of all guards of an endpoint: alarms made for one rollout."""
    return f"{_GUARD_PREFIX}-{_digest(endpoint_name, 12)}-"


def switches_among(alarm_names: Iterable[str], *, endpoint_name: str) -> tuple[AbortSwitch, ...]:
    """Return those of *alarm_names* that are switches of the endpoint."""
    prefix = switch_prefix(endpoint_name)
    rollouts = (name.removeprefix(prefix) for name in alarm_names if name.startswith(prefix))
    return tuple(
        AbortSwitch(endpoint_name=endpoint_name, rollout=rollout)
        for rollout in rollouts
        if _ROLLOUT.fullmatch(rollout)
    )


def why_not_in_flight(look: EndpointLook, *, target: str) -> str | None:
    """Return why no update to *target* is in flight; None if one is."""
    if isinstance(look, MissingEndpoint):
        return f"endpoint {look.name} does not exist"
    if look.pending_config_name is None:
        return f"no update of endpoint {look.name} is in flight"
    if look.pending_config_name != target:
        return f"endpoint {look.name} is being updated to {look.pending_config_name}, not to {target}"
    return None


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
