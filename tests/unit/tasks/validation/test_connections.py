"""A connection that does not exist is refused; the worker's own credentials never take its place."""

from __future__ import annotations

import pytest

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.exceptions import ConnectionNotFound, InvalidArgument
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.operators.predictions import SageMakerMergePredictionsOperator
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger
from tests.support.every_task import TASKS

CONNECTED = [kind for kind in TASKS if kind is not SageMakerMergePredictionsOperator]


@pytest.fixture
def workers_own(churn, monkeypatch):
    """Credentials of the worker that reach an endpoint ``churn``; the connection is gone."""
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    monkeypatch.setenv("AWS_ENDPOINT_URL", churn.simulator.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return churn


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_task_without_its_connection_calls_nothing(workers_own, context, kind):
    before = sum(workers_own.simulator.simulation.calls.values())
    task = kind(task_id="task", **TASKS[kind])

    with pytest.raises(ConnectionNotFound, match="connection aws_default does not exist"):
        task.execute(context)
    assert sum(workers_own.simulator.simulation.calls.values()) == before


def test_a_template_that_renders_to_no_name_is_no_way_to_the_workers_own_credentials(workers_own, context):
    kind = CONNECTED[0]
    for rendered in ("", "None"):
        task = kind(task_id="task", **TASKS[kind], aws_conn_id=rendered)
        with pytest.raises((InvalidArgument, ConnectionNotFound), match="aws_conn_id"):
            task.execute(context)


@pytest.mark.parametrize("kind", CONNECTED)
def test_none_stands_for_the_workers_own_credentials(workers_own, kind):
    task = kind(task_id="task", **TASKS[kind], aws_conn_id=None)

    assert isinstance(task.hook.describe_endpoint("churn"), Endpoint)


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_configuration_that_botocore_does_not_know_is_named(workers_own, context, kind):
    task = kind(task_id="task", **TASKS[kind], aws_conn_id=None, botocore_config={"x": 1})

    with pytest.raises(InvalidArgument, match=r"botocore_config must be .*\(got {'x': 1}\)"):
        task.execute(context)


def test_the_hook_is_refused_in_every_service(workers_own):
    hook = GuardrailsHook(aws_conn_id="elsewhere")

    for each in (hook, hook.sibling("cloudwatch")):
        with pytest.raises(errors.ConnectionNotFound, match="elsewhere"):
            _ = each.conn


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (SageMakerRolloutTrigger, {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"}),
        (SageMakerShadowTestTrigger, {"name": "trial"}),
    ],
)
async def test_a_trigger_that_looks_for_itself_ends_by_naming_the_connection(workers_own, kind, arguments):
    trigger = kind(**arguments)
    trigger.shares_poller = False

    event = await anext(trigger.run())

    assert event.payload["error"].startswith("ConnectionNotFound: Airflow connection aws_default does not")
