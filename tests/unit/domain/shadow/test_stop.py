"""Whether the end of a shadow test has left what it was to leave."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.shadow.stop import Action, why_not_carried_out
from airflow_guardrails.domain.snapshots.experiment import ModelVariant
from tests.support.experiments import experiment


def ended(production, shadow):
    return experiment(
        variants=(
            ModelVariant(name="live", model_name="a", instance_type="t", instances=1, status=production),
            ModelVariant(name="shadow", model_name="b", instance_type="t", instances=1, status=shadow),
        )
    )


@pytest.mark.parametrize(
    ("production", "shadow", "came_true"),
    [
        ("InService", "Deleted", {Action.KEEP_PRODUCTION}),
        ("InService", "Deleting", {Action.KEEP_PRODUCTION}),
        ("Deleted", "InService", {Action.PROMOTE}),
        ("InService", "InService", {Action.KEEP_BOTH}),
        ("Deleted", "Deleted", set()),
        # Where SageMaker does not say, only what it does by itself is believed.
        (None, None, {Action.KEEP_PRODUCTION}),
        (None, "InService", set()),
    ],
)
def test_an_action_counts_as_carried_out_only_if_the_statuses_show_it(production, shadow, came_true):
    look = ended(production, shadow)

    assert {action for action in Action if why_not_carried_out(look, action) is None} == came_true


def test_the_difference_names_both_statuses():
    reason = why_not_carried_out(ended("InService", "Deleted"), Action.PROMOTE)

    assert reason == "its production variant live is InService and its shadow variant shadow is Deleted"
