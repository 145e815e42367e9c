"""The log of a task that fails with an error of this package ends with its text, in Airflow's task runner."""

from __future__ import annotations

import io
import json

import pytest
import structlog
from airflow.sdk.execution_time.comms import RetryTask, TaskState

from airflow_guardrails.exceptions import EndpointBusy, EndpointRolledBack, GuardrailsError, UnexpectedAnswer
from airflow_guardrails.tasks.aws_task import AwsTask
from tests.support.worker import Worker

SUMMARY = "ROLLED BACK: alarm errors 2.5 > 1; churn-v1 serves. Endpoint churn was rolled back."
ROLLED_BACK = EndpointRolledBack(SUMMARY, {"outcome": "RolledBack"})


class Ends(AwsTask):
    """Fails with an error."""

    def __init__(self, *, error, **kwargs):
        super().__init__(task_id="update", **kwargs)
        self.error = error

    def execute(self, context):  # noqa: ARG002 - Airflow's signature
        raise self.error


@pytest.fixture
def configured():
    """Structlog as it is, restored after the test; the test may configure it otherwise."""
    before = structlog.get_config()
    yield structlog.configure
    structlog.configure(**before)


@pytest.fixture
def log(configured):
    """The lines of the log, by the processors with which Airflow writes a task's log."""
    written = io.StringIO()
    configured(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer()),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(written),
    )

    def lines():
        parsed = [json.loads(line) for line in written.getvalue().splitlines()]
        # In Airflow 3.3, these lines fold what comes after the end of the task.
        return [line for line in parsed if not line["event"].startswith("::")]

    return lines


@pytest.fixture
def worker(monkeypatch, log):
    return Worker(monkeypatch)


def test_the_text_of_our_error_is_the_last_line_without_a_traceback(worker, log):
    assert worker.run(Ends(dag=worker.dag, error=ROLLED_BACK)) == "failed"

    last = log()[-1]
    assert (last["event"], last["error"], last["level"]) == (SUMMARY, "EndpointRolledBack", "error")
    assert "exception" not in last


@pytest.mark.parametrize("error", [ValueError("a bug"), UnexpectedAnswer("EndpointStatus is 'Odd'")])
def test_other_errors_and_those_that_suggest_a_bug_keep_their_traceback(worker, log, error):
    worker.run(Ends(dag=worker.dag, error=error))

    last = log()[-1]
    assert last["event"] == "Task failed with exception"
    assert last["exception"][0]["exc_type"] == type(error).__name__
    assert last["exception"][0]["frames"]


def test_an_error_without_a_text_keeps_its_traceback(worker, log):
    worker.run(Ends(dag=worker.dag, error=GuardrailsError()))

    assert "exception" in log()[-1]


def test_callbacks_get_the_error_itself(worker):
    given = []
    task = Ends(
        dag=worker.dag,
        error=ROLLED_BACK,
        on_failure_callback=lambda context: given.append(context["exception"]),
    )

    worker.run(task)

    assert given == [ROLLED_BACK]


@pytest.mark.parametrize(("error", "message"), [(ROLLED_BACK, TaskState), (EndpointBusy("busy"), RetryTask)])
def test_the_error_decides_about_retries_as_before(worker, error, message):
    worker.should_retry = True

    worker.run(Ends(dag=worker.dag, error=error))

    assert type(worker.last_message) is message


def test_what_others_log_about_our_error_stays(worker, log):
    worker.run(Ends(dag=worker.dag, error=ROLLED_BACK))

    try:
        raise ROLLED_BACK
    except EndpointRolledBack:
        structlog.get_logger("other").exception("The callback says")

    assert log()[-1]["event"] == "The callback says"
    assert log()[-1]["exception"]


def test_many_runs_in_one_process_change_structlog_once(worker):
    task = Ends(dag=worker.dag, error=ROLLED_BACK)
    for _ in range(3):
        worker.run(task)

    names = [getattr(each, "__name__", "") for each in structlog.get_config()["processors"]]
    assert names.count("_replace_traceback") == 1


def test_a_structlog_that_is_configured_in_another_way_logs_the_normal_traceback(
    monkeypatch, configured, capsys
):
    # A tuple cannot be changed in place.
    configured(processors=(structlog.processors.format_exc_info, structlog.processors.JSONRenderer()))
    worker = Worker(monkeypatch)

    assert worker.run(Ends(dag=worker.dag, error=ROLLED_BACK)) == "failed"

    log = capsys.readouterr().out
    assert "Task failed with exception" in log
    assert "Traceback (most recent call last)" in log
