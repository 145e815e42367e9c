"""How long a rollout may take before something must be wrong."""

from __future__ import annotations

from datetime import timedelta

from airflow_guardrails.domain.guardrails import Guardrails

# A container may take up to an hour to answer its first ping (ContainerStartupHealthCheckTimeoutInSeconds).
PROVISIONING = timedelta(hours=1)
MARGIN = timedelta(minutes=15)
# A thrown switch acts at the next bake: instances may have to come up before it, and go after it.
ABORTING = PROVISIONING + MARGIN


def longest_rollout(guardrails: Guardrails, *, instances: int | None = None) -> timedelta:
    """
    The time after which a rollout that has not ended is not expected to.

    SageMaker's own limit for the update, or else the bakes and waits of its schedule and an hour for
    instances to come up; and a quarter of an hour on top, because ending takes time too.
    """
    planned = guardrails.max_duration or guardrails.waiting_time(instances) + PROVISIONING
    return planned + MARGIN
