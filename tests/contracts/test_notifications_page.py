"""The examples in docs/notifications.md send what the page says."""

from __future__ import annotations

import json
import re

import pytest

from airflow_guardrails.notifications import _NAMES, UNKNOWN, RolloutNotifier
from airflow_guardrails.strategies import AllAtOnce
from airflow_guardrails.task_groups import guarded_deployment
from tests.support.pages import first_column, page, section
from tests.support.receivers import mail_server, slack
from tests.support.simulated import new_client
from tests.support.worker import Worker

TEXT = page("notifications")
SENTENCE = "ROLLED BACK: alarm errors; churn-v1 serves"


@pytest.fixture
def mails(monkeypatch):
    with mail_server(monkeypatch) as mails:
        yield mails


@pytest.fixture
def slack_messages(monkeypatch):
    with slack(monkeypatch) as messages:
        yield messages


@pytest.fixture
def topic(simulator):
    """The messages of the topic of the page, as a queue that is subscribed to it gets them."""
    sns, sqs = (new_client(simulator.url, service) for service in ("sns", "sqs"))
    queue = sqs.create_queue(QueueName="rollouts")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    arn = sns.create_topic(Name="rollouts")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=attributes["QueueArn"])

    def messages():
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in received]

    return messages


@pytest.fixture
def worker(monkeypatch):
    return Worker(monkeypatch)


@pytest.fixture
def examples(worker):
    """What the examples of the page define, in one DAG."""
    found = {}
    with worker.dag:
        for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
            exec(code, found)
    return found


@pytest.mark.proof
def test_a_rollback_is_notified_by_mail_in_slack_and_by_sns(
    churn, worker, examples, simulated_sleep, mails, slack_messages, topic
):
    update = examples["update"]
    update.on_failure_callback = [examples[name] for name in ("by_mail", "by_slack", "by_sns")]

    def sleep(seconds):
        simulated_sleep(seconds)
        # Once the canary serves, its errors are seen.
        if "PendingDeploymentSummary" in churn.describe() and churn.calls("UpdateEndpoint"):
            churn.trip("errors")

    update.sleep = sleep

    assert worker.run(update) == "failed"

    report = worker.xcoms["update", "rollout_report"]
    assert report["outcome"] == "RolledBack"
    (mail,) = mails
    assert (mail["To"], mail["Subject"]) == ("ml-on-call@example.com", "RolledBack: churn")
    content = mail.get_body().get_content()
    assert f"<p>{SENTENCE}</p>" in content
    assert '"serving_endpoint_config_name": "churn-v1"' in content
    (message,) = slack_messages
    assert message["text"] == f"*RolledBack*: {SENTENCE}\nServes: `churn-v1`"
    (published,) = topic()
    sentence, _, document = published["Message"].partition("\n\n")
    assert (published["Subject"], sentence, json.loads(document)) == ("RolledBack", SENTENCE, report)


def test_the_end_is_notified_once_if_the_concluding_task_has_the_callbacks(worker, examples, mails):
    worker.xcoms["update", "rollout_report"] = {"outcome": "RolledBack", "endpoint_name": "churn"}
    worker.states["update"] = "failed"

    assert worker.run(examples["conclude"]) == "success"

    (mail,) = mails
    assert mail["Subject"] == "RolledBack: churn"


def test_a_failure_before_the_update_is_notified_by_its_own_task(simulator, worker, examples, mails):
    assert worker.run(examples["update"]) == "failed"

    (mail,) = mails
    assert mail["Subject"] == "Unknown: update"
    assert "churn" in mail.get_body().get_content()


def test_default_args_bring_both_callbacks_to_all_tasks_of_the_group(worker, examples):
    by_mail = examples["by_mail"]
    with worker.dag:
        group = guarded_deployment(
            endpoint_name="churn",
            model_name="churn-v2",
            strategy=AllAtOnce(),
            group_id="notified_twice",
            default_args={"on_success_callback": by_mail, "on_failure_callback": by_mail},
        )

    for task in group.children.values():
        # Airflow copies default_args for each task.
        callbacks = [*task.on_success_callback, *task.on_failure_callback]
        assert [type(callback) for callback in callbacks] == [RolloutNotifier, RolloutNotifier]


def test_the_callbacks_of_the_group_are_those_of_its_concluding_task_alone(examples):
    tasks = {name.rpartition(".")[2]: task for name, task in examples["deployment"].children.items()}

    conclude, update = tasks.pop("conclude"), tasks.pop("guarded_update")
    assert conclude.on_success_callback == conclude.on_failure_callback == [examples["by_mail"]]
    assert [callback.on for callback in update.on_failure_callback] == [("Unknown",)]
    assert not any(task.on_failure_callback or task.on_success_callback for task in tasks.values())


def test_every_outcome_and_every_variable_is_on_the_page():
    assert first_column(section(TEXT, "The outcomes")) == list(_NAMES)
    assert _NAMES[-1] == UNKNOWN
    assert first_column(section(TEXT, "What templates can use")) == [
        "rollout_outcome",
        "rollout_summary",
        "rollout_report",
    ]
