"""A task at the head of the DAG fails, before the training, with what the update will refuse."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, task

from airflow_guardrails.exceptions import ConnectionNotFound, InvalidArgument, PreflightFailed
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.operators.preflight import SageMakerPreflightOperator
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce, Canary
from tests.support.churn import model_request
from tests.support.fakes import TaskInstance
from tests.support.older_airflow import stored as stored_dag
from tests.support.simulated import deny

MONDAY = datetime(2026, 3, 2, tzinfo=timezone.utc)
CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
WRITES = ("UpdateEndpoint", "CreateEndpoint", "CreateEndpointConfig", "PutMetricAlarm", "AddTags")


def update(**changes):
    arguments = {
        "task_id": "update",
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-v2",
        "strategy": CANARY,
        "alarms": ["errors"],
        **changes,
    }
    return SageMakerGuardedUpdateOperator(**arguments)


def check(updating, context, **changes):
    return SageMakerPreflightOperator(task_id="preflight", update=updating, **changes).execute(context)


def written(churn):
    """How often anything was changed."""
    return [churn.calls(name) for name in WRITES]


class Trained:
    """A DAG whose update deploys the model that an earlier task trains."""

    def __init__(self, **changes) -> None:
        with DAG("retrain", start_date=MONDAY, schedule=None) as self.dag:

            @task
            def train():
                return "churn-tonight"

            made = train()
            arguments = {"endpoint_config_name": None, "model_name": made, **changes}
            self.update = update(**arguments)
            self.preflight = SageMakerPreflightOperator(task_id="preflight", update=self.update)
            self.preflight >> made

    def run(self, context):
        return self.preflight.execute(context)


def test_the_model_of_a_later_task_is_no_dependency_and_no_error(churn, context):
    trained = Trained()

    plan = trained.run(context)

    assert trained.preflight.upstream_task_ids == set()
    assert trained.preflight.downstream_task_ids == {"train"}
    assert trained.update.upstream_task_ids == {"train"}
    assert plan["unknown"] == ["model_name"]
    assert plan["stands_in"]
    assert plan["refusals"] == []
    assert "To deploy: not known yet; the checks take the fleet in service for it" in plan["text"]
    assert plan == context["ti"].xcoms["rollout_plan"]


def test_the_dag_can_be_stored_and_copied(churn, context):
    dag = Trained().dag

    stored = stored_dag(dag)
    copied = copy.deepcopy(dag).get_task("preflight")

    assert stored.get_task("preflight").downstream_task_ids == {"train"}
    assert copied.execute(context)["unknown"] == ["model_name"]


def test_an_xcom_of_an_earlier_try_of_the_run_is_not_used(churn, context, task_instance):
    task_instance.xcom_pull = lambda *_, **__: "churn-of-yesterday"

    for trained in (Trained(), Trained(model_name="{{ ti.xcom_pull('train') }}")):
        assert trained.run(context)["unknown"] == ["model_name"]


def test_an_xcom_of_a_task_before_it_is_used(churn, context, task_instance):
    churn.sagemaker.create_model(**model_request("churn-old"))
    task_instance.xcom_pull = lambda task_ids, **_: {"choose": "churn-old"}[task_ids]
    with DAG("retrain", start_date=MONDAY, schedule=None):

        @task
        def choose():
            return "churn-old"

        chosen = choose()
        preflight = SageMakerPreflightOperator(
            task_id="preflight",
            update=update(
                endpoint_config_name=None, model_name="{{ ti.xcom_pull(task_ids='choose') }}", alarms=[]
            ),
        )
        chosen >> preflight

    plan = preflight.execute(context)

    assert plan["unknown"] == []
    assert {"path": "AllTraffic.ModelName", "before": "churn", "after": "churn-old"} in plan["changes"]


def test_the_plan_has_schedule_changes_guards_and_cost(churn, context):
    churn.sagemaker.create_model(**model_request("churn-2"))
    before = written(churn)

    plan = check(
        update(
            endpoint_config_name=None,
            model_name="churn-2",
            instance_type="ml.m5.xlarge",
            guards=[ErrorRate(above=0.01)],
        ),
        context,
    )

    assert written(churn) == before
    assert plan["endpoint_config_name"].startswith("churn-")
    assert plan["serving_endpoint_config_name"] == "churn-v1"
    assert plan["changes"] == [
        {"path": "AllTraffic.ModelName", "before": "churn", "after": "churn-2"},
        {"path": "AllTraffic.InstanceType", "before": "ml.m5.large", "after": "ml.m5.xlarge"},
    ]
    assert [(step["minute"], step["percent"]) for step in plan["steps"]] == [(0, 25), (10, 100)]
    assert plan["alarms"] == [
        {"name": "errors", "watches": "AWS/SageMaker Invocation5XXErrors Average, 1 min"}
    ]
    assert plan["guards"] == ["5xx errors of the new fleet > 1 %, 1 min"]
    # Four instances more, for 15 minutes.
    assert plan["instance_minutes"] == 60
    assert "- AllTraffic.ModelName: from churn to churn-2" in plan["text"]
    assert "- Minute 10: 100 % of the traffic to the new fleet, bake or wait 5 min" in plan["text"]


REFUSED = {
    "endpoint": ({"endpoint_name": "nowhere"}, "EndpointNotFound: Endpoint nowhere does not exist"),
    "alarm": ({"alarms": ["errors", "missing"]}, "alarm_missing"),
    "no guard": ({"alarms": [], "abort_switch": False}, "no_guard"),
    "type": ({"endpoint_config_name": None, "model_name": "x", "instance_type": "ml.inf1.xlarge"}, "inf1"),
    "variant": (
        {"endpoint_config_name": None, "model_name": "x", "variant_name": "other"},
        "InvalidArgument: variant_name must be",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_update_will_refuse_fails_the_task(churn, context, what):
    arguments, text = REFUSED[what]

    with pytest.raises(PreflightFailed, match=r"the update of .* would be refused") as failed:
        check(update(**arguments), context)

    assert text in str(failed.value)
    assert failed.value.report == context["ti"].xcoms["rollout_plan"]


def test_one_instance_and_a_canary_fail_the_task_before_the_training(churn, context):
    churn.scale(1)
    churn.advance(minutes=10)

    with pytest.raises(PreflightFailed, match="fleet_too_small: canary needs 2 instances") as failed:
        Trained().run(context)

    assert next(finding["code"] for finding in failed.value.findings) == "fleet_too_small"


def test_an_alarm_on_another_endpoint_fails_the_task(churn, context):
    alarm = churn.cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]
    keys = ("Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold")
    churn.cloudwatch.put_metric_alarm(
        AlarmName="other",
        Dimensions=[{"Name": "EndpointName", "Value": "fraud"}, alarm["Dimensions"][1]],
        **{key: alarm[key] for key in (*keys, "ComparisonOperator")},
    )
    churn.cloudwatch.set_alarm_state(AlarmName="other", StateValue="OK", StateReason="test")

    with pytest.raises(PreflightFailed, match="alarm_elsewhere"):
        Trained(alarms=["other"], endpoint_name="churn").run(context)


def test_an_alarm_that_is_in_alarm_now_is_no_error(churn, context):
    churn.alarm("errors", state="ALARM")

    assert "alarm_in_alarm" in [finding["code"] for finding in check(update(), context)["findings"]]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"endpoint_config_name": "churn-v9"}, "EndpointConfigNotFound"),
        ({"endpoint_config_name": None, "model_name": "churn-tonight"}, "ModelNotFound"),
        ({"endpoint_config_name": "churn-v1"}, "ConfigAlreadyLive"),
    ],
)
def test_what_may_be_otherwise_when_the_update_runs_is_no_error(churn, context, arguments, error):
    (refusal,) = check(update(**arguments), context)["refusals"]

    assert (refusal["error"], refusal["may_change"]) == (error, True)


def test_a_missing_endpoint_that_the_update_creates_is_a_first_deployment(churn, context):
    creating = update(
        endpoint_name="fraud",
        endpoint_config_name=None,
        model_name="churn",
        instance_type="ml.m5.large",
        if_missing="create",
    )

    plan = check(creating, context)

    assert plan["first_deployment"]
    assert "First deployment" in plan["text"]
    assert plan["refusals"] == []


def test_a_first_deployment_of_a_model_that_is_trained_later_is_no_error(churn, context):
    plan = Trained(endpoint_name="fraud", if_missing="create", instance_type="ml.m5.large").run(context)

    assert (plan["first_deployment"], plan["unknown"]) == (True, ["model_name"])


@pytest.mark.parametrize("denied", ["DescribeEndpoint", "DescribeEndpointConfig", "DescribeAlarms"])
def test_a_read_that_is_denied_fails_the_task_with_the_action(churn, context, denied):
    deny(churn.simulator.client, denied)

    with pytest.raises(PreflightFailed, match=f"not_permitted: \\w+:{denied} is denied"):
        check(update(), context)


def test_a_newer_run_that_has_deployed_fails_the_task(churn, context, simulated_sleep):
    newer = update(task_id="newer")
    newer.sleep = simulated_sleep
    tuesday = SimpleNamespace(logical_date=MONDAY + timedelta(days=1))
    newer.execute({"ti": TaskInstance(run_id="tuesday", task_id="newer"), "dag_run": tuesday})
    before = written(churn)

    with pytest.raises(PreflightFailed, match="NewerRunDeployed"):
        Trained().run({**context, "dag_run": SimpleNamespace(logical_date=MONDAY)})

    assert written(churn) == before


def test_what_a_rollback_goes_back_to_is_found_when_it_runs(churn, context):
    back = SageMakerRollbackOperator(task_id="back", endpoint_name="churn")

    plan = check(back, context)

    assert plan["stands_in"]
    assert plan["strategy"] == AllAtOnce(termination_wait=timedelta(minutes=5)).describe()


@pytest.mark.parametrize("name", ["alarms", "guards", "strategy"])
def test_guards_that_are_known_later_do_not_fail_the_task(churn, context, name):
    with DAG("retrain", start_date=MONDAY, schedule=None):
        other = update(task_id="other")
        later = update(**{name: other.output})

    assert check(later, context)["unknown"] == [name]


def test_an_argument_that_breaks_a_rule_fails_the_task(churn, context):
    with pytest.raises(InvalidArgument, match="endpoint_name must"):
        check(update(endpoint_name="no such name!"), context)


def test_the_connection_is_that_of_the_update_unless_another_is_given(churn, context):
    elsewhere = update(aws_conn_id="elsewhere")

    with pytest.raises(ConnectionNotFound, match="connection elsewhere"):
        check(elsewhere, context)
    assert check(elsewhere, context, aws_conn_id="aws_default")["endpoint_name"] == "churn"


def test_a_task_that_updates_nothing_is_refused():
    with pytest.raises(InvalidArgument, match="update must be"):
        SageMakerPreflightOperator(task_id="preflight", update="update")
