"""A person is asked before an update; whatever is not an approval fails the task."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import DAG, Param
from airflow.sdk import exceptions as sdk_exceptions
from airflow.sdk.api.datamodels._generated import HITLDetailResponse
from airflow.sdk.definitions._internal.mixins import ResolveMixin
from airflow.sdk.execution_time import task_runner

from airflow_guardrails.domain.rollout.approval import digest_of
from airflow_guardrails.exceptions import (
    EndpointConfigNotFound,
    EndpointNotFound,
    InvalidArgument,
    RolloutNotApproved,
)
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.operators.approval import SageMakerApproveRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.rules import MetricRule
from airflow_guardrails.strategies import Canary
from tests.support.churn import model_request
from tests.support.simulated import deny

PAUSES = (TaskDeferred, getattr(sdk_exceptions, "TaskAwaitingInput", TaskDeferred))
NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
JANE = {"id": "jane", "name": "Jane Doe"}
VERDICT = {
    "label": "Pass",
    "name": "trial",
    "endpoint_name": "churn",
    "reasons": [{"label": "Pass", "text": "ModelLatency p90: +1.2% < limit +10%"}],
}


def operator(**changes):
    arguments = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2", **changes}
    return SageMakerApproveRolloutOperator(task_id="approve", **arguments)


class Airflow:
    """Airflow's side of a question: what it was told, and what somebody answers."""

    def __init__(self, task_instance) -> None:
        task_instance.id = uuid4()
        self.context = {"ti": task_instance, "task_instance": task_instance}
        self.asked = None
        self.answer = None

    def send(self, msg):
        if type(msg).__name__ == "CreateHITLDetailPayload":
            self.asked = msg
        elif type(msg).__name__ == "UpdateHITLDetail":
            self.respond(msg.chosen_options[0], user=None)
        return self.answer

    def respond(self, option, *, user=JANE):
        self.answer = HITLDetailResponse(
            response_received=option is not None,
            responded_by_user=user,
            responded_at=NOON if option else None,
            chosen_options=[option] if option else None,
            params_input={},
        )

    def ask(self, task):
        """Run *task* until it waits; return what the waiting task keeps, as JSON."""
        with pytest.raises(PAUSES) as pause:
            task.execute(self.context)
        assert pause.value.method_name == "execute_complete"
        return json.loads(json.dumps(pause.value.kwargs))


@pytest.fixture
def airflow(monkeypatch, task_instance):
    airflow = Airflow(task_instance)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
    return airflow


async def event_of(airflow, *, option):
    """The event of Airflow's own trigger after *option* was chosen; None is no answer in time."""
    airflow.respond(option)
    trigger = HITLTrigger(
        ti_id=airflow.context["ti"].id,
        options=["Approve", "Reject"],
        defaults=["Reject"],
        params={},
        timeout_datetime=datetime.now(timezone.utc) + timedelta(hours=-1 if option is None else 1),
    )
    (event,) = [event async for event in trigger.run()]
    return event.payload


class Output(ResolveMixin):
    """The output of another task."""

    def __init__(self, value) -> None:
        self.value = value

    def iter_references(self):
        return iter(())

    def resolve(self, context):  # noqa: ARG002
        return self.value


# The question.


def test_a_person_sees_what_would_be_deployed_and_may_approve_or_reject(airflow, churn):
    task = operator(
        verdict=VERDICT,
        strategy=Canary(percent=25, bake=timedelta(minutes=10)),
        alarms=["errors"],
        assigned_users=JANE,
    )

    kept = airflow.ask(task)["question"]

    asked = airflow.asked
    assert (asked.options, asked.defaults, asked.multiple) == (["Approve", "Reject"], ["Reject"], False)
    assert asked.subject == "Update churn to churn-v2?"
    assert [user.id for user in asked.assigned_users] == ["jane"]
    assert (
        "In service: `churn-v1`: model `churn`, 4 instances `ml.m5.large`; status `InService`" in asked.body
    )
    assert "To deploy: `churn-v2`: model `churn`, 4 instances `ml.m5.large`" in asked.body
    assert "ModelLatency p90: +1.2% < limit +10%" in asked.body
    assert "canary: 25 % of the fleet" in asked.body
    assert kept["evidence_digest"] == digest_of(asked.body)
    assert (kept["endpoint_name"], kept["endpoint_config_name"]) == ("churn", "churn-v2")


def test_the_time_for_the_answer_is_that_of_airflow(airflow, churn):
    task = operator(response_timeout=timedelta(hours=2))

    with pytest.raises(PAUSES) as pause:
        task.execute(airflow.context)

    if isinstance(pause.value, TaskDeferred):
        left = pause.value.trigger.timeout_datetime - datetime.now(timezone.utc)
        assert timedelta(hours=1, minutes=59) < left <= timedelta(hours=2)
    else:
        assert pause.value.timeout == timedelta(hours=2)


def test_an_execution_timeout_of_default_args_is_not_the_time_for_the_answer():
    task = operator(execution_timeout=timedelta(minutes=5))

    waits = getattr(task, "response_timeout", None) or task.execution_timeout
    assert waits == timedelta(days=1)


def test_what_looks_like_a_template_in_the_evidence_is_not_rendered(airflow, churn):
    reason = {"label": "Pass", "text": "{{ 7 * 7 }}"}
    output = Output({**VERDICT, "reasons": [reason]})
    task = operator(verdict=output, subject="Deploy {{ params.what }}?")
    task.render_template_fields({"params": {"what": "churn"}})

    airflow.ask(task)

    assert "`{{ 7 * 7 }}`" in airflow.asked.body
    assert airflow.asked.subject == "Deploy churn?"


@pytest.mark.parametrize(
    ("denied", "not_shown"),
    [("DescribeEndpoint", "In service"), ("DescribeEndpointConfig", "model `churn`")],
)
def test_without_permission_to_read_a_person_is_asked_and_told_so(airflow, churn, denied, not_shown):
    deny(churn.simulator.client, denied)

    kept = airflow.ask(operator())["question"]

    assert f"access denied (sagemaker:{denied})" in airflow.asked.body
    assert not_shown not in airflow.asked.body
    assert any(denied in warning for warning in kept["warnings"])


# The checks of the update.

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))


def planned(*, alarms=("errors",), strategy=CANARY, **settings):
    """The approval of an update with these settings."""
    update = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=strategy,
        alarms=alarms,
        **settings,
    )
    return operator(strategy=strategy, alarms=alarms, update=update)


def test_a_person_sees_what_the_checks_of_the_update_find_now(airflow, churn):
    airflow.ask(planned())

    assert "- Bakes and waits: at most 15 min" in airflow.asked.body
    assert "**Checks before the update: no error**" in airflow.asked.body
    assert "- **Note**: `the update runs 4 new instances beside the 4 that serve" in airflow.asked.body
    assert [churn.calls(name) for name in ("UpdateEndpoint", "PutMetricAlarm", "AddTags")] == [0, 0, 0]


def test_a_person_sees_the_guards_and_whether_they_can_go_off(airflow, churn):
    guards = [ErrorRate(above=0.01), {"guard": "ErrorRate", "above": "0.05", "periods": "30"}]
    update = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=CANARY,
        guards=guards,
    )

    airflow.ask(operator(strategy=CANARY, guards=guards, update=update))

    assert "- Guards that roll it back: `5xx errors of the new fleet > 1 %, 1 min`, `" in airflow.asked.body
    slow = "`guard 5xx errors of the new fleet > 5 %, 30 x 1 min needs about 33 min"
    assert f"- **Warning**: {slow}" in airflow.asked.body
    assert churn.calls("PutMetricAlarm") == 0


def test_what_would_stop_the_update_is_counted_and_comes_first(airflow, churn):
    churn.alarm("late", state="ALARM")

    airflow.ask(planned(alarms=["errors", "late", "missing"]))

    _, _, checks = airflow.asked.body.partition("**Checks before the update: ")
    assert checks.startswith(
        "2 errors would stop the update now; 1 may be over when it runs**\n\n- **Error**: `"
    )


def test_a_person_sees_what_really_runs_on_a_fleet_that_is_too_small(airflow, churn):
    churn.scale(1)
    churn.advance(minutes=10)
    small = Canary(percent=25, bake=timedelta(minutes=10), if_too_small="all_at_once")

    airflow.ask(planned(strategy=small, analysis={"rules": [MetricRule("ModelLatency", margin="10%")]}))

    assert "- Strategy: `all at once: the whole fleet in one step, wait 10 min" in airflow.asked.body
    assert "**Checks before the update: no error**" in airflow.asked.body
    assert "- **Note**: `canary needs 2 instances > the 1 instance (live) of AllTraffic" in airflow.asked.body
    assert "so the analysis is left out" in airflow.asked.body


@pytest.mark.parametrize(("allowed", "finds"), [(True, "no error"), (False, "1 error would stop the update")])
def test_the_checks_use_the_settings_of_the_update(airflow, churn, allowed, finds):
    airflow.ask(planned(alarms=[], abort_switch=False, allow_unguarded=allowed))

    assert f"**Checks before the update: {finds}**" in airflow.asked.body


def test_a_person_sees_what_the_analysis_of_the_update_can_find(airflow, churn):
    churn.simulator.client.replay("churn", [b"1"], per_minute=600)
    churn.advance(hours=6)

    airflow.ask(planned(analysis={"rules": [MetricRule("Invocation5XXErrors", stat="Sum", margin=0.05)]}))

    assert "- **Note**: `" in airflow.asked.body
    assert "a good model passes with over 95%" in airflow.asked.body
    assert "Invocation5XXErrors" in airflow.asked.body


def test_without_permission_for_the_checks_a_person_is_asked_and_told_so(airflow, churn):
    deny(churn.simulator.client, "DescribeAlarms")

    airflow.ask(planned())

    assert "The result of the checks is not shown: access denied" in airflow.asked.body
    assert "Checks before the update" not in airflow.asked.body


def test_an_update_that_is_mapped_is_refused():
    with DAG("deploy", schedule=None):
        mapped = SageMakerGuardedUpdateOperator.partial(
            task_id="update", endpoint_config_name="churn-v2", strategy=CANARY
        ).expand(endpoint_name=["churn"])

    with pytest.raises(InvalidArgument, match="update must be a SageMakerGuardedUpdateOperator that is not"):
        operator(update=mapped)


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ({"endpoint_name": "nowhere"}, EndpointNotFound),
        ({"endpoint_config_name": "nowhere"}, EndpointConfigNotFound),
    ],
)
def test_nobody_is_asked_about_what_does_not_exist(airflow, churn, names, error):
    with pytest.raises(error, match="nowhere does not exist"):
        operator(**names).execute(airflow.context)

    assert airflow.asked is None


# The answer.


async def test_an_approval_is_the_result_of_the_task(airflow, churn):
    kept = airflow.ask(operator())
    event = await event_of(airflow, option="Approve")

    report = operator().execute_complete(airflow.context, event, **kept)

    assert report == airflow.context["ti"].xcoms["approval"]
    assert report["answer"] == "Approved"
    assert report["answered_by"] == JANE
    assert report["answered_at"] == "2026-03-02T12:00:00+00:00"
    assert report["evidence_digest"] == digest_of(airflow.asked.body)


async def test_a_rejection_fails_the_task_without_a_retry(airflow, churn):
    kept = airflow.ask(operator())
    event = await event_of(airflow, option="Reject")

    with pytest.raises(RolloutNotApproved) as error:
        operator().execute_complete(airflow.context, event, **kept)

    assert str(error.value) == (
        "Rejected by Jane Doe (jane) at 2026-03-02T12:00:00+00:00: the update of churn to churn-v2. "
        "To ask again, clear this task"
    )
    assert isinstance(error.value, AirflowFailException)
    assert error.value.report == airflow.context["ti"].xcoms["approval"]
    assert error.value.report["answer"] == "Rejected"
    assert error.value.report["evidence_digest"] == digest_of(airflow.asked.body)


async def test_no_answer_in_time_is_a_rejection(airflow, churn):
    kept = airflow.ask(operator())
    event = await event_of(airflow, option=None)

    with pytest.raises(RolloutNotApproved, match="Nobody answered within 24 h") as error:
        operator().execute_complete(airflow.context, event, **kept)

    assert error.value.report["answer"] == "TimedOut"
    assert error.value.report["answered_by"] is None


@pytest.mark.parametrize("option", ["Reject", None])
async def test_a_rejection_can_skip_the_task_and_is_reported_all_the_same(airflow, churn, option):
    kept = airflow.ask(operator())
    event = await event_of(airflow, option=option)

    with pytest.raises(AirflowSkipException, match="the update of churn to churn-v2"):
        operator(on_reject="skip").execute_complete(airflow.context, event, **kept)

    assert airflow.context["ti"].xcoms["approval"]["answer"] in {"Rejected", "TimedOut"}


async def test_what_the_person_enters_is_in_the_report(airflow, churn):
    form = {"comment": Param("", type="string")}
    kept = airflow.ask(operator(params=form))
    event = {**await event_of(airflow, option="Reject"), "params_input": {"comment": "too slow"}}

    with pytest.raises(RolloutNotApproved, match="too slow") as error:
        operator(params=form).execute_complete(airflow.context, event, **kept)

    assert error.value.report["params_input"] == {"comment": "too slow"}


async def test_an_approval_with_a_form_that_airflow_does_not_accept_is_none(airflow, churn):
    form = {"reviewed": Param(True, type="boolean")}
    kept = airflow.ask(operator(params=form))
    event = {**await event_of(airflow, option="Approve"), "params_input": {"reviewed": "perhaps"}}

    with pytest.raises(RolloutNotApproved, match="by Jane Doe \\(jane\\) is not valid") as error:
        operator(params=form, on_reject="skip").execute_complete(airflow.context, event, **kept)

    assert error.value.report["answer"] == "Invalid"


async def test_the_names_are_those_that_the_person_saw(airflow, churn):
    kept = airflow.ask(operator())
    event = await event_of(airflow, option="Approve")

    report = operator(endpoint_config_name="churn-v9").execute_complete(airflow.context, event, **kept)

    assert report["endpoint_config_name"] == "churn-v2"


async def test_an_answer_to_an_unknown_question_has_no_digest(airflow):
    event = await event_of(airflow, option="Approve")

    assert operator().execute_complete(airflow.context, event)["evidence_digest"] is None


# The arguments.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("defaults", ["Approve"]),
        ("options", ["Approve"]),
        ("body", "Just approve it"),
        ("multiple", True),
        ("fail_on_reject", False),
        ("ignore_downstream_trigger_rules", True),
    ],
)
def test_what_the_operator_sets_itself_is_refused(name, value):
    with pytest.raises(InvalidArgument, match=f"{name} must be left out"):
        operator(**{name: value})


@pytest.mark.parametrize("value", [{}, {"label": "pass"}, {"label": ["Pass"]}, {"label": None}])
def test_a_verdict_without_a_label_of_the_judge_is_refused(airflow, value):
    with pytest.raises(InvalidArgument, match="verdict must be the verdict of SageMakerJudge"):
        operator(verdict=value).execute(airflow.context)


def test_it_is_an_approval_operator_of_airflow_and_can_be_copied():
    task = operator(verdict=VERDICT)

    assert isinstance(task, ApprovalOperator)
    assert isinstance(task, HITLOperator)
    assert copy.copy(task).verdict == VERDICT


def test_listeners_of_airflow_see_what_the_person_sees(airflow, churn):
    task = operator()

    airflow.ask(task)

    assert (task.hitl_summary["subject"], task.hitl_summary["body"]) == (
        airflow.asked.subject,
        airflow.asked.body,
    )


def test_notifiers_are_called_when_the_task_begins_to_wait(airflow, churn):
    called = []
    task = operator()
    task.notifiers = [called.append]

    airflow.ask(task)

    assert called == [airflow.context]


# An update that makes its configuration.


def made_by(**changes):
    arguments = {
        "task_id": "update",
        "endpoint_name": "churn",
        "model_name": "churn-2",
        "strategy": CANARY,
        "alarms": ["errors"],
        **changes,
    }
    return SageMakerGuardedUpdateOperator(**arguments)


def test_a_person_sees_the_configuration_that_the_update_will_make(airflow, churn, simulated_sleep):
    churn.sagemaker.create_model(**model_request("churn-2"))
    update = made_by()
    task = operator(endpoint_config_name=None, update=update)

    kept = airflow.ask(task)["question"]

    name = kept["endpoint_config_name"]
    assert f"- To deploy: `{name}` (made by the task): model `churn-2`, 4 instances" in airflow.asked.body
    assert "- `AllTraffic.ModelName`: from `churn` to `churn-2`" in airflow.asked.body
    assert "- Minute 10: 100 % of the traffic to the new fleet" in airflow.asked.body
    assert airflow.asked.subject == f"Update churn to {name}?"
    assert churn.config_names() == ["churn-v1", "churn-v2"]
    # The update gives it this name.
    update.sleep = simulated_sleep
    assert update.execute({"ti": airflow.context["ti"]})["endpoint_config_name"] == name


def test_a_person_approves_a_first_deployment_as_one(airflow, churn):
    creating = made_by(
        endpoint_name="fraud", model_name="churn", instance_type="ml.m5.large", if_missing="create"
    )

    airflow.ask(operator(endpoint_name="fraud", endpoint_config_name=None, update=creating))

    assert airflow.asked.subject.startswith("Create fraud with fraud-")
    assert "- **First deployment**: the endpoint does not exist" in airflow.asked.body


def test_without_an_update_the_configuration_must_be_named(airflow):
    with pytest.raises(InvalidArgument, match="endpoint_config_name must be given without update"):
        operator(endpoint_config_name=None).execute(airflow.context)
