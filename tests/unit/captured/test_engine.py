"""The engine finds the same as the rules in plain Python, for any captured records."""

from __future__ import annotations

import pytest

from airflow_guardrails.captured import counting
from airflow_guardrails.captured.comparing import compare_captures
from airflow_guardrails.domain.predictions.rule import PredictionRule
from tests.support.random_captures import RULES, random_lines
from tests.support.reference import assert_engine_agrees


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.proof
def test_the_engine_finds_what_plain_python_finds(rule, seed):
    assert_engine_agrees(*random_lines(seed), rule)


# What is not quite JSON, or says two things, is read by DuckDB and by Python in different ways.
ODD = [
    '{"y": "a", "s": 1,}',
    '{"y": "a", "s": 1, "more": nan}',
    '{"y": "a", "s": 1, "more": [1, ]}',
    '{"y": "a", "s": 1, "more": -Inf}',
    '{"y": "a", "s": 1, "more": ' + "[" * 2000 + "]" * 2000 + "}",
]
BY_PATH = [PredictionRule(label="y"), PredictionRule(label="y", score="s")]


@pytest.mark.parametrize("rule", BY_PATH, ids=["label", "label and score"])
@pytest.mark.parametrize("answer", ODD, ids=lambda text: text[:40])
def test_odd_answers_are_read_in_one_way_on_both_sides(captured, answer, rule):
    # With an escape, only Python reads it.
    escaped = answer.replace('"a"', '"\\u0061"')
    odd, other = ([captured(text=text, event_id="e")] for text in (answer, escaped))
    assert compare_captures(odd, odd, rule).disagreements == 0
    for lines in ((odd, other), (other, odd), (other, other)):
        assert compare_captures(*lines, rule).counts["incomparable"] == 1


@pytest.mark.parametrize("rule", BY_PATH, ids=["label", "label and score"])
def test_of_a_name_that_stands_twice_both_answers_have_the_same(captured, rule):
    twice, once = '{"y": "a", "y": "b", "s": 1}', '{"y": "\\u0062", "s": 1}'
    for answers in ((twice, once), (once, twice), (twice, twice)):
        lines = [[captured(text=text, event_id="e")] for text in answers]
        comparison = compare_captures(*lines, rule)
        assert (comparison.pairs, comparison.disagreements) == (1, 0)


def test_many_doubtful_pairs_are_read_again_in_parts(captured, monkeypatch):
    monkeypatch.setattr(counting, "_MOST_DOUBTFUL", 20_000)
    lines = [
        [captured(text=text, event_id=f"e{number}", at=number) for number in range(50)]
        for text in ('{"y": "a", "y": "b"}', '{"y": "\\u0062"}')
    ]
    comparison = compare_captures(*lines, PredictionRule(label="y"))
    assert (comparison.pairs, comparison.disagreements) == (50, 0)
