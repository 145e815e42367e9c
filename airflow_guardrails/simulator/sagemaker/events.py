"""
The EventBridge events of endpoints: status changes and stages of deployments.

Source of their fields: SageMaker developer guide, "Automating Amazon SageMaker AI with Amazon EventBridge".
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.event_bus import Event, EventBus
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.endpoints import Description

_STATE_CHANGE = "SageMaker Endpoint State Change"
_DEPLOYMENT_STATE_CHANGE = "SageMaker Endpoint Deployment State Change"

# Only the fields of AWS's published examples: a consumer cannot rely on others.
_NAMES = ("EndpointName", "EndpointArn", "EndpointConfigName")
_TIMES = ("CreationTime", "LastModifiedTime")
_PER_VARIANT = (
    "VariantName",
    "CurrentWeight",
    "DesiredWeight",
    "CurrentInstanceCount",
    "DesiredInstanceCount",
    "VariantStatus",
)


class EndpointEvents:
    """
    Sends the events of one region.

    Knobs make an event come twice, late or never. An event that is sent twice has two ids, and each of the
    two can be lost.

    :param bus: returns the event bus, which may be set after this object is created.
    """

    def __init__(
        self, *, region: str, clock: Clock, knobs: Knobs, rng: random.Random, bus: Callable[[], EventBus]
    ) -> None:
        self._region = region
        self._clock = clock
        self._knobs = knobs
        self._rng = rng
        self._bus = bus

    @property
    def has_rules(self) -> bool:
        """Whether there are rules, so that events are needed at all."""
        return self._bus().has_rules(self._region)

    def publish_changes(
        self, before: Description | None, now: Description, *, tags: Mapping[str, str], staged: bool
    ) -> None:
        """
        Send events for what changed between two descriptions.

        :param before: None if the endpoint is new.
        :param staged: whether a new stage is an event too; some endpoints send none.
        """
        detail = _detail(now, tags)
        if before is None or before["EndpointStatus"] != now["EndpointStatus"]:
            self._send(_STATE_CHANGE, detail)
        if staged and before is not None and _variant_statuses(before) != _variant_statuses(now):
            self._send(_DEPLOYMENT_STATE_CHANGE, {**detail, **_pending(now)})

    def _send(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        # Developer guide: SageMaker may send several events for one change of state.
        copies = 2 if self._rng.random() < self._knobs.event_duplicate_probability else 1
        for _ in range(copies):
            event = Event(
                # From seeded random numbers, so that a run can be repeated.
                id=str(UUID(int=self._rng.getrandbits(128), version=4)),
                detail_type=detail_type,
                at=self._clock.now(),
                resource=detail["EndpointArn"],
                detail=detail,
            )
            if self._rng.random() >= self._knobs.event_loss_probability:
                self._deliver(event)

    def _deliver(self, event: Event) -> None:
        if delay := self._knobs.event_delay_seconds:
            self._clock.after(delay, lambda: self._bus().put(event, region=self._region))
        else:
            self._bus().put(event, region=self._region)


def _detail(description: Description, tags: Mapping[str, str]) -> dict[str, Any]:
    return {
        **{name: description[name] for name in _NAMES},
        "ProductionVariants": _variants(description),
        "EndpointStatus": _upper_snake(description["EndpointStatus"]),
        **{name: _to_json(description[name]) for name in _TIMES},
        "Tags": dict(tags),
    }


def _upper_snake(status: str) -> str:
    """Return a status as EventBridge writes it: IN_SERVICE for InService."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", status).upper()


def _pending(description: Description) -> dict[str, Any]:
    # A change of capacity has stages, but no PendingDeploymentSummary.
    pending = description.get("PendingDeploymentSummary")
    if pending is None:
        return {}
    summary = {
        "EndpointConfigName": pending["EndpointConfigName"],
        "StartTime": _to_json(pending["StartTime"]),
        "ProductionVariants": _variants(pending),
    }
    return {"PendingDeploymentSummary": summary}


def _variants(description: Description) -> list[dict[str, Any]]:
    return [
        {name: _to_json(variant[name]) for name in _PER_VARIANT if name in variant}
        for variant in description.get("ProductionVariants", ())
    ]


def _variant_statuses(description: Description) -> list[Any]:
    pending = description.get("PendingDeploymentSummary", {})
    variants = (*description.get("ProductionVariants", ()), *pending.get("ProductionVariants", ()))
    return [variant.get("VariantStatus") for variant in variants]


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        # The published examples have times in milliseconds since the epoch.
        return round(value.timestamp() * 1000)
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_to_json(item) for item in value]
    return value
