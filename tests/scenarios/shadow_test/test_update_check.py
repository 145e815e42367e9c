"""What the update behind a shadow test will refuse, refuses the test."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import DAG

from airflow_guardrails.exceptions import InvalidArgument, ShadowTestRefused
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary
from tests.support.simulated import deny

CANARY = Canary(percent=25, bake=timedelta(minutes=10))


def updated_by(**changes):
    arguments = {
        "task_id": "update",
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-v2",
        "strategy": CANARY,
        "alarms": ["errors"],
    }
    return SageMakerGuardedUpdateOperator(**{**arguments, **changes})


def scale(lab, instances):
    lab.scale(instances)
    lab.advance(minutes=10)


REFUSED = {
    "fleet_too_small": (lambda lab: scale(lab, 1), {}),
    "alarm_missing": (None, {"alarms": ["errors", "missing"]}),
    "step_too_large": (None, {"strategy": Canary(instances=3, bake=timedelta(minutes=10))}),
    "no_guard": (None, {"alarms": [], "abort_switch": False}),
    "schedule_too_long": (
        None,
        {"strategy": {"RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 10}, "WaitIntervalInSeconds": 3600
        }}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", REFUSED)
def test_what_the_update_will_refuse_refuses_the_test(create, context, candidate, code):
    arrange, arguments = REFUSED[code]
    if arrange:
        arrange(candidate)

    with pytest.raises(ShadowTestRefused, match=f"behind the shadow test would be refused.*\n- error {code}"):
        create(update=updated_by(**arguments)).execute(context)

    calls = ("CreateInferenceExperiment", "PutMetricAlarm", "AddTags", "UpdateEndpoint")
    assert [candidate.calls(name) for name in calls] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"strategy": Canary(percent=25, bake=timedelta(minutes=10), if_too_small="all_at_once")},
        {"allow_unguarded": True, "alarms": [], "abort_switch": False},
    ],
    ids=["fits", "falls back", "accepted"],
)
def test_an_update_that_will_be_accepted_changes_nothing(create, context, candidate, arguments):
    if "strategy" in arguments:
        scale(candidate, 1)

    report = create(update=updated_by(**arguments)).execute(context)

    assert (report["status"], report["warnings"]) == ("Creating", [])


def test_an_alarm_that_is_in_alarm_now_is_a_warning_for_it_may_be_over_then(create, context, candidate):
    candidate.alarm("late", state="ALARM")

    report = create(update=updated_by(alarms=["late"])).execute(context)

    (warning,) = report["warnings"]
    assert warning.startswith("The update behind the test would be refused now: error alarm_in_alarm")


def on_config(candidate, name):
    """Let alarm ``errors`` watch the fleet of a configuration alone."""
    alarm = candidate.cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]
    keys = ("AlarmName", "Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold")
    fleet = {"Name": "EndpointConfigName", "Value": name}
    candidate.cloudwatch.put_metric_alarm(
        **{key: alarm[key] for key in (*keys, "ComparisonOperator", "TreatMissingData")},
        Dimensions=[*alarm["Dimensions"], fleet],
    )


@pytest.mark.parametrize("name", ["churn-v3", "{{ ti.xcom_pull('create_config') }}", None])
def test_a_configuration_that_does_not_exist_yet_is_taken_for_one_like_that_in_service(
    create, context, candidate, task_instance, name
):
    """Also an alarm on its fleet is no error: without its name, nobody knows which configuration that is."""
    on_config(candidate, "churn-v3")
    task_instance.xcom_pull = lambda _: None
    update = updated_by()
    update.endpoint_config_name = name

    assert create(update=update).execute(context)["status"] == "Creating"


@pytest.mark.parametrize("name", ["churn-v3", "{{ ti.xcom_pull('create_config') }}"])
def test_its_fleet_is_checked_all_the_same(create, context, candidate, task_instance, name):
    scale(candidate, 1)
    task_instance.xcom_pull = lambda _: None

    with pytest.raises(ShadowTestRefused, match="fleet_too_small"):
        create(update=updated_by(endpoint_config_name=name)).execute(context)


def test_templates_of_the_update_are_rendered(create, context, candidate):
    scale(candidate, 1)

    with pytest.raises(ShadowTestRefused, match="fleet_too_small"):
        create(update=updated_by(endpoint_name="{{ which }}")).execute({**context, "which": "churn"})


def test_a_value_of_a_task_that_has_not_run_adds_no_dependency(create, context, candidate):
    with DAG("deploy", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), schedule=None):
        configure = updated_by(task_id="configure")
        shadow = create(update=updated_by(alarms=configure.output))

    report = shadow.execute(context)

    assert shadow.upstream_task_ids == set()
    (warning,) = report["warnings"]
    assert warning == "The update behind the test was checked without alarms: not known yet"


def test_without_permission_the_test_is_created_with_a_warning(create, context, candidate):
    deny(candidate.simulator.client, "DescribeAlarms")

    report = create(update=updated_by()).execute(context)

    assert any("access denied (cloudwatch:DescribeAlarms)" in warning for warning in report["warnings"])


def test_a_retry_finds_its_test_whatever_the_update_would_say_now(create, context, candidate):
    first = create(update=updated_by()).execute(context)
    candidate.cloudwatch.delete_alarms(AlarmNames=["errors"])

    assert create(update=updated_by()).execute(context)["name"] == first["name"]


def test_a_mapped_update_is_refused(create):
    with pytest.raises(InvalidArgument, match="update must be a SageMakerGuardedUpdateOperator"):
        create(update="guarded_update")
