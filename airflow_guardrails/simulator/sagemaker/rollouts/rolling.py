"""A rolling deployment: batch by batch, old instances go as new ones come; and back the same way."""

from __future__ import annotations

from collections.abc import Callable

from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, Variant
from airflow_guardrails.simulator.sagemaker.flight import Rollback, Steps, Wait
from airflow_guardrails.simulator.sagemaker.rollouts.deployments import (
    DeploymentContext,
    enter,
    launch,
    retire,
    shift_traffic,
    wait_for_start,
)
from airflow_guardrails.simulator.sagemaker.rollouts.plans import Plan, Shift


def roll(endpoint: Endpoint, blue: Fleet, green: Fleet, plan: Plan, ground: DeploymentContext) -> Steps:
    watched = ground.knobs.alarms_judged == "always"
    try:
        yield from wait_for_start(green, ground, watched=watched)
        for shift in plan.shifts:
            yield from _replace_batch(blue, green, shift, plan, ground, watched=watched)
    except Rollback as undone:
        yield from _roll_back(endpoint, undone, ground, blue=blue, green=green, batch=plan.rollback_batch)
    else:
        yield from retire(endpoint, blue, green, ground)


def _replace_batch(
    blue: Fleet, green: Fleet, shift: Shift, plan: Plan, ground: DeploymentContext, *, watched: bool
) -> Steps:
    batch = sum(shift.active) - green.active
    yield from launch(green, ground, watched=watched, instances=batch)
    yield from shift_traffic(blue, green, shift, plan, ground, watched=watched)
    if shift is not plan.shifts[-1]:
        green.settle()
        enter(blue, "Deleting", _always(f"Terminating {batch} instance(s)."), ground)
        yield Wait(seconds=ground.knobs.deleting_seconds, watched=watched)
        blue.settle()
        blue.activate_share(1 - green.active_share)


def _roll_back(
    endpoint: Endpoint,
    undone: Rollback,
    ground: DeploymentContext,
    *,
    blue: Fleet,
    green: Fleet,
    batch: int | None,
) -> Steps:
    """Old instances return before new ones go; where they cannot, both fleets stay in service."""
    if ground.knobs.show_rolling_back:
        endpoint.status = "RollingBack"
    reason = ground.rollback_reason(undone)
    green.settle()
    while green.active:
        back = min(batch or green.active, green.active)
        enter(blue, "Creating", _always(f"Launching {back} instance(s)."), ground)
        yield Wait(seconds=ground.knobs.provisioning_seconds, final=True)
        blue.settle()
        starved = not ground.knobs.capacity_available
        if starved or ground.knobs.rolling_rollback_ends_in == "UpdateRollbackFailed":
            endpoint.settle("UpdateRollbackFailed", now=ground.clock.now(), failure_reason=reason)
            return
        green.activate([green.active - back])
        blue.activate_share(1 - green.active_share)
        enter(green, "Deleting", _always(f"Terminating {back} instance(s)."), ground)
        yield Wait(seconds=ground.knobs.deleting_seconds, final=True)
        green.settle()
    endpoint.serve(blue)
    endpoint.settle(undone.ends_in, now=ground.clock.now(), failure_reason=reason)


def _always(message: str) -> Callable[[Variant], str]:
    return lambda _: message
