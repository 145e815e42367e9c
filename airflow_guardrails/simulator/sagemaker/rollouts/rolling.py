"""The steps of a rolling update: each batch of new instances replaces a batch of old ones."""

from __future__ import annotations

from collections.abc import Callable

from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, Variant
from airflow_guardrails.simulator.sagemaker.rollouts.deployments import (
    DeploymentContext,
    enter,
    launch,
    retire,
    shift_traffic,
    wait_for_start,
)
from airflow_guardrails.simulator.sagemaker.rollouts.plans import Plan, Shift
from airflow_guardrails.simulator.sagemaker.steps import Rollback, Steps, Wait


def roll(endpoint: Endpoint, blue: Fleet, green: Fleet, plan: Plan, context: DeploymentContext) -> Steps:
    """Update in batches, or roll back in batches."""
    watched = context.knobs.alarms_judged == "always"
    try:
        yield from wait_for_start(green, context, watched=watched)
        # RollingUpdatePolicy has no TerminationWaitInSeconds, so no wait follows the last batch.
        for shift in plan.shifts:
            yield from _replace_batch(endpoint, shift, plan, context, blue=blue, green=green, watched=watched)
    except Rollback as rollback:
        yield from _roll_back(endpoint, rollback, context, blue=blue, green=green, batch=plan.rollback_batch)
    else:
        yield from retire(endpoint, blue, green, context)


def _replace_batch(
    endpoint: Endpoint,
    shift: Shift,
    plan: Plan,
    context: DeploymentContext,
    *,
    blue: Fleet,
    green: Fleet,
    watched: bool,
) -> Steps:
    batch = sum(shift.active) - green.active
    yield from launch(endpoint, green, context, watched=watched, instances=batch)
    yield from shift_traffic(blue, green, shift, plan, context, watched=watched)
    # The last batch of blue is terminated by retire().
    if shift is not plan.shifts[-1]:
        green.clear_stages()
        enter(blue, "Deleting", _always(f"Terminating {batch} instance(s)."), context)
        yield Wait(seconds=context.knobs.deleting_seconds, watched=watched)
        blue.clear_stages()
        blue.activate_share(1 - green.active_share)


def _roll_back(
    endpoint: Endpoint,
    rollback: Rollback,
    context: DeploymentContext,
    *,
    blue: Fleet,
    green: Fleet,
    batch: int | None,
) -> Steps:
    """
    Launch old instances before terminating new ones. If they cannot be launched, both fleets stay in service.
    """
    if context.knobs.show_rolling_back:
        endpoint.status = "RollingBack"
    reason = context.rollback_reason(rollback)
    green.clear_stages()
    while green.active:
        back = min(batch or green.active, green.active)
        enter(blue, "Creating", _always(f"Launching {back} instance(s)."), context)
        # Final: a rollback is not rolled back, whatever the alarms say.
        yield Wait(seconds=context.knobs.provisioning_seconds, final=True)
        blue.clear_stages()
        no_capacity = not context.knobs.capacity_available
        if no_capacity or context.knobs.rolling_rollback_ends_in == "UpdateRollbackFailed":
            # API reference: "in service with a mix of the old and new endpoint configurations".
            endpoint.finish("UpdateRollbackFailed", now=context.clock.now(), failure_reason=reason)
            return
        green.activate([green.active - back])
        blue.activate_share(1 - green.active_share)
        enter(green, "Deleting", _always(f"Terminating {back} instance(s)."), context)
        yield Wait(seconds=context.knobs.deleting_seconds, final=True)
        green.clear_stages()
    endpoint.serve(blue)
    endpoint.finish(rollback.ends_in, now=context.clock.now(), failure_reason=reason)


def _always(message: str) -> Callable[[Variant], str]:
    return lambda _: message
