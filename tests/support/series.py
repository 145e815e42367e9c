"""Simulated series, one value a minute: of mean 0 and variance 1, or counts."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from random import Random

from airflow_guardrails.domain.judge.statistics.overdispersion import MinuteCounts


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


def minutes_of_counts(
    control: Iterable[float],
    candidate: Iterable[float],
    *,
    control_requests: float = 100.0,
    candidate_requests: float = 100.0,
) -> list[MinuteCounts]:
    """Return minutes with these events, and the same requests in each."""
    return [
        MinuteCounts(
            control=one,
            candidate=other,
            control_requests=control_requests,
            candidate_requests=candidate_requests,
        )
        for one, other in zip(control, candidate, strict=True)
    ]
