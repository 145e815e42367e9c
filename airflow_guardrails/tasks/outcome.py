"""The outcome of a task in the run's list of task instances, in the column "Map Index"."""

from __future__ import annotations

from typing import Any

from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.rollout.summary import headline_of


def show_outcome(context: Any, text: str) -> None:
    """
    Show *text* in the list, for a mapped task behind its index; templates can use it as ``outcome``.

    A *map_index_template* of the user is used instead. A task that ends without an outcome shows none.
    """
    context["outcome"] = text
    # Airflow renders the template of the context after the task has ended. It is set only now, because an
    # empty text would hide the map index, and an undefined variable can fail the task.
    if context.get("map_index_template") is None:
        index = getattr(context.get("ti"), "map_index", None)
        is_mapped = index is not None and index >= 0
        context["map_index_template"] = "{{ ti.map_index }}: {{ outcome }}" if is_mapped else "{{ outcome }}"


def rollout_outcome(report: RolloutReport) -> str:
    """Return the outcome of a rollout for the list: ``SUCCEEDED``, ``ROLLED BACK 25%`` ..."""
    text = headline_of(report)
    share = _largest_share(report) if report["outcome"] == Outcome.ROLLED_BACK.value else None
    return text if share is None else f"{text} {share:.0%}"


def _largest_share(report: RolloutReport) -> float | None:
    """Return the largest share of the instances that served the new configuration, 0 to 1, as far as seen."""
    shares = [
        stage["instances"] / stage["desired_instances"]
        for stage in report["stages"]
        if stage["desired_instances"]
    ]
    return max(shares) if shares else None
