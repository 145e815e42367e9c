"""What an analysis can find during an update, in words and for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.judge.power import FOUND_CHANCE, RulePower, all_pass_chance
from airflow_guardrails.domain.judge.rules import Direction
from airflow_guardrails.domain.judge.text import difference_in_words, unit_of

# With less, a good model is more likely to be rolled back than not, if every update needs a Pass.
EVEN = 0.5

# The prediction is not more exact than this.
_CHANCE_KNOWN_TO = 0.05

_SIGNS = {Direction.INCREASE: "+", Direction.DECREASE: "-", Direction.BOTH: "+-"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPower:
    """
    What the analysis can find in one variant.

    :param requests: requests of the last hour.
    :param shares: the new fleet's share of the requests in each bake, 0 to 1.
    :param delay: minutes from the beginning of the bakes until their first minute can be judged.
    """

    variant: str
    requests: float
    shares: tuple[float, ...]
    delay: timedelta
    rules: tuple[RulePower, ...]

    @property
    def pass_chance(self) -> float | None:
        """The chance, 0 to 1, that a new fleet as good as the old one passes, or less; None if unknown."""
        return all_pass_chance(self.rules)

    @property
    def is_unlikely(self) -> bool:
        """Whether a good fleet passes with less than an even chance, or may do so."""
        return self.pass_chance is not None and self.pass_chance < EVEN

    @property
    def is_surely_unlikely(self) -> bool:
        """Whether that is so by the rules for counts alone: the chance to pass a mean may be understated."""
        counts = all_pass_chance([one for one in self.rules if one.rule.counted])
        return self.is_unlikely and counts is not None and counts < EVEN

    def chance_in_words(self) -> str:
        """Return "passes with 80%", or "may pass with only 30%" if means may make it more."""
        chance = chance_in_words(self.pass_chance)
        return f"may pass with only {chance}" if self._is_understated else f"passes with {chance}"

    @property
    def _is_understated(self) -> bool:
        return self.is_unlikely and not self.is_surely_unlikely

    def minute(self, one: RulePower) -> int | None:
        """Return by which minute of the bakes the harm is found."""
        return None if one.by_minute is None else one.by_minute + round(self.delay.total_seconds() / 60)

    def describe(self) -> str:
        """Return "at 25% of 1,200 requests an hour: a good model passes with 90%; ..."."""
        known = [one for one in self.rules if one.unknown is None]
        parts = [f"a good model {self.chance_in_words()}"]
        if found := [one for one in known if one.found is not None]:
            harm = ", ".join(f"{_harm(one)} by minute {self.minute(one)}" for one in found)
            parts.append(f"{harm} is found ({FOUND_CHANCE:.0%} chance)")
        if missed := [_name(one) for one in known if one.found is None]:
            parts.append(f"no harm to {', '.join(missed)} is found with that chance")
        parts += [f"{_name(one)} is unknown ({one.unknown})" for one in self.rules if one.unknown]
        return f"at {self.traffic_in_words()}: {'; '.join(parts)}"

    def traffic_in_words(self) -> str:
        """Return "25% of 1,200 requests an hour": the requests to the new fleet."""
        low, high = f"{min(self.shares):.0%}", f"{max(self.shares):.0%}"
        shares = low if low == high else f"{low} to {high}"
        return f"{shares} of {self.requests:,.0f} requests an hour"

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the rules as JSON for the report."""
        return [
            {
                "variant": self.variant,
                "metric": one.rule.metric,
                "stat": one.rule.shown_stat,
                "pass_chance": one.pass_chance,
                "found": one.found,
                "by_minute": self.minute(one),
                "unknown": one.unknown,
            }
            for one in self.rules
        ]


def power_report(variants: Sequence[VariantPower]) -> dict[str, Any] | None:
    """Return the field ``power`` of the report; None if nothing was predicted."""
    if not variants:
        return None
    several = len(variants) > 1
    texts = [f"{one.variant}: {one.describe()}" if several else one.describe() for one in variants]
    return {"text": "; ".join(texts), "rules": [rule for one in variants for rule in one.as_dicts()]}


def chance_in_words(chance: float | None) -> str:
    """Return "80%", or "over 95%", because no chance is known better than that."""
    if chance is None:
        return "an unknown chance"
    if chance > 1 - _CHANCE_KNOWN_TO:
        return f"over {1 - _CHANCE_KNOWN_TO:.0%}"
    return f"{chance:.0%}" if chance >= _CHANCE_KNOWN_TO else f"under {_CHANCE_KNOWN_TO:.0%}"


def _harm(one: RulePower) -> str:
    assert one.found is not None
    worse = difference_in_words(one.found, unit_of(one.rule)).lstrip("+")
    return f"{_name(one)} {_SIGNS[Direction(one.rule.direction)]}{worse}"


def _name(one: RulePower) -> str:
    return f"{one.rule.metric} {one.rule.shown_stat}"
