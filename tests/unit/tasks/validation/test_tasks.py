"""Whatever stands in an argument of a task: it is refused by name, before any call, or it is sensible."""

from __future__ import annotations

import pytest

from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.operators.predictions import (
    SageMakerMergePredictionsOperator,
)
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from tests.support.every_task import TASKS, refused
from tests.support.odd_values import ODD, complaint, is_sensible, parameters

DERIVED = ("endpoint_config_name", "if_already_live", "exclude_retained_variant_properties")
NOT_TAKEN = {
    SageMakerAddShadowVariantOperator: DERIVED,
    SageMakerRemoveShadowVariantOperator: DERIVED,
    SageMakerRollbackOperator: ("endpoint_config_name", "if_already_live", "refuse_older", "redeploy"),
}
# Arguments of Airflow that this package checks too.
AIRFLOWS = {
    SageMakerRolloutSensor: ["timeout", "silent_fail", "never_fail"],
    SageMakerShadowTestSensor: ["silent_fail", "never_fail"],
}

CASES = [
    pytest.param(kind, name, id=f"{kind.__name__}-{name}")
    for kind in TASKS
    for name in [*parameters(kind, without=NOT_TAKEN.get(kind, ())), *AIRFLOWS.get(kind, [])]
]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_an_odd_value_is_refused_by_name_before_any_call_or_accepted(kind, name, context):
    errors = [(value, refused(kind, name, value, context)) for value in ODD]
    complaints = [complaint(error, name, value) for value, error in errors if error is not None]

    assert not list(filter(None, complaints))
    assert [value for value, error in errors if error is None and not is_sensible(value, name, kind)] == []


@pytest.mark.parametrize("kind", TASKS)
def test_every_templated_field_is_checked_once_it_is_rendered(kind):
    if kind is not SageMakerMergePredictionsOperator:
        assert set(kind.template_fields) <= set(kind.rendered_checks)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (SageMakerRollbackOperator, "redeploy"),
        (SageMakerRollbackOperator, "if_already_live"),
        (SageMakerRollbackOperator, "refuse_older"),
        (SageMakerAddShadowVariantOperator, "exclude_retained_variant_properties"),
    ],
)
def test_an_argument_that_the_operator_sets_itself_is_refused_by_its_name(kind, name):
    with pytest.raises(InvalidArgument, match=f"^{name} must be left out .* {kind.__name__} sets it"):
        kind(task_id="task", **{**TASKS[kind], name: None})
