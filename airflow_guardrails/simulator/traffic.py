"""Requests to endpoints, replayed or by a caller, and the metrics they leave."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException

from airflow_guardrails.simulator.clock import Timer
from airflow_guardrails.simulator.profiles import Fleet
from airflow_guardrails.simulator.routing import Mirror, Route
from airflow_guardrails.simulator.serving import Answer

if TYPE_CHECKING:
    from airflow_guardrails.simulator.simulation import World

TICK_SECONDS = 5
"""A replay sends what is due in bursts this far apart; a minute holds twelve, and begins with one."""

_MOST_PER_MINUTE = 60_000
_NAMESPACE = "AWS/SageMaker"
_OVERHEAD_MICROSECONDS = (1_500.0, 4_000.0)


@dataclass(slots=True, kw_only=True)
class _Replay:
    per_minute: float
    content_type: str
    accept: str | None
    rows: Iterator[bytes]
    sent: int = 0
    owed: float = 0.0
    timer: Timer = field(default_factory=lambda: Timer(lambda: None))

    def due(self) -> list[bytes]:
        self.owed += self.per_minute * TICK_SECONDS / 60
        whole = int(self.owed)
        self.owed -= whole
        return list(islice(self.rows, whole))


class NoSuchVariant(LookupError):
    """The caller asked for a variant the endpoint does not have."""


class NothingServes(LookupError):
    """The endpoint exists, and no fleet of it takes requests yet, or any more."""


class Traffic:
    """
    Everything that reaches the endpoints of one region.

    Each request goes to one of the endpoint's fleets by chance, as on AWS: 10 % is about every tenth.
    It leaves one value in each metric, under the variant and under the variant's fleet. Copies of some go to
    the fleet's shadow, whose answers nobody gets; chance has a source of its own for them, so that every
    answer is the same with and without a shadow.
    """

    def __init__(self, world: World, rng: random.Random, *, shadow_rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._shadow_rng = shadow_rng
        self._replays: dict[str, _Replay] = {}

    def invoke(
        self,
        endpoint_name: str,
        body: bytes,
        *,
        content_type: str,
        accept: str | None = None,
        target_variant: str | None = None,
    ) -> tuple[Route, Answer]:
        """
        One request; says which fleet took it.

        Raises SageMaker's own error for an endpoint that does not exist, :class:`NothingServes`, and
        :class:`NoSuchVariant` for a *target_variant* the endpoint does not have.
        """
        routes = self._routes(endpoint_name)
        if not routes:
            raise NothingServes(endpoint_name)
        if target_variant is not None:
            routes = [route for route in routes if route.variant_name == target_variant]
            if not routes:
                raise NoSuchVariant(target_variant)
        route = self._pick(routes, 1)[0]
        answer = self._send(endpoint_name, route, [body], content_type, accept)[0]
        if route.mirror:
            # After the answer: a slow shadow must not keep the caller waiting.
            self._world.clock.after(
                0, lambda: self._mirror(endpoint_name, route, [body], content_type, accept)
            )
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
    ) -> None:
        """Send *rows* over and over, in place of the endpoint's replay of before; raises ValueError."""
        if not rows:
            raise ValueError("rows must hold at least one request")
        if not 0 < per_minute <= _MOST_PER_MINUTE:
            raise ValueError(f"per_minute must be above 0 and at most {_MOST_PER_MINUTE} (got {per_minute})")
        self.stop_replay(endpoint_name)
        replay = _Replay(
            per_minute=per_minute,
            content_type=content_type,
            accept=accept,
            rows=self._endless([row.encode() for row in rows], shuffle=shuffle),
        )
        replay.timer = self._world.clock.every(TICK_SECONDS, lambda: self._tick(endpoint_name, replay))
        self._replays[endpoint_name] = replay

    def stop_replay(self, endpoint_name: str) -> int:
        """How many requests it sent; 0 when there was none."""
        replay = self._replays.pop(endpoint_name, None)
        if replay is None:
            return 0
        replay.timer.cancel()
        return replay.sent

    def status(self) -> dict[str, Any]:
        return {
            name: {"per_minute": replay.per_minute, "sent": replay.sent}
            for name, replay in self._replays.items()
        }

    def _tick(self, endpoint_name: str, replay: _Replay) -> None:
        try:
            routes = self._routes(endpoint_name)
        except ServiceException:  # the endpoint is gone; it may come back
            return
        if not routes:
            return
        bodies = replay.due()
        replay.sent += len(bodies)
        picked = self._pick(routes, len(bodies))
        for route in routes:
            its_own = [body for body, to in zip(bodies, picked, strict=True) if to is route]
            if its_own:
                self._send(endpoint_name, route, its_own, replay.content_type, replay.accept)
                self._mirror(endpoint_name, route, its_own, replay.content_type, replay.accept)

    def _routes(self, endpoint_name: str) -> list[Route]:
        routes = [route for route in self._world.sagemaker.routes(endpoint_name) if route.share > 0]
        fleets = {_fleet(endpoint_name, route) for route in routes}
        shadows = {_shadow(endpoint_name, route, route.mirror) for route in routes if route.mirror}
        self._world.profiles.keep_only(endpoint_name, fleets | shadows)
        return routes

    def _pick(self, routes: list[Route], times: int) -> list[Route]:
        return self._rng.choices(routes, weights=[route.share for route in routes], k=times)

    def _send(
        self, endpoint_name: str, route: Route, bodies: list[bytes], content_type: str, accept: str | None
    ) -> list[Answer]:
        fleet = _fleet(endpoint_name, route)
        answers = self._world.containers.answer(
            fleet, route.model, bodies, content_type=content_type, accept=accept
        )
        self._record(fleet, route.instances, answers)
        return answers

    def _mirror(
        self, endpoint_name: str, route: Route, bodies: list[bytes], content_type: str, accept: str | None
    ) -> None:
        mirror = route.mirror
        if mirror is None:
            return
        sampled = [body for body in bodies if self._shadow_rng.random() < mirror.sampling]
        if sampled:
            fleet = _shadow(endpoint_name, route, mirror)
            answers = self._world.containers.answer(
                fleet, mirror.model, sampled, content_type=content_type, accept=accept
            )
            self._record(fleet, mirror.instances, answers)

    def _record(self, fleet: Fleet, instances: int, answers: list[Answer]) -> None:
        variant = {"EndpointName": fleet.endpoint_name, "VariantName": fleet.variant_name}
        by_fleet = {**variant, "EndpointConfigName": fleet.endpoint_config_name}
        chance = self._shadow_rng if fleet.shadow else self._rng
        for name, unit, values in _measures(answers, instances, chance):
            for dimensions in (variant, by_fleet):
                self._world.metrics.record(
                    _NAMESPACE, name, dimensions, values, at=self._world.clock.now(), unit=unit
                )

    def _endless(self, rows: list[bytes], *, shuffle: bool) -> Iterator[bytes]:
        while True:
            if shuffle:
                self._rng.shuffle(rows)
            yield from rows


def _measures(
    answers: list[Answer], instances: int, rng: random.Random
) -> list[tuple[str, str, list[float]]]:
    status = [answer.status for answer in answers]
    return [
        ("Invocations", "None", [1.0] * len(answers)),
        ("InvocationsPerInstance", "None", [1.0 / max(1, instances)] * len(answers)),
        ("Invocation4XXErrors", "None", [float(400 <= code < 500) for code in status]),  # noqa: PLR2004
        ("Invocation5XXErrors", "None", [float(code >= 500) for code in status]),  # noqa: PLR2004
        ("InvocationModelErrors", "None", [float(code != 200) for code in status]),  # noqa: PLR2004
        ("ModelLatency", "Microseconds", [answer.seconds * 1e6 for answer in answers]),
        (
            "OverheadLatency",
            "Microseconds",
            [rng.uniform(*_OVERHEAD_MICROSECONDS) for _ in answers],
        ),
    ]


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
