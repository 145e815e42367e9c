"""The demo's acts, each a run of one of the example DAGs, as seen from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_guardrails.demo.reading import Report

DIRECT = "retrain_and_deploy"
SHADOWED = "shadow_test_and_deploy"
COMPARED = "retrain_and_compare"
DAGS = (DIRECT, SHADOWED, COMPARED)

GROUP = "guarded_deployment."
UPDATE, JUDGE, OBSERVE, STOP = "guarded_update", "judge", "observe", "stop_shadow_test"


@dataclass(slots=True, kw_only=True)
class Act:
    """
    One run of a DAG.

    With *latency_ms* its model takes that long; where it is *silent*, no client asks once its update begins.
    *report* is the rollout's, *verdict* the judge's; empty where the run did not come to that. *requests* are
    those that clients sent to the new fleet, *failed_requests* those of them that failed; *client_errors* are
    all that clients got from the endpoint meanwhile.
    """

    dag_id: str
    candidate: str
    run_id: str
    latency_ms: float | None = None
    silent: bool = False
    state: str = ""
    tasks: dict[str, str | None] = field(default_factory=dict)
    report: Report = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    serving: str = ""
    requests: int = 0
    failed_requests: int = 0
    client_errors: int = 0
    accuracy: float = 0.0
    page: str = ""
    error: str = ""

    @property
    def version(self) -> str:
        """Name of the model, and of the endpoint configuration that has it."""
        return str(self.report.get("endpoint_config_name") or self.verdict.get("shadow_model_name"))

    def task(self, name: str) -> str:
        """The id of a task of the deployment, which is in a group where there is a shadow test."""
        return GROUP + name if self.dag_id == SHADOWED else name

    def in_state(self, state: str) -> list[str]:
        return sorted(task.removeprefix(GROUP) for task, has in self.tasks.items() if has == state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the endpoint said at the end, beside what two models say when they are asked here."""

    rows: int
    as_old_model: int
    as_new_model: int
    to_incomplete_row: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of the acts."""

    good: Act
    bad: Act
    wrong: Act
    slow: Act
    unasked: Act
    answers: Answers
