"""The clean-up deletes what this package made and nothing needs, and says why the rest stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_guardrails.aws.tags import INTENT_PREFIX, intent_text
from airflow_guardrails.domain.rollout.launch import Intent
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix, switch_prefix
from airflow_guardrails.exceptions import EndpointNotFound
from tests.support.churn import alarm_request
from tests.support.lab import ROLE
from tests.support.simulated import deny

CONFIG, MODEL, ALARM = "endpoint configuration", "model", "alarm"

# What stays if an operation is denied.
SPARED = {
    "ListEndpointConfigs": {CONFIG, MODEL},
    "ListTags": {CONFIG, MODEL},
    "ListEndpoints": {CONFIG, MODEL},
    "ListInferenceExperiments": {CONFIG, MODEL},
    "ListModels": {MODEL},
    "DescribeAlarms": {ALARM},
}


@pytest.fixture
def six(runs):
    """Six configurations that this package made with their models; ``v6`` serves, ``v4`` was rolled back."""
    for number in range(1, 7):
        name = runs.config(f"churn-{number}-made", made=True)
        # The switches of the first ones would be deleted anyway, and cost half of the time.
        (runs.deploy_badly if number == 4 else runs.deploy)(name, abort_switch=number > 4)
    runs.churn.advance(minutes=120)
    return runs


def deleted(report: Mapping[str, Any], kind: str) -> list[str]:
    return [each["name"] for each in report["deleted"] if each["kind"] == kind]


def kept(report: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {each["name"]: each["why"] for each in report["kept"] if each["kind"] == kind}


def made(*numbers: int) -> list[str]:
    return [f"churn-{number}-made" for number in numbers]


def test_what_nothing_needs_goes_with_its_models(six):
    report = six.clean_up(keep=2)

    assert deleted(report, CONFIG) == deleted(report, MODEL) == made(1, 2, 4)
    assert kept(report, CONFIG) == {
        "churn-3-made": "one of the newest 2 that served well",
        "churn-5-made": "target of a rollback",
        "churn-6-made": "in service",
    }
    assert kept(report, MODEL) == {name: f"used by configuration {name}" for name in made(3, 5, 6)}
    assert six.churn.config_names() == [*made(3, 5, 6), "churn-v1", "churn-v2"]
    assert six.clean_up(keep=2)["deleted"] == []


def test_a_dry_run_reports_the_same_and_deletes_nothing(six):
    planned = six.clean_up(keep=2, dry_run=True)

    assert planned["dry_run"]
    assert six.churn.calls("DeleteEndpointConfig") == six.churn.calls("DeleteModel") == 0
    assert six.clean_up(keep=2)["deleted"] == planned["deleted"]


def test_what_people_made_and_what_was_made_for_another_endpoint_stays(runs):
    runs.config("churn-by-hand")
    runs.churn.advance(minutes=120)

    report = runs.clean_up(keep=1)

    assert report["deleted"] == report["kept"] == []


@pytest.mark.proof
def test_what_another_endpoint_serves_stays(six):
    six.world.sagemaker.create_endpoint({"EndpointName": "other", "EndpointConfigName": "churn-1-made"})

    report = six.clean_up(keep=1)

    assert kept(report, CONFIG)["churn-1-made"] == "used by endpoint other"
    assert kept(report, MODEL)["churn-1-made"] == "used by configuration churn-1-made"


@pytest.mark.proof
def test_a_model_that_another_configuration_uses_stays(six):
    six.config("by-hand", model="churn-1-made")

    report = six.clean_up(keep=1)

    assert "churn-1-made" in deleted(report, CONFIG)
    assert kept(report, MODEL)["churn-1-made"] == "used by configuration by-hand"


@pytest.mark.proof
def test_during_an_experiment_of_the_endpoint_no_configuration_goes(six):
    variant = {"InfrastructureType": "RealTimeInference"}
    config = {"RealTimeInferenceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}}
    six.churn.sagemaker.create_inference_experiment(
        Name="trial",
        Type="ShadowMode",
        RoleArn=ROLE,
        EndpointName="churn",
        ModelVariants=[
            {
                "ModelName": model,
                "VariantName": name,
                "InfrastructureConfig": {
                    "InfrastructureType": variant["InfrastructureType"],
                    "RealTimeInferenceConfig": config["RealTimeInferenceConfig"],
                },
            }
            for name, model in (("AllTraffic", "churn-6-made"), ("candidate", "churn-1-made"))
        ],
        ShadowModeConfig={
            "SourceModelVariantName": "AllTraffic",
            "ShadowModelVariants": [{"ShadowModelVariantName": "candidate", "SamplingPercentage": 50}],
        },
    )

    report = six.clean_up(keep=1)

    assert deleted(report, CONFIG) == []
    assert kept(report, CONFIG)["churn-2-made"] == "inference experiment trial uses the endpoint"
    assert kept(report, MODEL)["churn-1-made"] in {
        "used by inference experiment trial",
        "used by configuration churn-1-made",
    }


def test_what_is_younger_than_an_hour_stays(runs):
    runs.config("churn-new-made", made=True)
    assert "a rollout may be about to use it" in kept(runs.clean_up(), CONFIG)["churn-new-made"]

    runs.churn.advance(minutes=61)

    assert deleted(runs.clean_up(), CONFIG) == ["churn-new-made"]


def test_a_model_without_a_configuration_is_found(runs):
    runs.model("churn-lost", made=True)
    runs.churn.advance(minutes=61)

    assert deleted(runs.clean_up(), MODEL) == ["churn-lost"]


def test_what_was_made_under_any_name_is_found(runs):
    runs.config("nightly-0123456789ab", made=True)
    runs.churn.advance(minutes=61)

    report = runs.clean_up()

    assert deleted(report, CONFIG) == deleted(report, MODEL) == ["nightly-0123456789ab"]


@pytest.mark.proof
def test_the_target_of_a_task_that_has_not_recorded_an_outcome_stays_for_a_day(six):
    target = six.catalogue.arn("endpoint-config", "churn-1-made")
    intent = Intent(previous="churn-6-made", modified_at=None, written_at=six.churn.now())
    tag = {"Key": f"{INTENT_PREFIX}{'0' * 20}", "Value": intent_text(intent)}
    six.catalogue.tags.add({"ResourceArn": target, "Tags": [tag]})

    six.churn.advance(minutes=90)
    assert "a task noted" in kept(six.clean_up(keep=1), CONFIG)["churn-1-made"]

    six.churn.advance(hours=23)
    assert "churn-1-made" in deleted(six.clean_up(keep=1), CONFIG)


@pytest.mark.proof
def test_what_the_endpoint_is_being_updated_to_stays(six):
    six.deploy("churn-1-made", wait_for_completion=False, redeploy=True)

    report = six.clean_up(keep=1)

    assert kept(report, CONFIG)["churn-1-made"] == "the endpoint is being updated to it"
    assert deleted(report, ALARM) == []


@pytest.mark.proof
def test_an_update_that_begins_meanwhile_ends_the_clean_up(six):
    client = six.churn.simulator.client
    before = six.churn.calls("DeleteEndpointConfig")
    advance = six.churn.simulator.simulation.clock.advance
    began = []

    def begins(seconds):
        advance(seconds)
        if six.churn.calls("ListModels") and not began:
            began.append(
                six.world.sagemaker.update_endpoint(
                    {"EndpointName": "churn", "EndpointConfigName": "churn-1-made"}
                )
            )

    from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator  # noqa: PLC0415

    operator = SageMakerCleanUpOperator(task_id="clean", endpoint_name="churn", keep=1)
    operator.sleep = begins
    report = operator.execute(six.context())

    assert client
    assert began
    assert report["deleted"] == []
    assert six.churn.calls("DeleteEndpointConfig") == before
    assert "has changed meanwhile: it is Updating" in kept(report, CONFIG)["churn-1-made"]


@pytest.mark.proof
def test_alarms_of_earlier_rollouts_go_and_those_of_the_last_update_stay(six):
    for prefix in (switch_prefix("churn"), guard_prefix("churn"), switch_prefix("other")):
        six.world.alarms.put_metric_alarm(alarm_request(f"{prefix}left"))
    six.churn.advance(minutes=61)

    report = six.clean_up(dry_run=True)

    assert deleted(report, ALARM) == [f"{switch_prefix('churn')}left", f"{guard_prefix('churn')}left"]
    (last,) = kept(report, ALARM).items()
    assert last[0].startswith(switch_prefix("churn"))
    assert last[1] == "the last update of the endpoint names it"


@pytest.mark.proof
def test_what_may_not_be_read_is_not_deleted_and_the_report_says_so(six):
    six.world.alarms.put_metric_alarm(alarm_request(f"{guard_prefix('churn')}left"))
    six.churn.advance(minutes=61)
    client, found = six.churn.simulator.client, {}
    for operation in SPARED:
        deny(client, operation)
        report = six.clean_up(keep=1, dry_run=True)
        client.clear_faults()
        assert any(operation in warning for warning in report["warnings"]), operation
        found[operation] = {each["kind"] for each in report["deleted"]}

    assert found == {operation: {CONFIG, MODEL, ALARM} - spared for operation, spared in SPARED.items()}


@pytest.mark.proof
def test_a_configuration_that_may_not_be_deleted_keeps_its_models(six):
    deny(six.churn.simulator.client, "DeleteEndpointConfig")

    report = six.clean_up(keep=2)

    assert deleted(report, CONFIG) == deleted(report, MODEL) == []
    assert "could not be deleted" in kept(report, CONFIG)["churn-1-made"]
    assert kept(report, MODEL)["churn-1-made"] == "used by configuration churn-1-made"


def test_without_the_endpoint_nothing_is_deleted(runs):
    runs.config("churn-made", made=True)
    runs.world.sagemaker.vanish("churn")

    with pytest.raises(EndpointNotFound):
        runs.clean_up()


def test_a_rollback_still_works_after_each_clean_up(six):
    six.clean_up(keep=1)
    six.roll_back()
    assert six.serves == "churn-5-made"

    six.churn.advance(minutes=120)
    six.clean_up(keep=1)
    six.roll_back()

    assert six.serves == "churn-v1"
