"""The calls of one wait: looks come from the shared poller, all other calls are made directly."""

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
from airflow_guardrails.domain.snapshots.metrics import MetricDatum, MetricQuery
from airflow_guardrails.domain.snapshots.model_package import PackageLook
from airflow_guardrails.hooks.guardrails import AsyncCalls
from airflow_guardrails.triggers._polling.alarms import AlarmReader
from airflow_guardrails.triggers._polling.connection import SharedConnection
from airflow_guardrails.triggers._polling.poller import Poller
from airflow_guardrails.triggers._polling.resource import (
    ENDPOINTS,
    EXPERIMENTS,
    MODEL_PACKAGES,
    PolledResource,
    Seen,
)


class Subscription(Generic[Seen]):
    """
    One wait for one resource.

    :param every: seconds between two looks.
    :param gap: seconds after which the resource is described, even if lists show no change.
    """

    kind: PolledResource[Seen]

    def __init__(
        self,
        connection: SharedConnection,
        poller: Poller[Seen],
        alarms: AlarmReader,
        *,
        every: float,
        gap: float,
    ) -> None:
        self._connection = connection
        self._poller = poller
        self._alarms = alarms
        self._every = every
        self._gap = gap
        # The look that the poller has made for this wait, or its error; used once.
        self._fresh: Seen | Exception | None = None

    async def wait_for_change(self, wait: WaitForChange) -> None:
        """Return when the poller has made the next look. The next describe call returns it or its error."""
        until = asyncio.get_running_loop().time() + wait.within
        try:
            self._fresh = await self._poller.next_look(wait, every=self._every, gap=self._gap, until=until)
        except Exception as error:  # noqa: BLE001 - the describe call raises it
            self._fresh = error

    async def _describe(self, name: str) -> Seen:
        fresh, self._fresh = self._fresh, None
        if isinstance(fresh, Exception):
            raise fresh
        return fresh or await self.kind.describe(await self._calls(), name)

    async def _calls(self) -> AsyncCalls:
        return await self._connection.calls()


class EndpointSubscription(Subscription[EndpointLook]):
    """The calls that waiting for a rollout needs (``RolloutCalls``); see ``hooks/_calls.py``."""

    kind = ENDPOINTS

    async def describe_endpoint(self, endpoint_name: str) -> EndpointLook:
        return await self._describe(endpoint_name)

    async def set_abort_switch(self, switch: AbortSwitch, value: float) -> None:
        await (await self._calls()).set_abort_switch(switch, value)

    async def delete_rollout_alarms(
        self, endpoint_name: str, *, keep: Sequence[str], before: datetime
    ) -> None:
        await (await self._calls()).delete_rollout_alarms(endpoint_name, keep=keep, before=before)

    async def describe_alarms(self, names: Iterable[str]) -> tuple[Alarm, ...]:
        return await self._alarms.describe_alarms(names)

    async def describe_alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> tuple[AlarmTransition, ...]:
        return await (await self._calls()).describe_alarm_history(names, start=start, end=end)

    async def get_metric_data(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
    ) -> dict[MetricQuery, dict[datetime, float]]:
        return await (await self._calls()).get_metric_data(queries, start=start, end=end, period=period)

    async def put_metric_data(self, namespace: str, data: Sequence[MetricDatum]) -> None:
        await (await self._calls()).put_metric_data(namespace, data)


class ExperimentSubscription(Subscription[ExperimentLook]):
    """The calls that waiting for a shadow test needs (``ShadowCalls``); see ``hooks/_calls.py``."""

    kind = EXPERIMENTS

    async def describe_inference_experiment(self, name: str) -> ExperimentLook:
        return await self._describe(name)

    async def count_variant_requests(
        self, endpoint_name: str, variant_names: Iterable[str], *, start: datetime, end: datetime
    ) -> dict[str, float]:
        return await (await self._calls()).count_variant_requests(
            endpoint_name, variant_names, start=start, end=end
        )

    async def stop_inference_experiment(
        self, experiment: Experiment, action: Action, *, state: str, reason: str
    ) -> None:
        await (await self._calls()).stop_inference_experiment(experiment, action, state=state, reason=reason)


class PackageSubscription(Subscription[PackageLook]):
    """The looks at a model package, or at the newest approved one of a group."""

    kind = MODEL_PACKAGES

    async def describe(self, name: str) -> PackageLook:
        return await self._describe(name)
