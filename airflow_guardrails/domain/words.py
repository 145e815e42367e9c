"""Values in words a person reads: "1 h 30 min", "25 % of the fleet", "1 instance"."""

from __future__ import annotations

from datetime import timedelta

_UNITS = (("h", 3600), ("min", 60), ("s", 1))


def duration_in_words(duration: timedelta) -> str:
    """*duration* in hours, minutes and seconds; fractions of a second are dropped."""
    left = max(0, whole_seconds(duration))
    parts = []
    for unit, seconds in _UNITS:
        amount, left = divmod(left, seconds)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts) or "0 s"


def whole_seconds(duration: timedelta) -> int:
    # Pendulum's durations are timedeltas that cannot be divided by a timedelta.
    return int(duration.total_seconds())


def count_in_words(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def share_in_words(percent: int | None, instances: int | None) -> str:
    return f"{percent} % of the fleet" if instances is None else count_in_words(instances, "instance")
