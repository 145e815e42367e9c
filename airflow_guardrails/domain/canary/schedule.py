"""When an update can still be aborted, and in which of its bakes both fleets have traffic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from airflow_guardrails.domain.deployment.strategies import (
    NO_WAIT,
    AllAtOnce,
    Canary,
    Linear,
    Rolling,
    Strategy,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """
    The bake that the last look at the endpoint showed.

    :param instances: instances of the new fleet with traffic; 0 if it is serverless.
    :param desired_instances: size of the whole new fleet; 0 if it is serverless.
    :param earlier_bakes: number of bakes of this update before it.
    """

    instances: int
    desired_instances: int
    earlier_bakes: int = 0

    @property
    def full(self) -> bool:
        """Whether the new fleet has all of the traffic."""
        # A serverless fleet shows no instances, so only the number of its bakes is known.
        return self.instances >= self.desired_instances if self.desired_instances else self.earlier_bakes > 0


def last_bake_length(strategy: Strategy | None, bake: Bake, *, needed: timedelta) -> timedelta | None:
    """
    Return how long *bake* lasts, if no later bake of at least *needed* is certain; else None.

    ``None`` also if the strategy is unknown. AWS does not document whether a linear update bakes after its
    last step, so that bake does not count. The old fleet has no traffic in it anyway.

    :param needed: how long a bake must be, so that a switch that is thrown in it acts.
    """
    match strategy:
        case AllAtOnce(termination_wait=wait):
            return wait
        case Canary(bake=first, termination_wait=wait) | Linear(bake=first, termination_wait=wait):
            return _blue_green(strategy, bake, first=first, wait=wait, needed=needed)
        case Rolling(bake=each):
            return each if bake.full else None
        case _:
            return None


def _blue_green(
    strategy: Strategy, bake: Bake, *, first: timedelta, wait: timedelta, needed: timedelta
) -> timedelta | None:
    if bake.full:
        # A linear update does not show which of its two last bakes runs. The shorter one is the safe answer.
        shorter = min(filter(None, (first, wait)), default=NO_WAIT)
        return shorter if isinstance(strategy, Linear) else wait or first
    another = isinstance(strategy, Linear) and bake.instances + _step(strategy, bake) < bake.desired_instances
    return None if another or wait >= needed else first


def _step(strategy: Linear, bake: Bake) -> int:
    # SageMaker may round percentages up.
    return strategy.instances or ceil(bake.desired_instances * (strategy.percent or 0) / 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPlan:
    """
    The bakes in which both fleets have traffic.

    :param shares: for each of these bakes, the share of the requests that the new fleet gets, 0 to 1.
    :param each: length of each bake.
    :param after: how long the update can still be aborted after the last of them.
    """

    shares: tuple[float, ...]
    each: timedelta
    after: timedelta

    def within(self, *, skip: timedelta, reserve: timedelta) -> tuple[tuple[float, timedelta], ...]:
        """
        Return the judged part of each bake, as pairs of share and time.

        :param skip: time to leave out at the beginning.
        :param reserve: time to leave out before the last moment at which the update can be aborted.
        """
        begin, end = skip, len(self.shares) * self.each - max(NO_WAIT, reserve - self.after)
        parts = [
            (share, min(end, (number + 1) * self.each) - max(begin, number * self.each))
            for number, share in enumerate(self.shares)
        ]
        return tuple((share, part) for share, part in parts if part > NO_WAIT)


def plan_comparison(strategy: Strategy | None, *, instances: int | None, needed: timedelta) -> ComparisonPlan:
    """
    Return the bakes of an update to a fleet of *instances*; ``None``: serverless, or unknown.

    :param needed: how long a bake must be, so that a switch that is thrown in it acts.
    """
    match strategy:
        case Canary(bake=bake, termination_wait=wait):
            part = _part(strategy.percent, strategy.instances, instances)
            # The old fleet keeps all its instances, so the canary may get this smaller share of the requests.
            shares: tuple[float, ...] = (part / (1 + part),)
        case Linear(bake=bake, termination_wait=wait):
            shares = _steps(_part(strategy.percent, strategy.instances, instances))
        case Rolling(bake=bake):
            shares, wait = _steps(_part(strategy.batch_percent, strategy.batch_instances, instances)), bake
        case _:
            shares, bake, wait = (), NO_WAIT, NO_WAIT
    return ComparisonPlan(shares=shares if bake else (), each=bake, after=wait if wait >= needed else NO_WAIT)


def _part(percent: int | None, size: int | None, fleet: int | None) -> float:
    if percent is not None:
        return percent / 100
    # If the fleet is unknown, assume the largest step that SageMaker allows.
    return (size or 1) / fleet if fleet else 0.5


def _steps(part: float) -> tuple[float, ...]:
    """Return the shares after each step but the last; the old fleet has no traffic after the last step."""
    return tuple(number * part for number in range(1, ceil(1 / part - 1e-9)))
