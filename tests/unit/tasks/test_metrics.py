"""Metrics of rollouts and shadow tests, as a backend of Airflow's Stats gets them."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import call

import pytest

from airflow_guardrails.domain.rollout.report import parse_report
from airflow_guardrails.tasks.metrics import count_rollout, count_shadow_test, count_verdict
from tests.support.metrics import replace_stats

ENDED = {
    "outcome": "RolledBack",
    "endpoint_name": "churn",
    "started_at": "2026-03-02T10:00:00+00:00",
    "ended_at": "2026-03-02T10:12:30+00:00",
    "strategy": {"name": "all at once", "description": "all at once", "steps": []},
}
TAGS = {"outcome": "RolledBack", "endpoint": "churn", "strategy": "all_at_once"}


@pytest.fixture
def stats(monkeypatch):
    return replace_stats(monkeypatch)


def test_a_rollout_is_counted_and_its_duration_sent(stats):
    count_rollout(parse_report(ENDED))

    assert stats.mock_calls == [
        call.incr("guardrails.rollout.finished", tags=TAGS),
        call.timing("guardrails.rollout.duration", timedelta(minutes=12, seconds=30), tags=TAGS),
    ]


def test_without_a_start_there_is_no_duration(stats):
    count_rollout(parse_report({**ENDED, "started_at": None}))

    assert [name for name, *_ in stats.mock_calls] == ["incr"]


def test_the_report_of_an_older_release_has_no_strategy(stats):
    count_rollout(parse_report({"outcome": "Succeeded", "endpoint_name": "churn"}))

    (_, _, sent), *_ = stats.mock_calls
    assert sent["tags"]["strategy"] == "unknown"


@pytest.mark.parametrize("report", [{"outcome": "TimedOut"}, {"outcome": "Succeeded", "adopted": "foreign"}])
def test_a_rollout_that_goes_on_or_is_anothers_is_not_counted(stats, report):
    count_rollout(parse_report({**ENDED, **report}))

    assert stats.mock_calls == []


def test_verdicts_and_shadow_tests_are_counted(stats):
    count_verdict("Fail", endpoint_name="churn")
    count_shadow_test({"status": "Completed", "endpoint_name": "churn"})

    assert stats.mock_calls == [
        call.incr("guardrails.judge.verdict", tags={"label": "Fail", "endpoint": "churn"}),
        call.incr("guardrails.shadow_test.finished", tags={"status": "Completed", "endpoint": "churn"}),
    ]


def test_a_backend_that_fails_costs_a_line_in_the_log(stats, caplog):
    stats.incr.side_effect = OSError("no route to host")

    count_verdict("Pass", endpoint_name="churn")

    assert "Metric guardrails.judge.verdict was not sent (OSError: no route to host)" in caplog.text
