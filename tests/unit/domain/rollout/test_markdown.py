"""The report as Markdown: outcome first, and no text of others is markup."""

from __future__ import annotations

from airflow_guardrails.domain.rollout.markdown import report_in_markdown
from airflow_guardrails.domain.rollout.report import parse_report

ROLLED_BACK = {
    "schema_version": 2,
    "summary": "ROLLED BACK: alarm errors 2.5 > 1; v1 serves",
    "outcome": "RolledBack",
    "endpoint_name": "churn",
    "endpoint_config_name": "v2",
    "previous_endpoint_config_name": "v1",
    "serving_endpoint_config_name": "v1",
    "started_at": "2026-03-02T10:00:00+00:00",
    "ended_at": "2026-03-02T10:12:00+00:00",
    "traffic": {"percent": 0, "course": [{"at": "2026-03-02T10:04:00+00:00", "percent": 25.0}]},
    "cause": {"kind": "alarm", "alarms": [{"name": "errors", "reason": "Threshold Crossed"}]},
    "analysis": {"reasons": [{"label": "Inconclusive", "text": "ModelLatency Average: no data"}]},
    "warnings": ["one look was throttled"],
}


def test_outcome_cause_and_what_serves_are_in_the_table():
    assert report_in_markdown(parse_report(ROLLED_BACK)).splitlines() == [
        "**ROLLED BACK** `churn`",
        "",
        "| | |",
        "| --- | --- |",
        "| why | `ROLLED BACK: alarm errors 2.5 > 1; v1 serves` |",
        "| old | `v1` |",
        "| new | `v2` |",
        "| serves | `v1` |",
        "| took | 12 min |",
        "| traffic | the new configuration had at most 25 % |",
        "| alarm | `errors`: `Threshold Crossed` |",
        "| judge: Inconclusive | `ModelLatency Average: no data` |",
        "| warning | `one look was throttled` |",
    ]


def test_a_report_of_which_little_is_known_is_short():
    text = report_in_markdown(parse_report({"endpoint_name": "churn", "endpoint_config_name": "v2"}))
    assert text.startswith("**IN FLIGHT** `churn`")
    assert "| old | (unknown) |" in text


def test_text_of_others_cannot_leave_its_code_span():
    hostile = "`[x](javascript:alert(1)) | <script>"
    report = parse_report({**ROLLED_BACK, "failure_reason": hostile, "warnings": [hostile]})
    for line in report_in_markdown(report).splitlines()[2:]:
        assert line.count("|") == 3
        assert line.count("`") % 2 == 0
