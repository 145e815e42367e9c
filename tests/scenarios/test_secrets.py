"""No credentials of an ``endpoint_url`` are shown, and texts of AWS are one line."""

from __future__ import annotations

import itertools
import json
import logging
import pickle
import socket
import traceback

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from airflow_guardrails.aws.errors import cleaned, code_of, named_text, text_for_people, text_of
from airflow_guardrails.exceptions import UnexpectedAnswer
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.approval import SageMakerApproveRolloutOperator
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.shadow_variant import SageMakerAddShadowVariantOperator
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from airflow_guardrails.strategies import AllAtOnce
from airflow_guardrails.tasks.aws_task import AwsTask
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger
from tests.support.fakes import TaskInstance
from tests.support.simulated import forget_masked_secrets

SECRET = "hunter2"
UPDATE = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"}
TASKS = [
    (SageMakerGuardedUpdateOperator, {**UPDATE, "strategy": AllAtOnce()}),
    (SageMakerAbortRolloutOperator, UPDATE),
    (SageMakerApproveRolloutOperator, UPDATE),
    (SageMakerAddShadowVariantOperator, {"endpoint_name": "churn", "shadow_model_name": "candidate"}),
    (
        SageMakerCreateShadowTestOperator,
        {
            "name": "trial",
            "endpoint_name": "churn",
            "role_arn": "arn:aws:iam::123456789012:role/churn",
            "shadow_model_name": "candidate",
        },
    ),
    (SageMakerStopShadowTestOperator, {"name": "trial"}),
    (SageMakerJudgeShadowTestOperator, {"name": "trial"}),
    (SageMakerRolloutSensor, {**UPDATE, "poke_interval": 0.01, "timeout": 0}),
    (SageMakerShadowTestSensor, {"name": "trial", "poke_interval": 0.01, "timeout": 0}),
]


@pytest.fixture(scope="module")
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]  # bound, and nobody listens


def connect(monkeypatch, endpoint_url):
    extra = {
        "endpoint_url": endpoint_url,
        "region_name": "us-east-1",
        "config_kwargs": {"retries": {"total_max_attempts": 1}},
    }
    connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


@pytest.fixture(
    params=[
        "http://user:{}@127.0.0.1:{}",
        "http://us%40er:{}@127.0.0.1:{}/path",
        "http://user:a@b{}@127.0.0.1:{}",
    ]
)
def unreachable(request, monkeypatch, closed_port, shared_models):
    """Airflow's connection leads to a port where nobody listens, by a URL with a password."""
    connect(monkeypatch, request.param.format(SECRET, closed_port))
    yield
    # Airflow would mask what it takes for a secret of a connection, and hide what is tested here.
    forget_masked_secrets()


@pytest.mark.parametrize(("kind", "arguments"), TASKS, ids=lambda case: getattr(case, "__name__", ""))
def test_a_task_that_cannot_reach_aws_shows_no_password(unreachable, kind, arguments, caplog, capsys):
    caplog.set_level(logging.INFO)
    task_instance = TaskInstance()
    # An approval has no such argument: it asks once it has read what it shows.
    waits = {} if kind is SageMakerApproveRolloutOperator else {"deferrable": False}
    task = kind(task_id="task", **waits, **arguments)
    task.sleep = lambda _: None

    shown = ""
    try:
        task.execute({"ti": task_instance})
    except Exception as error:  # noqa: BLE001 - whatever it is, Airflow shows it
        shown = "".join(traceback.format_exception(error)) + repr(error)

    told = shown + json.dumps(task_instance.xcoms) + caplog.text + "".join(capsys.readouterr())
    assert "127.0.0.1" in told
    assert SECRET not in told


async def no_time(_):
    """Sleep for no time at all."""


@pytest.mark.parametrize(
    ("trigger", "says"),
    [
        (
            SageMakerRolloutTrigger(
                endpoint_name="churn", endpoint_config_name="churn-v2", waiter_delay=1, deadline=10
            ),
            "No response from SageMaker",
        ),
        (
            SageMakerShadowTestTrigger(name="trial", until="Completed", waiter_delay=1, deadline=10),
            "No response from SageMaker",
        ),
    ],
    ids=["rollout", "shadow test"],
)
async def test_a_trigger_that_cannot_reach_aws_shows_no_password(unreachable, trigger, says, caplog, capsys):
    caplog.set_level(logging.INFO)
    trigger.shares_poller, trigger.sleep, trigger.monotonic = False, no_time, itertools.count().__next__

    event = await anext(trigger.run())

    told = json.dumps(event.payload) + caplog.text + "".join(capsys.readouterr())
    assert says in told
    assert SECRET not in told


@pytest.mark.parametrize(
    "endpoint_url",
    [f"user:{SECRET}@127.0.0.1", f"http://user:{SECRET}@", f"http://user:x/{SECRET}@127.0.0.1:9"],
)
def test_a_url_that_is_none_is_not_shown(monkeypatch, shared_models, endpoint_url):
    connect(monkeypatch, endpoint_url)
    task = SageMakerAbortRolloutOperator(task_id="task", **UPDATE)

    with pytest.raises(Exception) as caught:  # noqa: PT011 - boto3's
        task.execute({"ti": TaskInstance()})

    assert SECRET not in "".join(traceback.format_exception(caught.value))
    forget_masked_secrets()


# One error's text.


def test_what_aws_says_is_one_line():
    error = ClientError(
        {"Error": {"Code": "ValidationException", "Message": "No\n\x1b[31mhttps://a:secret@b"}},
        "UpdateEndpoint",
    )

    said = "No https://***@b"
    assert text_for_people(error).endswith(f"calling the UpdateEndpoint operation: {said}")
    assert named_text(error).startswith("ClientError: An error occurred")
    assert cleaned(error) is error
    assert str(error).endswith(said)
    assert (code_of(error), text_of(error)) == ("ValidationException", said)


@pytest.mark.parametrize("through", [lambda error: error, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_is_cleaned_with_its_causes(through):
    error = EndpointConnectionError(
        endpoint_url="https://user:secret@host/", error=OSError("https://c:secret@d")
    )
    error.__cause__ = HTTPClientError(error=ValueError("https://user:secret@host"))
    error.__cause__.__context__ = error

    shown = through(cleaned(error))

    assert "secret" not in "".join(traceback.format_exception(shown))
    assert "https://***@host/" in str(shown)
    assert isinstance(shown, EndpointConnectionError)


def test_a_clean_answer_of_aws_reaches_the_task(churn):
    churn.simulator.client.fault(
        "DescribeEndpoint", kind="error", code="ValidationException", message="No\n\x1b[1mline", status=400
    )

    class Task(AwsTask):
        def execute(self, context):  # noqa: ARG002 - Airflow's signature
            return self.hook.describe_endpoint("churn")

    with pytest.raises(ClientError, match=r"No line$"):
        Task(task_id="task").execute({})


def test_what_a_task_says_of_an_odd_answer_is_one_line(churn):
    class Task(AwsTask):
        def execute(self, context):  # noqa: ARG002 - Airflow's signature
            from airflow_guardrails.aws.endpoint import parse_endpoint  # noqa: PLC0415

            return parse_endpoint({**churn.describe(), "EndpointStatus": "Odd\n\x1b[1mhttps://a:secret@b"})

    with pytest.raises(UnexpectedAnswer) as caught:
        Task(task_id="task").execute({})

    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
