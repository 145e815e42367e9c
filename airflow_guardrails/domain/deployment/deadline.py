"""How long a rollout may take before something must be wrong."""

from __future__ import annotations

from datetime import timedelta

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import Rolling

# SageMaker ends an update after this (MaximumExecutionTimeoutInSeconds, 600 to 28,800).
LONGEST_UPDATE = timedelta(hours=8)
# How long instances take to come up, where their containers need no longer (15 min is a slow day).
PROVISIONING = timedelta(minutes=15)
# The longest ContainerStartupHealthCheckTimeoutInSeconds, for a configuration that cannot be read.
LONGEST_STARTUP = timedelta(hours=1)
# How long the old fleet takes to go, and SageMaker to notice that it has.
MARGIN = timedelta(minutes=15)
# A thrown switch acts at the next bake: instances may have to come up before it, and go after it.
ABORTING = LONGEST_STARTUP + MARGIN


def longest_rollout(
    guardrails: Guardrails, *, instances: int | None = None, startup: timedelta = LONGEST_STARTUP
) -> timedelta:
    """
    Return the time after which a rollout that has not ended is not expected to, its rollback included.

    That is SageMaker's own limit for the update, where it has one. Else it is the bakes and waits of the
    strategy, and the time that instances take to come up for each step or batch that provisions some.

    :param instances: size of the new fleet; default: as many steps as SageMaker allows.
    :param startup: how long its containers may take to start.
    """
    coming_up = max(PROVISIONING, startup)
    batches = _batches(guardrails, instances)
    if guardrails.max_duration is not None:
        return guardrails.max_duration + rollback_time(guardrails, coming_up=coming_up, batches=batches)
    planned = min(guardrails.waiting_time(instances) + batches * coming_up + MARGIN, LONGEST_UPDATE)
    return planned + rollback_time(guardrails, coming_up=coming_up, batches=batches)


def longest_watch(guardrails: Guardrails) -> timedelta:
    """Return how long SageMaker itself may take for the update and its rollback."""
    return (guardrails.max_duration or LONGEST_UPDATE) + ABORTING


def rollback_time(guardrails: Guardrails, *, coming_up: timedelta, batches: int) -> timedelta:
    """Return how long going back may take: the old instances of a rolling update have to come up again."""
    if not isinstance(guardrails.strategy, Rolling):
        return MARGIN  # the old fleet is still there
    at_once = guardrails.strategy.rollback_batch_percent is None and (
        guardrails.strategy.rollback_batch_instances is None
    )
    return min((1 if at_once else batches) * coming_up, LONGEST_UPDATE) + MARGIN


def _batches(guardrails: Guardrails, instances: int | None) -> int:
    """Return how often instances come up: a blue/green update brings up the whole new fleet at once."""
    strategy = guardrails.strategy
    return strategy.most_batches(instances) if isinstance(strategy, Rolling) else 1
