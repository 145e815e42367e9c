"""The containers behind endpoints."""

from __future__ import annotations

from airflow_guardrails.simulator.knobs import Knobs
from airflow_guardrails.simulator.profiles import Profiles
from airflow_guardrails.simulator.sagemaker import Model


class Containers:
    def __init__(self, *, region: str, knobs: Knobs, profiles: Profiles) -> None:
        self.region = region
        self.knobs = knobs
        self.profiles = profiles

    def healthy(self, model: Model) -> bool:
        return not self.profiles.never_healthy(model.name)

    def close(self) -> None:
        pass
