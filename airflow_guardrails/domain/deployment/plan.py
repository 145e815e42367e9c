"""The steps that a strategy plans: how much traffic the new fleet gets, when, and the bake after each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from airflow_guardrails.domain.deployment.step_sizes import StepSize, step_size
from airflow_guardrails.domain.deployment.steps import documented_steps
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, AllAtOnce, Canary, Linear, Strategy

# A step of one percent is the smallest that any strategy has.
_MAX_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """
    A step of an update.

    :param begins: when it begins, after the first step. Only bakes count: how long instances need to start
        is unknown.
    :param share: the new fleet's share from then on, 0 to 1; ``None`` if the size of the fleet is unknown.
    :param bake: how long SageMaker bakes after it.
    """

    begins: timedelta
    share: float | None
    bake: timedelta


def planned_steps(strategy: Strategy | None, *, fleet: int | None) -> tuple[PlannedStep, ...]:
    """
    Return the planned steps; none if the strategy is unknown.

    :param fleet: size of the new fleet in instances; ``None`` or 0: unknown, or serverless.
    """
    size = step_size(strategy)
    if isinstance(strategy, AllAtOnce):
        return (PlannedStep(begins=NO_WAIT, share=1.0, bake=strategy.termination_wait),)
    if strategy is None or size is None:
        return ()
    wait = strategy.termination_wait if isinstance(strategy, Canary | Linear) else NO_WAIT
    shares = _canary(size, fleet) if isinstance(strategy, Canary) else _equal_steps(size, fleet)
    bakes = [size.bake for _ in shares]
    if isinstance(strategy, Canary):
        bakes[-1] = wait
    else:
        # After the last step SageMaker bakes once more, and then waits before it removes the old fleet.
        bakes[-1] += wait
    begins = [sum(bakes[:number], start=NO_WAIT) for number in range(len(bakes))]
    return tuple(
        PlannedStep(begins=begin, share=share, bake=bake)
        for begin, share, bake in zip(begins, shares, bakes, strict=True)
    )


def _canary(size: StepSize, fleet: int | None) -> list[float | None]:
    return [_first_share(size, fleet), 1.0]


def _equal_steps(size: StepSize, fleet: int | None) -> list[float | None]:
    first = _first_share(size, fleet)
    if first is None:
        return [*[None] * (documented_steps(None) - 1), 1.0]
    steps: list[float | None] = []
    while (share := round(first * (len(steps) + 1), 6)) < 1 and len(steps) < _MAX_STEPS:
        steps.append(share)
    return [*steps, 1.0]


def _first_share(size: StepSize, fleet: int | None) -> float | None:
    if fleet:
        return size.share(fleet)
    return size.percent / 100 if size.percent is not None else None
