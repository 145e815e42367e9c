"""CapacitySize: the instances it stands for, and its bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.engine.validation import violation

_Size = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRule:
    """Bounds of a size in percent of the variant's instances. They are used for percentages and counts."""

    path: str
    maximum: int
    minimum: int = 0

    def __str__(self) -> str:
        return f"between {self.minimum}% and {self.maximum}%" if self.minimum else f"at most {self.maximum}%"


def instances(size: _Size, steps: int, totals: Sequence[int], knobs: Knobs) -> tuple[int, ...]:
    """
    Return the instances of *steps* steps of *size*, for each variant; at least 1, at most all.

    :param totals: instances of each variant.
    """
    taken = [_taken(size, steps, total, knobs) for total in base_counts(totals, knobs)]
    return tuple(taken) if len(taken) == len(totals) else tuple(_distribute(taken[0], totals))


def base_counts(totals: Sequence[int], knobs: Knobs) -> Sequence[int]:
    """Return the counts that a percentage refers to: of each variant, or of all together."""
    return totals if knobs.size_taken_of == "variant" else [sum(totals)]


def size_violations(size: _Size | None, rule: SizeRule, totals: Sequence[int], knobs: Knobs) -> Iterator[str]:
    """Yield a text for each bound of *rule* that *size* breaks, for variants with *totals* instances."""
    if size is None:
        yield violation(None, rule.path, "Member must not be null")
        return
    for total in sorted(set(base_counts(totals, knobs))):
        if not rule.minimum <= _percent(size, total, knobs) <= rule.maximum:
            text = f"Member must be {rule} of the variant's total instance count ({total})"
            yield violation(size["Value"], f"{rule.path}.value", text)


def _taken(size: _Size, steps: int, total: int, knobs: Knobs) -> int:
    if size["Type"] == "INSTANCE_COUNT":
        return int(min(total, size["Value"] * steps))
    # AWS does not document the rounding; one of its notebooks says that 33 % of 3 is 1.
    round_count = _ROUNDING[knobs.capacity_rounding]
    # Round once for all steps: otherwise the errors of single steps would add up.
    return min(total, max(1, round_count(total * size["Value"] * steps / 100)))


def _distribute(whole: int, totals: Sequence[int]) -> Iterator[int]:
    """Distribute *whole* instances: fill the first variant, then the next."""
    for total in totals:
        taken = min(total, whole)
        whole -= taken
        yield taken


def _percent(size: _Size, total: int, knobs: Knobs) -> float:
    if size["Type"] == "INSTANCE_COUNT":
        return 100 * float(size["Value"]) / total
    # Any part of one instance is the whole fleet, which is above the bound.
    if total == 1 and knobs.one_instance_percent == "reject":
        return 100
    return float(size["Value"])


def _half_up(value: float) -> int:
    # Python's round() takes a half to the even number: 2.5 would be 2.
    return math.floor(value + 0.5)


_ROUNDING: Mapping[str, Callable[[float], int]] = {"ceil": math.ceil, "round": _half_up, "floor": math.floor}
