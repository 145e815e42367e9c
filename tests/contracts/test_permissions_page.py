"""docs/permissions.md names every action of AWS that this package's calls need."""

from __future__ import annotations

import re

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from airflow_guardrails.aws import operations
from airflow_guardrails.aws.errors import denied_action
from airflow_guardrails.aws.operations import Operation
from airflow_guardrails.permissions.actions import PREFLIGHT, SHADOW_TESTS, UPDATES, as_markdown
from airflow_guardrails.permissions.deployment_actions import CLEAN_UP, CREATIONS, VERSIONS
from tests.support.pages import page, section
from tests.support.service_models import service_model

OPERATIONS = [found for found in vars(operations).values() if isinstance(found, Operation)]
# A role is passed to SageMaker by a call that creates something; there is no call of that name.
OTHERS = {"iam:PassRole"}


def needed(operation: Operation) -> str:
    """The action that AWS names when it denies *operation*."""
    names = service_model(operation.service).operation_names
    (name,) = (name for name in names if xform_name(name) == operation.name)
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, name)
    action = denied_action(denied)
    assert action is not None
    return action


def named(text: str) -> set[str]:
    """The actions in the tables of *text*; in a row, the service is said once."""
    found = set()
    for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE):
        service = ""
        for prefix, action in re.findall(r"`(?:(\w+):)?([A-Z]\w+)`", row):
            service = prefix or service
            found.add(f"{service}:{action}")
    return found


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_action_of_every_call_is_named(operation):
    assert needed(operation) in named(page("permissions"))


def test_no_action_is_named_that_no_call_needs():
    assert named(page("permissions")) == {*map(needed, OPERATIONS), *OTHERS}


def test_the_page_on_shadow_tests_names_no_other_actions():
    assert named(section(page("shadow-tests"), "What the role needs")) <= named(page("permissions"))


@pytest.mark.parametrize(
    "permissions",
    [UPDATES, PREFLIGHT, CREATIONS, VERSIONS, SHADOW_TESTS, CLEAN_UP],
    ids=["updates", "preflight", "creations", "versions", "shadow tests", "clean-up"],
)
def test_the_tables_are_those_that_policies_are_made_of(permissions):
    assert as_markdown(permissions) in page("permissions")
