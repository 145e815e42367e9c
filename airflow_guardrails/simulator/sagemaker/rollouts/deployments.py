"""The steps of creating, updating, scaling and deleting an endpoint, each readable from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, Variant
from airflow_guardrails.simulator.sagemaker.resources import Model
from airflow_guardrails.simulator.sagemaker.rollouts.plans import Plan, Shift
from airflow_guardrails.simulator.sagemaker.steps import Rollback, Steps, Wait

# Developer guide, "How your container should respond to health check requests": about 4 minutes by default.
_PING_TIMEOUT_SECONDS = 240.0
_NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type or after some time."
)


class HealthChecks(Protocol):
    """Says whether the containers of a model work."""

    def healthy(self, model: Model, *, endpoint_name: str, variant_name: str, shadow: bool = False) -> bool:
        """Whether a container of *model* passes its ping. A shadow has containers of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentContext:
    """What every deployment needs."""

    clock: Clock
    knobs: Knobs
    containers: HealthChecks

    def rollback_reason(self, rollback: Rollback) -> str | None:
        """
        Return the FailureReason of a rollback.

        An empty knob removes it from every rollback: real endpoints were seen with none.
        """
        text = self.knobs.rollback_failure_reason
        return rollback.reason if text else text


def create(endpoint: Endpoint, fleet: Fleet, context: DeploymentContext) -> Steps:
    """Create an endpoint: InService, or Failed if its containers do not start."""
    try:
        yield from launch(endpoint, fleet, context, watched=False)
    except Rollback as rollback:
        # A new endpoint has no old fleet to return to.
        endpoint.finish("Failed", now=context.clock.now(), failure_reason=rollback.reason)
    else:
        endpoint.serve(fleet)
        endpoint.finish("InService", now=context.clock.now())


def update(endpoint: Endpoint, blue: Fleet, green: Fleet, plan: Plan, context: DeploymentContext) -> Steps:
    """Update blue/green: launch green, shift traffic as *plan* says, terminate blue; or roll back to blue."""
    # The developer guide says "during any baking period" and, for LINEAR, "at any point".
    watched = context.knobs.alarms_judged == "always"
    try:
        yield from wait_for_start(green, context, watched=watched)
        yield from launch(endpoint, green, context, watched=watched)
        for shift in plan.shifts:
            yield from shift_traffic(blue, green, shift, plan, context, watched=watched)
        # AWS's message calls this wait baking too, so alarms are judged in it.
        yield from _bake(green, plan.termination_wait, context)
    except Rollback as rollback:
        yield from _roll_back(endpoint, blue, green, rollback, context)
    else:
        yield from retire(endpoint, blue, green, context)


def scale(endpoint: Endpoint, fleet: Fleet, desired: Mapping[str, Any], context: DeploymentContext) -> Steps:
    """
    Change instance counts and weights of the fleet in service.

    RollingBack is documented for this call only; here it is shown if capacity is missing, or a knob says so.
    """
    before = {variant.name: (variant.desired, variant.desired_weight) for variant in fleet.deployed}
    count = fleet.instances
    for variant in fleet.deployed:
        change = desired.get(variant.name, {})
        variant.desired = change.get("DesiredInstanceCount", variant.desired)
        variant.desired_weight = change.get("DesiredWeight", variant.desired_weight)
    enter(fleet, "Updating", lambda v: f"Scaling out desired instance count to {v.desired}.", context)
    # Final, because no alarm and no time limit guards a change of capacity.
    yield Wait(seconds=context.knobs.provisioning_seconds, final=True)
    no_capacity = fleet.instances > count and not context.knobs.capacity_available
    if no_capacity or context.knobs.scaling_ends_in == "rollback":
        endpoint.begin("RollingBack", now=context.clock.now())
        for variant in fleet.deployed:
            variant.desired, variant.desired_weight = before[variant.name]
        yield Wait(seconds=context.knobs.deleting_seconds, final=True)
    for variant in fleet.deployed:
        variant.active, variant.weight = variant.desired, variant.desired_weight
    endpoint.finish("InService", now=context.clock.now())


def delete(endpoint: Endpoint, context: DeploymentContext, *, on_deleted: Callable[[], None]) -> Steps:
    """Delete an endpoint and call *on_deleted* at the end."""
    for fleet in endpoint.fleets:
        enter(fleet, "Deleting", lambda v: f"Terminating {v.desired} instance(s).", context)
    yield Wait(seconds=context.knobs.deleting_seconds, final=True)
    on_deleted()


def wait_for_start(fleet: Fleet, context: DeploymentContext, *, watched: bool) -> Steps:
    """Wait until the time at which *fleet* is to be launched."""
    seconds = (fleet.launched_at - context.clock.now()).total_seconds()
    if seconds > 0:
        yield Wait(seconds=seconds, watched=watched)
    fleet.hidden = False


def launch(
    endpoint: Endpoint,
    fleet: Fleet,
    context: DeploymentContext,
    *,
    watched: bool,
    instances: int | None = None,
) -> Steps:
    """
    Launch a fleet and wait for the ping of its containers.

    :param instances: size of a batch in a rolling update; None means all instances.
    """
    enter(fleet, "Creating", lambda v: f"Launching {instances or v.desired} instance(s).", context)
    yield Wait(seconds=context.knobs.provisioning_seconds, watched=watched)
    if not context.knobs.capacity_available:
        raise Rollback(_NO_CAPACITY)
    for variant in fleet.deployed:
        is_healthy = context.containers.healthy(
            variant.model,
            endpoint_name=endpoint.name,
            variant_name=variant.name,
            shadow=variant is fleet.shadow,
        )
        if not is_healthy:
            # SageMaker pings until the time is up. No alarm takes part in this.
            yield Wait(seconds=_ping_timeout(variant), watched=watched)
            raise Rollback(_ping_failure(variant))


def shift_traffic(
    blue: Fleet, green: Fleet, shift: Shift, plan: Plan, context: DeploymentContext, *, watched: bool
) -> Steps:
    """Activate traffic on more instances of green, then bake."""
    enter(green, "ActivatingTraffic", _on_capacity("Activating traffic", shift.active, green), context)
    yield Wait(seconds=context.knobs.activation_seconds, watched=watched)
    green.activate(shift.active)
    # Developer guide: a linear step deactivates the same part of blue. A canary leaves blue whole.
    if plan.blue_shrinks:
        blue.activate_share(1 - green.active_share)
    yield from _bake(green, shift.bake_seconds, context)


def _bake(green: Fleet, seconds: int, context: DeploymentContext) -> Steps:
    if not seconds:
        return
    active = tuple(variant.active for variant in green.variants)
    # AWS's published example names TerminationWaitInSeconds also in the bake of a canary.
    action = f"Baking for {seconds} seconds (TerminationWaitInSeconds) with traffic enabled"
    enter(green, "Baking", _on_capacity(action, active, green), context)
    yield Wait(seconds=seconds, watched=True)


def retire(endpoint: Endpoint, blue: Fleet, green: Fleet, context: DeploymentContext) -> Steps:
    """Terminate the rest of blue. The update can no longer be rolled back."""
    green.clear_stages()
    enter(blue, "Deleting", lambda v: f"Terminating {v.active or v.desired} instance(s).", context)
    yield Wait(seconds=context.knobs.deleting_seconds, final=True)
    # The name changes last: AWS's example shows the old one while the update runs.
    endpoint.serve(green)
    endpoint.finish("InService", now=context.clock.now())


def _roll_back(
    endpoint: Endpoint, blue: Fleet, green: Fleet, rollback: Rollback, context: DeploymentContext
) -> Steps:
    # The API reference has RollingBack for weights and capacities; for updates it is not known.
    if context.knobs.show_rolling_back:
        endpoint.status = "RollingBack"
    enter(green, "Deleting", lambda v: f"Terminating {v.desired} instance(s).", context)
    # Traffic returns to blue at once; only then is green terminated.
    blue.activate_all()
    green.remove_instances()
    yield Wait(seconds=context.knobs.deleting_seconds, final=True)
    endpoint.serve(blue)
    endpoint.finish(
        rollback.ends_in, now=context.clock.now(), failure_reason=context.rollback_reason(rollback)
    )


def enter(fleet: Fleet, status: str, message: Callable[[Variant], str], context: DeploymentContext) -> None:
    """Set the stage of every variant, from now on."""
    fleet.enter(status, message, now=context.clock.now())


def _on_capacity(action: str, active: tuple[int, ...], green: Fleet) -> Callable[[Variant], str]:
    counts = dict(zip(green.names, active, strict=True))

    def message(variant: Variant) -> str:
        count = counts.get(variant.name, variant.desired)
        capacity = "full" if count == variant.desired else "canary"
        return f"{action} on {capacity} capacity of {count} instance(s)."

    return message


def _ping_timeout(variant: Variant) -> float:
    own = variant.spec.get("ContainerStartupHealthCheckTimeoutInSeconds")
    return _PING_TIMEOUT_SECONDS if own is None else float(own)


def _ping_failure(variant: Variant) -> str:
    return (
        f"The primary container for production variant {variant.name} did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
