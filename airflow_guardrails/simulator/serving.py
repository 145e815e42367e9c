"""The containers behind endpoints: who is healthy, and what each answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from airflow_guardrails.simulator.artefacts import Artefact, ArtefactNotFound, fetch
from airflow_guardrails.simulator.container import Container, ContainerDied, LoadFailed
from airflow_guardrails.simulator.profiles import Fleet, Profile, Profiles
from airflow_guardrails.simulator.resources import Model

_RUNNING_AT_MOST = 8
_STAND_IN_SECONDS = 0.020
_STAND_IN_BODY = b"0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a container said to one request, after how many seconds; the body of an error is its text."""

    status: int
    body: bytes
    content_type: str
    seconds: float


class _Key(NamedTuple):
    model_name: str
    url: str
    shadow: bool


@dataclass(slots=True, kw_only=True)
class _Deployed:
    artefact: Artefact
    container: Container | None = None


class Containers:
    """
    Every model's process, started when it is first needed.

    At most eight run at once: the one asked longest ago ends when a ninth is needed, and returns when asked.
    A model that names no artefact is stood in for: 20 ms, ``0``, and whatever its profile says. A shadow's
    process is its own, also where its model is the production variant's.
    """

    def __init__(self, *, account_id: str, region: str, profiles: Profiles) -> None:
        self._account_id = account_id
        self._region = region
        self._profiles = profiles
        self._deployed: OrderedDict[_Key, _Deployed] = OrderedDict()

    def healthy(self, model: Model, *, shadow: bool = False) -> bool:
        """Whether a new instance would pass its ping: its artefact, as S3 has it now, can be loaded."""
        if self._profiles.never_healthy(model.name):
            return False
        if model.model_data_url is None:
            return True
        try:
            self._deploy(model, _Key(model.name, model.model_data_url, shadow))
        except (ArtefactNotFound, LoadFailed, ContainerDied):
            return False
        return True

    def answer(
        self, fleet: Fleet, model: Model, bodies: Sequence[bytes], *, content_type: str, accept: str | None
    ) -> list[Answer]:
        """The answers to *bodies*, in their order, with the profile that holds for *fleet* now."""
        said = self._ask(fleet, model, bodies, content_type, accept)
        profile = self._profiles.of(fleet, model.name)
        return [self._with_profile(profile, fleet, answer) for answer in said] if profile else said

    def close(self) -> None:
        for deployed in self._deployed.values():
            _end(deployed)

    def _ask(
        self, fleet: Fleet, model: Model, bodies: Sequence[bytes], content_type: str, accept: str | None
    ) -> list[Answer]:
        if model.model_data_url is None:
            stand_in = Answer(
                status=200, body=_STAND_IN_BODY, content_type="text/csv", seconds=_STAND_IN_SECONDS
            )
            return [stand_in] * len(bodies)
        try:
            container = self._running(model, _Key(model.name, model.model_data_url, fleet.shadow))
            return _answers(container.answer(bodies, content_type=content_type, accept=accept))
        except (ArtefactNotFound, LoadFailed, ContainerDied) as error:
            failed = Answer(status=500, body=str(error).encode(), content_type="text/plain", seconds=0.0)
            return [failed] * len(bodies)

    def _running(self, model: Model, key: _Key) -> Container:
        deployed = self._deployed.get(key)
        if deployed is None:
            return self._deploy(model, key)
        return self._start(model, key, deployed.artefact)

    def _deploy(self, model: Model, key: _Key) -> Container:
        return self._start(model, key, fetch(key.url, account_id=self._account_id, region=self._region))

    def _start(self, model: Model, key: _Key, artefact: Artefact) -> Container:
        deployed = self._deployed.setdefault(key, _Deployed(artefact=artefact))
        self._deployed.move_to_end(key)
        if deployed.artefact.etag != artefact.etag:
            _end(deployed)
            deployed.artefact = artefact
        if deployed.container is None or not deployed.container.running:
            _end(deployed)
            self._make_room()
            deployed.container = Container(artefact.content, environment=model.environment)
        return deployed.container

    def _make_room(self) -> None:
        running = [deployed for deployed in self._deployed.values() if deployed.container]
        for deployed in running[: max(0, len(running) - _RUNNING_AT_MOST + 1)]:
            _end(deployed)

    def _with_profile(self, profile: Profile, fleet: Fleet, answer: Answer) -> Answer:
        slowed = replace(answer, seconds=self._profiles.latency(profile, fleet, answer.seconds))
        if not self._profiles.fails(profile, fleet):
            return slowed
        return replace(slowed, status=500, body=b"error by profile", content_type="text/plain")


def _answers(said: dict[str, Any]) -> list[Answer]:
    return [
        Answer(status=status, body=body.encode("latin-1"), content_type=content_type, seconds=seconds)
        for status, body, content_type, seconds in said["replies"]
    ]


def _end(deployed: _Deployed) -> None:
    if deployed.container:
        deployed.container.close()
        deployed.container = None
