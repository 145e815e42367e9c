"""Sums are exact and quantiles have a known resolution, in any order of merging."""

from __future__ import annotations

import json
import math
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.predictions.agreement import MAX_LABELS, limit_labels, merge_tables
from airflow_guardrails.domain.predictions.scores import (
    ABSOLUTE_QUANTILES,
    QUANTILES,
    RESOLUTION,
    SMALLEST,
    Scores,
    merge_scores,
    scores_of,
)

numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30)


@given(numbers, st.integers(0, 30))
@settings(max_examples=40)
def test_sums_are_exact_in_any_parts(values, cut):
    exact = sum(map(Fraction, values), Fraction(0))
    parts = [scores_of(values[cut:]), scores_of(values[:cut])]
    assert merge_scores(parts) == scores_of(values) == merge_scores(reversed(parts))
    assert scores_of(values).total == exact


def test_the_sum_has_no_rounding_error():
    assert scores_of([1e100, 1.0, -1e100]).summary()["mean"] == 1 / 3


def test_a_sum_beyond_all_doubles_has_a_mean():
    assert scores_of([1.5e308, 1.5e308, 1.5e308]).summary()["mean"] == 1.5e308


@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=40))
@settings(max_examples=40)
def test_quantiles_are_within_the_resolution(values):
    summary = scores_of(values).summary()
    for told, ascending, shares in (
        (summary["quantiles"], sorted(values), QUANTILES),
        (summary["absolute_quantiles"], sorted(map(abs, values)), ABSOLUTE_QUANTILES),
    ):
        for share in shares:
            true = ascending[max(1, math.ceil(Fraction(str(share)) * len(values))) - 1]
            assert abs(told[str(share)] - true) <= max(SMALLEST, RESOLUTION * abs(true))


def test_scores_survive_json():
    scores = scores_of([0.1, -0.2, 1e-310, 3e200], not_finite=2)
    assert Scores.from_dict(json.loads(json.dumps(scores.as_dict()))) == scores


def test_no_difference_has_no_mean():
    assert scores_of([]).summary() is None


def test_a_difference_of_minus_zero_is_zero():
    assert str(scores_of([-0.0]).least) == "0.0"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=80), st.integers(0, 80))
@settings(max_examples=30)
def test_the_same_labels_are_kept_in_any_parts(pairs, cut):
    def count(part):
        return limit_labels({(f"{one:02}", f"{other:02}"): part.count((one, other)) for one, other in part})

    table = count(pairs)
    assert merge_tables([count(pairs[:cut]), count(pairs[cut:])]) == table
    assert sum(table.values()) == len(pairs)
    assert len({label for cell in table for label in cell} - {None}) <= MAX_LABELS


def test_a_label_too_long_for_a_class_is_one_of_the_others():
    assert limit_labels({("a", "x" * 41): 2}) == {("a", None): 2}
