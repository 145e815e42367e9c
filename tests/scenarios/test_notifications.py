"""Airflow's own task runner and DAG processor call the notifier, and what that does to the task."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, BaseNotifier, BaseOperator
from airflow.sdk.execution_time.comms import TaskState

from airflow_guardrails.domain.rollout.report import parse_report
from airflow_guardrails.exceptions import EndpointRolledBack
from airflow_guardrails.notifications import RolloutNotifier
from tests.support.worker import Worker

REPORT = dict(parse_report({"outcome": "RolledBack", "endpoint_name": "churn"}))
IN_FLIGHT = REPORT | {"outcome": None}
ROLLED_BACK = EndpointRolledBack("Endpoint churn was rolled back.", REPORT)


class Ends(BaseOperator):
    """Pushes a report and ends as the tasks of this package do."""

    def __init__(self, *, error, report=REPORT, **kwargs):
        super().__init__(task_id="update", **kwargs)
        self.error = error
        self.report = report

    def execute(self, context):
        context["ti"].xcom_push("rollout_report", self.report)
        raise self.error


class Refuses(BaseNotifier):
    """A notifier whose service is down."""

    def notify(self, context):  # noqa: ARG002 - Airflow's signature
        raise ConnectionError("no mail today")


@pytest.fixture
def worker(monkeypatch):
    return Worker(monkeypatch)


@pytest.fixture
def told():
    return []


@pytest.fixture
def notifier(told):
    return RolloutNotifier(lambda context: told.append((context["rollout_outcome"], context["ti"].task_id)))


def test_an_error_of_the_notifier_changes_neither_the_state_nor_the_other_callbacks(
    worker, notifier, told, capsys
):
    callbacks = [RolloutNotifier(Refuses()), notifier]
    task = Ends(dag=worker.dag, error=ROLLED_BACK, on_failure_callback=callbacks)

    assert worker.run(task) == "failed"

    assert told == [("RolledBack", "update")]
    assert [message.state for message in worker.messages if isinstance(message, TaskState)] == ["failed"]
    log = capsys.readouterr().out
    assert "Failed to run task callback" in log
    assert "no mail today" in log


def test_the_state_is_stored_before_anybody_is_notified(worker):
    stored = []
    notifier = RolloutNotifier(
        lambda _: stored.extend(each for each in worker.messages if isinstance(each, TaskState))
    )
    task = Ends(dag=worker.dag, error=ROLLED_BACK, on_failure_callback=notifier)

    worker.run(task)

    assert [message.state for message in stored] == ["failed"]


def test_a_skip_after_a_rollback_is_notified(worker, notifier, told):
    task = Ends(dag=worker.dag, error=AirflowSkipException("rolled back"), on_skipped_callback=notifier)

    assert worker.run(task) == "skipped"

    assert told == [("RolledBack", "update")]


@pytest.mark.parametrize(
    ("report", "outcome"), [(REPORT, "RolledBack"), (IN_FLIGHT, "Unknown"), (None, "Unknown")]
)
def test_the_dag_processor_notifies_of_a_lost_worker(worker, notifier, told, report, outcome):
    task = Ends(dag=worker.dag, error=None, on_failure_callback=notifier)
    worker.xcoms["update", "rollout_report"] = report

    worker.lose(task)

    assert told == [(outcome, "update")]
