"""When two answers agree, and in which way they disagree."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.predictions.agreement import Comparer, Disagreement
from airflow_guardrails.domain.predictions.parsing import answer_reader
from airflow_guardrails.domain.predictions.rule import PredictionRule

LABELLED = PredictionRule(label="y", score="s")
NAN, INF = float("nan"), float("inf")


def compare(rule, production, shadow):
    read = answer_reader(rule)
    return Comparer(rule).compare(read(production, None), read(shadow, None))


@pytest.mark.parametrize(
    ("production", "shadow"),
    [
        ("0.1", "0.1000000000001"),
        ("0.3", "0.30000000000000004"),
        ("1.0", "0.9999999999999999"),
        ("1", "1.0"),
        ("1", '"1"'),
        ("1", '"1e0"'),
        ("0", "-0.0"),
        ("[1, 2]", "[1, 2.0000000000001]"),
        ('{"a": [1, "x"], "b": null}', '{"b": "null", "a": [1.0, "x"]}'),
        ('{"a": 0.3, "b": [true]}', '{"b": ["true"], "a": 0.30000000000000004}'),
        ('"yes"', '"yes"'),
        ("NaN", "NaN"),
        ("NaN", '"NaN"'),
        ("[[NaN]]", "[[NaN]]"),
        ("Infinity", "Infinity"),
        ("[]", "[]"),
        ("true", "true"),
        ("9007199254740992.0", "9007199254740994.0"),
        ("1152921504606846977", "1152921504606846976.0"),
        ("12345678901234567890", '"12345678901234567890"'),
    ],
)
def test_answers_agree_that_are_equal_once_parsed(production, shadow):
    assert compare(PredictionRule(), production, shadow).kind is None


@pytest.mark.parametrize(
    ("production", "shadow", "kind"),
    [
        ("0.1", "0.11", "score"),
        ("1", '"one"', "value"),
        ("1", "true", "value"),
        ("0", "null", "value"),
        ('"007"', "7", "value"),
        ('"nan"', "NaN", "value"),
        ("7317731701", "7317731703", "score"),
        ("7317731701.0", "7317731703.0", "score"),
        ("7317731701", '"7317731703"', "score"),
        ("9007199254740992", "9007199254740993", "score"),
        ("1152921504606846977", "1152921504606846976", "score"),
        ('{"id": 7317731701}', '{"id": 7317731703}', "value"),
        ('{"id": "7317731701"}', '{"id": "7317731703"}', "value"),
        ("0", "1e-17", "score"),
        ("0.1", "0.1000000002", "score"),
        ('"yes"', '"no"', "value"),
        ('{"a": 1}', '{"a": 1, "b": 2}', "value"),
        ('{"a": [1, 2]}', '{"a": [1]}', "value"),
        ('{"a": 0}', '{"a": false}', "value"),
        ("[1, 2]", "[1]", "shape"),
        ("[1]", "[]", "shape"),
        ("NaN", "0", "score"),
        ("Infinity", "-Infinity", "score"),
        ("Infinity", "1", "score"),
    ],
)
def test_answers_disagree_by_kind(production, shadow, kind):
    assert compare(PredictionRule(), production, shadow).kind is Disagreement(kind)


def test_an_answer_that_only_one_side_can_read_is_unreadable():
    readable = '{"y": "a", "s": 1}'
    for answers in ((readable, "{"), ("{", readable)):
        assert compare(LABELLED, *answers).kind is Disagreement.UNREADABLE


def test_two_unreadable_answers_have_no_result():
    assert compare(LABELLED, "{", "[]") is None


@pytest.mark.parametrize(
    ("tolerances", "shadow", "agrees"),
    [
        ({"absolute_tolerance": 0.5}, 10.5, True),
        ({"absolute_tolerance": 0.5}, 10.6, False),
        ({"relative_tolerance": 0.1}, 11.0, True),
        ({"relative_tolerance": 0.1}, 8.9, False),
        ({"relative_tolerance": 0.01, "absolute_tolerance": 1}, 9.0, True),
        ({"absolute_tolerance": 0}, 10.0, True),
        ({"absolute_tolerance": 0}, 10.0000000001, False),
        ({"relative_tolerance": 0.5}, INF, False),
        ({"relative_tolerance": 0.5}, NAN, False),
        ({"absolute_tolerance": 1}, 11, True),
        ({"absolute_tolerance": 1}, 12, False),
        ({"absolute_tolerance": 10}, 10**400, False),
        ({"relative_tolerance": 1e9}, 10**400, False),
    ],
)
def test_scores_agree_within_either_tolerance(tolerances, shadow, agrees):
    rule = PredictionRule(**tolerances)
    assert (Comparer(rule).compare([(None, 10.0, None)], [(None, shadow, None)]).kind is None) is agrees


@pytest.mark.parametrize(
    ("production", "shadow", "kind"),
    [
        ("10", "11", None),
        ("[10, 20]", "[11, 19]", None),
        ('{"a": 10.0}', '{"a": 11.0}', None),
        ('{"a": 10}', '{"a": 11.0}', None),
        ('{"a": [10.5]}', '{"a": ["11.5"]}', None),
        ('{"a": 10}', '{"a": 11}', "value"),
        ('{"a": "10"}', '{"a": 11}', "value"),
        ("[[10, 0.5]]", "[[11, 0.5]]", "value"),
        ('{"a": 10}', '{"a": 10}', None),
        ('{"a": 10.5}', '{"a": 12}', "value"),
    ],
)
def test_a_tolerance_is_for_every_number_but_ids_and_counts_in_a_document(production, shadow, kind):
    rule = PredictionRule(absolute_tolerance=1)
    assert compare(rule, production, shadow).kind == kind
    assert compare(rule, shadow, production).kind == kind


@pytest.mark.parametrize(
    ("score", "other", "agrees"),
    [
        (10**400, 10**400 + 10**398, True),
        (10**400, 2 * 10**400, False),
        (10**400, INF, False),
        (INF, 10**400, False),
        (10**400, NAN, False),
        (-(10**400), 10**400, False),
        (10**308, 1.05e308, True),
    ],
)
def test_whole_numbers_larger_than_any_float_are_compared(score, other, agrees):
    rule = PredictionRule(relative_tolerance=0.1)
    compared = Comparer(rule).compare([(None, score, None)], [(None, other, None)])
    assert (compared.kind is None) is agrees


def test_differences_of_whole_numbers_are_exact():
    rows = [(None, 10**20 + 1, None), (None, 10**400, None), (None, 1.5, None)]
    others = [(None, 10**20 + 4, None), (None, 10**400 + 2, None), (None, 10**400, None)]
    compared = Comparer(PredictionRule()).compare(rows, others)
    assert (compared.differences, compared.not_finite, compared.size) == ([3.0, 2.0], 1, INF)
    assert type(compared.differences[0]) is float


def test_scores_beside_a_label_are_measured_and_do_not_count():
    verdicts = compare(LABELLED, '{"y": "a", "s": 0.25}', '{"y": "a", "s": 0.75}')
    assert (verdicts.kind, verdicts.differences) == (None, [0.5])


def test_scores_beside_a_label_count_with_a_tolerance():
    rule = PredictionRule(label="y", score="s", absolute_tolerance=0.1)
    assert compare(rule, '{"y": "a", "s": 0.25}', '{"y": "a", "s": 0.75}').kind is Disagreement.SCORE


def test_a_batch_is_compared_row_by_row_and_has_the_most_severe_kind():
    rule = PredictionRule(label="[*].y", score="[*].s", absolute_tolerance=0.1)
    production = '[{"y": "a", "s": 0}, {"y": "a", "s": 0}, {"y": "a", "s": 0}]'
    shadow = '[{"y": "a", "s": 0.5}, {"y": "b", "s": 0}, {"y": "a", "s": 0}]'
    verdicts = compare(rule, production, shadow)
    assert (verdicts.kind, verdicts.rows, verdicts.disagreeing_rows) == (Disagreement.LABEL, 3, 2)
    assert (verdicts.size, verdicts.differences) == (0.5, [0.5, 0.0, 0.0])


def test_scores_that_are_not_finite_are_counted_and_not_averaged():
    rows = [(None, 1.0, None), (None, INF, None), (None, NAN, None)]
    verdicts = Comparer(PredictionRule()).compare(rows, rows)
    assert (verdicts.kind, verdicts.differences, verdicts.not_finite) == (None, [0.0], 2)
