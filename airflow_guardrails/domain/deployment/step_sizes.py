"""The part of a fleet that a strategy updates in one step, and the bake after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from airflow_guardrails.domain.deployment.steps import MIN_BATCH_PERCENT, MIN_LINEAR_PERCENT
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
    The size of a step, in percent of the fleet or in instances.

    :param noun: what SageMaker calls the step, for texts.
    :param bake: how long SageMaker bakes after it.
    :param min_percent: the smallest size that SageMaker allows, in percent of the fleet.
    """

    noun: str
    percent: int | None
    instances: int | None
    bake: timedelta
    min_percent: int = 0

    def share(self, fleet: int) -> float:
        """Return the largest share of the traffic that the first step may get, 0 to 1."""
        # SageMaker may round percentages up.
        return min(fleet, self.instances or ceil(fleet * (self.percent or 0) / 100)) / fleet


def step_size(strategy: Strategy | None) -> StepSize | None:
    """Return the size of the first step; None if everything is updated at once."""
    match strategy:
        case Canary(percent=percent, instances=instances, bake=bake):
            return StepSize(noun="first step", percent=percent, instances=instances, bake=bake)
        case Linear(percent=percent, instances=instances, bake=bake):
            least = MIN_LINEAR_PERCENT
            return StepSize(noun="step", percent=percent, instances=instances, bake=bake, min_percent=least)
        case Rolling(batch_percent=percent, batch_instances=instances, bake=bake):
            least = MIN_BATCH_PERCENT
            return StepSize(noun="batch", percent=percent, instances=instances, bake=bake, min_percent=least)
        case _:
            return None


def longest_bake(strategy: Strategy | None) -> timedelta:
    """Return the longest bake or wait, in which SageMaker watches the alarms and moves no traffic."""
    match strategy:
        case AllAtOnce(termination_wait=wait):
            return wait
        case Canary(bake=bake, termination_wait=wait) | Linear(bake=bake, termination_wait=wait):
            # The final wait counts too: AWS's message calls it baking.
            return max(bake, wait)
        case Rolling(bake=bake):
            return bake
        case _:
            return NO_WAIT
