"""Numbers of a verdict as text: "+18.2%", "+0.4 points", "+12,500"."""

from __future__ import annotations

from enum import Enum
from math import inf, isfinite

from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.text import count_in_words

_MINUTES_OF_A_DAY, _MINUTES_OF_AN_HOUR = 1440, 60
# Requests a minute: below the first they are shown by the hour, from the second on without decimals.
_RARE, _MANY = 0.1, 10

# Digits of a percentage after the point beyond which there is only rounding.
_DIGITS = 9


class Unit(str, Enum):
    """Unit of a difference: percent of production's value, percentage points, or the metric's own unit."""

    RELATIVE = "relative"
    RATE = "rate"
    PLAIN = "plain"


def unit_of(rule: MetricRule) -> Unit:
    """Return the unit in which the differences of *rule* are shown."""
    if rule.relative:
        return Unit.RELATIVE
    return Unit.RATE if rule.counted else Unit.PLAIN


def difference_in_words(value: float, unit: Unit) -> str:
    """Return *value* with its sign; "?" for one that is not finite. 0.1 is "+10%" or "+10 points"."""
    if not isfinite(value):
        return "?"
    if unit is Unit.PLAIN:
        return f"{value:+,.4g}"
    # 0 is added because -0.0 would be shown with its sign.
    return f"{round(value * 100, _DIGITS) + 0:+.4g}" + ("%" if unit is Unit.RELATIVE else " points")


def interval_in_words(low: float, high: float, unit: Unit) -> str:
    """Return "interval +12% to +24%", or "no interval yet" if neither end is known."""
    if low == -inf and high == inf:
        return "no interval yet"
    return f"interval {difference_in_words(low, unit)} to {difference_in_words(high, unit)}"


def minutes_in_words(minutes: float) -> str:
    """Return a rounded duration in minutes, from two hours on in hours, from two days on in days."""
    if minutes >= 2 * _MINUTES_OF_A_DAY:
        return f"{minutes / _MINUTES_OF_A_DAY:.0f} days"
    if minutes >= 2 * _MINUTES_OF_AN_HOUR:
        return f"{minutes / _MINUTES_OF_AN_HOUR:.0f} hours"
    return count_in_words(max(1, round(minutes)), "minute")


def wait_in_words(requests: float, minutes_run: float, minutes: float) -> str:
    """
    Return "at 5 requests a minute this takes about 9 hours": *minutes* more, at the traffic so far.

    :param requests: requests so far, to the side that had fewer.
    :param minutes_run: duration of the trial so far in minutes.
    """
    return f"{traffic_in_words(requests, minutes_run)} this takes about {minutes_in_words(minutes)}"


def traffic_in_words(requests: float, minutes_run: float) -> str:
    """Return "at 5 requests a minute", or "at 3 requests an hour" if there are fewer than 0.1 a minute."""
    rate, unit = requests / minutes_run, "a minute"
    if rate < _RARE:
        rate, unit = rate * _MINUTES_OF_AN_HOUR, "an hour"
    number = f"{rate:,.0f}" if rate >= _MANY else f"{rate:.2g}"
    return f"at {number} {'request' if number == '1' else 'requests'} {unit}"
