"""The group of tasks that a DAG author puts behind training and evaluation."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import pytest
from airflow.models.dagrun import DagRun
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.sdk import DAG, TaskGroup

from airflow_guardrails.assets import ROLLOUTS
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.operators.preflight import SageMakerPreflightOperator
from airflow_guardrails.strategies import Canary
from airflow_guardrails.task_groups import guarded_deployment
from tests.support.older_airflow import stored as stored_dag

ROLE = "arn:aws:iam::123456789012:role/sagemaker"


@pytest.fixture
def dag():
    with DAG("deploy", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), schedule=None) as dag:
        yield dag


def deployment(**changes):
    arguments = {
        "endpoint_name": "churn",
        "model_name": "churn-2",
        "shadow_test": {},
        "strategy": Canary(percent=25, bake=timedelta(minutes=10)),
    }
    arguments = {**arguments, **changes}
    if isinstance(arguments["shadow_test"], dict):
        arguments["shadow_test"] = {"role_arn": ROLE, **arguments["shadow_test"]}
    return guarded_deployment(**arguments)


def test_what_comes_before_the_group_comes_before_its_first_task(dag):
    BaseOperator(task_id="evaluate") >> deployment()

    assert dag.get_task("evaluate").downstream_task_ids == {"guarded_deployment.shadow_test"}


def test_what_comes_after_the_group_waits_for_the_update(dag):
    deployment() >> BaseOperator(task_id="announce")

    assert dag.get_task("announce").upstream_task_ids == {"guarded_deployment.guarded_update"}


def test_the_update_is_concluded_as_a_teardown(dag):
    deployment(update_arguments={"aws_conn_id": "its_own"})

    conclude = dag.get_task("guarded_deployment.conclude")
    assert conclude.upstream_task_ids == {"guarded_deployment.guarded_update"}
    assert conclude.is_teardown
    assert (conclude.update_task_id, conclude.aws_conn_id) == ("guarded_deployment.guarded_update", "its_own")


def test_the_outcome_is_sent_as_an_event_of_the_alias(dag):
    deployment()

    assert dag.get_task("guarded_deployment.conclude").outlets == [ROLLOUTS]


def test_the_update_waits_for_the_verdict_and_for_the_end_of_the_shadow(dag):
    deployment()

    update = dag.get_task("guarded_deployment.guarded_update")
    assert update.upstream_task_ids == {"guarded_deployment.judge", "guarded_deployment.stop_shadow_test"}
    assert update.trigger_rule == "all_success"


@pytest.mark.parametrize(
    ("arguments", "minutes"),
    [
        ({}, 5),
        ({"shadow_test": {"warm_up": timedelta(minutes=20)}}, 20),
        ({"judge_arguments": {"warm_up": timedelta(minutes=30)}}, 30),
        ({"default_args": {"warm_up": timedelta(minutes=40)}}, 40),
    ],
)
def test_requests_count_from_where_the_judge_begins(dag, arguments, minutes):
    asked = {"min_requests": 2000, **arguments.pop("shadow_test", {})}
    deployment(shadow_test=asked, **arguments)

    shadow, observe, judge = (
        dag.get_task(f"guarded_deployment.{name}") for name in ("shadow_test", "observe", "judge")
    )
    warm_up = timedelta(minutes=minutes)
    assert (shadow.needed.min_requests, shadow.needed.warm_up) == (2000, warm_up)
    assert observe.warm_up == judge.warm_up == warm_up


def test_the_update_is_checked_before_the_shadow_test(dag):
    deployment(alarms=["errors"], update_arguments={"allow_unguarded": True})

    shadow = dag.get_task("guarded_deployment.shadow_test")
    assert shadow._update is dag.get_task("guarded_deployment.guarded_update")


def test_without_approval_nobody_is_asked(dag):
    deployment(approval=False)

    assert not dag.has_task("guarded_deployment.approve")


def test_a_person_approves_between_the_end_of_the_shadow_and_the_update(dag):
    guards = [{"guard": "ErrorRate", "above": 0.01}]
    deployment(approval=True, alarms=["errors"], guards=guards, update_arguments={"aws_conn_id": "its_own"})

    approve, update = (dag.get_task(f"guarded_deployment.{name}") for name in ("approve", "guarded_update"))
    assert approve.upstream_task_ids == {"guarded_deployment.judge", "guarded_deployment.stop_shadow_test"}
    assert approve.trigger_rule == update.trigger_rule == "all_success"
    assert update.upstream_task_ids == {*approve.upstream_task_ids, "guarded_deployment.approve"}
    assert approve.downstream_task_ids == {"guarded_deployment.guarded_update"}
    assert approve.verdict.operator is dag.get_task("guarded_deployment.judge")
    assert (approve.endpoint_name, approve.endpoint_config_name) == ("churn", None)
    assert (approve.strategy, approve.alarms, approve.aws_conn_id) == (update.strategy, ["errors"], "its_own")
    assert approve.guards == update.guards == guards


def test_the_end_of_the_shadow_does_not_wait_for_the_person(dag):
    deployment(approval=True)

    stop = dag.get_task("guarded_deployment.stop_shadow_test")
    assert "guarded_deployment.approve" not in stop.upstream_task_ids


def test_what_comes_after_the_group_waits_for_the_update_and_not_for_the_person(dag):
    deployment(approval={}) >> BaseOperator(task_id="announce")

    assert dag.get_task("announce").upstream_task_ids == {"guarded_deployment.guarded_update"}


def test_the_person_who_approves_can_be_named(dag):
    jane = {"id": "jane", "name": "Jane Doe"}
    deployment(
        approval={"assigned_users": [jane], "response_timeout": timedelta(hours=2), "on_reject": "skip"}
    )

    approve = dag.get_task("guarded_deployment.approve")
    assert approve.assigned_users == [jane]
    assert approve.on_reject == "skip"
    assert approve.response_timeout == timedelta(hours=2)


def test_the_shadow_is_taken_down_whatever_happens_once_it_is_made(dag):
    deployment()

    assert dag.get_task("guarded_deployment.shadow_test").is_setup
    assert dag.get_task("guarded_deployment.stop_shadow_test").is_teardown


def test_a_dag_may_have_two_groups_and_say_more_to_each_task(dag):
    deployment(group_id="one", update_arguments={"retries": 3}, judge_arguments={"alpha": 0.01})
    deployment(group_id="two", endpoint_name="fraud", shadow_test_arguments={"instance_count": 1})

    assert dag.get_task("one.guarded_update").retries == 3
    assert dag.get_task("one.judge").alpha == 0.01
    assert dag.get_task("two.shadow_test").instance_count == 1


def test_an_early_judge_begins_as_soon_as_the_test_runs(dag):
    deployment(shadow_test={"judge_early": True})

    assert dag.get_task("guarded_deployment.observe").until == "Running"
    assert dag.get_task("guarded_deployment.judge").until_decided is True


def test_an_early_judge_and_a_number_of_requests_are_one_too_many(dag):
    with pytest.raises(InvalidArgument, match="min_requests must be left out"):
        deployment(shadow_test={"judge_early": True, "min_requests": 1000})


def test_only_the_concluding_task_gets_the_callbacks_that_are_given_for_it(dag):
    notify = [print]
    deployment(
        conclude_arguments={"on_failure_callback": notify, "on_success_callback": notify, "waiter_delay": 5}
    )

    conclude, *others = (dag.get_task(f"guarded_deployment.{name}") for name in reversed(TASKS))
    assert (conclude.on_failure_callback, conclude.on_success_callback) == (notify, notify)
    assert conclude.waiter_delay == 5
    assert all(not task.on_failure_callback and not task.on_success_callback for task in others)


def test_the_person_sees_the_checks_of_the_update_in_the_group(dag):
    deployment(approval=True, update_arguments={"allow_unguarded": True})

    approve = dag.get_task("guarded_deployment.approve")
    assert approve._update is dag.get_task("guarded_deployment.guarded_update")


# Without a shadow test, and what stands around the update.


def stored(dag):
    """Return the DAG as the scheduler has it."""
    return stored_dag(dag)


def test_without_a_shadow_test_there_are_the_update_and_its_conclusion(dag):
    deployment(shadow_test=False)

    assert dag.task_ids == ["guarded_deployment.guarded_update", "guarded_deployment.conclude"]


WHAT = {
    "model_name": "churn-2",
    "endpoint_config_name": "churn-v2",
    "model_package_arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/1",
    "config": {"EndpointName": "churn", "EndpointConfigName": "churn-v2"},
}


@pytest.mark.parametrize("name", WHAT)
def test_what_to_deploy_is_said_as_for_the_update(dag, name):
    deployment(**{"shadow_test": False, "model_name": None, name: WHAT[name]})

    update = dag.get_task("guarded_deployment.guarded_update")
    assert {each: getattr(update, each) for each in WHAT} == {**dict.fromkeys(WHAT), name: WHAT[name]}


def test_arguments_of_the_update_have_the_same_names_here(dag):
    given = {
        "instance_type": "ml.m5.xlarge",
        "instance_count": 3,
        "variant_name": "main",
        "overrides": {"KmsKeyId": "key"},
        "if_missing": "create",
        "refuse_older": False,
        "redeploy": True,
    }
    deployment(shadow_test=False, analysis={"warm_up": timedelta(minutes=2)}, **given)

    update = dag.get_task("guarded_deployment.guarded_update")
    assert {name: getattr(update, name) for name in given} == given
    assert update.analysis.warm_up == timedelta(minutes=2)


def test_the_model_that_is_deployed_is_the_one_that_is_tested(dag):
    deployment(instance_type="ml.c5.xlarge")

    shadow = dag.get_task("guarded_deployment.shadow_test")
    assert (shadow.shadow_model_name, shadow.instance_type) == ("churn-2", "ml.c5.xlarge")
    with pytest.raises(InvalidArgument, match="the model that is tested is the one that is deployed"):
        deployment(group_id="other", shadow_test={"shadow_model_name": "churn-3"})


HOW = {
    "endpoint_config_name": "give the name of the configuration's model",
    "model_package_arn": "Create the model before the group .*, and give model_name instead",
    "config": "Create the model before the group .*, and give model_name instead",
}


@pytest.mark.parametrize("name", HOW)
def test_a_shadow_test_without_a_model_is_refused_with_what_to_do(dag, name):
    with pytest.raises(
        InvalidArgument, match=rf"must have shadow_model_name without model_name .*{HOW[name]}"
    ):
        deployment(model_name=None, **{name: WHAT[name]})


def test_the_model_of_a_configuration_can_be_named_for_its_test(dag):
    deployment(model_name=None, endpoint_config_name="churn-v2", shadow_test={"shadow_model_name": "churn-2"})

    assert dag.get_task("guarded_deployment.shadow_test").shadow_model_name == "churn-2"


def test_an_unknown_key_of_the_shadow_test_is_refused_with_those_that_there_are(dag):
    with pytest.raises(InvalidArgument, match=r"only the keys .*duration, .*warm_up \(got 'length'\)"):
        deployment(shadow_test={"length": timedelta(hours=2)})


def test_one_role_of_the_group_is_that_of_the_shadow_test(dag):
    deployment(shadow_test=True, role_arn=ROLE)

    assert dag.get_task("guarded_deployment.shadow_test").role_arn == ROLE
    assert dag.get_task("guarded_deployment.guarded_update").role_arn is None
    with pytest.raises(InvalidArgument, match="shadow_test must have role_arn"):
        deployment(group_id="other", shadow_test=True)


RULES = ("all_done", "none_failed", "one_success", "always", "none_failed_min_one_success")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("where", ["default_args", "update_arguments"])
@pytest.mark.parametrize("before", [{}, {"shadow_test": False, "approval": True}])
def test_no_trigger_rule_lets_the_update_run_after_a_verdict_that_is_not_pass(dag, rule, where, before):
    with pytest.raises(InvalidArgument, match=r"trigger_rule of .* must be 'all_success'"):
        deployment(**before, **{where: {"trigger_rule": rule}})


@pytest.mark.parametrize("where", ["default_args", "judge_arguments"])
def test_the_verdict_fail_cannot_be_returned_as_if_it_were_a_pass(dag, where):
    with pytest.raises(InvalidArgument, match="on_fail must be 'fail' or 'skip'"):
        deployment(**{where: {"on_fail": "return"}})


def test_the_scheduler_knows_that_the_update_needs_the_judge_and_the_person(dag):
    deployment(approval=True, keep=3, preflight=False)
    tasks = {task.task_id.rpartition(".")[2]: task for task in stored(dag).tasks}

    for name, upstream in (
        ("guarded_update", {"judge", "stop_shadow_test", "approve"}),
        ("approve", {"judge", "stop_shadow_test"}),
    ):
        assert {each.rpartition(".")[2] for each in tasks[name].upstream_task_ids} == upstream
        assert (tasks[name].trigger_rule, tasks[name].is_teardown) == ("all_success", False)


def test_the_clean_up_is_a_teardown_that_decides_about_no_run(dag):
    deployment(keep=3, update_arguments={"aws_conn_id": "its_own"}) >> BaseOperator(task_id="announce")

    clean_up = stored(dag).get_task("guarded_deployment.clean_up")
    assert clean_up.upstream_task_ids == {"guarded_deployment.conclude"}
    assert (clean_up.is_teardown, clean_up.on_failure_fail_dagrun) == (True, False)
    assert dag.get_task("announce").upstream_task_ids == {"guarded_deployment.guarded_update"}
    made = dag.get_task("guarded_deployment.clean_up")
    assert (made.endpoint_name, made.keep, made.aws_conn_id) == ("churn", 3, "its_own")


class TaskState(NamedTuple):
    task_id: str
    state: str


@pytest.mark.parametrize("states", [("failed", "success"), ("success", "failed")])
def test_the_state_of_the_run_is_that_of_the_update_whatever_the_clean_up_does(dag, states):
    deployment(shadow_test=False, keep=3)
    scheduled = stored(dag)
    of_update, of_clean_up = states
    instances = [
        TaskState(task_id, of_update if "update" in task_id else of_clean_up)
        for task_id in scheduled.task_ids
    ]

    counted = DagRun()._tis_for_dagrun_state(dag=scheduled, tis=instances)

    assert [each.state for each in counted] == [of_update]


def test_the_preflight_stands_before_the_training_and_outside_of_the_group(dag):
    with TaskGroup("outer"):
        group = deployment(preflight=True)
    train = BaseOperator(task_id="train")
    group.preflight >> train >> group

    task = stored(dag).get_task("outer.guarded_deployment_preflight")
    assert (task.upstream_task_ids, task.downstream_task_ids) == (set(), {"train"})
    assert type(group.preflight) is SageMakerPreflightOperator
    assert group.preflight._update is dag.get_task("outer.guarded_deployment.guarded_update")


def test_without_preflight_there_is_none(dag):
    assert deployment().preflight is None


# The connection of its tasks, and what else they have in common.

TASKS = ("shadow_test", "observe", "judge", "stop_shadow_test", "guarded_update", "conclude")
ELSEWHERE = {"aws_conn_id": "staging", "region_name": "eu-west-1", "verify": False, "deferrable": False}
HERE = {"aws_conn_id": "production", "region_name": "us-west-2", "verify": True, "deferrable": True}


def tasks_of(dag, *groups):
    return [dag.get_task(".".join((*groups, "guarded_deployment", name))) for name in TASKS]


def said_to(task, names=ELSEWHERE):
    return {name: getattr(task, name) for name in names}


def dag_with(**default_args):
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return DAG("deploy", start_date=start, schedule=None, default_args=default_args)


def test_default_args_of_the_dag_reach_every_task():
    with dag_with(**ELSEWHERE, waiter_delay=15) as dag:
        deployment()

    assert [said_to(task) for task in tasks_of(dag)] == [ELSEWHERE] * 6
    beats = [vars(task).get("waiter_delay", vars(task).get("poke_interval")) for task in tasks_of(dag)]
    assert beats == [15] * 6


def test_default_args_of_an_outer_group_reach_every_task():
    with dag_with(**HERE) as dag, TaskGroup("outer", default_args=ELSEWHERE):
        deployment()

    assert [said_to(task) for task in tasks_of(dag, "outer")] == [ELSEWHERE] * 6


def test_default_args_of_the_group_itself_go_before_those_around_it():
    with dag_with(**HERE) as dag, TaskGroup("outer", default_args=HERE):
        deployment(default_args=ELSEWHERE)

    assert [said_to(task) for task in tasks_of(dag, "outer")] == [ELSEWHERE] * 6


def test_what_the_caller_says_goes_before_all_default_args():
    with dag_with(**HERE) as dag, TaskGroup("outer", default_args=HERE):
        deployment(**ELSEWHERE, default_args=HERE, botocore_config={"read_timeout": 5})

    assert [said_to(task) for task in tasks_of(dag, "outer")] == [ELSEWHERE] * 6
    assert [task.botocore_config for task in tasks_of(dag, "outer")] == [{"read_timeout": 5}] * 6


def test_no_connection_can_be_said_against_default_args():
    with dag_with(**HERE) as dag:
        deployment(aws_conn_id=None)

    assert [task.aws_conn_id for task in tasks_of(dag)] == [None] * 6


def test_default_args_say_also_what_only_one_task_takes():
    with dag_with(alarms=["errors"], on_inconclusive="skip", duration=timedelta(hours=6)) as dag:
        deployment()
    tasks = dict(zip(TASKS, tasks_of(dag), strict=True))

    assert tasks["guarded_update"].alarms == ["errors"]
    assert tasks["judge"].on_inconclusive == "skip"
    assert tasks["shadow_test"].duration == timedelta(hours=6)
    assert tasks["observe"].timeout == timedelta(hours=8).total_seconds()


def test_without_any_default_args_the_group_has_its_own(dag):
    deployment()

    own = {"aws_conn_id": "aws_default", "region_name": None, "verify": None, "deferrable": True}
    assert [said_to(task) for task in tasks_of(dag)] == [own] * 6
    assert dag.get_task("guarded_deployment.shadow_test").duration == timedelta(hours=24)
