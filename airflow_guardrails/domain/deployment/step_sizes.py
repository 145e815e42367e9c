"""The part of a fleet that a strategy moves at a time, and how long it is watched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from airflow_guardrails.domain.deployment.steps import (
    LEAST_BATCH_PERCENT,
    LEAST_LINEAR_PERCENT,
)
from airflow_guardrails.domain.deployment.strategies import (
    NO_WAIT,
    AllAtOnce,
    Canary,
    Linear,
    Rolling,
    Strategy,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSize:
    """
    A step in percent or in instances, SageMaker's least in percent of the fleet, and the bake after it.
    """

    noun: str
    percent: int | None
    instances: int | None
    bake: timedelta
    least: int = 0

    def share(self, fleet: int) -> float:
        """The largest part of the traffic the first step can get: percentages may be rounded up."""
        return min(fleet, self.instances or ceil(fleet * (self.percent or 0) / 100)) / fleet


def step_size(strategy: Strategy | None) -> StepSize | None:
    """The size of the first step; ``None`` where everything moves at once."""
    match strategy:
        case Canary(percent=percent, instances=instances, bake=bake):
            return StepSize(noun="first step", percent=percent, instances=instances, bake=bake)
        case Linear(percent=percent, instances=instances, bake=bake):
            least = LEAST_LINEAR_PERCENT
            return StepSize(noun="step", percent=percent, instances=instances, bake=bake, least=least)
        case Rolling(batch_percent=percent, batch_instances=instances, bake=bake):
            least = LEAST_BATCH_PERCENT
            return StepSize(noun="batch", percent=percent, instances=instances, bake=bake, least=least)
        case _:
            return None


def longest_bake(strategy: Strategy | None) -> timedelta:
    """The longest time that SageMaker watches the alarms without moving traffic."""
    match strategy:
        case AllAtOnce(termination_wait=wait):
            return wait
        case Canary(bake=bake, termination_wait=wait) | Linear(bake=bake, termination_wait=wait):
            return max(bake, wait)
        case Rolling(bake=bake):
            return bake
        case _:
            return NO_WAIT
