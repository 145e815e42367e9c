"""Errors keep the promises of the tables in their module's docstring."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import re

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_guardrails import domain, exceptions
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.shadow.state import ShadowTestOutcome
from airflow_guardrails.exceptions import (
    ERROR_BY_OUTCOME,
    ERROR_BY_SHADOW_TEST_OUTCOME,
    GuardrailsError,
    ReportedError,
    RolloutError,
)

ROW = re.compile(r"(?P<depth> *)(?P<name>[A-Z]\w+) +(?P<retried>yes|no)? +(?P<means>\S.*)")
REPORT = {"outcome": "RolledBack", "stages": [{"stage": "Baking", "instances": 1}], "guarded": True}


def table():
    """Name, word for retried, and name of the base one step to the left, of each row."""
    _, _, rows, *_ = re.split(r"^=[= ]+$", exceptions.__doc__, flags=re.MULTILINE)
    above: list[str] = []
    for row in filter(None, rows.splitlines()):
        found = ROW.fullmatch(row)
        depth = len(found["depth"])
        above[depth:] = [found["name"]]
        yield found["name"], found["retried"], above[depth - 1] if depth else "AirflowException"


def value_errors():
    """Name, and name of the base one step to the left, of each row of the second table."""
    *_, rows, _ = re.split(r"^=[= ]+$", exceptions.__doc__, flags=re.MULTILINE)
    base = "ValueError"
    for row in filter(None, rows.splitlines()):
        name = row.split()[0]
        yield name, base
        base = base if row.startswith(" ") else name


def subclasses(error):
    return {found for each in error.__subclasses__() for found in {each, *subclasses(each)}}


TABLE = list(table())
ERRORS = {
    name: error
    for name, error in vars(exceptions).items()
    if isinstance(error, type) and issubclass(error, GuardrailsError)
}
ENDINGS = sorted(name for name, error in ERRORS.items() if issubclass(error, ReportedError))


def test_the_table_has_every_error_once_and_no_other():
    assert sorted(name for name, _, _ in TABLE) == sorted(ERRORS)


def test_the_second_table_has_every_error_of_a_value_once_and_no_other():
    for module in pkgutil.walk_packages(domain.__path__, f"{domain.__name__}."):
        importlib.import_module(module.name)
    errors = {error.__name__: error.__base__.__name__ for error in subclasses(GuardrailsValueError)}

    assert dict(value_errors()) == {"GuardrailsValueError": "ValueError", **errors}


@pytest.mark.parametrize(("name", "retried"), [row[:2] for row in TABLE if row[1]])
def test_airflow_retries_exactly_what_the_table_says(name, retried):
    assert issubclass(ERRORS[name], AirflowFailException) is (retried == "no")


def test_only_the_roots_leave_open_whether_they_are_retried():
    roots = {"GuardrailsError", "ReportedError", "RolloutError", "ShadowTestError"}
    assert {name for name, retried, _ in TABLE if not retried} == roots


@pytest.mark.parametrize(("name", "base"), [(row[0], row[2]) for row in TABLE])
def test_an_error_can_be_caught_by_what_it_stands_under(name, base):
    assert issubclass(ERRORS[name], ERRORS.get(base, AirflowException))


def test_every_outcome_but_success_has_an_error_of_its_own():
    assert set(ERROR_BY_OUTCOME) == {outcome.value for outcome in Outcome} - {"Succeeded"}
    assert len(set(ERROR_BY_OUTCOME.values())) == len(ERROR_BY_OUTCOME)


def test_every_ending_of_a_shadow_test_but_success_has_an_error_of_its_own():
    assert set(ERROR_BY_SHADOW_TEST_OUTCOME) == {ending.value for ending in ShadowTestOutcome} - {"Reached"}
    assert len(set(ERROR_BY_SHADOW_TEST_OUTCOME.values())) == len(ERROR_BY_SHADOW_TEST_OUTCOME)


@pytest.mark.parametrize("through", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_survives_pickling(name, through):
    error = through(ERRORS[name]("Endpoint churn rolled back"))

    assert type(error) is ERRORS[name]
    assert str(error) == "Endpoint churn rolled back"


@pytest.mark.parametrize("name", ENDINGS)
def test_the_report_survives_pickling_with_its_error(name):
    error = pickle.loads(pickle.dumps(ERRORS[name]("Endpoint churn rolled back", REPORT)))

    assert error.report == REPORT
    assert str(error) == "Endpoint churn rolled back"


@pytest.mark.parametrize("name", ENDINGS)
def test_the_text_of_an_ending_is_its_sentence_without_the_report(name):
    assert str(ERRORS[name]("Endpoint churn rolled back", REPORT)) == "Endpoint churn rolled back"


def test_a_report_is_the_errors_own():
    report = dict(REPORT)
    error = RolloutError("Endpoint churn rolled back", report)
    report["outcome"] = "Succeeded"

    assert error.report["outcome"] == "RolledBack"
