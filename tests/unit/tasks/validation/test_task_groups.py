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
    "endpoint_config_name": "churn-2",
    "role_arn": ROLE,
    "strategy": CANARY,
}
# Airflow has rules of its own for it.
OF_AIRFLOW = {"group_id"}
# They are arguments of Airflow's tasks, and whatever Airflow says of them is said.
OTHERS = {
    *("default_args", "shadow_test_arguments", "judge_arguments", "approval", "update_arguments"),
    "conclude_arguments",
}
TEMPLATED = {
    *("endpoint_name", "model_name", "endpoint_config_name", "role_arn", "strategy", "alarms", "guards"),
    *("shadow_test_name", "sampling_percentage", "data_storage_uri", "aws_conn_id", "region_name", "verify"),
}


def refused(name, value):
    with DAG("deploy", schedule=None):
        try:
            guarded_deployment(**{**ARGUMENTS, name: value})
        except Exception as error:  # noqa: BLE001 - which one it is is what is tested
            return error
    return None


@pytest.mark.parametrize("name", [name for name in keywords(guarded_deployment) if name not in OF_AIRFLOW])
def test_an_odd_value_is_refused_by_name_or_accepted(name):
    values = [value for value in ODD if not (name in OTHERS and value == {"x": 1})]
    errors = [(value, refused(name, value)) for value in values]
    complaints = [complaint(error, name, value) for value, error in errors if error is not None]

    assert not list(filter(None, complaints))
    if name in TEMPLATED:
        # Without a configuration, nothing says what to deploy.
        absent = [None] if name == "endpoint_config_name" else []
        assert [value for value, error in errors if error is not None] == absent
    else:
        accepted = [value for value, error in errors if error is None]
        assert [value for value in accepted if not is_sensible(value, name, guarded_deployment)] == []


def test_a_flag_that_is_text_is_refused_by_the_task_that_has_it():
    with DAG("deploy", schedule=None), pytest.raises(InvalidArgument, match="relaunch must be True or False"):
        guarded_deployment(**ARGUMENTS, update_arguments={"relaunch": "False"})
