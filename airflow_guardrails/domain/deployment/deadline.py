"""How long a rollout may take before a wait for it times out."""

from __future__ import annotations

from datetime import timedelta

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import Rolling

# SageMaker ends an update after this time (MaximumExecutionTimeoutInSeconds, 600 to 28,800).
LONGEST_UPDATE = timedelta(hours=8)
# How long instances need to start, if their containers do not need longer. 15 minutes is slow.
PROVISIONING = timedelta(minutes=15)
# The maximum of ContainerStartupHealthCheckTimeoutInSeconds, for a configuration that cannot be read.
LONGEST_STARTUP = timedelta(hours=1)
# How long SageMaker needs to remove the old fleet and to show the end of the update.
MARGIN = timedelta(minutes=15)
# A thrown switch acts in the next bake: before it, instances may have to start; after it, they are removed.
ABORTING = LONGEST_STARTUP + MARGIN


def longest_rollout(
    guardrails: Guardrails, *, instances: int | None = None, startup: timedelta = LONGEST_STARTUP
) -> timedelta:
    """
    Return the longest time that a rollout normally takes, including a rollback.

    If the strategy has a ``max_duration``, that is the limit of the update. Otherwise it is the sum of bakes,
    waits and starts of instances, at most SageMaker's 8 hours.

    :param instances: size of the new fleet; default: as many steps as SageMaker allows.
    :param startup: how long its containers may need to start.
    """
    startup = max(PROVISIONING, startup)
    batches = _batches(guardrails, instances)
    rollback = rollback_time(guardrails, startup=startup, batches=batches)
    if guardrails.max_duration is not None:
        return guardrails.max_duration + rollback
    return min(guardrails.waiting_time(instances) + batches * startup + MARGIN, LONGEST_UPDATE) + rollback


def longest_update_and_rollback(guardrails: Guardrails) -> timedelta:
    """Return the time after which SageMaker has ended the update and its rollback in any case."""
    return (guardrails.max_duration or LONGEST_UPDATE) + ABORTING


def rollback_time(guardrails: Guardrails, *, startup: timedelta, batches: int) -> timedelta:
    """
    Return the longest time that a rollback takes. Only after a rolling update, old instances have to start.

    :param startup: how long the instances of one batch need to start.
    :param batches: number of batches of the update.
    """
    if not isinstance(guardrails.strategy, Rolling):
        return MARGIN  # the old fleet still exists
    at_once = guardrails.strategy.rollback_batch_percent is None and (
        guardrails.strategy.rollback_batch_instances is None
    )
    return min((1 if at_once else batches) * startup, LONGEST_UPDATE) + MARGIN


def _batches(guardrails: Guardrails, instances: int | None) -> int:
    """Return how often instances start: once in a blue/green update, which starts the whole fleet at once."""
    strategy = guardrails.strategy
    return strategy.max_batches(instances) if isinstance(strategy, Rolling) else 1
