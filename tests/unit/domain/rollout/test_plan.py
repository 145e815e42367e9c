"""The plan of an update for a terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.aws.config_changes import config_changes
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.plan import planned_steps
from airflow_guardrails.domain.preflight.findings import Code, error, warning
from airflow_guardrails.domain.rollout.plan import (
    FieldChange,
    PlannedAlarm,
    Refusal,
    UpdatePlan,
    plan_as_dict,
    plan_in_markdown,
    plan_in_text,
)
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig
from airflow_guardrails.strategies import Canary

CANARY = Canary(percent=25, bake=timedelta(minutes=10))
VARIANT = VariantConfig(
    name="AllTraffic", model_name="churn-1", instance_types=("ml.m5.large",), initial_instances=4
)
PLAN = UpdatePlan(
    endpoint_name="churn",
    endpoint_config_name="churn-v2",
    endpoint=Endpoint(
        name="churn",
        seen_at=datetime(2026, 3, 2, tzinfo=timezone.utc),
        status=EndpointStatus.IN_SERVICE,
        endpoint_config_name="churn-v1",
    ),
    serving=EndpointConfig(name="churn-v1", arn="arn", variants=(VARIANT,)),
    changes=(FieldChange(path="AllTraffic.ModelName", before="churn-1", after="churn-2"),),
    guardrails=Guardrails(strategy=CANARY, alarms=("errors",)),
    alarms=(PlannedAlarm(name="errors", watches="AWS/SageMaker Invocation5XXErrors Sum, 1 min"),),
    guards=("5xx errors of the new fleet > 1 %, 1 min",),
    steps=planned_steps(CANARY, fleet=4),
    longest_wait=timedelta(minutes=10),
    instance_minutes=40,
    findings=(error(Code.ALARM_IN_ALARM, "alarm errors is in ALARM", fix="wait"),),
    refusals=(Refusal(error="VersionRolledBack", text="Version was rolled back: churn-v0"),),
    unknown=("model_name",),
)


def test_the_text_for_a_terminal():
    assert plan_in_text(PLAN) == (
        "Update of endpoint churn\n"
        "\n"
        "- In service: churn-v1: model churn-1, 4 instances ml.m5.large; status InService\n"
        "- To deploy: churn-v2\n"
        "- Known only when the update runs: model_name\n"
        "- Strategy: canary: 25 % of the fleet, bake 10 min, then all, "
        "no wait before the old fleet is removed\n"
        "- Bakes and waits: at most 10 min\n"
        "- Instances beside the usual: at most 40 instance minutes\n"
        "- Alarms that roll it back: errors (AWS/SageMaker Invocation5XXErrors Sum, 1 min)\n"
        "- Guards that roll it back: 5xx errors of the new fleet > 1 %, 1 min\n"
        "\n"
        "Schedule, without the start of instances\n"
        "\n"
        "- Minute 0: 25 % of the traffic to the new fleet, bake or wait 10 min\n"
        "- Minute 10: 100 % of the traffic to the new fleet, no bake\n"
        "\n"
        "Changes of the configuration\n"
        "\n"
        "- AllTraffic.ModelName: from churn-1 to churn-2\n"
        "\n"
        "Checks before the update: 2 errors would stop the update now; 1 may be over when it runs\n"
        "\n"
        "- Error: VersionRolledBack: Version was rolled back: churn-v0\n"
        "- Error: alarm errors is in ALARM; wait"
    )


def test_the_markdown_is_the_same_text_with_what_others_wrote_as_code():
    assert plan_in_markdown(PLAN).replace("`", "").replace("*", "") == plan_in_text(PLAN)
    assert "- `AllTraffic.ModelName`: from `churn-1` to `churn-2`" in plan_in_markdown(PLAN)


@pytest.mark.parametrize("hostile", ["`x` **b** [a](https://evil.example)", "a\nb\n# c", "<img src=x>"])
def test_no_value_of_a_configuration_is_markup(hostile):
    plan = UpdatePlan(
        endpoint_name="churn",
        changes=(
            FieldChange(path=hostile, before=hostile, after=hostile),
            FieldChange(path=hostile, before=None, after=[hostile]),
        ),
        alarms=(PlannedAlarm(name=hostile, watches=hostile),),
        guardrails=Guardrails(strategy=None),
        refusals=(Refusal(error="UpdateRejected", text=hostile),),
    )

    for line in plan_in_markdown(plan).split("\n"):
        outside = "".join(line.split("`")[::2])
        assert "evil" not in outside
        assert "<" not in outside
        assert line == "" or line.startswith(("- ", "**"))


def test_the_plan_is_json():
    assert json.loads(json.dumps(plan_as_dict(PLAN)))["steps"] == [
        {"minute": 0.0, "percent": 25.0, "bake_seconds": 600.0},
        {"minute": 10.0, "percent": 100.0, "bake_seconds": 0.0},
    ]
    assert plan_as_dict(UpdatePlan(endpoint_name=None))["findings"] is None


def test_an_error_that_may_be_over_by_then_does_not_last():
    later = Refusal(error="EndpointBusy", text="being changed", may_change=True)
    plan = UpdatePlan(
        endpoint_name="churn",
        refusals=(later,),
        findings=(
            error(Code.ALARM_IN_ALARM, "in ALARM", fix="wait"),
            error(Code.NO_GUARD, "no guard", fix="name alarms"),
            warning(Code.ONLY_SWITCH, "only the switch", fix="name alarms"),
        ),
    )

    assert len(plan.errors) == 3
    assert [each.code for each in plan.lasting_errors] == [Code.NO_GUARD]


def variant(**changes):
    return {"VariantName": "AllTraffic", "ModelName": "churn-1", "InitialInstanceCount": 2, **changes}


def test_configurations_are_compared_field_by_field():
    live = variant(ManagedInstanceScaling={"MinInstanceCount": 1}, InitialVariantWeight=1.0)
    serving = {
        "EndpointConfigName": "churn-v1",
        "EndpointConfigArn": "arn",
        "EnableNetworkIsolation": False,
        "ProductionVariants": [live],
        "DataCaptureConfig": {"EnableCapture": True},
    }
    target = {
        "EndpointConfigName": "churn-v2",
        "Tags": [{"Key": "a", "Value": "b"}],
        "ProductionVariants": [variant(ModelName="churn-2", ManagedInstanceScaling={"MinInstanceCount": 2})],
        "ShadowProductionVariants": [variant(VariantName="shadow")],
    }

    changes = {(one.path, one.before, one.after) for one in config_changes(serving, target)}

    assert changes == {
        ("AllTraffic.ModelName", "churn-1", "churn-2"),
        ("AllTraffic.ManagedInstanceScaling.MinInstanceCount", 1, 2),
        ("DataCaptureConfig.EnableCapture", True, None),
        ("shadow (shadow).ModelName", None, "churn-1"),
        ("shadow (shadow).InitialInstanceCount", None, 2),
        ("shadow (shadow).InitialVariantWeight", None, 1.0),
    }
