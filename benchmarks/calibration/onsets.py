"""How much slower the candidate is in each minute of a trial: from the start, later, rising, or at first."""

from __future__ import annotations

from collections.abc import Callable

# (minute of the trial, from 0; minutes of the trial) -> fraction by which the candidate is slower.
Effect = Callable[[int, int], float]


def constant(effect: float) -> Effect:
    """Return an effect that lasts the whole trial."""
    return lambda _, __: effect


def beginning(share: float, effect: float) -> Effect:
    """Return an effect that begins after the *share*, 0 to 1, of the trial."""
    return lambda minute, minutes: effect if minute >= round(share * minutes) else 0.0


def rising(step: float, *, first: int, most: float) -> Effect:
    """Return an effect that rises by *step* a minute from minute *first* on, up to *most*."""
    return lambda minute, _: min(max(minute + 1 - first, 0) * step, most)


def cold(minutes: int, times: float) -> Effect:
    """Return a cold start: the candidate takes *times* as long in the first *minutes*, and then no longer."""
    return lambda minute, _: times - 1 if minute < minutes else 0.0
