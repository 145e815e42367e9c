"""docs/judge.md names what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from math import inf
from pathlib import Path

from airflow_guardrails.domain.judge import CRITICAL_PARTS
from airflow_guardrails.domain.judge_exposure import TOLERANCE
from airflow_guardrails.domain.judge_missing import LEAST_COVERAGE
from airflow_guardrails.domain.metric_rules import DEFAULT_RULES, MetricRule
from airflow_guardrails.domain.statistics_counts import BURSTS, MORE
from airflow_guardrails.domain.statistics_means import LEAST_BLOCKS, LEAST_MINUTES, LENGTHS, MOST_LIKENESS

TEXT = " ".join((Path(__file__).parents[2] / "docs" / "judge.md").read_text().split())


def test_every_argument_of_a_rule_is_told():
    told = re.findall(r"\| `(\w+)` \|", TEXT)

    assert told == [
        field.name for field in fields(MetricRule) if field.name not in {"metric", "namespace", "dimensions"}
    ]


def test_the_numbers_are_those_in_force():
    rule = MetricRule("ModelLatency")

    assert f"must have had ({rule.min_requests})" in TEXT
    assert f"must have data ({rule.min_minutes})" in TEXT
    assert f"fewer than {LEAST_COVERAGE * 100:g} % of the minutes" in TEXT
    assert f"blocks, of {LENGTHS[0]} to {LENGTHS[-1]} minutes" in TEXT
    assert f"at most {MOST_LIKENESS}" in TEXT
    assert "from block to block: {}, {} and {} minutes".format(*BURSTS[1:]) in TEXT
    assert dict(MORE)[inf] == 0.4
    assert "40 % of the stake" in TEXT
    assert (LEAST_BLOCKS, LEAST_MINUTES) == (6, 12)
    assert "six blocks and twelve minutes" in TEXT
    assert (TOLERANCE, CRITICAL_PARTS) == (0.05, 3)
    assert "A twentieth more or fewer" in TEXT
    assert "three parts of the chance" in TEXT


def test_the_default_margins_are_those_in_force():
    assert {rule.margin for rule in DEFAULT_RULES if rule.metric == "ModelLatency"} == {"10%"}
    assert [rule.margin for rule in DEFAULT_RULES if rule.counted] == [0.002, 0.002, 0.005]
    assert "5XX errors and model errors, 0.2 percentage points; 4XX errors, 0.5 percentage points" in TEXT


def test_the_table_of_the_benchmark_is_there():
    assert "| latency, independent | unharmed |" in TEXT
