"""docs/outcomes.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_guardrails.domain.cause import CauseKind
from airflow_guardrails.domain.deadline import LONGEST_STARTUP, LONGEST_UPDATE, MARGIN, PROVISIONING
from airflow_guardrails.domain.endpoint import EndpointStatus
from airflow_guardrails.domain.report import SCHEMA_VERSION, rollout_report
from airflow_guardrails.domain.rollout import DEFAULT_GRACE, Outcome, Rollout, Watch

TEXT = (Path(__file__).parents[2] / "docs" / "outcomes.md").read_text()


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_column(title: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)


def test_every_field_of_the_report_is_told_in_its_order():
    report = rollout_report(Watch(rollout=Rollout(endpoint_name="churn", target="v2")))

    assert first_column("The report") == list(report)
    assert f"| `schema_version` | {SCHEMA_VERSION} |" in TEXT


def test_every_kind_of_cause_is_told():
    assert first_column("The cause") == [kind.value for kind in CauseKind]


@pytest.mark.parametrize("word", [word.value for word in (*Outcome, *EndpointStatus)])
def test_every_status_and_every_outcome_has_its_row(word):
    assert f"`{word}`" in section("The table")


def test_the_durations_are_those_in_force():
    assert f"for {DEFAULT_GRACE.total_seconds():g}\nseconds" in section("The grace period")
    assert (PROVISIONING.total_seconds(), MARGIN.total_seconds()) == (900, 900)
    assert (LONGEST_STARTUP.total_seconds(), LONGEST_UPDATE.total_seconds()) == (3600, 8 * 3600)
    told = " ".join(section("When the time is up").split())
    assert (
        "the longer of 15 minutes and the containers' startup timeout (an hour where it is not known)" in told
    )
    assert "15 minutes on top, but at most SageMaker's 8 hours" in told
