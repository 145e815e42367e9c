"""How many steps an update takes; one place, because SageMaker leaves the rounding to guess."""

from __future__ import annotations

from math import ceil

LEAST_LINEAR_PERCENT = 10
LEAST_BATCH_PERCENT = 5
HALF_OF_THE_FLEET = 50
# A step is at most half of the fleet.
FEWEST_STEPS = 2


def documented_steps(percent: int | None) -> int:
    """As the developer guide counts them; steps counted in instances are the fewest there can be."""
    return FEWEST_STEPS if percent is None else ceil(100 / percent)


def most_steps(percent: int | None, instances: int | None, *, least_percent: int, fleet: int | None) -> int:
    """As many as it can take; without *fleet*, steps counted in instances are of *least_percent* each."""
    if percent is None:
        return ceil(100 / least_percent) if fleet is None else ceil(fleet / (instances or 1))
    if fleet is None:
        return documented_steps(percent)
    # How a percentage becomes instances is undocumented; rounded down, steps of half of three are three.
    return max(documented_steps(percent), ceil(fleet / max(1, fleet * percent // 100)))
