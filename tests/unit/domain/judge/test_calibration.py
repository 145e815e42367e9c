"""
A slice of the calibration: false alarms and detection, counted on seeds, with what chance leaves open.

``benchmarks/calibrate.py`` measures all rows at every minute; here are some rows at a few looks, because this
is part of every test run.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from random import Random

import pytest

from airflow_guardrails.domain.judge import Label
from airflow_guardrails.domain.judge.rules import MetricRule

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
LOOKS = (12, 28, 44, 60)
TWINS = "latency, margin 10 %, twins: 0.95 of AR(1) 0.9 is shared, the rest is independent"


@pytest.fixture(scope="module")
def calibration():
    """The benchmark's modules, which are scripts beside each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        names = ("rows", "judging", "bounds", "onsets", "series")
        yield {
            "calibrate": importlib.import_module("calibrate"),
            **{name: importlib.import_module(f"calibration.{name}") for name in names},
        }


@pytest.fixture(scope="module")
def courses(calibration):
    """The courses of the candidates of a row: the looks at which they fail and pass."""
    rows = {row.name: row for row in calibration["rows"].ROWS}
    judging = calibration["judging"]

    def run(name, harm=None, *, judge=judging.ours, runs, looks=LOOKS):
        row = rows[name]
        make = row.unharmed if harm is None else row.harmed[harm]
        return [judging.course(judge, row, make(Random(seed), row.minutes), looks) for seed in range(runs)]

    return run


@pytest.fixture(scope="module")
def failures(courses):
    """How many of the candidates of a row fail at any look."""
    return lambda *args, **options: sum(one.failed is not None for one in courses(*args, **options))


@pytest.mark.parametrize(
    ("name", "runs", "looks"),
    [
        ("latency, at a margin of 10 %", 100, LOOKS),
        ("errors, none in production", 100, LOOKS),
        ("errors, bursts over 4 minutes on both sides at once", 100, LOOKS),
        ("all default rules", 60, LOOKS[1::2]),
    ],
)
@pytest.mark.proof
def test_false_alarms_are_rarer_than_alpha(calibration, failures, name, runs, looks):
    most = calibration["bounds"].at_most(failures(name, runs=runs, looks=looks), runs, alpha=0.05)

    assert most <= calibration["judging"].ALPHA


@pytest.mark.parametrize(
    "name",
    [
        "latency, AR(1) 0.8",
        "errors, sparse, 0.2 %",
        "errors, bursts of 8 over 4 minutes, each on one side, 1 %",
        "errors, bursts of 8 over 4 minutes, each on one side, 1 %, new endpoint",
    ],
)
@pytest.mark.proof
def test_false_alarms_are_not_shown_to_be_more_frequent_than_alpha(calibration, failures, name):
    least = calibration["bounds"].at_least(failures(name, runs=100), 100, alpha=0.01)

    assert least <= calibration["judging"].ALPHA


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        (TWINS, "+20 %"),
        ("latency, margin 10 %, rises from minute 10 on", "by 3 % a minute"),
        ("errors, none in production", "1-2 in one minute of six"),
        ("errors, live, 5 % of the requests, 1 %", "x 10"),
        ("errors, 2 %, new endpoint", "x 3"),
        ("all default rules", "errors x 10"),
    ],
)
@pytest.mark.proof
def test_harm_is_found(calibration, failures, name, harm):
    failed = failures(name, harm, runs=60)

    assert calibration["bounds"].at_least(failed, 60, alpha=0.05) >= 0.9


def test_twins_that_share_their_movement_mostly_pass_by_minute_20(calibration, courses):
    passed = sum(one.passed is not None for one in courses(TWINS, runs=60, looks=(12, 16, 20)))

    assert calibration["bounds"].at_least(passed, 60, alpha=0.05) > 0.5


def test_30_percent_from_minute_20_on_are_mostly_found_by_minute_36(courses):
    courses_of_harmed = courses(TWINS, "+30 % after a third", runs=60, looks=(20, 28, 32, 36))
    failed = [one.failed for one in courses_of_harmed if one.failed is not None]

    assert min(failed) > 20
    assert len(failed) > 30


@pytest.mark.parametrize("minutes", [5, 6, 9, 60])
@pytest.mark.parametrize("values", [[0.0], [1e-100], [1.0], [3.0, 4.0], [0.0, 1.0, 0.0]])
@pytest.mark.parametrize(
    ("margin", "direction"),
    [
        (margin, direction)
        for margin in ("0%", "10%", "100%", 0.0, 0.1)
        for direction in ("increase", "decrease")
        # Nothing can be less by more than that.
        if (margin, direction) != ("100%", "decrease")
    ],
)
def test_constant_and_proportional_series_are_judged(
    calibration, pair, trial, minutes, values, margin, direction
):
    rule = MetricRule("Load", namespace="Churn", margin=margin, direction=direction)
    control = (values * minutes)[:minutes]
    for times in (0.0, 0.5, 1.0, 1.1, 3.0):
        evidence = trial({rule: pair(control, [times * one for one in control])}, minutes=minutes)
        label = calibration["judging"].ours(evidence, (rule,)).label

        # No worse than the margin in any minute.
        if times == 1.0 or (times > 1) is (direction == "decrease"):
            assert label is not Label.FAIL


def test_kayentas_judge_raises_false_alarms_on_autocorrelated_minutes(calibration, failures):
    failed = failures("latency, AR(1) 0.8", judge=calibration["judging"].kayenta, runs=50)

    assert calibration["bounds"].at_least(failed, 50, alpha=0.01) > calibration["judging"].ALPHA


def test_a_row_in_which_alpha_is_exceeded_is_marked(calibration):
    benchmark, course = calibration["calibrate"], calibration["judging"].Course
    row = next(row for row in calibration["rows"].ROWS if row.name == "latency, independent")

    def line(failed, *, name=None):
        runs = tuple(course(9 if run < failed else None, None) for run in range(100))
        return benchmark.Line(row, name, runs, runs, runs)

    assert benchmark.BROKEN in str(line(13))
    assert benchmark.BROKEN not in str(line(8))
    assert benchmark.BROKEN not in str(line(100, name="+20 %"))


def test_the_rows_in_which_alpha_is_exceeded_are_on_the_page(calibration, monkeypatch, tmp_path):
    benchmark, course = calibration["calibrate"], calibration["judging"].Course
    row, other = (
        row for row in calibration["rows"].ROWS if row.name in {"latency, independent", "errors, 2 %"}
    )
    fails, never = (course(9, None),) * 100, (course(None, None),) * 100
    page = tmp_path / "judge.md"
    page.write_text(f"before\n{benchmark.BEGIN}\nold\n{benchmark.END}\nafter\n")
    monkeypatch.setattr(benchmark, "PAGE", page)

    benchmark.write(
        [benchmark.Line(row, None, fails, never, never), benchmark.Line(other, None, never, never, never)],
        100,
    )

    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert f"\n- {row.name}\n" in text
    assert f"\n- {other.name}\n" not in text


@pytest.mark.parametrize(
    ("name", "harm", "runs"),
    [
        ("latency, independent", None, 400),
        ("latency, independent", "+20 %", 100),
        ("latency, AR(1) 0.8, 6 h", None, 100),
        ("latency, AR(1) 0.8, 6 h", "+20 %", 25),
        ("latency, constant, at a margin of 10 %", None, 1),
    ],
)
def test_the_unharmed_have_most_runs(calibration, name, harm, runs):
    row = next(row for row in calibration["rows"].ROWS if row.name == name)

    assert calibration["calibrate"].runs_of(row, harm, 400) == runs


def test_a_wrong_pass_is_marked_and_a_right_one_is_not(calibration):
    benchmark, course = calibration["calibrate"], calibration["judging"].Course
    rows = {row.passes: row for row in calibration["rows"].ROWS if not row.limit}

    def line(row):
        return benchmark.Line(row, None, (course(None, 9),) * 100, (course(None, 9),), (course(None, 9),))

    assert benchmark.BROKEN in str(line(rows[False]))
    assert benchmark.BROKEN not in str(line(rows[True]))


def test_it_is_marked_where_kayentas_judge_is_quicker(calibration):
    benchmark, course = calibration["calibrate"], calibration["judging"].Course
    row = calibration["rows"].ROWS[0]

    def line(ours, kayenta):
        return str(benchmark.Line(row, "+20 %", *((course(at, None),) for at in (ours, kayenta, 60))))

    assert benchmark.QUICKER in line(10, 9)
    assert benchmark.QUICKER in line(None, 60)
    assert benchmark.QUICKER not in line(10, 10)


def test_a_cold_start_is_over_after_its_minutes(calibration):
    slow = calibration["onsets"].cold(3, 3)

    assert [slow(minute, 60) for minute in range(5)] == [2, 2, 2, 0, 0]


def test_effects_begin_and_rise_at_their_minute(calibration):
    onsets = calibration["onsets"]

    assert [onsets.beginning(1 / 3, 0.3)(minute, 60) for minute in (19, 20, 59)] == [0, 0.3, 0.3]
    assert [onsets.rising(0.03, first=10, most=0.1)(minute, 60) for minute in (9, 10, 11, 30)] == [
        0,
        0.03,
        0.06,
        0.1,
    ]


def test_sides_share_so_much_of_their_variance(calibration):
    series = calibration["series"]
    make = series.latencies(series.independent, series.steady(100), shared=0.9)
    trial = make(Random(1), 4000)
    control, candidate = (
        [value - series.LATENCY for value in side] for side in (trial.control, trial.candidate)
    )
    shared = sum(one * other for one, other in zip(control, candidate, strict=True))
    whole = sum(one * one for one in control)

    assert shared / whole == pytest.approx(0.9, abs=0.03)
