"""Inference experiments from creation to their end."""

from __future__ import annotations

from datetime import timedelta

import aiobotocore.session
import botocore.session
import pytest

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.world import Simulation

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_an_experiment_goes_from_creating_to_completed_without_anybodys_doing(experiment):
    experiment.create(start=timedelta(minutes=10), end=2 * HOUR)

    seen = experiment.statuses(hours=2.5)

    assert seen == ["Creating", "Created", "Starting", "Running", "Stopping", "Completed"]
    assert "StatusReason" not in experiment.look()


def test_every_status_that_botocore_knows_is_reached(experiment):
    model = botocore.session.Session().get_service_model("sagemaker")
    experiment.create(start=timedelta(minutes=10), end=2 * HOUR)
    seen = {experiment.status()}
    experiment.advance(minutes=1)
    experiment.update(Description="again")
    seen |= {*experiment.statuses(hours=2.5)}
    experiment.create("other")
    experiment.advance(minutes=10)
    experiment.stop(name="other")
    experiment.advance(minutes=10)
    seen.add(experiment.status("other"))

    assert seen == set(model.shape_for("InferenceExperimentStatus").enum)


def test_without_a_schedule_it_starts_now_and_ends_after_seven_days(experiment):
    now = experiment.control.now()

    experiment.create()

    assert experiment.look()["Schedule"] == {"StartTime": now, "EndTime": now + 7 * DAY}
    experiment.advance(hours=7 * 24 - 1)
    assert experiment.status() == "Running"
    experiment.advance(hours=2)
    assert experiment.status() == "Completed"


def test_with_a_start_only_it_ends_seven_days_after_that(experiment):
    now = experiment.control.now()

    experiment.create(start=DAY)

    assert experiment.look()["Schedule"] == {"StartTime": now + DAY, "EndTime": now + 8 * DAY}


def test_thirty_days_are_the_longest_there_is(experiment):
    code, message = experiment.refusal(experiment.create, end=30 * DAY + HOUR)

    assert code == "ValidationException"
    assert "the duration must be at most 30 days (got 30 days, 1:00:00)" in message
    experiment.create(end=30 * DAY)


def test_an_hour_is_the_shortest_by_default(experiment):
    assert "at least 1:00:00" in experiment.refusal(experiment.create, end=timedelta(minutes=59))[1]

    experiment.control.set_knobs(experiment_least_seconds=0)
    experiment.create(end=timedelta(minutes=5))


@pytest.mark.parametrize(("start", "end"), [(2 * HOUR, HOUR), (None, -HOUR)], ids=["before", "past"])
def test_it_must_end_after_its_start_and_in_the_future(experiment, start, end):
    code, message = experiment.refusal(experiment.create, start=start, end=end)

    assert code == "ValidationException"
    assert "EndTime must be in the future and after StartTime" in message


def test_a_start_in_the_past_is_now(experiment):
    now = experiment.control.now()
    experiment.create(start=-HOUR)
    assert experiment.look()["Schedule"] == {"StartTime": now, "EndTime": now + 7 * DAY}


def test_started_early_it_keeps_its_end(experiment):
    experiment.create(start=10 * DAY, end=12 * DAY)
    end = experiment.look()["Schedule"]["EndTime"]
    experiment.advance(minutes=1)

    experiment.start()

    assert experiment.status() == "Starting"
    assert experiment.look()["Schedule"] == {"StartTime": experiment.control.now(), "EndTime": end}


def test_started_early_it_ends_thirty_days_later_at_most(experiment):
    experiment.create(start=10 * DAY, end=39 * DAY)
    experiment.advance(minutes=1)

    experiment.start()

    now = experiment.control.now()
    assert experiment.look()["Schedule"] == {"StartTime": now, "EndTime": now + 30 * DAY}
    experiment.advance(hours=30 * 24)
    experiment.advance(hours=1)
    assert experiment.status() == "Completed"


def test_the_endpoint_gets_the_shadow_by_an_update_to_another_configuration_and_returns(experiment):
    experiment.create(end=2 * HOUR)
    assert experiment.serving() == ("InService", "blue", ["live"])

    experiment.advance(minutes=1)
    assert experiment.serving() == ("Updating", "blue", ["live"])
    pending = experiment.churn()["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "churn-trial"
    assert [v["VariantName"] for v in pending["ShadowProductionVariants"]] == ["candidate"]

    experiment.advance(minutes=10)
    assert experiment.serving() == ("InService", "churn-trial", ["live", "candidate"])
    (shadow,) = experiment.churn()["ShadowProductionVariants"]
    assert (shadow["CurrentInstanceCount"], shadow["CurrentWeight"]) == (2, 1.0)
    made = experiment.sagemaker.describe_endpoint_config(EndpointConfigName="churn-trial")
    assert made["ShadowProductionVariants"][0]["ModelName"] == "churn-2"

    experiment.advance(hours=1, minutes=50)
    assert experiment.serving() == ("Updating", "churn-trial", ["live", "candidate"])
    assert experiment.churn()["PendingDeploymentSummary"]["EndpointConfigName"] == "blue"

    experiment.advance(minutes=10)
    assert experiment.serving() == ("InService", "blue", ["live"])
    assert experiment.status() == "Completed"


def test_whether_the_endpoint_returns_to_its_old_configuration_or_one_like_it_is_a_knob(experiment):
    experiment.control.set_knobs(experiment_end_config="new")
    experiment.run()

    experiment.stop()
    experiment.advance(minutes=10)

    assert experiment.serving() == ("InService", "churn-trial-2", ["live"])
    made = experiment.sagemaker.describe_endpoint_config(EndpointConfigName="churn-trial-2")
    assert made["ProductionVariants"][0]["ModelName"] == "churn-1"


def test_the_name_of_the_configuration_made_for_it_is_a_knob_and_never_taken(experiment):
    experiment.control.set_knobs(experiment_config_name="EpConfig-{experiment}")
    experiment.config("EpConfig-trial")

    experiment.run()

    assert experiment.serving()[1] == "EpConfig-trial-2"


def test_a_long_name_leaves_a_configuration_name_that_aws_allows(experiment):
    experiment.create("x" * 120)
    experiment.advance(minutes=10)

    assert experiment.status("x" * 120) == "Running"
    assert len(experiment.serving()[1]) <= 63


def test_instances_added_before_and_during_the_experiment_are_kept(experiment):
    def scale(instances: int) -> None:
        experiment.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="churn",
            DesiredWeightsAndCapacities=[{"VariantName": "live", "DesiredInstanceCount": instances}],
        )
        experiment.advance(minutes=10)

    scale(5)
    experiment.run()
    assert experiment.churn()["ProductionVariants"][0]["CurrentInstanceCount"] == 5
    scale(6)
    experiment.stop()
    experiment.advance(minutes=10)

    assert experiment.serving() == ("InService", "blue", ["live"])
    assert experiment.churn()["ProductionVariants"][0]["CurrentInstanceCount"] == 6


def test_the_sampling_percentage_of_requests_is_mirrored_while_it_runs(experiment):
    experiment.control.set_knobs(
        shadow_sampling="share"
    )  # for configurations; an experiment says it outright
    experiment.run(ShadowModeConfig=experiment.mode(percent=25))

    experiment.control.replay("churn", ["1,2"], per_minute=1200)
    experiment.advance(minutes=5)
    experiment.stop()
    experiment.advance(minutes=10)
    experiment.control.stop_replay("churn")
    mirrored = experiment.total("Invocations", "candidate")
    experiment.advance(minutes=5)

    assert 0.2 < mirrored / (experiment.total("Invocations", "live") / 2) < 0.3
    assert experiment.total("Invocations", "candidate") == mirrored


def test_it_is_described_as_it_was_created(experiment):
    storage = {"Destination": "s3://captures/trial", "ContentType": {"CsvContentTypes": ["text/csv"]}}
    now = experiment.control.now()

    arn = experiment.create(Description="two against one", KmsKey="key", DataStorageConfig=storage)

    look = experiment.look()
    look.pop("ResponseMetadata")
    live = experiment.variant("live", "churn-1", 4)
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:inference-experiment/trial"
    assert look == {
        "Arn": arn,
        "Name": "trial",
        "Type": "ShadowMode",
        "Schedule": {"StartTime": now, "EndTime": now + 7 * DAY},
        "Status": "Creating",
        "Description": "two against one",
        "CreationTime": now,
        "LastModifiedTime": now,
        "RoleArn": "arn:aws:iam::123456789012:role/churn",
        "EndpointMetadata": {
            "EndpointName": "churn",
            "EndpointConfigName": "blue",
            "EndpointStatus": "InService",
        },
        "ModelVariants": [{**live, "Status": "InService"}, {**experiment.variant(), "Status": "Creating"}],
        "DataStorageConfig": storage,
        "ShadowModeConfig": experiment.mode(),
        "KmsKey": "key",
    }


def test_its_variants_and_its_endpoint_tell_where_it_stands(experiment):
    experiment.create()
    experiment.advance(minutes=1)
    assert experiment.variants() == {"live": "InService", "candidate": "Creating"}
    assert experiment.look()["EndpointMetadata"]["EndpointStatus"] == "Updating"

    experiment.advance(minutes=10)
    assert experiment.variants() == {"live": "InService", "candidate": "InService"}
    assert experiment.look()["EndpointMetadata"]["EndpointConfigName"] == "churn-trial"

    experiment.stop()
    assert experiment.variants() == {"live": "InService", "candidate": "Deleting"}

    experiment.advance(minutes=10)
    assert experiment.variants() == {"live": "InService", "candidate": "Deleted"}


def test_completion_is_dated_and_every_change_is(experiment):
    experiment.run()
    running_since = experiment.look()["LastModifiedTime"]
    assert "CompletionTime" not in experiment.look()
    experiment.stop()
    experiment.advance(minutes=10)

    look = experiment.look()
    assert look["CreationTime"] < running_since < look["CompletionTime"] == look["LastModifiedTime"]
    assert look["Schedule"]["EndTime"] == look["CompletionTime"]


def test_a_shadow_that_never_passes_its_ping_ends_it_cancelled_with_the_reason(experiment):
    experiment.control.profile("churn-2", never_healthy=True)
    experiment.create()

    experiment.advance(minutes=20)

    assert experiment.status() == "Cancelled"
    assert "variant candidate did not pass the ping health check" in experiment.look()["StatusReason"]
    assert "did not pass the ping" in experiment.look()["EndpointMetadata"]["FailureReason"]
    assert experiment.variants() == {"live": "InService", "candidate": "Deleted"}
    assert experiment.serving() == ("InService", "blue", ["live"])


def test_capacity_that_cannot_be_had_ends_it_cancelled_with_the_reason(experiment):
    experiment.control.set_knobs(capacity_available=False)
    experiment.create()

    experiment.advance(minutes=20)

    assert experiment.status() == "Cancelled"
    assert "InsufficientInstanceCapacity" in experiment.look()["StatusReason"]
    assert experiment.serving() == ("InService", "blue", ["live"])


def test_an_endpoint_that_says_nothing_leaves_a_reason_all_the_same(experiment):
    experiment.control.set_knobs(capacity_available=False, rollback_failure_reason=None)
    experiment.create()

    experiment.advance(minutes=20)

    assert (experiment.status(), experiment.look()["StatusReason"]) == (
        "Cancelled",
        "The update of the endpoint failed.",
    )


def test_an_endpoint_that_cannot_return_leaves_the_experiment_cancelled_and_the_shadow_there(experiment):
    experiment.run(end=2 * HOUR)
    experiment.control.set_knobs(capacity_available=False)

    experiment.advance(hours=3)

    assert experiment.status() == "Cancelled"
    assert "InsufficientInstanceCapacity" in experiment.look()["StatusReason"]
    assert experiment.serving() == ("InService", "churn-trial", ["live", "candidate"])
    assert experiment.variants() == {"live": "InService", "candidate": "InService"}


def test_a_limit_that_is_reached_by_the_time_it_starts_ends_it_cancelled(experiment):
    experiment.create(start=HOUR, end=3 * HOUR)
    experiment.control.set_knobs(endpoint_instance_limit=5)

    experiment.advance(hours=2)

    assert experiment.status() == "Cancelled"
    assert "Maximum number of instances per endpoint" in experiment.look()["StatusReason"]


def test_a_model_deleted_by_the_time_it_starts_ends_it_cancelled(experiment):
    experiment.create(start=HOUR, end=3 * HOUR)
    experiment.sagemaker.delete_model(ModelName="churn-2")

    experiment.advance(hours=2)

    assert experiment.status() == "Cancelled"
    assert "Could not find model" in experiment.look()["StatusReason"]


def test_an_endpoint_that_vanishes_ends_it_cancelled(experiment):
    experiment.run()

    experiment.control.vanish("churn")

    assert experiment.status() == "Cancelled"
    assert "Could not find endpoint" in experiment.look()["StatusReason"]
    assert experiment.look()["EndpointMetadata"] == {"EndpointName": "churn"}


def test_a_busy_endpoint_is_waited_for(experiment):
    experiment.control.system_update("churn", seconds=1800)
    experiment.create()
    experiment.advance(minutes=29)
    assert experiment.status() == "Starting"
    assert experiment.churn()["EndpointStatus"] == "SystemUpdating"

    experiment.advance(minutes=10)

    assert experiment.status() == "Running"


def test_an_end_that_comes_while_the_endpoint_is_busy_waits_too(experiment):
    experiment.run(end=2 * HOUR)
    experiment.advance(hours=1, minutes=45)
    experiment.control.system_update("churn", seconds=1800)

    experiment.advance(minutes=10)
    assert experiment.status() == "Stopping"

    experiment.advance(minutes=30)
    assert experiment.status() == "Completed"


def test_an_end_that_comes_before_the_shadow_is_up_comes_right_after(experiment):
    experiment.control.set_knobs(provisioning_seconds=7200)
    experiment.create(end=HOUR)
    experiment.advance(hours=1, minutes=30)
    assert experiment.status() == "Starting"

    experiment.control.set_knobs(provisioning_seconds=60)
    experiment.advance(hours=1)

    assert experiment.status() == "Completed"
    assert experiment.serving() == ("InService", "blue", ["live"])


def test_without_any_wait_it_runs_and_ends_all_the_same(experiment):
    experiment.control.set_knobs(
        provisioning_seconds=0, activation_seconds=0, deleting_seconds=0, experiment_step_seconds=0
    )
    experiment.create(end=HOUR)

    experiment.advance(seconds=1)
    assert (experiment.status(), experiment.serving()) == (
        "Running",
        ("InService", "churn-trial", ["live", "candidate"]),
    )

    experiment.advance(hours=1)
    assert (experiment.status(), experiment.serving()) == ("Completed", ("InService", "blue", ["live"]))


def test_deleting_it_leaves_endpoint_and_configurations_alone(experiment):
    experiment.run()
    experiment.stop(experiment.RETAIN)
    experiment.advance(minutes=10)

    experiment.delete()

    assert experiment.refusal(experiment.look)[0] == "ResourceNotFound"
    assert experiment.serving() == ("InService", "churn-trial", ["live", "candidate"])
    assert experiment.sagemaker.describe_endpoint_config(EndpointConfigName="churn-trial")


def test_a_name_is_free_again_once_deleted_and_its_configuration_a_new_one(experiment):
    experiment.run()
    experiment.stop()
    experiment.advance(minutes=10)
    experiment.delete()

    experiment.run()

    assert experiment.serving()[1] == "churn-trial-2"


async def test_aiobotocore_sees_the_same(simulator, experiment):
    where = {"region_name": "us-east-1", "endpoint_url": simulator.url}
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    async with aiobotocore.session.get_session().create_client("sagemaker", **where, **keys) as sagemaker:
        await sagemaker.create_inference_experiment(**experiment.request())
        experiment.advance(minutes=10)
        assert (await sagemaker.describe_inference_experiment(Name="trial"))["Status"] == "Running"
        await sagemaker.stop_inference_experiment(Name="trial", ModelVariantActions={**experiment.KEEP})
        experiment.advance(minutes=10)
        pages = sagemaker.get_paginator("list_inference_experiments").paginate()
        found = [row["Status"] async for page in pages for row in page["InferenceExperiments"]]
        assert found == ["Cancelled"]


def test_it_runs_without_a_server_too(experiment):
    simulation = Simulation(clock=Clock())
    sagemaker = simulation.world("us-east-1").sagemaker
    container = {"Image": "registry/churn:1"}
    for name in ("churn-1", "churn-2"):
        sagemaker.catalogue.create_model({"ModelName": name, "PrimaryContainer": container})
    variant = {"VariantName": "live", "ModelName": "churn-1", "InstanceType": "ml.m5.large"}
    sagemaker.catalogue.create_endpoint_config(
        {"EndpointConfigName": "blue", "ProductionVariants": [{**variant, "InitialInstanceCount": 1}]}
    )
    sagemaker.create_endpoint({"EndpointName": "churn", "EndpointConfigName": "blue"})
    simulation.clock.advance(600)

    schedule = {"EndTime": simulation.clock.now() + HOUR}
    sagemaker.experiments.create_inference_experiment({**experiment.request(), "Schedule": schedule})
    simulation.clock.advance(600)
    found = sagemaker.experiments.describe_inference_experiment({"Name": "trial"})
    assert found["Status"] == "Running"
    simulation.clock.advance(3600)

    assert sagemaker.experiments.describe_inference_experiment({"Name": "trial"})["Status"] == "Completed"
