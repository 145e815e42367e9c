"""The number of steps of an update. It is in one place because AWS does not document how SageMaker rounds."""

from __future__ import annotations

from math import ceil

# API reference of TrafficRoutingConfig and RollingUpdatePolicy.
MIN_LINEAR_PERCENT = 10
MIN_BATCH_PERCENT = 5
HALF_OF_THE_FLEET = 50
# A step is at most half of the fleet.
_MIN_STEPS = 2


def documented_steps(percent: int | None) -> int:
    """Return the number of steps as in the developer guide; None (steps in instances): the minimum of 2."""
    return _MIN_STEPS if percent is None else ceil(100 / percent)


def max_steps(percent: int | None, instances: int | None, *, min_percent: int, fleet: int | None) -> int:
    """
    Return the largest possible number of steps.

    :param min_percent: size of the smallest step that SageMaker allows; used for steps in instances if the
        size of the *fleet* is unknown.
    """
    if percent is None:
        return ceil(100 / min_percent) if fleet is None else ceil(fleet / (instances or 1))
    if fleet is None:
        return documented_steps(percent)
    # AWS does not document how a percentage becomes instances. Rounded down, half of three is one: three
    # steps.
    return max(documented_steps(percent), ceil(fleet / max(1, fleet * percent // 100)))
