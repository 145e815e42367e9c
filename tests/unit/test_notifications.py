"""Which outcomes of a rollout reach the other notifier, and what it is told."""

from __future__ import annotations

import copy

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, BaseNotifier

from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import parse_report
from airflow_guardrails.exceptions import (
    AbortTooLate,
    EndpointRolledBack,
    InvalidArgument,
    PreflightFailed,
    RolloutUnwatched,
    ShadowTestTimedOut,
)
from airflow_guardrails.notifications import UNKNOWN, RolloutNotifier
from tests.support.airflow_run import Run

TEXT = "Endpoint churn was rolled back: it serves v1 again, not v2. Alarm errors was in ALARM since 10:16."
ALL = [*(outcome.value for outcome in Outcome), UNKNOWN]


def report(outcome, **changes):
    known = {
        "endpoint_name": "churn",
        "endpoint_config_name": "v2",
        "previous_endpoint_config_name": "v1",
        "serving_endpoint_config_name": "v1",
    }
    return dict(parse_report({**known, "outcome": outcome, **changes}))


ROLLED_BACK = EndpointRolledBack(TEXT, report("RolledBack"))


class Told(BaseNotifier):
    """A notifier that keeps what its template renders to."""

    template_fields = ("text",)

    def __init__(self, text="{{ rollout_outcome }}|{{ rollout_summary }}|{{ rollout_report.endpoint_name }}"):
        super().__init__()
        self.text = text
        self.told = []

    def notify(self, context):  # noqa: ARG002 - Airflow's signature
        self.told.append(self.text)


class ToldInALoop(Told):
    async def async_notify(self, context):  # noqa: ARG002 - Airflow's signature
        self.told.append(f"async {self.text}")


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def ended(run):
    """The context of a task that has ended in a worker."""

    def context(exception=None, xcom=None):
        if xcom is not None:
            run.xcoms["update", -1, "rollout_report"] = xcom
        return {"ti": run.task("update"), "exception": exception}

    return context


@pytest.fixture
def lost(ended):
    """The context of a task whose worker was lost, as the DAG processor has it."""

    def context(xcom=None):
        return {"ti": ended(xcom=xcom)["ti"]}

    return context


def told(context, **arguments):
    """The outcome, summary and endpoint that the other notifier gets; None if it is not called."""
    notifier = Told()
    RolloutNotifier(notifier, **arguments)(context)
    return tuple(notifier.told[0].split("|")) if notifier.told else None


# Which outcomes are notified.


def test_by_default_all_outcomes_but_success_are_notified(ended):
    notified = [value for value in ALL[:-1] if told(ended(xcom=report(value)))]

    assert notified == [value for value in ALL[:-1] if value != "Succeeded"]


@pytest.mark.parametrize(
    "asked", [["Succeeded"], [Outcome.SUCCEEDED], ("Succeeded", "Failed"), {"Succeeded"}]
)
def test_only_the_outcomes_that_were_asked_for_are_notified(ended, asked):
    assert told(ended(xcom=report("Succeeded", serving_endpoint_config_name="v2")), on=asked)
    assert not told(ended(ROLLED_BACK), on=asked)


def test_the_report_of_the_error_is_used_without_a_call_to_airflow(run, ended):
    run.refusing.add("xcom_pull")

    assert told(ended(ROLLED_BACK)) == (
        "RolledBack",
        "ROLLED BACK: cause unknown; v1 serves",
        "churn",
    )


def test_a_skip_after_a_rollback_has_its_report_in_xcom(ended):
    assert told(ended(AirflowSkipException("rolled back"), report("RolledBack")))[0] == "RolledBack"


def test_a_lost_worker_may_have_left_the_report_of_the_end(lost):
    assert told(lost(report("RolledBack")))[0] == "RolledBack"


def test_the_summary_of_the_report_is_preferred_to_the_sentence(ended):
    error = EndpointRolledBack(
        TEXT, report("RolledBack", summary="ROLLED BACK: alarm errors; churn-v1 serves")
    )

    assert told(ended(error))[1] == "ROLLED BACK: alarm errors; churn-v1 serves"


@pytest.mark.parametrize("exception", [None, AirflowSkipException("nothing to conclude")])
@pytest.mark.parametrize("xcom", [None, report(None)])
def test_a_task_that_has_not_failed_and_knows_no_outcome_calls_nobody(ended, exception, xcom):
    assert told(ended(exception, xcom), on=ALL) is None


# Not knowing.


@pytest.mark.parametrize(
    ("exception", "summary"),
    [
        (KeyError("model"), "KeyError: 'model'"),
        (SystemExit(1), "SystemExit: 1"),
        ("killed from outside", "killed from outside"),
        (RuntimeError("no https://me:secret@proxy/"), "RuntimeError: no https://***@proxy/"),
        (
            PreflightFailed("Preflight failed: no alarm. Fix it", [], report(None)),
            "Preflight failed: no alarm.",
        ),
        (RolloutUnwatched("The outcome is unknown: denied", report(None)), "The outcome is unknown: denied"),
        (RolloutUnwatched("The outcome is unknown: denied"), "The outcome is unknown: denied"),
    ],
)
def test_a_failure_without_an_outcome_is_unknown(ended, exception, summary):
    assert told(ended(exception), on=["Unknown"])[:2] == ("Unknown", summary)
    assert told(ended(exception), on=["RolledBack"]) is None


def test_a_lost_worker_without_a_report_is_unknown(lost):
    outcome, summary, endpoint = told(lost())

    assert (outcome, endpoint) == ("Unknown", "")
    assert summary.startswith("Outcome unknown: the worker of task update (DAG deploy, run scheduled__")


def test_a_lost_worker_whose_rollout_was_in_flight_is_unknown_with_the_report_so_far(lost):
    outcome, _, endpoint = told(lost(report(None)))

    assert (outcome, endpoint) == ("Unknown", "churn")


@pytest.mark.parametrize("odd", ["text", [], {"outcome": "Exploded"}, {"outcome": []}, {"outcome": 1}])
def test_a_report_that_cannot_be_read_is_unknown(lost, odd):
    assert told(lost(odd))[0] == "Unknown"


def test_people_are_notified_even_if_airflow_does_not_return_the_report(run, lost):
    run.refusing.add("xcom_pull")

    assert told(lost())[0] == "Unknown"
    assert told({})[0] == "Unknown"


def test_a_failed_task_is_no_success_whatever_its_report_says(ended, lost):
    serving = report("Succeeded", serving_endpoint_config_name="v2")

    assert told(ended(AbortTooLate("The abort came too late: v2 serves", serving)))[:2] == (
        "Unknown",
        "The abort came too late: v2 serves",
    )
    assert told(lost(serving))[1].endswith("was lost after it had reported Succeeded.")


def test_the_report_of_a_shadow_test_is_not_taken_for_that_of_a_rollout(ended):
    error = ShadowTestTimedOut("The test timed out", {"outcome": "TimedOut"})

    assert told(ended(error)) == ("Unknown", "The test timed out", "")


# The other notifier.


def test_templates_are_rendered_anew_for_each_task_instance(ended):
    inner = Told()
    notifier = RolloutNotifier(inner)

    notifier(ended(ROLLED_BACK))
    notifier(ended(KeyError("model")))

    assert [text.partition("|")[0] for text in inner.told] == ["RolledBack", "Unknown"]
    assert "{{ rollout_outcome }}" in inner.text


def test_the_context_of_other_callbacks_is_left_as_it_is(ended):
    context = ended(ROLLED_BACK)
    before = dict(context)

    RolloutNotifier(Told())(context)

    assert context == before


def test_a_function_gets_the_context_with_the_report(ended):
    contexts = []

    RolloutNotifier(contexts.append, on=["RolledBack"])(ended(ROLLED_BACK))

    (context,) = contexts
    assert context["rollout_report"] == ROLLED_BACK.report
    assert context["rollout_outcome"] == "RolledBack"
    assert context["exception"] is ROLLED_BACK


def test_a_notifier_of_this_kind_survives_the_copies_that_airflow_makes_of_a_task(ended):
    inner = Told()
    copied = copy.deepcopy(RolloutNotifier(inner, on=["RolledBack"]))

    copied(ended(ROLLED_BACK))

    assert len(copied.notifier.told) == 1
    assert not inner.told


@pytest.mark.parametrize(("inner", "way"), [(Told, ""), (ToldInALoop, "async ")])
async def test_it_can_be_awaited(ended, inner, way):
    notifier = inner()

    await RolloutNotifier(notifier, context=ended(ROLLED_BACK))
    await RolloutNotifier(notifier, on=["Failed"], context=ended(ROLLED_BACK))

    assert [text.partition("|")[0] for text in notifier.told] == [f"{way}RolledBack"]


# Wrong arguments.


@pytest.mark.parametrize(
    ("on", "text"),
    [
        (["Rolledback"], r"on must name outcomes of Succeeded, .*, Unknown \(got 'Rolledback'\)"),
        ([None], r"got None"),
        ([["RolledBack"]], r"got \['RolledBack'\]"),
        ("RolledBack", r"on must be a list of outcomes, and not be empty \(got 'RolledBack'\)"),
        ([], r"on must be a list of outcomes"),
        (None, r"on must be a list of outcomes"),
    ],
)
def test_wrong_outcomes_are_named_when_the_dag_is_parsed(on, text):
    with pytest.raises(InvalidArgument, match=text):
        RolloutNotifier(Told(), on=on)


async def coroutine(context):
    """Airflow would not await it."""


def generator(context):
    yield


@pytest.mark.parametrize("notifier", [None, "smtp", Told, coroutine, generator])
def test_what_is_no_notifier_is_named_when_the_dag_is_parsed(notifier):
    with pytest.raises(InvalidArgument, match=r"^notifier must be"):
        RolloutNotifier(notifier)
