"""One simulated AWS account: one clock, and a separate world for each region."""

from __future__ import annotations

import logging
import random
from collections import Counter

from airflow_guardrails.simulator.capture.captures import Captures
from airflow_guardrails.simulator.capture.files import CaptureFiles
from airflow_guardrails.simulator.capture.store import CaptureStore
from airflow_guardrails.simulator.cloudwatch.alarms import Alarms
from airflow_guardrails.simulator.cloudwatch.anomaly_detectors import AnomalyDetectors
from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands
from airflow_guardrails.simulator.cloudwatch.metrics import MetricStore
from airflow_guardrails.simulator.engine.access import Access
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.event_bus import EventBus, NoEventBus
from airflow_guardrails.simulator.engine.faults import Faults
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.events import EndpointEvents
from airflow_guardrails.simulator.sagemaker.service import SageMaker
from airflow_guardrails.simulator.serving.container_logs import ContainerLogs
from airflow_guardrails.simulator.serving.containers import Containers
from airflow_guardrails.simulator.serving.instance_metrics import InstanceMetrics
from airflow_guardrails.simulator.serving.profiles import Profiles
from airflow_guardrails.simulator.serving.traffic import Traffic

log = logging.getLogger(__name__)

# moto's default account, so that its other services share it.
ACCOUNT_ID = "123456789012"


class World:
    """All services of one region."""

    def __init__(self, simulation: Simulation, region: str) -> None:
        self.region = region
        self.account_id = ACCOUNT_ID
        self.clock = simulation.clock
        self.knobs = simulation.knobs
        self.profiles = Profiles(
            self.clock,
            simulation.rng(f"profiles {region}"),
            shadow_rng=simulation.rng(f"shadow profiles {region}"),
        )
        self.metrics = MetricStore(self.clock, self.knobs)
        self.bands = Bands(lambda: self.metrics.visible_until)
        self.anomaly_detectors = AnomalyDetectors(self.metrics, self.bands)
        self.alarms = Alarms(self.clock, self.metrics, self.bands, region=region, account_id=self.account_id)
        self.containers = Containers(
            account_id=self.account_id,
            region=region,
            profiles=self.profiles,
            knobs=self.knobs,
            logs=ContainerLogs(account_id=self.account_id, region=region, clock=self.clock),
        )
        files = CaptureFiles(
            clock=self.clock,
            knobs=self.knobs,
            rng=simulation.rng(f"capture files {region}"),
            store=CaptureStore(account_id=self.account_id, region=region, clock=self.clock).put,
        )
        self.captures = Captures(
            clock=self.clock,
            knobs=self.knobs,
            files=files,
            rng=simulation.rng(f"captures {region}"),
            shadow_rng=simulation.rng(f"shadow captures {region}"),
        )
        self.sagemaker = SageMaker(
            region=region,
            account_id=self.account_id,
            clock=self.clock,
            knobs=self.knobs,
            alarms=self.alarms,
            containers=self.containers,
            events=EndpointEvents(
                region=region,
                clock=self.clock,
                knobs=self.knobs,
                rng=simulation.rng(f"events {region}"),
                # A server sets the event bus later.
                bus=lambda: simulation.event_bus,
            ),
            pending_captures=files,
            rng=simulation.rng(f"sagemaker {region}"),
            experiments_rng=simulation.rng(f"experiments {region}"),
        )
        self.traffic = Traffic(
            clock=self.clock,
            sagemaker=self.sagemaker,
            containers=self.containers,
            profiles=self.profiles,
            metrics=self.metrics,
            captures=self.captures,
            rng=simulation.rng(f"traffic {region}"),
            shadow_rng=simulation.rng(f"shadow traffic {region}"),
            event_rng=simulation.rng(f"events of requests {region}"),
        )
        self.instance_metrics = InstanceMetrics(
            clock=self.clock,
            knobs=self.knobs,
            sagemaker=self.sagemaker,
            profiles=self.profiles,
            metrics=self.metrics,
        )


class Simulation:
    """
    A simulated AWS account. A server that serves it sets :attr:`event_bus`; without a server there are no
    events.

    :param clock: by default a clock that only :meth:`Clock.advance` moves.
    :param knobs: see ``engine.knobs``.
    :param seed: seed of all random numbers.
    """

    def __init__(self, *, clock: Clock | None = None, knobs: Knobs | None = None, seed: int = 0) -> None:
        self.clock = clock or Clock()
        self.knobs = knobs or Knobs()
        self.seed = seed
        self.faults = Faults(self.rng("faults"))
        self.event_bus: EventBus = NoEventBus()
        self.access = Access(caller=f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/airflow/task")
        self.calls: Counter[str] = Counter()
        self.worlds: dict[str, World] = {}

    def rng(self, purpose: str) -> random.Random:
        """Return random numbers for one purpose, so that draws for one do not change those for another."""
        return random.Random(f"{purpose} {self.seed}")  # noqa: S311 - not for secrets

    def world(self, region: str) -> World:
        """Return a region, which is created when it is first used."""
        if region not in self.worlds:
            self.worlds[region] = World(self, region)
        return self.worlds[region]

    def catch_up(self) -> None:
        """
        Move a running clock forward by the real time that has passed. A timer that fails is logged and
        dropped.
        """
        try:
            self.clock.catch_up()
        except Exception:
            log.exception("A timer at %s failed", self.clock.now())

    def reset(self) -> None:
        """Forget all resources, faults, policies and counted calls. Time, speed, knobs and seed stay."""
        with self.clock.lock:
            self.close()
            self.worlds.clear()
            self.clock.cancel_all()
            self.faults.clear()
            self.access.clear()
            self.calls.clear()

    def close(self) -> None:
        """End every model process. The simulation cannot be used afterwards."""
        with self.clock.lock:
            for world in self.worlds.values():
                world.containers.close()
