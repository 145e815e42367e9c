"""Simulated series, one value a minute, of mean 0 and variance 1."""

from __future__ import annotations

from math import sqrt
from random import Random


def autoregressive(rho: float, count: int, seed: int = 3) -> list[float]:
    """Return an AR(1) series with the autocorrelation *rho*."""
    random = Random(seed)
    values = [random.gauss(0, 1)]
    while len(values) < count:
        values.append(rho * values[-1] + sqrt(1 - rho * rho) * random.gauss(0, 1))
    return values


def independent(count: int, seed: int = 3) -> list[float]:
    """Return independent normal values."""
    return autoregressive(0.0, count, seed)
