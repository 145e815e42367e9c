"""docs/judge.md names what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta
from math import exp

from airflow_guardrails.domain.judge import CRITICAL_WEIGHT, MAX_HISTORY
from airflow_guardrails.domain.judge.counts import requests_to_pass
from airflow_guardrails.domain.judge.evidence import requests_needed
from airflow_guardrails.domain.judge.means import (
    _LAST_MINUTES,
    _MOST_ALLOWANCE,
    _SLOW_FROM,
    _SLOW_UNDER_NOISE_FROM,
)
from airflow_guardrails.domain.judge.missing_data import MIN_COVERAGE, SHARE_TOLERANCE
from airflow_guardrails.domain.judge.publishing import TrialKind, verdict_data
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule
from airflow_guardrails.domain.judge.statistics import overdispersion as bursts
from airflow_guardrails.domain.judge.statistics.harm import _HISTORY_MINUTES, MIN_MINUTES, SLOW
from airflow_guardrails.domain.judge.statistics.rates import ZERO_RATE_WEIGHT, ZERO_RATE_WEIGHT_AFTER_EVENTS
from airflow_guardrails.domain.judge.tails import _LEAST_QUANTILE, _LIMIT_MINUTES
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
    assert f"less than {bursts.MIN_MINUTES} minutes of the past, errors take" in TEXT
    assert f"{bursts.MIN_MINUTES_FOR_BOUND} minutes to fail and {bursts.MIN_MINUTES} to pass" in TEXT
    assert f"less than {_HISTORY_MINUTES} minutes of the past, or if they do not settle it" in TEXT
    assert f"{bursts._CAUTION} standard deviations above what they look like" in TEXT
    assert (ZERO_RATE_WEIGHT, ZERO_RATE_WEIGHT_AFTER_EVENTS) == (0.4, 0.1)
    assert "40 % of the stake" in TEXT
    assert "10 % if production has failed before" in TEXT
    assert "block to block: {}, {}, {} and {} minutes".format(*bursts.BLOCK_LENGTHS[1:]) in TEXT


def test_the_promises_are_on_the_page_with_their_numbers():
    assert f"(a factor of e^{_MOST_ALLOWANCE})" in TEXT
    assert round(exp(_MOST_ALLOWANCE)) == 5
    assert "five times its part of alpha" in TEXT
    (slow,) = SLOW
    assert f"{slow.phi:.0%}".replace("%", " %") + " remain from one minute to the next" in TEXT
    assert f"only from minute {_SLOW_FROM} on" in TEXT
    assert f"minute {_SLOW_UNDER_NOISE_FROM} on" in TEXT
    assert f"plain mean of the last {_LAST_MINUTES} minutes" in TEXT
    assert f"a rule needs {MIN_MINUTES} minutes before it can say anything" in TEXT


def test_the_requests_that_rules_need_are_on_the_page():
    few, some = (
        requests_to_pass(MetricRule("Invocation5XXErrors", margin=margin), share=1, alpha=0.05)
        for margin in (0.002, 0.005)
    )

    assert (round(few, -2), round(some, -1)) == (1900, 750)
    assert "about 1,900 requests if nothing fails, for 0.5 points about 750" in TEXT
    # At 5 requests a minute the first takes about 6 hours.
    assert round(few / 5 / 60) == 6
    for quantile in (0.9, 0.99):
        different, similar = (requests_needed(quantile, similar=alike) for alike in (False, True))
        assert {"0.9": (50, 10), "0.99": (500, 100)}[str(quantile)] == (different, similar)
    assert "(p90: 50 requests a minute)" in TEXT
    assert "500 on each side, or 100" in TEXT
    assert (_LEAST_QUANTILE, _LIMIT_MINUTES) == (0.95, 5)
    assert "rules for p95 and above" in TEXT
    assert "the first five minutes of the trial" in TEXT


def test_the_example_prints_what_is_on_the_page(capsys):
    example = section(page("judge"), "An example, step by step")
    (code,) = re.findall(r"```python\n(.*?)```", example, re.DOTALL)
    (told,) = re.findall(r"```text\n(.*?)```", example, re.DOTALL)

    exec(code, {})

    assert capsys.readouterr().out == told


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
