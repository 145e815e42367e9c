"""When two answers agree, and in which way they disagree."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.predictions.agreement import Comparer, Disagreement
from airflow_guardrails.domain.predictions.parsing import answer_reader
from airflow_guardrails.domain.predictions.records import Form
from airflow_guardrails.domain.predictions.rule import PredictionRule

LABELLED = PredictionRule(label="y", score="s")
NAN, INF = float("nan"), float("inf")


def compare(rule, production, shadow):
    read = answer_reader(rule)
    return Comparer(rule).compare(read(Form.JSON, production), read(Form.JSON, shadow))


@pytest.mark.parametrize(
    ("production", "shadow"),
    [
        ("0.1", "0.1000000000001"),
        ("1", "1.0"),
        ("[1, 2]", "[1, 2.0000000000001]"),
        ('{"a": [1, "x"], "b": null}', '{"b": null, "a": [1.0, "x"]}'),
        ('"yes"', '"yes"'),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("[]", "[]"),
        ("true", "true"),
    ],
)
def test_answers_agree_that_are_equal_once_parsed(production, shadow):
    assert compare(PredictionRule(), production, shadow).kind is None


@pytest.mark.parametrize(
    ("production", "shadow", "kind"),
    [
        ("0.1", "0.11", "score"),
        ("1", '"1"', "value"),
        ("1", "true", "value"),
        ('"yes"', '"no"', "value"),
        ('{"a": 1}', '{"a": 1, "b": 2}', "value"),
        ('{"a": [1, 2]}', '{"a": [1]}', "value"),
        ('{"a": 0}', '{"a": false}', "value"),
        ("[1, 2]", "[1]", "shape"),
        ("[1]", "[]", "shape"),
        ("NaN", "0", "score"),
        ("Infinity", "-Infinity", "score"),
        ("Infinity", "1", "score"),
        ("1", "{", "unreadable"),
        ("{", "1", "unreadable"),
    ],
)
def test_answers_disagree_by_kind(production, shadow, kind):
    assert compare(PredictionRule(), production, shadow).kind is Disagreement(kind)


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
    ],
)
def test_scores_agree_within_either_tolerance(tolerances, shadow, agrees):
    rule = PredictionRule(**tolerances)
    assert (Comparer(rule).compare([(None, 10.0, None)], [(None, shadow, None)]).kind is None) is agrees


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
