"""An odd argument of the guarded update is refused before the first write, or taken to an end in words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import DAG

from airflow_guardrails.exceptions import GuardrailsError, InvalidArgument
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce
from tests.support.every_task import WITH, refused
from tests.support.odd_values import ODD, parameters

WRITES = ("UpdateEndpoint", "AddTags", "DeleteTags", "PutMetricAlarm", "PutMetricData", "DeleteAlarms")
STRATEGY = AllAtOnce(termination_wait=timedelta(minutes=1))


@pytest.fixture
def update(churn, simulated_sleep, context, task_instance):
    """Update ``churn`` to whichever configuration it does not serve, each time in a run of its own."""

    def run(number, **changes):
        task_instance.run_id = f"manual__{number}"
        serving = churn.describe()["EndpointConfigName"]
        arguments = {
            "task_id": "update",
            "endpoint_name": "churn",
            "endpoint_config_name": "churn-v2" if serving == "churn-v1" else "churn-v1",
            "strategy": STRATEGY,
            "alarms": ["errors"],
            "waiter_delay": 60,
        }
        for name in changes:
            arguments |= WITH.get(name, {})
        operator = SageMakerGuardedUpdateOperator(**{**arguments, **changes})
        operator.sleep = simulated_sleep
        try:
            return operator.execute(context)
        finally:
            churn.advance(hours=2)

    return run


def writes(churn):
    return {operation: churn.calls(operation) for operation in WRITES}


@pytest.mark.proof
@pytest.mark.parametrize("name", parameters(SageMakerGuardedUpdateOperator))
def test_an_odd_value_that_is_accepted_ends_with_a_named_outcome(churn, update, context, name):
    accepted = [
        value for value in ODD if refused(SageMakerGuardedUpdateOperator, name, value, context) is None
    ]
    told = []
    for number, value in enumerate(accepted):
        before = writes(churn)
        try:
            update(number, **{name: value})
        except TaskDeferred:
            assert churn.calls("UpdateEndpoint") == before["UpdateEndpoint"] + 1
        except InvalidArgument:
            # Some values are wrong only for this endpoint.
            assert writes(churn) == before
        except GuardrailsError as error:
            told.append(str(error))
    assert all(told)


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint_name": None},
        {"endpoint_name": 2026},
        {"endpoint_config_name": "None"},
        {"endpoint_config_name": 20260302},
        {"alarms": None},
        {"alarms": "errors"},
        {"alarms": {"errors": 1}},
        {"alarms": [7]},
        {"strategy": None},
        {"strategy": {"AutoRollbackConfiguration": {"Alarms": "{{ var.json.alarms }}"}}},
        {"strategy": {"AutoRollbackConfiguration": {"Alarms": [{"Name": "errors"}]}}},
        {"strategy": {"AutoRollbackConfiguration": None}},
        {"aws_conn_id": ""},
        {"region_name": "None"},
        {"verify": "False"},
        {"botocore_config": {"x": 1}},
    ],
    ids=str,
)
def test_a_bad_value_is_named_before_the_first_write(churn, update, changes):
    before = writes(churn)

    with pytest.raises(InvalidArgument, match=next(iter(changes))):
        update(1, **changes)
    assert writes(churn) == before
    assert churn.describe()["EndpointStatus"] == "InService"


@pytest.mark.parametrize(
    "changes",
    [
        {"max_wait": timedelta.max},
        {"busy_timeout": timedelta.max},
        {"waiter_delay": float("nan")},
        {"waiter_delay": 1e9},
        {"max_wait": timedelta(days=31)},
        {"max_describe_gap": float("inf")},
        {"relaunch": "False"},
        {"allow_unguarded": "False"},
        {"abort_switch": None},
        {"deferrable": "{{ var.value.deferrable }}"},
    ],
    ids=str,
)
def test_what_is_not_templated_is_refused_when_the_dag_is_parsed(changes):
    with pytest.raises(InvalidArgument, match=next(iter(changes))):
        build(**changes)


@pytest.mark.parametrize("alarms", ["{{ var.json.alarms }}", ["errors", "{{ x }}", 7, None, []], 7, {"x": 1}])
@pytest.mark.parametrize(
    "written",
    [
        "{{ var.json.alarms }}",
        ["errors"],
        [{"AlarmName": "{{ x }}"}, {"AlarmName": []}, {"Name": "x"}, None],
        {"AlarmName": "errors"},
        7,
        None,
    ],
)
def test_a_dag_file_imports_whatever_its_alarms_and_strategy_are(alarms, written):
    for rollback in ({"Alarms": written}, written):
        build(alarms=alarms, strategy={"AutoRollbackConfiguration": rollback})
        build(alarms=["errors"], strategy={"AutoRollbackConfiguration": rollback})
        build(alarms=alarms, strategy=written)


def test_a_dag_file_imports_where_another_task_gives_the_arguments():
    with DAG("deploy", schedule=None):
        first = build(task_id="first").output
        build(
            task_id="second",
            endpoint_name=first["endpoint_name"],
            alarms=[first["x"], "errors"],
            strategy=first["strategy"],
        )


def test_links_are_those_of_the_alarms_that_are_known():
    config = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "written"}, {"AlarmName": "errors"}]}}

    names = [link.name for link in build(alarms=["errors", "{{ x }}"], strategy=config).operator_extra_links]

    assert names == [
        "Rollout",
        "SageMaker endpoint",
        "CloudWatch alarm errors",
        "CloudWatch alarm 2",
        "CloudWatch alarm written",
    ]


def build(**changes):
    given = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2", "strategy": STRATEGY}
    return SageMakerGuardedUpdateOperator(**{"task_id": "update", **given, **changes})
