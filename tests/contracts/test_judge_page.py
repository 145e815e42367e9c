"""docs/judge.md names what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta

from airflow_guardrails.domain.judge import CRITICAL_WEIGHT, MAX_HISTORY
from airflow_guardrails.domain.judge.means import _LAST_MINUTES
from airflow_guardrails.domain.judge.missing_data import MIN_COVERAGE, SHARE_TOLERANCE
from airflow_guardrails.domain.judge.publishing import TrialKind, verdict_data
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule
from airflow_guardrails.domain.judge.statistics import overdispersion as bursts
from airflow_guardrails.domain.judge.statistics.harm import _HISTORY_MINUTES
from airflow_guardrails.domain.judge.statistics.rates import ZERO_RATE_WEIGHT, ZERO_RATE_WEIGHT_AFTER_EVENTS
from airflow_guardrails.domain.judge.verdict import Label, Reason, Verdict
from tests.support.pages import page, section

TEXT = " ".join(page("judge").split())


def test_every_argument_of_a_rule_is_on_the_page():
    told = re.findall(r"\| `(\w+)` \|", TEXT)

    assert told == [
        field.name for field in fields(MetricRule) if field.name not in {"metric", "namespace", "dimensions"}
    ]


def test_the_numbers_are_those_in_force():
    rule = MetricRule("ModelLatency")

    assert f"must have had ({rule.min_requests})" in TEXT
    assert f"must have data ({rule.min_minutes})" in TEXT
    assert f"fewer than {MIN_COVERAGE * 100:g} % of the minutes" in TEXT
    assert (SHARE_TOLERANCE, CRITICAL_WEIGHT) == (0.05, 3)
    assert "A twentieth more or fewer" in TEXT
    assert "three parts of the chance" in TEXT


def test_the_use_of_the_history_is_on_the_page_with_its_numbers():
    assert timedelta(hours=6) == MAX_HISTORY
    assert "Up to six hours of what production did before" in TEXT
    assert f"less than {_HISTORY_MINUTES} minutes of the past ({bursts.MIN_MINUTES} for errors)" in TEXT
    assert f"the last {_LAST_MINUTES} minutes" in TEXT
    assert f"errors take {bursts.MIN_MINUTES_FOR_BOUND} to fail and {bursts.MIN_MINUTES} to pass" in TEXT
    assert f"{bursts._CAUTION} standard deviations above what they look like" in TEXT
    assert (ZERO_RATE_WEIGHT, ZERO_RATE_WEIGHT_AFTER_EVENTS) == (0.4, 0.1)
    assert "40 % of the stake" in TEXT
    assert "10 % if production has failed before" in TEXT
    assert "block to block: {}, {}, {} and {} minutes".format(*bursts.BLOCK_LENGTHS[1:]) in TEXT


def test_the_default_margins_are_those_in_force():
    assert {rule.margin for rule in DEFAULT_RULES if rule.metric == "ModelLatency"} == {"10%"}
    assert [rule.margin for rule in DEFAULT_RULES if rule.counted] == [0.002, 0.002, 0.005]
    assert "5XX errors and model errors, 0.2 percentage points; 4XX errors, 0.5 percentage points" in TEXT


def test_the_table_of_the_benchmark_is_there():
    for name in ("latency, independent", "errors, 2 %, new endpoint"):
        assert f"| {name} | unharmed |" in TEXT


def test_the_published_metrics_and_dimensions_are_on_the_page():
    reason = Reason(
        metric="ModelLatency",
        stat="p90",
        label=Label.PASS,
        measured=0.0,
        low=-0.1,
        high=0.1,
        limit=0.2,
        text="",
        variant="a",
    )
    verdict = Verdict(label=Label.PASS, reasons=(reason, reason))
    told = section(page("judge"), "The verdict as CloudWatch metrics")

    for kind in TrialKind:
        for datum in verdict_data(verdict, endpoint_name="churn", kind=kind, name="trial"):
            assert {datum.metric, *dict(datum.dimensions)} <= set(re.findall(r"`(\w+)`", told))
        assert f"`{kind.value}`" in told
