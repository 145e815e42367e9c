"""A shadow test is what the DAG author wants, is made once, and is waited for honestly."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.exceptions import (
    EndpointBusy,
    EndpointNotFound,
    InvalidArgument,
    ModelNotFound,
    ShadowTestCancelled,
    ShadowTestDiffers,
    ShadowTestRefused,
    ShadowTestTimedOut,
)
from airflow_guardrails.tasks.aws_task import AIRFLOW_TIMEOUT_MARGIN
from tests.support.simulated import deny

CREATE = "CreateInferenceExperiment"


def variant_of(described, name):
    return next(variant for variant in described["ModelVariants"] if variant["VariantName"] == name)


def test_the_shadow_gets_the_instances_that_production_has_now(create, context, candidate, experiment):
    candidate.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="churn",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}],
    )
    candidate.advance(minutes=10)

    report = create().execute(context)

    described = experiment(report["name"])
    assert variant_of(described, "shadow")["ModelName"] == "churn-candidate"
    assert variant_of(described, "shadow")["InfrastructureConfig"]["RealTimeInferenceConfig"] == {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 3,
    }
    assert described["ShadowModeConfig"]["SourceModelVariantName"] == "AllTraffic"


def test_what_the_author_says_goes_before_what_production_has(create, context, experiment):
    report = create(
        instance_type="ml.c5.xlarge",
        instance_count=1,
        sampling_percentage="25",
        shadow_variant_name="challenger",
        data_storage_uri="s3://captures/churn",
        description="the nightly candidate",
        tags={"team": "churn"},
    ).execute(context)

    described = experiment(report["name"])
    assert variant_of(described, "challenger")["InfrastructureConfig"]["RealTimeInferenceConfig"] == {
        "InstanceType": "ml.c5.xlarge",
        "InstanceCount": 1,
    }
    assert described["ShadowModeConfig"]["ShadowModelVariants"][0]["SamplingPercentage"] == 25
    assert described["DataStorageConfig"] == {
        "Destination": "s3://captures/churn",
        "ContentType": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }
    assert described["Description"] == "the nightly candidate"


def test_without_a_wait_the_task_ends_once_the_test_is_accepted(create, context, task_instance):
    report = create().execute(context)

    assert report["status"] == "Creating"
    assert report["outcome"] is None
    assert task_instance.xcoms == {
        "console_links": task_instance.xcoms["console_links"],
        "name": report["name"],
        "shadow_test_report": report,
    }


def test_a_test_that_is_over_before_its_warm_up_is_refused(create, context, candidate):
    with pytest.raises(ShadowTestRefused, match=r"the test lasts 2 h .*<= 3 h of warm_up"):
        create(warm_up=timedelta(hours=3)).execute(context)

    assert candidate.calls(CREATE) == 0


@pytest.mark.parametrize(("per_minute", "warned"), [(100, False), (10, True)])
def test_too_little_traffic_for_the_requests_that_are_waited_for_is_a_warning(
    create, context, candidate, per_minute, warned
):
    candidate.replay(per_minute=per_minute)
    candidate.advance(hours=1)

    report = create(min_requests=5000, duration=timedelta(hours=1)).execute(context)

    assert [warning[:15] for warning in report["warnings"]] == ["Production had "] * warned


def test_without_permission_to_read_the_traffic_there_is_no_warning(create, context, candidate):
    deny(candidate.simulator.client, "GetMetricStatistics")

    assert create(min_requests=5000).execute(context)["warnings"] == []


def test_waiting_until_it_runs_ends_when_it_runs(create, context, experiment):
    report = create(wait_until="Running").execute(context)

    assert experiment(report["name"])["Status"] == "Running"
    assert report["outcome"] == "Reached"


def test_waiting_until_it_is_over_takes_as_long_as_the_test(create, context, candidate):
    began = candidate.now()

    report = create(wait_until="Completed").execute(context)

    assert report["status"] == "Completed"
    assert candidate.now() - began >= timedelta(hours=2)


def test_a_test_that_an_error_ends_fails_the_task_with_the_reason(create, context, candidate, task_instance):
    operator = create(wait_until="Completed")
    name = create().execute(context)["name"]
    candidate.simulator.client.script_experiment(
        name, status="Cancelled", reason="InternalError: no capacity", after_seconds=1800
    )

    with pytest.raises(ShadowTestCancelled, match="InternalError: no capacity"):
        operator.execute(context)

    assert task_instance.xcoms["shadow_test_report"]["outcome"] == "Cancelled"


def test_a_deferrable_wait_leaves_the_worker_and_the_name(create, context, task_instance):
    with pytest.raises(TaskDeferred) as deferred:
        create(wait_until="Completed", deferrable=True).execute(context)

    trigger = deferred.value.trigger
    assert task_instance.xcoms["name"] == trigger.name
    # Two hours, the hour that a slow end may take, and the margin before Airflow's own time-out.
    longest = timedelta(hours=3, minutes=1) + AIRFLOW_TIMEOUT_MARGIN
    assert timedelta(hours=3) < deferred.value.timeout <= longest


def test_a_retry_finds_the_test_and_makes_no_other(create, context, candidate):
    first = create().execute(context)
    candidate.advance(minutes=10)

    again = create(wait_until="Running").execute(context)

    assert again["name"] == first["name"]
    assert again["adopted"] is True
    assert candidate.calls(CREATE) == 1


@pytest.mark.parametrize(
    "lag",
    [{"experiment_visible_after_seconds": 90}, {"experiment_describe_lag_seconds": 90}],
    ids=["not found yet", "shown as it was"],
)
def test_a_retry_is_not_fooled_by_reads_that_lag(create, context, candidate, lag):
    candidate.simulator.client.set_knobs(**lag)
    create().execute(context)

    again = create(wait_until="Running").execute(context)

    assert (again["status"], again["adopted"]) == ("Running", True)
    assert len(candidate.sagemaker.list_inference_experiments()["InferenceExperiments"]) == 1


def test_a_test_that_is_not_to_be_seen_yet_is_waited_for(create, context, candidate):
    candidate.simulator.client.set_knobs(experiment_visible_after_seconds=90)

    assert create(wait_until="Running").execute(context)["status"] == "Running"


def test_a_retry_after_the_end_takes_the_test_for_what_it_is(create, context, candidate):
    create(wait_until="Completed").execute(context)

    again = create(wait_until="Completed").execute(context)

    assert (again["status"], again["adopted"]) == ("Completed", True)
    assert candidate.calls(CREATE) == 1


def test_after_a_cancelled_test_the_task_begins_the_next(create, context, candidate, stop):
    first = create(wait_until="Running").execute(context)
    candidate.sagemaker.stop_inference_experiment(
        Name=first["name"],
        ModelVariantActions={"AllTraffic": "Retain", "shadow": "Remove"},
        DesiredState="Cancelled",
    )
    candidate.advance(minutes=30)

    again = create().execute(context)

    assert again["name"] == f"{first['name']}-2"
    assert again["adopted"] is False


def test_another_run_makes_a_test_of_its_own(create, context, task_instance, stop):
    first = create(wait_until="Running").execute(context)
    stop(first["name"]).execute(context)
    task_instance.run_id = "scheduled__2026-03-03"

    assert create().execute(context)["name"] != first["name"]


def test_a_test_that_somebody_has_changed_is_not_taken_for_ours(create, context, candidate):
    name = create(wait_until="Running").execute(context)["name"]
    candidate.sagemaker.update_inference_experiment(
        Name=name,
        ShadowModeConfig={
            "SourceModelVariantName": "AllTraffic",
            "ShadowModelVariants": [{"ShadowModelVariantName": "shadow", "SamplingPercentage": 10}],
        },
    )
    candidate.advance(minutes=10)

    with pytest.raises(ShadowTestDiffers, match="sampling_percentage 10 instead of 100"):
        create().execute(context)


def test_the_time_of_a_wait_is_not_extended_by_a_retry(create, context, candidate):
    with pytest.raises(ShadowTestTimedOut):
        create(wait_until="Completed", max_wait=timedelta(minutes=20)).execute(context)
    began = candidate.now()

    with pytest.raises(ShadowTestTimedOut):
        create(wait_until="Completed", max_wait=timedelta(minutes=20)).execute(context)

    assert candidate.now() - began < timedelta(minutes=2)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"sampling_percentage": 0}, "from 1 to 100"),
        ({"sampling_percentage": "many"}, "from 1 to 100"),
        ({"duration": timedelta(days=31)}, "at most 30 days"),
        ({"duration": None, "end_time": "2026-03-02T12:00:00"}, "with its zone"),
        ({"duration": None, "end_time": "2026-03-01T12:00:00+00:00"}, "more than 0"),
        ({"end_time": "2026-03-03T12:00:00+00:00"}, "must not both be given"),
        ({"duration": None, "end_time": "tomorrow"}, "ISO 8601"),
        ({"instance_count": 0}, "at least 1"),
        ({"data_storage_uri": "captures/churn"}, "s3://"),
        ({"name": "churn trial"}, "letters and digits"),
    ],
)
def test_what_breaks_a_rule_is_refused_before_anything_is_asked_for(create, context, candidate, wrong, rule):
    with pytest.raises(InvalidArgument, match=rule):
        create(**wrong).execute(context)

    assert candidate.calls(CREATE) == 0


def test_an_hour_is_long_enough_although_the_request_takes_a_moment(create, context, candidate):
    # SageMaker counts from when it has the request, and botocore's times are whole seconds.
    candidate.advance(seconds=0.7)

    assert create(duration=timedelta(hours=1)).execute(context)["warnings"] == []


def test_less_than_an_hour_is_warned_of_and_reported(create, context, candidate):
    candidate.simulator.client.set_knobs(experiment_least_seconds=0)

    report = create(duration=timedelta(minutes=20)).execute(context)

    assert "< 1 h" in report["warnings"][0]


def test_a_model_that_is_not_there_is_named(create, context, candidate):
    with pytest.raises(ModelNotFound, match="churn-ghost"):
        create(shadow_model_name="churn-ghost").execute(context)


def test_an_endpoint_that_is_not_there_is_named(create, context):
    with pytest.raises(EndpointNotFound, match="ghost"):
        create(endpoint_name="ghost").execute(context)


def test_an_endpoint_that_is_being_changed_is_for_a_later_try(create, context, candidate):
    candidate.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")

    with pytest.raises(EndpointBusy, match="Updating"):
        create().execute(context)


def test_an_endpoint_with_another_test_is_for_a_later_try(create, context, task_instance):
    create().execute(context)
    task_instance.run_id = "scheduled__2026-03-03"

    with pytest.raises(EndpointBusy, match="already has a shadow test"):
        create().execute(context)


def test_all_obstacles_to_a_shadow_are_reported_at_once(create, context, candidate):
    candidate.sagemaker.create_model(
        ModelName="many",
        PrimaryContainer={"Image": "registry/many:1", "Mode": "MultiModel", "ModelDataUrl": "s3://models/"},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
    )

    with pytest.raises(ShadowTestRefused) as refused:
        create(shadow_model_name="many", instance_type="ml.inf1.xlarge").execute(context)

    assert "multi-model endpoints do not support shadows" in str(refused.value)
    assert "Inf1 instances do not support shadows" in str(refused.value)
    assert candidate.calls(CREATE) == 0


def test_sagemakers_own_refusal_is_passed_on(create, context, candidate):
    with pytest.raises(ShadowTestRefused, match=r"SageMaker rejected.*at least 1:00:00"):
        create(duration=timedelta(minutes=20)).execute(context)
