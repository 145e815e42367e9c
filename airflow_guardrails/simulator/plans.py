"""From a DeploymentConfig to the shifts of traffic it asks for, or to SageMaker's refusal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.simulator.constraints import violation
from airflow_guardrails.simulator.errors import ConstraintViolation, ValidationException
from airflow_guardrails.simulator.fleets import Fleet
from airflow_guardrails.simulator.knobs import Knobs

_POLICY = "deploymentConfig.blueGreenUpdatePolicy"
_ROUTING = f"{_POLICY}.trafficRoutingConfiguration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Traffic on for so many instances of each variant, and the bake that follows; 0 is none."""

    active: tuple[int, ...]
    bake_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """*blue_shrinks*: blue gives up what green takes, as in LINEAR; else it stays whole until it goes."""

    shifts: tuple[Shift, ...]
    termination_wait: int = 0
    blue_shrinks: bool = False
    alarms: tuple[str, ...] = ()
    max_seconds: int | None = None


def plan_update(config: Mapping[str, Any], green: Fleet, *, guarded: bool, knobs: Knobs) -> Plan:
    """
    The plan of *config* for *green*, by its final instance counts.

    Raise ConstraintViolation where the bounds depend on them: canary at most 50 %, linear step 10 to 50 %.
    An endpoint that cannot be *guarded* gets all at once without a bake, and no word about it.
    """
    if "RollingUpdatePolicy" in config:
        raise ValidationException(
            "RollingUpdatePolicy is not supported by this simulator yet; use BlueGreenUpdatePolicy."
        )
    full = tuple(variant.desired for variant in green.variants)
    if not guarded:
        return Plan(shifts=(Shift(active=full, bake_seconds=0),))
    policy = config.get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE"})
    _check_sizes(routing, full, knobs)
    return Plan(
        shifts=tuple(_shifts(routing, full, knobs)),
        termination_wait=policy.get("TerminationWaitInSeconds", 0),
        blue_shrinks=routing["Type"] == "LINEAR",
        alarms=tuple(alarm_names(config)),
        max_seconds=policy.get("MaximumExecutionTimeoutInSeconds"),
    )


def alarm_names(config: Mapping[str, Any]) -> list[str]:
    alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return [alarm["AlarmName"] for alarm in alarms if alarm.get("AlarmName")]


def _shifts(routing: Mapping[str, Any], full: tuple[int, ...], knobs: Knobs) -> Iterator[Shift]:
    if routing["Type"] == "CANARY":
        bake = routing["WaitIntervalInSeconds"]
        yield Shift(active=_sized(routing["CanarySize"], 1, full, knobs), bake_seconds=bake)
    elif routing["Type"] == "LINEAR":
        yield from _linear_shifts(routing, full, knobs)
        return
    yield Shift(active=full, bake_seconds=0)


def _linear_shifts(routing: Mapping[str, Any], full: tuple[int, ...], knobs: Knobs) -> Iterator[Shift]:
    size, bake = routing["LinearStepSize"], routing["WaitIntervalInSeconds"]
    whole = 100 if size["Type"] == "CAPACITY_PERCENT" else max(full)
    steps = math.ceil(whole / size["Value"])
    for step in range(1, steps):
        yield Shift(active=_sized(size, step, full, knobs), bake_seconds=bake)
    yield Shift(active=full, bake_seconds=bake if knobs.linear_last_step_bakes else 0)


def _sized(size: Mapping[str, Any], steps: int, full: Sequence[int], knobs: Knobs) -> tuple[int, ...]:
    if size["Type"] == "INSTANCE_COUNT":
        return tuple(min(total, size["Value"] * steps) for total in full)
    rounded = _ROUNDING[knobs.capacity_rounding]
    return tuple(min(total, max(1, rounded(total * size["Value"] * steps / 100))) for total in full)


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)


_ROUNDING: Mapping[str, Callable[[float], int]] = {"ceil": math.ceil, "round": _half_up, "floor": math.floor}


@dataclass(frozen=True, slots=True, kw_only=True)
class _SizeRule:
    field: str
    least_percent: int
    most_percent: int


_SIZE_RULES: Mapping[str, _SizeRule] = {
    "CANARY": _SizeRule(field="CanarySize", least_percent=0, most_percent=50),
    "LINEAR": _SizeRule(field="LinearStepSize", least_percent=10, most_percent=50),
}


def _check_sizes(routing: Mapping[str, Any], full: Sequence[int], knobs: Knobs) -> None:
    rule = _SIZE_RULES.get(routing["Type"])
    broken = list(_foreign_sizes(routing, rule)) if knobs.foreign_size == "reject" else []
    if rule:
        broken += _broken_size(routing.get(rule.field), rule, full, knobs)
    if broken:
        raise ConstraintViolation(*broken)


def _foreign_sizes(routing: Mapping[str, Any], own: _SizeRule | None) -> Iterator[str]:
    for rule in _SIZE_RULES.values():
        if rule is not own and rule.field in routing:
            at = f"{_ROUTING}.{_camel(rule.field)}"
            yield violation(routing[rule.field], at, f"Member must be null when type is {routing['Type']}")


def _broken_size(
    size: Mapping[str, Any] | None, rule: _SizeRule, full: Sequence[int], knobs: Knobs
) -> Iterator[str]:
    at = f"{_ROUTING}.{_camel(rule.field)}"
    if size is None:
        yield violation(None, at, "Member must not be null")
        return
    for total in sorted(set(full)):
        percent = size["Value"] if size["Type"] == "CAPACITY_PERCENT" else 100 * size["Value"] / total
        if size["Type"] == "CAPACITY_PERCENT" and total == 1 and knobs.one_instance_percent == "reject":
            percent = max(percent, 100)
        if not rule.least_percent <= percent <= rule.most_percent:
            yield violation(size["Value"], f"{at}.value", _size_rule_text(rule, total))


def _size_rule_text(rule: _SizeRule, total: int) -> str:
    bound = f"at most {rule.most_percent}%"
    if rule.least_percent:
        bound = f"between {rule.least_percent}% and {rule.most_percent}%"
    return f"Member must be {bound} of the variant's total instance count ({total})"


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]
