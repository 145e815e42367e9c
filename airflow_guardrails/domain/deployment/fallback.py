"""The strategy that runs on fleets that are too small for the one in the DAG (``if_too_small``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from airflow_guardrails.domain.deployment.strategies import NO_WAIT, AllAtOnce, Rolling, Strategy

# API reference of TerminationWaitInSeconds.
_LONGEST_WAIT = timedelta(hours=1)


def strategy_for(strategy: Strategy | None, fleets: Iterable[int | None]) -> Strategy | None:
    """
    Return the strategy that runs on these fleets.

    It is *strategy* itself, unless that says ``if_too_small="all_at_once"`` and one of the fleets is too
    small: then it is all at once, with the same limit. Its only wait is as long as the bake and the
    termination wait of *strategy* together, at most SageMaker's hour.

    :param fleets: sizes of the new fleets in instances; ``None``: serverless, which has no instances. If
        there are none, the sizes are unknown, and *strategy* is returned as it is.
    """
    sizes = tuple(fleets)
    if strategy is None or isinstance(strategy, AllAtOnce) or not may_fall_back(strategy) or not sizes:
        return strategy
    if all(size is not None and size >= strategy.minimum_instances for size in sizes):
        # What runs does not depend on the size any more.
        return replace(strategy, if_too_small="fail")
    last = NO_WAIT if isinstance(strategy, Rolling) else strategy.termination_wait
    return AllAtOnce(
        termination_wait=min(strategy.bake + last, _LONGEST_WAIT), max_duration=strategy.max_duration
    )


def may_fall_back(strategy: Strategy | None) -> bool:
    """Whether *strategy* says that all at once runs on a fleet that is too small."""
    return (
        isinstance(strategy, Strategy)
        and not isinstance(strategy, AllAtOnce)
        and (strategy.if_too_small == "all_at_once")
    )


def fell_back(strategy: Strategy | None, runs: Strategy | None) -> bool:
    """Whether all at once *runs* instead of the *strategy* in the DAG."""
    return may_fall_back(strategy) and isinstance(runs, AllAtOnce)
