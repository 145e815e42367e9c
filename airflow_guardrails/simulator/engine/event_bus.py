"""The default event bus: moto's rules, and moto's delivery to their targets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from moto.events.models import Rule, events_backends

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What SageMaker puts on the bus, *resource* being the endpoint's ARN; times in *detail* are epoch ms."""

    id: str
    detail_type: str
    at: datetime
    resource: str
    detail: Mapping[str, Any]


class EventBus(Protocol):
    """Takes events to whoever made a rule for them."""

    def has_rules(self, region: str) -> bool: ...

    def put(self, event: Event, *, region: str) -> None:
        """Deliver *event*, or fail without a word to SageMaker."""


class NoEventBus:
    """Where no server runs: nobody can have made a rule."""

    def has_rules(self, region: str) -> bool:  # noqa: ARG002
        return False

    def put(self, event: Event, *, region: str) -> None:
        """Drop it."""


class MotoEventBus:
    """
    Hands events to each rule by itself.

    moto's own PutEvents would serve rules that are disabled or only have a schedule, leaves the account out
    of what it delivers, and ends at the first target that cannot be reached.
    """

    def __init__(self, *, account_id: str) -> None:
        self._account_id = account_id

    def has_rules(self, region: str) -> bool:
        return bool(self._rules(region))

    def put(self, event: Event, *, region: str) -> None:
        for rule in self._rules(region):
            if rule.state == "ENABLED" and rule.event_pattern.get_pattern():
                self._send(rule, self._envelope(event, region))

    def _rules(self, region: str) -> list[Rule]:
        # get() makes no backend where nobody has called EventBridge; subscripts would.
        account = events_backends.get(self._account_id)
        backend = account.get(region) if account else None
        return list(backend.event_buses["default"].rules.values()) if backend else []

    def _send(self, rule: Rule, envelope: dict[str, Any]) -> None:
        transformed = any("InputTransformer" in target for target in rule.targets)
        if transformed:
            envelope["ingestion-time"] = envelope["time"]
        try:
            # Untransformed, moto would send by a template of its own, which has no account.
            rule.send_to_targets(envelope, transform_input=transformed)
        except Exception:
            log.exception("rule %s: no delivery of %s", rule.name, envelope["detail-type"])

    def _envelope(self, event: Event, region: str) -> dict[str, Any]:
        return {
            "version": "0",
            "id": event.id,
            "detail-type": event.detail_type,
            "source": "aws.sagemaker",
            "account": self._account_id,
            # moto writes it out in ISO 8601 for its targets.
            "time": event.at.timestamp(),
            "region": region,
            "resources": [event.resource],
            "detail": dict(event.detail),
        }
