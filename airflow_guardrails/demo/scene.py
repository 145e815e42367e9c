"""Sets the scene: a simulated AWS with a model in production, and a real Airflow that knows the DAG."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from airflow_guardrails.demo.acts import DAGS
from airflow_guardrails.demo.airflow import Airflow
from airflow_guardrails.demo.cloud import Cloud
from airflow_guardrails.demo.processes import Processes
from airflow_guardrails.demo.production import ENDPOINT, REQUESTS_PER_MINUTE, Production

HOURS_BEFORE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that runs; *models* is the example's ``tumour_model``."""

    cloud: Cloud
    airflow: Airflow
    production: Production
    models: ModuleType


def set_up(
    processes: Processes, *, home: Path, dags: Path, speed: float, say: Callable[[str], None]
) -> Scene:
    say(f"starting a real Airflow and a simulated AWS, where {speed:g} seconds pass in one")
    cloud = Cloud(processes, speed=speed)
    cloud.start()
    env = cloud.env() | {"ROLLOUT_WAITER_DELAY": str(waiter_delay(cloud.control.speed))}
    airflow = Airflow(processes, home=home.resolve() / "airflow", dags=dags.resolve(), env=env)
    models = _module(dags / "tumour_model.py")
    production = Production(cloud, models)
    with ThreadPoolExecutor(1) as beside:
        seeding = beside.submit(production.seed)
        airflow.start()
        seeding.result()
    say(f"{production.serving()} is in service; waiting for Airflow")
    for dag_id in DAGS:
        airflow.wait_until_ready(dag_id)
    rows = production.replay_requests()
    # A comparison makes use of what production did before.
    production.serve_for(HOURS_BEFORE)
    say(
        f"Airflow is up; for {HOURS_BEFORE} h clients have sent {REQUESTS_PER_MINUTE} requests a minute to "
        f"endpoint {ENDPOINT}: {rows} held-out rows, one in ten with a measurement missing"
    )
    return Scene(cloud=cloud, airflow=airflow, production=production, models=models)


def waiter_delay(speed: float) -> int:
    """A look a minute of AWS's time, but at most one a second of ours."""
    return max(1, round(60 / speed))


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
