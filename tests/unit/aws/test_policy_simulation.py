"""What IAM says about the policies of a role is read so that only what is certain counts."""

from __future__ import annotations

import pytest

from airflow_guardrails.aws.policy_simulation import parse_decisions, simulate_request

ROLE = "arn:aws:iam::123456789012:role/airflow"


def answer(**result):
    return [{"EvaluationResults": [{"EvalActionName": "a:B", "EvalResourceName": "r", **result}]}]


@pytest.mark.parametrize(
    ("result", "allowed"),
    [
        ({"EvalDecision": "allowed"}, True),
        ({"EvalDecision": "implicitDeny"}, False),
        ({"EvalDecision": "explicitDeny"}, False),
        ({"EvalDecision": "somethingNew"}, None),
        ({}, None),
        ({"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:RequestedRegion"]}, None),
        ({"EvalDecision": "allowed", "MissingContextValues": ["aws:RequestedRegion"]}, True),
    ],
)
def test_only_a_decision_with_all_that_conditions_ask_for_denies(result, allowed):
    assert parse_decisions(answer(**result)) == {"r": allowed}


def test_the_decision_for_each_resource_counts_before_that_for_all():
    parts = [
        {"EvalResourceName": "r", "EvalResourceDecision": "allowed"},
        {"EvalResourceName": "s", "EvalResourceDecision": "implicitDeny"},
    ]

    found = parse_decisions(answer(EvalDecision="implicitDeny", ResourceSpecificResults=parts))

    assert found == {"r": True, "s": False}


def test_the_results_of_all_pages_count():
    pages = [*answer(EvalDecision="allowed"), *answer(EvalResourceName="s", EvalDecision="allowed")]

    assert parse_decisions(pages) == {"r": True, "s": True}


def test_without_a_context_none_is_sent():
    assert simulate_request(ROLE, "a:B", ["r"], {}) == {
        "PolicySourceArn": ROLE,
        "ActionNames": ["a:B"],
        "ResourceArns": ["r"],
    }
