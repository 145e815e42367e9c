"""SageMaker's models, endpoint configurations and endpoints in one region."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_guardrails.simulator.clock import Clock
from airflow_guardrails.simulator.errors import EndpointNotFound
from airflow_guardrails.simulator.knobs import Knobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a container is started from; *model_data_url* is None when no artefact was named."""

    name: str
    image: str | None
    model_data_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a part of an endpoint's requests goes; the shares of all its routes sum to 1."""

    variant_name: str
    endpoint_config_name: str
    model: Model
    share: float
    instances: int


class AlarmStates(Protocol):
    def state(self, name: str) -> str | None: ...


class HealthChecks(Protocol):
    def healthy(self, model: Model) -> bool: ...


class SageMaker:
    def __init__(
        self,
        *,
        region: str,
        account_id: str,
        clock: Clock,
        knobs: Knobs,
        alarms: AlarmStates,
        containers: HealthChecks,
        rng: random.Random | None = None,
    ) -> None:
        self.region = region
        self.account_id = account_id
        self.clock = clock
        self.knobs = knobs
        self.alarms = alarms
        self.containers = containers
        self.rng = rng or random.Random(0)  # noqa: S311 - nothing secret
        self._endpoints: dict[str, Any] = {}

    def routes(self, endpoint_name: str) -> list[Route]:
        """Where requests to the endpoint go now; empty while nothing serves, raises EndpointNotFound."""
        raise EndpointNotFound(f"arn:aws:sagemaker:{self.region}:{self.account_id}:endpoint/{endpoint_name}")

    def script_ending(
        self,
        endpoint_name: str,
        *,
        status: str,
        failure_reason: str | None = None,
        after_seconds: float = 0,
        endpoint_config_name: str | None = None,
    ) -> None:
        """End the update in flight, or the next one, *after_seconds* after its start in *status*."""

    def system_update(self, endpoint_name: str, seconds: float) -> None:
        """Show SystemUpdating for *seconds*, whatever goes on below."""

    def vanish(self, endpoint_name: str) -> None:
        """Remove the endpoint at once, as if it had never been."""
