"""
A slice of the calibration: false alarms and detection, counted on seeds, with what chance leaves open.

``benchmarks/calibrate.py`` measures all rows at every minute; here it is every tenth.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from random import Random

import pytest

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
RUNS = 100


@pytest.fixture(scope="module")
def calibration():
    """The benchmark's modules, which are scripts beside each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        names = ("rows", "judging", "bounds")
        yield {name: importlib.import_module(f"calibration.{name}") for name in names}


@pytest.fixture
def failures(calibration):
    """How many of the candidates of a row fail at any look."""
    rows = {row.name: row for row in calibration["rows"].ROWS}
    judging = calibration["judging"]

    def count(name, harm=None, *, judge=judging.ours, runs=RUNS):
        row = rows[name]
        make = row.unharmed if harm is None else row.harmed[harm]
        looks = range(10, row.minutes + 1, 10)
        courses = [judging.course(judge, row, make(Random(seed), row.minutes), looks) for seed in range(runs)]
        return sum(course.failed is not None for course in courses)

    return count


@pytest.mark.parametrize(
    "name",
    [
        "latency, independent",
        "latency, heavy tails (t, 3)",
        "latency, at a margin of 10 %",
        "errors, none in production",
        "errors, bursts over 4 minutes on both sides at once",
        "all default rules",
    ],
)
def test_false_alarms_are_rarer_than_alpha(calibration, failures, name):
    most = calibration["bounds"].at_most(failures(name), RUNS, alpha=0.05)

    assert most <= calibration["judging"].ALPHA


@pytest.mark.parametrize(
    "name",
    [
        "latency, AR(1) 0.6",
        "latency, AR(1) 0.8",
        "latency, AR(1) 0.8, new endpoint",
        "errors, sparse, 0.2 %",
        "errors, at a margin of 0.5 points",
        "errors, bursts of 8 over 4 minutes, each on one side, 1 %",
        "errors, bursts of 8 over 4 minutes, each on one side, 1 %, new endpoint",
    ],
)
def test_false_alarms_are_not_shown_to_be_more_frequent_than_alpha(calibration, failures, name):
    least = calibration["bounds"].at_least(failures(name), RUNS, alpha=0.01)

    assert least <= calibration["judging"].ALPHA


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("latency, independent", "+20 %"),
        ("latency, skewed (lognormal), twice the noise", "+10 %"),
        ("latency, at a margin of 10 %", "+30 %"),
        ("errors, none in production", "1-2 in one minute of six"),
        ("errors, live, 5 % of the requests, 1 %", "x 10"),
        ("errors, 2 %, new endpoint", "x 3"),
        ("all default rules", "errors x 10"),
    ],
)
def test_harm_is_found(calibration, failures, name, harm):
    assert calibration["bounds"].at_least(failures(name, harm), RUNS, alpha=0.05) >= 0.95


def test_kayentas_judge_raises_false_alarms_on_autocorrelated_minutes(calibration, failures):
    failed = failures("latency, AR(1) 0.8", judge=calibration["judging"].kayenta, runs=50)

    assert calibration["bounds"].at_least(failed, 50, alpha=0.01) > calibration["judging"].ALPHA


def test_the_bounds_are_clopper_and_pearsons(calibration):
    bounds = calibration["bounds"]

    assert bounds.at_most(0, 100, alpha=0.05) == pytest.approx(1 - 0.05**0.01)
    assert bounds.at_least(100, 100, alpha=0.05) == pytest.approx(0.05**0.01)
    assert bounds.at_least(0, 100, alpha=0.05) == 0
    assert bounds.at_most(100, 100, alpha=0.05) == 1
    assert bounds.at_least(5, 100, alpha=0.025) == pytest.approx(0.0164, abs=0.0001)
    assert bounds.at_most(5, 100, alpha=0.025) == pytest.approx(0.1128, abs=0.0001)
    assert bounds.at_least(40, 4000, alpha=0.025) == pytest.approx(0.00715, abs=0.00002)
