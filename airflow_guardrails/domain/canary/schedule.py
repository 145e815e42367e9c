"""Until when an update can still be undone, and in which of its bakes there is something to compare."""

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
    """One that was seen: instances with traffic on, of those wanted; both 0 if the fleet is serverless."""

    instances: int
    desired_instances: int
    earlier_bakes: int = 0

    @property
    def full(self) -> bool:
        """Whether the new fleet has all of the traffic."""
        # Of a serverless fleet only the number of its bakes tells.
        return self.instances >= self.desired_instances if self.desired_instances else self.earlier_bakes > 0


def last_chance(strategy: Strategy | None, bake: Bake, *, needed: timedelta) -> timedelta | None:
    """
    Say how long *bake* lasts, if it is the last that is certain to last as long as *needed*.

    ``None``: another one comes, or nobody knows. Whether a linear update bakes after its last step is
    undocumented, so that is not counted on; nothing is lost by it, as the old fleet has no traffic then.
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
        # Which of its two last bakes a linear update is in does not show; the shorter is over first.
        shorter = min(filter(None, (first, wait)), default=NO_WAIT)
        return shorter if isinstance(strategy, Linear) else wait or first
    another = isinstance(strategy, Linear) and bake.instances + _step(strategy, bake) < bake.desired_instances
    return None if another or wait >= needed else first


def _step(strategy: Linear, bake: Bake) -> int:
    # Percentages may be rounded up.
    return strategy.instances or ceil(bake.desired_instances * (strategy.percent or 0) / 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    The bakes in which both fleets have traffic.

    :param shares: the new fleet's part of the requests in each of them.
    :param each: how long each is.
    :param after: how long it can still be undone after the last of them.
    """

    shares: tuple[float, ...]
    each: timedelta
    after: timedelta

    def within(self, *, skip: timedelta, reserve: timedelta) -> tuple[tuple[float, timedelta], ...]:
        """
        Say how much of each bake counts.

        :param skip: what is left out at the beginning.
        :param reserve: what is left out before the last moment at which the update can be undone.
        """
        begin, end = skip, len(self.shares) * self.each - max(NO_WAIT, reserve - self.after)
        parts = [
            (share, min(end, (number + 1) * self.each) - max(begin, number * self.each))
            for number, share in enumerate(self.shares)
        ]
        return tuple((share, part) for share, part in parts if part > NO_WAIT)


def comparison(strategy: Strategy | None, *, instances: int | None, needed: timedelta) -> Comparison:
    """
    Foresee it for a fleet of so many *instances*; ``None``: serverless, or unknown.

    :param needed: how long a bake must be for a switch that is thrown in it to act.
    """
    match strategy:
        case Canary(bake=bake, termination_wait=wait):
            part = _part(strategy.percent, strategy.instances, instances)
            # The old fleet stays whole beside a canary, so its part of the requests may be that much smaller.
            shares: tuple[float, ...] = (part / (1 + part),)
        case Linear(bake=bake, termination_wait=wait):
            shares = _steps(_part(strategy.percent, strategy.instances, instances))
        case Rolling(bake=bake):
            shares, wait = _steps(_part(strategy.batch_percent, strategy.batch_instances, instances)), bake
        case _:
            shares, bake, wait = (), NO_WAIT, NO_WAIT
    return Comparison(shares=shares if bake else (), each=bake, after=wait if wait >= needed else NO_WAIT)


def _part(percent: int | None, size: int | None, fleet: int | None) -> float:
    if percent is not None:
        return percent / 100
    # Without a fleet, the largest step that SageMaker allows.
    return (size or 1) / fleet if fleet else 0.5


def _steps(part: float) -> tuple[float, ...]:
    return tuple(number * part for number in range(1, ceil(1 / part - 1e-9)))
