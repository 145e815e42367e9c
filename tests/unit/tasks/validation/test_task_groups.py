"""Whatever is said to the group: it is refused by name when the DAG is parsed, or left to its tasks."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.task_groups import guarded_deployment
from tests.support.every_task import CANARY, ROLE
from tests.support.odd_values import ODD, complaint, is_sensible, keywords

ARGUMENTS = {
    "endpoint_name": "churn",
    "model_name": "churn-2",
    "strategy": CANARY,
    "shadow_test": {"role_arn": ROLE},
}
# Airflow has rules of its own for it.
OF_AIRFLOW = {"group_id"}
# They are arguments of Airflow's tasks, and whatever Airflow says of them is said.
OTHERS = {
    *("default_args", "shadow_test_arguments", "judge_arguments", "approval", "update_arguments"),
    "conclude_arguments",
}
# Each says what to deploy, so each is tested alone; the first three go with an absent model.
INSTEAD_OF_MODEL = {"endpoint_config_name", "model_package_arn", "config"}
TEMPLATED = {
    *("endpoint_name", "model_name", "endpoint_config_name", "model_package_arn", "config", "role_arn"),
    *("strategy", "alarms", "guards", "instance_type", "instance_count", "variant_name", "overrides"),
    *("aws_conn_id", "region_name", "verify"),
}
OF_THE_TEST = [
    *("name", "sampling_percentage", "data_storage_uri", "duration", "min_requests", "metrics"),
    *("predictions", "warm_up", "judge_early", "on_inconclusive"),
]
TEMPLATED_OF_THE_TEST = {"name", "sampling_percentage", "data_storage_uri"}


def refused(name, value):
    arguments = dict(ARGUMENTS)
    if name in INSTEAD_OF_MODEL:
        arguments = {"endpoint_name": "churn", "strategy": CANARY}
    if name in {"role_arn", "shadow_test"}:
        arguments = {**arguments, "shadow_test": True, "role_arn": ROLE}
    with DAG("deploy", schedule=None):
        try:
            guarded_deployment(**{**arguments, name: value})
        except Exception as error:  # noqa: BLE001 - which one it is is what is tested
            return error
    return None


@pytest.mark.parametrize("name", [name for name in keywords(guarded_deployment) if name not in OF_AIRFLOW])
def test_an_odd_value_is_refused_by_name_or_accepted(name):
    values = [value for value in ODD if not (name in OTHERS and value == {"x": 1})]
    values = [value for value in values if name != "preflight" or value is not True]
    errors = [(value, refused(name, value)) for value in values]
    complaints = [complaint(error, name, value) for value, error in errors if error is not None]

    assert not list(filter(None, complaints))
    if name in TEMPLATED:
        # Without a model, nothing says what to deploy.
        absent = [None] if name in INSTEAD_OF_MODEL | {"model_name"} else []
        assert [value for value, error in errors if error is not None] == absent
    else:
        accepted = [value for value, error in errors if error is None]
        assert [value for value in accepted if not is_sensible(value, name, guarded_deployment)] == []


def test_a_flag_that_is_text_is_refused_by_the_task_that_has_it():
    with DAG("deploy", schedule=None), pytest.raises(InvalidArgument, match="relaunch must be True or False"):
        guarded_deployment(**ARGUMENTS, update_arguments={"relaunch": "False"})


@pytest.mark.parametrize("key", OF_THE_TEST)
def test_an_odd_value_of_the_shadow_test_is_refused_by_name_or_accepted(key):
    errors = [(value, refused("shadow_test", {key: value})) for value in ODD]
    complaints = [complaint(error, key, value) for value, error in errors if error is not None]

    assert not list(filter(None, complaints))
    assert any(error is not None for _, error in errors) != (key in TEMPLATED_OF_THE_TEST)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"update_arguments": {"task_id": "mine"}}, "task_id"),
        ({"conclude_arguments": {"update": None}}, "update"),
        ({"judge_arguments": {"name": "mine"}}, "name"),
        ({"shadow_test_arguments": {"endpoint_name": "mine"}}, "endpoint_name"),
    ],
)
def test_an_argument_that_the_group_sets_itself_is_refused_by_its_name(options, name):
    with pytest.raises(InvalidArgument, match=f"^{name} must be left out .* guarded_deployment sets it"):
        guarded_deployment(endpoint_name="churn", model_name="churn-v2", **options)
