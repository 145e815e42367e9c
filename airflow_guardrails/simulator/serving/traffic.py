"""Requests to endpoints: who answers them, and the metrics and records they leave."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Any, NamedTuple, Protocol

from moto.core.exceptions import ServiceException

from airflow_guardrails.simulator.cloudwatch.metrics import MetricStore
from airflow_guardrails.simulator.engine.clock import Clock, Timer
from airflow_guardrails.simulator.sagemaker.capture_rules import CaptureRule
from airflow_guardrails.simulator.sagemaker.resources import Model
from airflow_guardrails.simulator.sagemaker.rollouts.routing import Mirror, Route
from airflow_guardrails.simulator.sagemaker.service import SageMaker
from airflow_guardrails.simulator.serving import request_metrics
from airflow_guardrails.simulator.serving.containers import Answer, Containers
from airflow_guardrails.simulator.serving.profiles import Fleet, Profiles

_TICK_SECONDS = 5
"""Seconds between two batches of a replay. Twelve batches make a minute, the first at its beginning."""

# Each request leaves 14 values: seven metrics, each with two sets of dimensions.
_MAX_PER_MINUTE = 60_000


@dataclass(slots=True, kw_only=True)
class _Replay:
    """
    The replay of one endpoint.

    :param ids: inference ids of its requests; None for requests without one.
    :param unsent: requests that are due, as a fraction below 1 that is carried over.
    """

    per_minute: float
    content_type: str
    accept: str | None
    rows: Iterator[bytes]
    ids: Iterator[str] | None = None
    sent: int = 0
    unsent: float = 0.0
    timer: Timer = field(default_factory=lambda: Timer(lambda: None))

    def due(self) -> list[tuple[bytes, str | None]]:
        """Return the bodies to send in this batch, each with its inference id."""
        self.unsent += self.per_minute * _TICK_SECONDS / 60
        # Carry the fraction over, so that the rate is exact over time.
        number = int(self.unsent)
        self.unsent -= number
        self.sent += number
        return [(row, next(self.ids) if self.ids else None) for row in islice(self.rows, number)]


def _endless(rows: list[bytes], *, shuffled_by: random.Random | None) -> Iterator[bytes]:
    """Yield *rows* again and again, each round in a new order if there are random numbers."""
    while True:
        if shuffled_by:
            shuffled_by.shuffle(rows)
        yield from rows


class InvocationRequest(NamedTuple):
    """
    One request.

    :param event: random bits that identify it.
    :param inference_id: InferenceId of the caller, if any.
    """

    body: bytes
    event: int
    inference_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests to one endpoint at the same time, with the same content type."""

    endpoint_name: str
    content_type: str
    accept: str | None
    requests: tuple[InvocationRequest, ...]

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of all requests."""
        return [request.body for request in self.requests]

    def with_requests(self, requests: Iterable[InvocationRequest]) -> Batch:
        """Return this batch with other requests."""
        return replace(self, requests=tuple(requests))


class _Recorder(Protocol):
    """Captures requests and responses, see ``simulator.capture``."""

    def record(
        self, fleet: Fleet, rules: Sequence[CaptureRule], batch: Batch, answers: Sequence[Answer]
    ) -> None:
        """Record the successful responses of *fleet*, once for each rule."""


class NoSuchVariant(LookupError):
    """The endpoint does not have the target variant."""


class NotServing(LookupError):
    """The endpoint exists, but takes no requests at present."""


class Traffic:
    """
    All requests to the endpoints of one region.

    The fleet of each request is drawn at random, as on AWS: a share of 10 % gets about every tenth request. A
    request leaves one value in each metric, and a record if it is captured. Some are copied to the shadow,
    whose responses are dropped. Shadows draw from their own random numbers, so that they do not change the
    responses of production.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        sagemaker: SageMaker,
        containers: Containers,
        profiles: Profiles,
        metrics: MetricStore,
        captures: _Recorder,
        rng: random.Random,
        shadow_rng: random.Random,
        event_rng: random.Random,
    ) -> None:
        self._clock = clock
        self._sagemaker = sagemaker
        self._containers = containers
        self._profiles = profiles
        self._metrics = metrics
        self._captures = captures
        self._rng = rng
        self._shadow_rng = shadow_rng
        self._event_rng = event_rng
        # One count for all replays: captured records are joined by these ids.
        self._numbers = count(1)
        self._replays: dict[str, _Replay] = {}

    def invoke(
        self,
        endpoint_name: str,
        body: bytes,
        *,
        content_type: str,
        accept: str | None = None,
        target_variant: str | None = None,
        inference_id: str | None = None,
    ) -> tuple[Route, Answer]:
        """
        Send one request and return its route and response.

        :raises EndpointNotFound: if there is no such endpoint.
        :raises NotServing: if it takes no requests now.
        :raises NoSuchVariant: if it has no *target_variant*.
        """
        routes = self._routes(endpoint_name)
        if not routes:
            raise NotServing(endpoint_name)
        if target_variant is not None:
            routes = [route for route in routes if route.variant_name == target_variant]
            if not routes:
                raise NoSuchVariant(target_variant)
        route = self._pick(routes, 1)[0]
        requests = self._requests([(body, inference_id)])
        batch = Batch(
            endpoint_name=endpoint_name, content_type=content_type, accept=accept, requests=requests
        )
        answer = self._send(route, batch)[0]
        if route.mirror:
            # After the response: a slow shadow must not delay the caller.
            self._clock.after(0, lambda: self._mirror(route, batch))
        return route, answer

    def replay(
        self,
        endpoint_name: str,
        rows: Sequence[str],
        *,
        per_minute: float = 600,
        content_type: str = "text/csv",
        accept: str | None = None,
        shuffle: bool = True,
        inference_ids: bool = False,
    ) -> None:
        """
        Send *rows* again and again, instead of the endpoint's previous replay.

        :param per_minute: requests in a simulated minute.
        :param shuffle: whether each round has a new random order.
        :param inference_ids: whether requests have an InferenceId, unique among the replays of the region.
        :raises ValueError: if *rows* is empty or *per_minute* out of range.
        """
        if not rows:
            raise ValueError("rows must have at least one request (got none)")
        if not 0 < per_minute <= _MAX_PER_MINUTE:
            raise ValueError(f"per_minute must be above 0 and at most {_MAX_PER_MINUTE} (got {per_minute})")
        self.stop_replay(endpoint_name)
        replay = _Replay(
            per_minute=per_minute,
            content_type=content_type,
            accept=accept,
            rows=_endless([row.encode() for row in rows], shuffled_by=self._rng if shuffle else None),
            ids=(f"replayed-{number}" for number in self._numbers) if inference_ids else None,
        )
        replay.timer = self._clock.every(_TICK_SECONDS, lambda: self._tick(endpoint_name, replay))
        self._replays[endpoint_name] = replay

    def stop_replay(self, endpoint_name: str) -> int:
        """Stop the replay of an endpoint and return the number of its requests, 0 if there was none."""
        replay = self._replays.pop(endpoint_name, None)
        if replay is None:
            return 0
        replay.timer.cancel()
        return replay.sent

    def status(self) -> dict[str, Any]:
        """Return endpoint -> rate and number of requests of its replay."""
        return {
            name: {"per_minute": replay.per_minute, "sent": replay.sent}
            for name, replay in self._replays.items()
        }

    def _tick(self, endpoint_name: str, replay: _Replay) -> None:
        try:
            routes = self._routes(endpoint_name)
        except ServiceException:  # the endpoint was deleted; it may be created again
            return
        # Requests are not made up for later: clients would have got errors meanwhile.
        if not routes:
            return
        batch = Batch(
            endpoint_name=endpoint_name,
            content_type=replay.content_type,
            accept=replay.accept,
            requests=self._requests(replay.due()),
        )
        picked = self._pick(routes, len(batch.requests))
        for route in routes:
            its_own = batch.with_requests(
                request for request, to in zip(batch.requests, picked, strict=True) if to is route
            )
            if its_own.requests:
                self._send(route, its_own)
                self._mirror(route, its_own)

    def _requests(self, requests: Iterable[tuple[bytes, str | None]]) -> tuple[InvocationRequest, ...]:
        return tuple(
            InvocationRequest(body, self._event_rng.getrandbits(128), inference_id)
            for body, inference_id in requests
        )

    def _routes(self, endpoint_name: str) -> list[Route]:
        routes = [route for route in self._sagemaker.routes(endpoint_name) if route.share > 0]
        fleets = {_fleet(endpoint_name, route) for route in routes}
        shadows = {_shadow(endpoint_name, route, route.mirror) for route in routes if route.mirror}
        # A profile's from_minute counts from the first request to a fleet, so old fleets must be dropped.
        self._profiles.keep_only(endpoint_name, fleets | shadows)
        return routes

    def _pick(self, routes: list[Route], times: int) -> list[Route]:
        return self._rng.choices(routes, weights=[route.share for route in routes], k=times)

    def _send(self, route: Route, batch: Batch) -> list[Answer]:
        fleet = _fleet(batch.endpoint_name, route)
        return self._send_to(fleet, route, route.model, batch, instances=route.instances)

    def _mirror(self, route: Route, batch: Batch) -> None:
        mirror = route.mirror
        if mirror is None:
            return
        sampled = batch.with_requests(
            request for request in batch.requests if self._shadow_rng.random() < mirror.sampling
        )
        if sampled.requests:
            fleet = _shadow(batch.endpoint_name, route, mirror)
            self._send_to(fleet, route, mirror.model, sampled, instances=mirror.instances)

    def _send_to(
        self, fleet: Fleet, route: Route, model: Model, batch: Batch, *, instances: int
    ) -> list[Answer]:
        answers = self._containers.answer(
            fleet, model, batch.bodies, content_type=batch.content_type, accept=batch.accept
        )
        rng = self._shadow_rng if fleet.shadow else self._rng
        now = self._clock.now()
        request_metrics.record(self._metrics, fleet, answers, instances=instances, at=now, rng=rng)
        self._captures.record(fleet, route.captures, batch, answers)
        return answers


def _fleet(endpoint_name: str, route: Route) -> Fleet:
    return Fleet(
        endpoint_name=endpoint_name,
        variant_name=route.variant_name,
        endpoint_config_name=route.endpoint_config_name,
    )


def _shadow(endpoint_name: str, route: Route, mirror: Mirror) -> Fleet:
    return Fleet(
        endpoint_name=endpoint_name,
        variant_name=mirror.variant_name,
        endpoint_config_name=route.endpoint_config_name,
        shadow=True,
    )
