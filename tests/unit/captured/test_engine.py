"""The engine finds the same as the rules in plain Python, for any captured records."""

from __future__ import annotations

import pytest

from airflow_guardrails.captured.comparing import compare_captures
from airflow_guardrails.domain.predictions.rule import PredictionRule
from tests.support.random_captures import RULES, random_lines
from tests.support.reference import assert_engine_agrees


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_the_engine_finds_what_plain_python_finds(rule, seed):
    assert_engine_agrees(*random_lines(seed), rule)


@pytest.mark.parametrize(
    "answer",
    [
        '{"y": "a", "s": 1,}',
        '{"y": nan, "s": 1}',
        '{"y": "a", "s": infinity}',
        '{"y": "a", "s": 1, "more": [1, ]}',
        '{"y": "a", "s": 1, "more": -Inf}',
        '{"y": "a", "s": 1, "more": ' + "[" * 2000 + "]" * 2000 + "}",
    ],
    ids=lambda text: text[:40],
)
def test_what_only_duckdb_takes_for_json_is_not_read(captured, answer):
    lines = [captured(text=answer, event_id="e")]
    for rule in (PredictionRule(label="y"), PredictionRule(label="y", score="s")):
        assert compare_captures(lines, lines, rule).counts["incomparable"] == 1
