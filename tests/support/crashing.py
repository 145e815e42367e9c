"""A process that dies at a call to AWS: before it is sent, carried out unanswered, or after the answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest

from tests.support.churn import model_request
from tests.support.fakes import TaskInstance
from tests.support.simulated import connection_to

# Not on a whole second: the Date header has no fractions, LastModifiedTime has.
START = datetime(2026, 3, 2, 10, 0, 0, 400_000, tzinfo=timezone.utc)


def is_reading(operation: str) -> bool:
    """Whether a call changes nothing, by the first word of its name."""
    return operation.startswith(("Describe", "Get", "List"))


class Died(BaseException):
    """The process is gone; no except clause and nobody's clean-up stands in its way."""


class Moment(Enum):
    """When a process dies at a call."""

    UNSENT = "before it is sent"
    UNANSWERED = "carried out, and not answered"
    ANSWERED = "right after the answer"


@dataclass(frozen=True)
class Crash:
    """A process dies at its call number *at*."""

    at: int
    moment: Moment


@dataclass
class Wire:
    """Listens to botocore's events of every client that a hook makes, and lets the process die there."""

    calls: list[str] = field(default_factory=list)
    # Each call that may change something, with its arguments.
    changes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    crash: Crash | None = None
    dying: bool = False
    clients: dict[Any, Any] = field(default_factory=dict)

    def begin(self, crash: Crash | None) -> None:
        self.calls, self.changes, self.crash, self.dying = [], [], crash, False

    def listen(self, client: Any) -> None:
        client.meta.events.register_first("provide-client-params", self.go_on)
        client.meta.events.register("provide-client-params", self._asked_for)
        client.meta.events.register("before-send", self._sending)
        client.meta.events.register_first("after-call", self._carried_out)

    def go_on(self, **_: Any) -> None:
        if self.dying:
            raise Died

    def _asked_for(self, *, params: Any, model: Any, **_: Any) -> None:
        if not is_reading(model.name):
            self.changes.append((model.name, dict(params)))

    def _sending(self, *, event_name: str, **_: Any) -> None:
        self.calls.append(event_name.rpartition(".")[2])
        if self._dies(Moment.UNSENT):
            raise Died

    def _carried_out(self, **_: Any) -> None:
        if self._dies(Moment.UNANSWERED):
            raise Died
        self.dying = self.dying or self._dies(Moment.ANSWERED)

    def _dies(self, moment: Moment) -> bool:
        return self.crash == Crash(len(self.calls) - 1, moment)


def listen_to_hooks(wire: Wire, patch: pytest.MonkeyPatch) -> None:
    """Let *wire* hear each client that a hook makes; clients are kept, for making one takes long."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook  # noqa: PLC0415

    make = AwsBaseHook.get_client_type

    def listened_to(hook, region_name=None, config=None, **rest):
        key = (hook.client_type, config is None)
        if key not in wire.clients:
            wire.clients[key] = make(hook, region_name, config, **rest)
            wire.listen(wire.clients[key])
        return wire.clients[key]

    patch.setattr(AwsBaseHook, "get_client_type", listened_to)


@dataclass
class Account:
    """
    One simulator for all cases; each has an endpoint of its own there.

    Only the task comes by the wire: all else uses the simulator's objects, which takes half of the time.
    """

    running: Any
    wire: Wire
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def world(self) -> Any:
        return self.running.simulation.world("us-east-1")

    def advance(self, **time: float) -> None:
        self.running.simulation.clock.advance(timedelta(**time).total_seconds())

    def align(self) -> None:
        """
        Go on to the same second of a minute, for then every case makes the same calls.

        Alarms are judged every 10 s; one second before that, few calls wait for one.
        """
        self.advance(seconds=(58.4 - self.time()) % 60)

    def accepted(self, endpoint: str) -> int:
        """How many updates of the endpoint SageMaker has accepted."""
        updates = self.world.sagemaker.accepted_updates
        return sum(update.endpoint_name == endpoint for update in updates)

    def time(self) -> float:
        return self.running.simulation.clock.now().timestamp()

    def model(self, name: str) -> None:
        self.world.sagemaker.catalogue.create_model(model_request(name))

    def config(self, name: str, **more: Any) -> None:
        self.world.sagemaker.catalogue.create_endpoint_config({"EndpointConfigName": name, **more})

    def delete_config(self, name: str) -> None:
        self.world.sagemaker.catalogue.delete_endpoint_config({"EndpointConfigName": name})

    def tags(self, name: str, *, kind: str = "endpoint-config") -> dict[str, str]:
        """The tags of an endpoint configuration, or of another resource; none if it is gone."""
        catalogue = self.world.sagemaker.catalogue
        return dict(catalogue.tags.of(catalogue.arn(kind, name)))


def new_context(task_id: str, map_index: int = -1) -> dict[str, Any]:
    """What Airflow hands to each try of one task instance."""
    return {"ti": TaskInstance(task_id=task_id, map_index=map_index, try_number=0)}


@contextmanager
def crashable_simulator() -> Iterator[Account]:
    """Serve a simulator that Airflow's connection aws_default leads to, and hear what is asked of it."""
    from airflow_guardrails.simulator.engine.clock import Clock  # noqa: PLC0415
    from airflow_guardrails.simulator.server import serve  # noqa: PLC0415
    from airflow_guardrails.simulator.world import Simulation  # noqa: PLC0415

    wire = Wire()
    with serve(Simulation(clock=Clock(start=START))) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_to(running.url))
        listen_to_hooks(wire, patch)
        yield Account(running=running, wire=wire)
