"""docs/outcomes.md names what there is."""

from __future__ import annotations

import re

import pytest

from airflow_guardrails import exceptions, guards, rules, strategies
from airflow_guardrails.domain.deployment.deadline import LONGEST_UPDATE, MARGIN, PROVISIONING
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.rollout.outcome import CauseKind, Outcome
from airflow_guardrails.domain.rollout.report import SCHEMA_VERSION, rollout_report
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus
from tests.support.pages import first_column, page, section

TEXT = page("outcomes")


def test_every_field_of_the_report_is_on_the_page_in_its_order():
    report = rollout_report(RolloutState(rollout=Rollout(endpoint_name="churn", target="v2")))

    assert first_column(section(TEXT, "The report")) == list(report)
    assert f"| `schema_version` | {SCHEMA_VERSION} |" in TEXT


def test_every_kind_of_cause_is_on_the_page():
    assert first_column(section(TEXT, "The cause")) == [kind.value for kind in CauseKind]


@pytest.mark.parametrize("word", [word.value for word in (*Outcome, *EndpointStatus)])
def test_every_status_and_every_outcome_has_its_row(word):
    assert f"`{word}`" in section(TEXT, "The table")


def errors_in(module, base):
    return {n for n, e in vars(module).items() if isinstance(e, type) and issubclass(e, base)}


@pytest.mark.parametrize(
    ("module", "base"),
    [
        (exceptions, exceptions.GuardrailsError),
        (strategies, GuardrailsValueError),
        (rules, GuardrailsValueError),
        (guards, GuardrailsValueError),
    ],
)
def test_every_public_error_has_its_row(module, base):
    assert errors_in(module, base) <= set(first_column(section(TEXT, "Errors")))


def test_the_page_says_of_each_error_what_its_module_says():
    rows = re.findall(r"^\| `(\w+)` \| (?:(yes|no|-) \| )?(.+) \|$", section(TEXT, "Errors"), re.MULTILINE)
    tables = exceptions.__doc__.replace("``", "`")

    for name, retried, meaning in rows:
        word = retried.strip("-")
        assert re.search(rf"^ *{name} +{word} *{re.escape(meaning)}$", tables, re.MULTILINE), name


def test_the_durations_are_those_in_force():
    assert f"for {DEFAULT_GRACE.total_seconds():g}\nseconds" in section(TEXT, "The grace period")
    assert PROVISIONING.total_seconds() == MARGIN.total_seconds() == 900
    assert LONGEST_UPDATE.total_seconds() == 8 * 3600
    assert "at least 15\n  minutes" in section(TEXT, "When the time is up")
    assert "15 minutes for the old fleet to go" in section(TEXT, "When the time is up")
    assert "at most SageMaker's eight hours" in section(TEXT, "When the time is up")
