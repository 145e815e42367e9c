"""One wait's part of what is shared: it looks when the poller says so, and makes its other calls itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Generic

from airflow_guardrails.domain.effects import WaitForChange
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmTransition
from airflow_guardrails.domain.snapshots.endpoint import EndpointLook
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentLook
from airflow_guardrails.domain.snapshots.metrics import MetricQuery
from airflow_guardrails.hooks.guardrails import AsyncCalls
from airflow_guardrails.triggers._polling.connection import SharedConnection
from airflow_guardrails.triggers._polling.poller import Poller
from airflow_guardrails.triggers._polling.resource import ENDPOINTS, EXPERIMENTS, PolledResource, Seen


class Subscription(Generic[Seen]):
    """
    A wait for one thing.

    :param every: seconds between two looks.
    :param gap: the most seconds between two looks that lists may spare.
    """

    kind: PolledResource[Seen]

    def __init__(
        self,
        connection: SharedConnection,
        poller: Poller[Seen],
        *,
        every: float,
        gap: float,
    ) -> None:
        self._connection = connection
        self._poller = poller
        self._every = every
        self._gap = gap
        self._fresh: Seen | Exception | None = None

    async def rest(self, rest: WaitForChange) -> None:
        """Return when the next look is there; the look gives it, or fails as it has failed."""
        until = asyncio.get_running_loop().time() + rest.within
        try:
            self._fresh = await self._poller.next_look(rest, every=self._every, gap=self._gap, until=until)
        except Exception as error:  # noqa: BLE001 - it belongs to the look
            self._fresh = error

    async def _look(self, name: str) -> Seen:
        fresh, self._fresh = self._fresh, None
        if isinstance(fresh, Exception):
            raise fresh
        return fresh or await self.kind.look(await self._calls(), name)

    async def _calls(self) -> AsyncCalls:
        return await self._connection.calls()


class EndpointSubscription(Subscription[EndpointLook]):
    """Answers what following a rollout asks."""

    kind = ENDPOINTS

    async def look(self, endpoint_name: str) -> EndpointLook:
        return await self._look(endpoint_name)

    async def set_switch(self, switch: AbortSwitch, value: float) -> None:
        await (await self._calls()).set_switch(switch, value)

    async def delete_switches(self, endpoint_name: str, *, keep: Sequence[str], before: datetime) -> None:
        await (await self._calls()).delete_switches(endpoint_name, keep=keep, before=before)

    async def alarms(self, names: Iterable[str]) -> tuple[Alarm, ...]:
        return await (await self._calls()).alarms(names)

    async def alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> tuple[AlarmTransition, ...]:
        return await (await self._calls()).alarm_history(names, start=start, end=end)

    async def metric_series(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
    ) -> dict[MetricQuery, dict[datetime, float]]:
        return await (await self._calls()).metric_series(queries, start=start, end=end, period=period)


class ExperimentSubscription(Subscription[ExperimentLook]):
    """Answers what following a shadow test asks."""

    kind = EXPERIMENTS

    async def look_at_experiment(self, name: str) -> ExperimentLook:
        return await self._look(name)

    async def requests_had(
        self, endpoint_name: str, variant_names: Iterable[str], *, start: datetime, end: datetime
    ) -> dict[str, float]:
        return await (await self._calls()).requests_had(endpoint_name, variant_names, start=start, end=end)

    async def stop_experiment(
        self, experiment: Experiment, action: Action, *, state: str, reason: str
    ) -> None:
        await (await self._calls()).stop_experiment(experiment, action, state=state, reason=reason)
