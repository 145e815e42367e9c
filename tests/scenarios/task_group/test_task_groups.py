"""The group of tasks that a DAG author puts behind training and evaluation."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.sdk import DAG, TaskGroup

from airflow_guardrails.assets import ROLLOUTS
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.strategies import Canary
from airflow_guardrails.task_groups import guarded_deployment


@pytest.fixture
def dag():
    with DAG("deploy", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), schedule=None) as dag:
        yield dag


def deployment(**changes):
    arguments = {
        "endpoint_name": "churn",
        "model_name": "churn-2",
        "endpoint_config_name": "churn-2",
        "role_arn": "arn:aws:iam::123456789012:role/sagemaker",
        "strategy": Canary(percent=25, bake=timedelta(minutes=10)),
    }
    return guarded_deployment(**{**arguments, **changes})


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
        ({"warm_up": timedelta(minutes=20)}, 20),
        ({"judge_arguments": {"warm_up": timedelta(minutes=30)}}, 30),
        ({"default_args": {"warm_up": timedelta(minutes=40)}}, 40),
    ],
)
def test_requests_count_from_where_the_judge_begins(dag, arguments, minutes):
    deployment(min_requests=2000, **arguments)

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
    assert (approve.endpoint_name, approve.endpoint_config_name) == ("churn", "churn-2")
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
    deployment(judge_early=True)

    assert dag.get_task("guarded_deployment.observe").until == "Running"
    assert dag.get_task("guarded_deployment.judge").until_decided is True


def test_an_early_judge_and_a_number_of_requests_are_one_too_many(dag):
    with pytest.raises(InvalidArgument, match="min_requests must be left out"):
        deployment(judge_early=True, min_requests=1000)


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
