"""The report of a rollout in a few lines of Markdown, for notifications and pages."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.rollout.summary import headline_of
from airflow_guardrails.domain.text import code_span, duration_in_words
from airflow_guardrails.domain.times import parse_time


def report_in_markdown(report: RolloutReport) -> str:
    """
    Return outcome and cause in bold, and a table of what is known.

    Texts of others (names, alarm reasons, FailureReason) are code spans: there they cannot be links, images
    or HTML.
    """
    rows = [f"| {name} | {text} |" for name, text in _rows(report)]
    headline = f"**{headline_of(report)}** {code_span(report['endpoint_name'])}"
    return "\n".join((headline, "", "| | |", "| --- | --- |", *rows))


def _rows(report: RolloutReport) -> Iterator[tuple[str, str]]:
    yield "why", code_span(report["summary"])
    yield "old", code_span(report["previous_endpoint_config_name"])
    yield "new", code_span(report["endpoint_config_name"])
    yield "serves", code_span(report["serving_endpoint_config_name"])
    if took := _took(report):
        yield "took", took
    highest = max((point["percent"] for point in report["traffic"]["course"]), default=None)
    if highest is not None:
        yield "traffic", f"the new configuration had at most {highest:g} %"
    for alarm in report["cause"]["alarms"] if report["cause"] else ():
        yield "alarm", f"{code_span(alarm['name'])}: {code_span(alarm['reason'] or 'no reason given')}"
    if report["failure_reason"]:
        yield "SageMaker says", code_span(report["failure_reason"])
    analysis = report["analysis"] or {}
    for reason in analysis.get("reasons") or ():
        yield f"judge: {reason['label']}", code_span(reason["text"])
    if report["unguarded_because"]:
        yield "unguarded", code_span(report["unguarded_because"])
    for warning in report["warnings"]:
        yield "warning", code_span(warning)


def _took(report: RolloutReport) -> str | None:
    start, end = parse_time(report["started_at"]), parse_time(report["ended_at"])
    return duration_in_words(end - start) if start and end else None
