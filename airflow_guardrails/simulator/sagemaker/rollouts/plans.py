"""Turn a DeploymentConfig into a plan of traffic shifts, or raise SageMaker's error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_guardrails.simulator.engine.errors import ConstraintViolation, ValidationException
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.engine.validation import violation
from airflow_guardrails.simulator.sagemaker.fleets import Fleet
from airflow_guardrails.simulator.sagemaker.rollouts.sizes import (
    SizeRule,
    base_counts,
    instances,
    size_violations,
)

_ROUTING = "deploymentConfig.blueGreenUpdatePolicy.trafficRoutingConfiguration"
_ROLLING = "deploymentConfig.rollingUpdatePolicy"
# Bounds: API reference of TrafficRoutingConfig and RollingUpdatePolicy.
_SIZES: Mapping[str, tuple[str, SizeRule]] = {
    "CANARY": ("CanarySize", SizeRule(path=f"{_ROUTING}.canarySize", maximum=50)),
    "LINEAR": ("LinearStepSize", SizeRule(path=f"{_ROUTING}.linearStepSize", minimum=10, maximum=50)),
}
_BATCH = SizeRule(path=f"{_ROLLING}.maximumBatchSize", minimum=5, maximum=50)
_ROLLBACK_BATCH = SizeRule(path=f"{_ROLLING}.rollbackMaximumBatchSize", minimum=5, maximum=50)
# Developer guide: without RollbackMaximumBatchSize the whole old fleet returns at once.
_WHOLE_FLEET = {"Type": "CAPACITY_PERCENT", "Value": 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """
    One shift of traffic.

    :param active: instances of each variant that take traffic after it.
    :param bake_seconds: length of the bake after it; 0 means none.
    """

    active: tuple[int, ...]
    bake_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    The plan of one update.

    :param blue_shrinks: whether blue gives up the share that green takes, as in LINEAR.
    :param rollback_batch: instances in each batch of a rollback; None if this is no rolling update.
    """

    shifts: tuple[Shift, ...]
    termination_wait: int = 0
    blue_shrinks: bool = False
    alarms: tuple[str, ...] = ()
    max_seconds: int | None = None
    rollback_batch: int | None = None

    def extra_instances(self, green: Fleet) -> int:
        """
        The largest number of instances that run beside blue: one batch, or all of *green*. A shadow is never
        launched in batches.
        """
        batch = self.shifts[0].active[0] if self.rollback_batch else green.total
        return batch + green.shadow_instances

    def without_bakes(self) -> Plan:
        """Return this plan with all waits set to 0."""
        shifts = tuple(replace(shift, bake_seconds=0) for shift in self.shifts)
        return replace(self, shifts=shifts, termination_wait=0)


def all_at_once(green: Fleet) -> Plan:
    """Return SageMaker's default plan: one shift, no bake, no alarms."""
    full = tuple(variant.desired for variant in green.variants)
    return Plan(shifts=(Shift(active=full, bake_seconds=0),))


def plan_update(config: Mapping[str, Any], green: Fleet, *, guarded: bool, knobs: Knobs) -> Plan:
    """
    Return the plan of *config* for *green*.

    :param guarded: whether deployment guardrails apply; if not, SageMaker updates all at once without an
        error.
    :raises ConstraintViolation: if a size is out of bounds: canary up to 50 %, linear step 10 to 50 %, batch
        5 to 50 % of the instances.
    :raises ValidationException: if policies are combined, or rolling is not supported for this endpoint.
    """
    full = tuple(variant.desired for variant in green.variants)
    if not guarded:
        return all_at_once(green)
    plan = _plan(config, green, full, knobs)
    # Developer guide: "alarms are a prerequisite for using baking periods". The effect is not documented.
    return plan if plan.alarms or knobs.bakes_without_alarms else plan.without_bakes()


def _plan(config: Mapping[str, Any], green: Fleet, full: tuple[int, ...], knobs: Knobs) -> Plan:
    if rolling := config.get("RollingUpdatePolicy"):
        # API reference of DeploymentConfig: "Only one update policy should be used".
        if "BlueGreenUpdatePolicy" in config:
            raise ValidationException(
                "Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be given."
            )
        return _rolling(config, rolling, green, full, knobs)
    return _blue_green(config, full, knobs)


def alarm_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the alarms in a DeploymentConfig."""
    alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return [alarm["AlarmName"] for alarm in alarms if alarm.get("AlarmName")]


def _blue_green(config: Mapping[str, Any], full: tuple[int, ...], knobs: Knobs) -> Plan:
    policy = config.get("BlueGreenUpdatePolicy", {})
    # API reference of DeploymentConfig: without a policy SageMaker updates all at once.
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE"})
    if found := list(_routing_violations(routing, full, knobs)):
        raise ConstraintViolation(*found)
    return Plan(
        shifts=tuple(_shifts(routing, full, knobs)),
        termination_wait=policy.get("TerminationWaitInSeconds", 0),
        blue_shrinks=routing["Type"] == "LINEAR",
        alarms=tuple(alarm_names(config)),
        max_seconds=policy.get("MaximumExecutionTimeoutInSeconds"),
    )


def _shifts(routing: Mapping[str, Any], full: tuple[int, ...], knobs: Knobs) -> Iterator[Shift]:
    if routing["Type"] == "CANARY" and "CanarySize" in routing:
        bake = routing["WaitIntervalInSeconds"]
        yield Shift(active=instances(routing["CanarySize"], 1, full, knobs), bake_seconds=bake)
    elif routing["Type"] == "LINEAR" and "LinearStepSize" in routing:
        yield from _linear_shifts(routing, full, knobs)
        return
    yield Shift(active=full, bake_seconds=0)


def _linear_shifts(routing: Mapping[str, Any], full: tuple[int, ...], knobs: Knobs) -> Iterator[Shift]:
    size, bake = routing["LinearStepSize"], routing["WaitIntervalInSeconds"]
    # All variants shift in the same steps, so the largest one decides their number.
    whole = 100 if size["Type"] == "CAPACITY_PERCENT" else max(base_counts(full, knobs))
    # The last step takes what is left, so it is not in the loop.
    for step in range(1, math.ceil(whole / size["Value"])):
        yield Shift(active=instances(size, step, full, knobs), bake_seconds=bake)
    yield Shift(active=full, bake_seconds=bake if knobs.linear_last_step_bakes else 0)


def _routing_violations(routing: Mapping[str, Any], full: tuple[int, ...], knobs: Knobs) -> Iterator[str]:
    for kind, (field, rule) in _SIZES.items():
        if kind == routing["Type"]:
            if field in routing or knobs.missing_size == "reject":
                yield from size_violations(routing.get(field), rule, full, knobs)
        elif field in routing and knobs.foreign_size == "reject":
            yield violation(routing[field], rule.path, f"Member must be null when type is {routing['Type']}")


def _rolling(
    config: Mapping[str, Any], policy: Mapping[str, Any], green: Fleet, full: tuple[int, ...], knobs: Knobs
) -> Plan:
    # Developer guide, "Deployment guardrails exclusions": one variant with instances only.
    if len(full) > 1 or "ServerlessConfig" in green.variants[0].spec:
        raise ValidationException(
            "RollingUpdatePolicy is not supported for serverless or multi-variant endpoints; "
            f"endpoint configuration {green.config_name} has variants {green.names}."
        )
    if found := [*_batch_violations(policy, full, knobs)]:
        raise ConstraintViolation(*found)
    (batch,) = instances(policy["MaximumBatchSize"], 1, full, knobs)
    (back,) = instances(policy.get("RollbackMaximumBatchSize", _WHOLE_FLEET), 1, full, knobs)
    steps = [*range(batch, full[0], batch), full[0]]
    return Plan(
        shifts=tuple(Shift(active=(n,), bake_seconds=policy["WaitIntervalInSeconds"]) for n in steps),
        alarms=tuple(alarm_names(config)),
        max_seconds=policy.get("MaximumExecutionTimeoutInSeconds"),
        rollback_batch=back,
    )


def _batch_violations(policy: Mapping[str, Any], full: tuple[int, ...], knobs: Knobs) -> Iterator[str]:
    yield from size_violations(policy["MaximumBatchSize"], _BATCH, full, knobs)
    back = policy.get("RollbackMaximumBatchSize", _WHOLE_FLEET)
    if knobs.rolling_rollback_batch == "bounded" and instances(back, 1, full, knobs) != full:
        yield from size_violations(back, _ROLLBACK_BATCH, full, knobs)
