"""Reports and verdicts as lines of text, for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from typing import Any

_Report = dict[str, Any]

WIDTH = 100
_MARGIN = " " * 12


def report_text(report: _Report) -> str:
    """Return a rollout report as lines of text."""
    return "\n".join(_lines(report))


def stage_text(stage: _Report) -> str:
    """Return a stage of a rollout report as text."""
    serving = f"{stage['instances']} of {stage['desired_instances']} new instances serve"
    if stage["stage"] != "Deleting":
        return f"{stage['stage']}: {serving}"
    return f"Deleting: {f'the old fleet; {serving}' if stage['instances'] else 'the new fleet'}"


def shadow_test_text(report: _Report) -> str:
    """Return the status of a shadow test, with its requests so far, as text."""
    counts = report["requests"] or {}
    requests = ", ".join(f"{count:.0f} requests to {name}" for name, count in counts.items())
    return f"shadow test {report['status']}{f': {requests}' if requests else ''}"


def alarm_title(report: _Report, name: str) -> str:
    """Return what the guard with this alarm watches; for another alarm its name."""
    titles = {alarm["name"]: alarm["title"] for alarm in report.get("alarms") or ()}
    return titles.get(name) or name


def verdict_text(verdict: _Report, *, title: str = "verdict") -> str:
    """Return the label of a verdict and its reasons as lines of text."""
    lines = [f"  {title:<9} {verdict['label']}"]
    for reason in verdict["reasons"]:
        text = f"{reason['label']}: {reason['text']}"
        lines.append(textwrap.fill(text, WIDTH, initial_indent=_MARGIN, subsequent_indent=_MARGIN + "  "))
    return "\n".join(lines)


def _lines(report: _Report) -> Iterator[str]:
    yield f"  outcome   {report['outcome']}"
    yield f"  endpoint  {report['endpoint_name']}"
    yield f"  target    {report['endpoint_config_name']}"
    yield f"  before    {report['previous_endpoint_config_name']}"
    yield f"  serving   {report['serving_endpoint_config_name']}"
    yield f"  took      {_took(report)}"
    for number, stage in enumerate(report["stages"]):
        at = _clock(stage["at"]) if stage["seen"] else "not seen"
        yield f"  {'stages' if not number else '      '}    {at}  {stage_text(stage)}"
    if report.get("analysis"):
        yield verdict_text(report["analysis"], title="compared")
    yield from _cause(report)
    for warning in report["warnings"]:
        yield f"  warning   {warning}"


def _cause(report: _Report) -> Iterator[str]:
    if not report["cause"]:
        return
    yield f"  cause     {report['cause']['kind']}"
    for alarm in report["cause"]["alarms"]:
        title = alarm_title(report, alarm["name"])
        yield f"  {'alarm' if title == alarm['name'] else 'guard'}     {_clock(alarm['at'])}  {title}"
        yield textwrap.fill(alarm["reason"], WIDTH, initial_indent=_MARGIN, subsequent_indent=_MARGIN)
    if report["failure_reason"]:
        yield f"  AWS says  {report['failure_reason']}"


def _took(report: _Report) -> str:
    if not (report["started_at"] and report["ended_at"]):
        return "unknown"
    started, ended = (datetime.fromisoformat(report[key]) for key in ("started_at", "ended_at"))
    minutes, seconds = divmod(round((ended - started).total_seconds()), 60)
    return f"{minutes} min {seconds} s of simulated time, from {started:%H:%M:%S} to {ended:%H:%M:%S}"


def _clock(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%H:%M:%S}" if moment else "--:--:--"
