"""The demo's three acts, each a run of one of the example DAGs, as seen from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_guardrails.demo.reading import Report

DIRECT = "retrain_and_deploy"
SHADOWED = "shadow_test_and_deploy"
DAGS = (DIRECT, SHADOWED)

GROUP = "guarded_deployment."
UPDATE, JUDGE, OBSERVE, STOP = "guarded_update", "judge", "observe", "stop_shadow_test"


@dataclass(slots=True, kw_only=True)
class Act:
    """
    One run of a DAG.

    *report* is the rollout's, *verdict* the judge's; empty where the run did not come to that. *requests* are
    those that clients sent to the new fleet, *failed_requests* those of them that failed; *client_errors* are
    all that clients got from the endpoint meanwhile.
    """

    dag_id: str
    candidate: str
    run_id: str
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
        return name if self.dag_id == DIRECT else GROUP + name

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
    answers: Answers
