"""Fixtures that build evidence in one line."""

from __future__ import annotations

import importlib
from datetime import datetime, timedelta, timezone
from itertools import cycle, islice
from pathlib import Path

import pytest

from airflow_guardrails.domain.judge import Evidence, History, Series

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)

# Mean 0, standard deviation 1, and no autocorrelation.
UNREST = (0.3, -1.2, 1.4, -0.1, -0.9, 1.1, 0.6, -1.5, 0.8, -0.5, 1.2, -1.2)


def series(control, candidate):
    def side(values):
        return {
            TEN + timedelta(minutes=minute): float(value)
            for minute, value in enumerate(values)
            if value is not None
        }

    return Series(control=side(control), candidate=side(candidate))


@pytest.fixture(scope="module")
def kayenta():
    """The judge that ours is measured against, a module of the benchmarks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("kayenta")


@pytest.fixture
def pair():
    """Build a series from a list of values for each side; ``None`` is a minute without data."""
    return series


def before(points, *, minutes=360):
    """Repeat production's values of the trial as its history."""
    values = [points[moment] for moment in sorted(points)]
    moments = [TEN - timedelta(minutes=minute) for minute in range(minutes, 0, -1)]
    return dict(zip(moments, islice(cycle(values), minutes), strict=True)) if values else {}


@pytest.fixture
def trial():
    """
    Evidence of so many minutes; requests a minute of either side, and series by rule.

    *known*: whether production was there before, and was as it is in the trial.
    """

    def make(metrics=None, *, minutes=60, control=100, candidate=100, known=True, **facts):
        requests, metrics = series([control] * minutes, [candidate] * minutes), metrics or {}
        past = History(
            requests=before(requests.control),
            metrics={rule: before(one.control) for rule, one in metrics.items()},
        )
        return Evidence(requests=requests, metrics=metrics, history=past if known else History(), **facts)

    return make


@pytest.fixture
def latencies():
    """Latency of both sides, the candidate's that many times production's."""

    def make(times=1.0, *, minutes=60, spread=0.02):
        unrest = list(islice(cycle(UNREST), minutes))
        control = [100_000 * (1 + spread * one) for one in unrest]
        candidate = [100_000 * times * (1 + spread * one) for one in (*unrest[5:], *unrest[:5])]
        return series(control, candidate)

    return make


@pytest.fixture
def errors():
    """So many errors a minute on each side, one number or one for each minute."""

    def make(control=0, candidate=0, *, minutes=60):
        sides = [side if isinstance(side, list) else [side] * minutes for side in (control, candidate)]
        return series(*sides)

    return make
