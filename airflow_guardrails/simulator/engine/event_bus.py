"""The default event bus, with the rules and targets of moto's EventBridge."""

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
    """
    An event of SageMaker.

    :param resource: ARN of the endpoint.
    :param detail: the ``detail`` of the event; times are milliseconds since the epoch.
    """

    id: str
    detail_type: str
    at: datetime
    resource: str
    detail: Mapping[str, Any]


class EventBus(Protocol):
    """Delivers events to the targets of matching rules."""

    def has_rules(self, region: str) -> bool:
        """Whether there is any rule in *region*."""

    def put(self, event: Event, *, region: str) -> None:
        """Deliver *event*. A failed delivery is logged and raises nothing."""


class NoEventBus:
    """The event bus of a simulation without a server, in which there can be no rules."""

    def has_rules(self, region: str) -> bool:  # noqa: ARG002
        """Return False."""
        return False

    def put(self, event: Event, *, region: str) -> None:
        """Discard the event."""


class MotoEventBus:
    """
    Delivers events to each of moto's rules directly.

    moto's PutEvents is not used: it also serves disabled rules and rules with only a schedule, leaves out the
    account in delivered events, and stops at the first target that cannot be reached.
    """

    def __init__(self, *, account_id: str) -> None:
        self._account_id = account_id

    def has_rules(self, region: str) -> bool:
        """Whether there is any rule in *region*, enabled or not."""
        return bool(self._rules(region))

    def put(self, event: Event, *, region: str) -> None:
        """Send *event* to the targets of every enabled rule whose pattern matches."""
        for rule in self._rules(region):
            if rule.state == "ENABLED" and rule.event_pattern.get_pattern():
                self._send(rule, self._envelope(event, region))

    def _rules(self, region: str) -> list[Rule]:
        # A subscript would create a backend; get() returns None if nobody has called EventBridge.
        account = events_backends.get(self._account_id)
        backend = account.get(region) if account else None
        return list(backend.event_buses["default"].rules.values()) if backend else []

    def _send(self, rule: Rule, envelope: dict[str, Any]) -> None:
        transformed = any("InputTransformer" in target for target in rule.targets)
        if transformed:
            envelope["ingestion-time"] = envelope["time"]
        try:
            # moto's own template has no account, so it is used only for targets with an InputTransformer.
            rule.send_to_targets(envelope, transform_input=transformed)
        except Exception:
            log.exception("EventBridge rule %s could not deliver %s", rule.name, envelope["detail-type"])

    def _envelope(self, event: Event, region: str) -> dict[str, Any]:
        return {
            "version": "0",
            "id": event.id,
            "detail-type": event.detail_type,
            "source": "aws.sagemaker",
            "account": self._account_id,
            # moto formats it as ISO 8601 for its targets.
            "time": event.at.timestamp(),
            "region": region,
            "resources": [event.resource],
            "detail": dict(event.detail),
        }
