"""Numbers of a verdict in words: "+18.2%", "+0.4 points", "350 ms"."""

from __future__ import annotations

from enum import Enum
from math import inf, isfinite

from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.text import count_in_words

_A_DAY, _AN_HOUR = 1440, 60


class Unit(str, Enum):
    """How a difference is given."""

    RELATIVE = "relative"
    RATE = "rate"
    PLAIN = "plain"


def unit_of(rule: MetricRule) -> Unit:
    if rule.relative:
        return Unit.RELATIVE
    return Unit.RATE if rule.counted else Unit.PLAIN


def difference_in_words(value: float, unit: Unit) -> str:
    """*value* with its sign; what is not known is "?"."""
    if not isfinite(value):
        return "?"
    if unit is Unit.PLAIN:
        return f"{value:+,.4g}"
    return f"{value * 100:+.4g}" + ("%" if unit is Unit.RELATIVE else " points")


def interval_in_words(low: float, high: float, unit: Unit) -> str:
    if low == -inf and high == inf:
        return "no interval yet"
    return f"interval {difference_in_words(low, unit)} to {difference_in_words(high, unit)}"


def minutes_in_words(minutes: float) -> str:
    """About so long."""
    if minutes >= 2 * _A_DAY:
        return f"{minutes / _A_DAY:.0f} days"
    if minutes >= 2 * _AN_HOUR:
        return f"{minutes / _AN_HOUR:.0f} h"
    return count_in_words(max(1, round(minutes)), "minute")
