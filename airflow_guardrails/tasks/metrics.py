"""
Metrics by Airflow's Stats: outcomes and durations of rollouts, verdicts, and shadow tests.

No metric fails a task: whatever a backend raises is logged, and that is all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.times import parse_time

_log = logging.getLogger(__name__)


def count_rollout(report: RolloutReport) -> None:
    """
    Count a rollout that has ended, and send how long it took.

    Not counted: a rollout that timed out, because it still runs and a retry will report its end; and one that
    another task or a person has started.
    """
    if report["outcome"] == Outcome.TIMED_OUT.value or report["adopted"] == Adopted.FOREIGN.value:
        return
    tags = {
        "outcome": str(report["outcome"]),
        "endpoint": report["endpoint_name"],
        # Some backends accept no space in a tag.
        "strategy": report["strategy"]["name"].replace(" ", "_") if report["strategy"] else "unknown",
    }
    _send("incr", "guardrails.rollout.finished", tags=tags)
    started_at, ended_at = parse_time(report["started_at"]), parse_time(report["ended_at"])
    if started_at and ended_at:
        _send("timing", "guardrails.rollout.duration", ended_at - started_at, tags=tags)


def count_verdict(label: str, *, endpoint_name: str) -> None:
    """Count the verdict that a judge ends with: ``Pass``, ``Fail`` or ``Inconclusive``."""
    _send("incr", "guardrails.judge.verdict", tags={"label": label, "endpoint": endpoint_name})


def count_shadow_test(report: Mapping[str, Any]) -> None:
    """Count a shadow test that is over; its status tells whether it was completed or cancelled."""
    tags = {"status": str(report["status"]), "endpoint": str(report["endpoint_name"])}
    _send("incr", "guardrails.shadow_test.finished", tags=tags)


def _send(kind: str, name: str, *value: timedelta, tags: Mapping[str, str]) -> None:
    try:
        from airflow.providers.common.compat.sdk import Stats  # noqa: PLC0415 - only a running task has use for it

        getattr(Stats, kind)(name, *value, tags=dict(tags))
    except Exception as error:  # noqa: BLE001 - whatever a backend raises, a metric fails no task
        _log.warning("Metric %s was not sent (%s: %s)", name, type(error).__name__, error)
