"""docs/outcomes.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_guardrails.domain.deployment.deadline import LONGEST_UPDATE, MARGIN, PROVISIONING
from airflow_guardrails.domain.rollout.outcome import CauseKind, Outcome
from airflow_guardrails.domain.rollout.report import SCHEMA_VERSION, rollout_report
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus

TEXT = (Path(__file__).parents[2] / "docs" / "outcomes.md").read_text()


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_column(title: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)


def test_every_field_of_the_report_is_told_in_its_order():
    report = rollout_report(RolloutState(rollout=Rollout(endpoint_name="churn", target="v2")))

    assert first_column("The report") == list(report)
    assert f"| `schema_version` | {SCHEMA_VERSION} |" in TEXT


def test_every_kind_of_cause_is_told():
    assert first_column("The cause") == [kind.value for kind in CauseKind]


@pytest.mark.parametrize("word", [word.value for word in (*Outcome, *EndpointStatus)])
def test_every_status_and_every_outcome_has_its_row(word):
    assert f"`{word}`" in section("The table")


def test_the_durations_are_those_in_force():
    assert f"for {DEFAULT_GRACE.total_seconds():g}\nseconds" in section("The grace period")
    assert PROVISIONING.total_seconds() == MARGIN.total_seconds() == 900
    assert LONGEST_UPDATE.total_seconds() == 8 * 3600
    assert "at least 15\n  minutes" in section("When the time is up")
    assert "15 minutes for the old fleet to go" in section("When the time is up")
    assert "at most SageMaker's eight hours" in section("When the time is up")
