"""A measured value and its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """
    A measured value and its confidence interval.

    :param low: ``-inf`` if nothing is known on that side.
    :param high: ``inf`` if nothing is known on that side.
    :param minutes_needed: minutes until both ends are finite, if they are not; 0 if no number of minutes can
        be predicted.
    """

    measured: float
    low: float
    high: float
    minutes_needed: int = 0
