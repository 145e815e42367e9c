"""From creation to an end: fact sheet 11, lines 49 to 51 and 55."""

from __future__ import annotations

from datetime import timedelta

import aiobotocore.session
import botocore.session
import pytest

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.world import Simulation

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_an_experiment_goes_from_creating_to_completed_without_anybodys_doing(lab):
    lab.create(start=timedelta(minutes=10), end=2 * HOUR)

    seen = lab.statuses(hours=2.5)

    assert seen == ["Creating", "Created", "Starting", "Running", "Stopping", "Completed"]
    assert "StatusReason" not in lab.look()


def test_every_status_that_botocore_knows_is_reached(lab):
    model = botocore.session.Session().get_service_model("sagemaker")
    lab.create(start=timedelta(minutes=10), end=2 * HOUR)
    seen = {lab.status()}
    lab.advance(minutes=1)
    lab.update(Description="again")
    seen |= {*lab.statuses(hours=2.5)}
    lab.create("other")
    lab.advance(minutes=10)
    lab.stop(name="other")
    lab.advance(minutes=10)
    seen.add(lab.status("other"))

    assert seen == set(model.shape_for("InferenceExperimentStatus").enum)


def test_without_a_schedule_it_starts_now_and_ends_after_seven_days(lab):
    now = lab.control.now()

    lab.create()

    assert lab.look()["Schedule"] == {"StartTime": now, "EndTime": now + 7 * DAY}
    lab.advance(hours=7 * 24 - 1)
    assert lab.status() == "Running"
    lab.advance(hours=2)
    assert lab.status() == "Completed"


def test_with_a_start_only_it_ends_seven_days_after_that(lab):
    now = lab.control.now()

    lab.create(start=DAY)

    assert lab.look()["Schedule"] == {"StartTime": now + DAY, "EndTime": now + 8 * DAY}


def test_thirty_days_are_the_longest_there_is(lab):
    code, message = lab.refusal(lab.create, end=30 * DAY + HOUR)

    assert code == "ValidationException"
    assert "the duration must be at most 30 days (got 30 days, 1:00:00)" in message
    lab.create(end=30 * DAY)


def test_an_hour_is_the_shortest_by_default(lab):
    assert "at least 1:00:00" in lab.refusal(lab.create, end=timedelta(minutes=59))[1]

    lab.control.set_knobs(experiment_least_seconds=0)
    lab.create(end=timedelta(minutes=5))


@pytest.mark.parametrize(("start", "end"), [(2 * HOUR, HOUR), (None, -HOUR)], ids=["before", "past"])
def test_it_must_end_after_its_start_and_in_the_future(lab, start, end):
    code, message = lab.refusal(lab.create, start=start, end=end)

    assert code == "ValidationException"
    assert "EndTime must be in the future and after StartTime" in message


def test_a_start_in_the_past_is_now(lab):
    now = lab.control.now()
    lab.create(start=-HOUR)
    assert lab.look()["Schedule"] == {"StartTime": now, "EndTime": now + 7 * DAY}


def test_started_early_it_keeps_its_end(lab):
    lab.create(start=10 * DAY, end=12 * DAY)
    end = lab.look()["Schedule"]["EndTime"]
    lab.advance(minutes=1)

    lab.start()

    assert lab.status() == "Starting"
    assert lab.look()["Schedule"] == {"StartTime": lab.control.now(), "EndTime": end}


def test_started_early_it_ends_thirty_days_later_at_most(lab):
    lab.create(start=10 * DAY, end=39 * DAY)
    lab.advance(minutes=1)

    lab.start()

    now = lab.control.now()
    assert lab.look()["Schedule"] == {"StartTime": now, "EndTime": now + 30 * DAY}
    lab.advance(hours=30 * 24)
    lab.advance(hours=1)
    assert lab.status() == "Completed"


def test_the_endpoint_gets_the_shadow_by_an_update_to_another_configuration_and_returns(lab):
    lab.create(end=2 * HOUR)
    assert lab.serving() == ("InService", "blue", ["live"])

    lab.advance(minutes=1)
    assert lab.serving() == ("Updating", "blue", ["live"])
    pending = lab.churn()["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "churn-trial"
    assert [v["VariantName"] for v in pending["ShadowProductionVariants"]] == ["candidate"]

    lab.advance(minutes=10)
    assert lab.serving() == ("InService", "churn-trial", ["live", "candidate"])
    (shadow,) = lab.churn()["ShadowProductionVariants"]
    assert (shadow["CurrentInstanceCount"], shadow["CurrentWeight"]) == (2, 1.0)
    made = lab.sagemaker.describe_endpoint_config(EndpointConfigName="churn-trial")
    assert made["ShadowProductionVariants"][0]["ModelName"] == "churn-2"

    lab.advance(hours=1, minutes=50)
    assert lab.serving() == ("Updating", "churn-trial", ["live", "candidate"])
    assert lab.churn()["PendingDeploymentSummary"]["EndpointConfigName"] == "blue"

    lab.advance(minutes=10)
    assert lab.serving() == ("InService", "blue", ["live"])
    assert lab.status() == "Completed"


def test_whether_the_endpoint_returns_to_its_old_configuration_or_one_like_it_is_a_knob(lab):
    lab.control.set_knobs(experiment_end_config="new")
    lab.run()

    lab.stop()
    lab.advance(minutes=10)

    assert lab.serving() == ("InService", "churn-trial-2", ["live"])
    made = lab.sagemaker.describe_endpoint_config(EndpointConfigName="churn-trial-2")
    assert made["ProductionVariants"][0]["ModelName"] == "churn-1"


def test_the_name_of_the_configuration_made_for_it_is_a_knob_and_never_taken(lab):
    lab.control.set_knobs(experiment_config_name="EpConfig-{experiment}")
    lab.config("EpConfig-trial")

    lab.run()

    assert lab.serving()[1] == "EpConfig-trial-2"


def test_a_long_name_leaves_a_configuration_name_that_aws_allows(lab):
    lab.create("x" * 120)
    lab.advance(minutes=10)

    assert lab.status("x" * 120) == "Running"
    assert len(lab.serving()[1]) <= 63


def test_instances_added_before_and_during_the_experiment_are_kept(lab):
    def scale(instances: int) -> None:
        lab.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="churn",
            DesiredWeightsAndCapacities=[{"VariantName": "live", "DesiredInstanceCount": instances}],
        )
        lab.advance(minutes=10)

    scale(5)
    lab.run()
    assert lab.churn()["ProductionVariants"][0]["CurrentInstanceCount"] == 5
    scale(6)
    lab.stop()
    lab.advance(minutes=10)

    assert lab.serving() == ("InService", "blue", ["live"])
    assert lab.churn()["ProductionVariants"][0]["CurrentInstanceCount"] == 6


def test_the_sampling_percentage_of_requests_is_mirrored_while_it_runs(lab):
    lab.control.set_knobs(shadow_sampling="share")  # for configurations; an experiment says it outright
    lab.run(ShadowModeConfig=lab.mode(percent=25))

    lab.control.replay("churn", ["1,2"], per_minute=1200)
    lab.advance(minutes=5)
    lab.stop()
    lab.advance(minutes=10)
    lab.control.stop_replay("churn")
    mirrored = lab.total("Invocations", "candidate")
    lab.advance(minutes=5)

    assert 0.2 < mirrored / (lab.total("Invocations", "live") / 2) < 0.3
    assert lab.total("Invocations", "candidate") == mirrored


def test_it_is_described_as_it_was_created(lab):
    storage = {"Destination": "s3://captures/trial", "ContentType": {"CsvContentTypes": ["text/csv"]}}
    now = lab.control.now()

    arn = lab.create(Description="two against one", KmsKey="key", DataStorageConfig=storage)

    look = lab.look()
    look.pop("ResponseMetadata")
    live = lab.variant("live", "churn-1", 4)
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
        "ModelVariants": [{**live, "Status": "InService"}, {**lab.variant(), "Status": "Creating"}],
        "DataStorageConfig": storage,
        "ShadowModeConfig": lab.mode(),
        "KmsKey": "key",
    }


def test_its_variants_and_its_endpoint_tell_where_it_stands(lab):
    lab.create()
    lab.advance(minutes=1)
    assert lab.variants() == {"live": "InService", "candidate": "Creating"}
    assert lab.look()["EndpointMetadata"]["EndpointStatus"] == "Updating"

    lab.advance(minutes=10)
    assert lab.variants() == {"live": "InService", "candidate": "InService"}
    assert lab.look()["EndpointMetadata"]["EndpointConfigName"] == "churn-trial"

    lab.stop()
    assert lab.variants() == {"live": "InService", "candidate": "Deleting"}

    lab.advance(minutes=10)
    assert lab.variants() == {"live": "InService", "candidate": "Deleted"}


def test_completion_is_dated_and_every_change_is(lab):
    lab.run()
    running_since = lab.look()["LastModifiedTime"]
    assert "CompletionTime" not in lab.look()
    lab.stop()
    lab.advance(minutes=10)

    look = lab.look()
    assert look["CreationTime"] < running_since < look["CompletionTime"] == look["LastModifiedTime"]
    assert look["Schedule"]["EndTime"] == look["CompletionTime"]


def test_a_shadow_that_never_passes_its_ping_ends_it_cancelled_with_the_reason(lab):
    lab.control.profile("churn-2", never_healthy=True)
    lab.create()

    lab.advance(minutes=20)

    assert lab.status() == "Cancelled"
    assert "variant candidate did not pass the ping health check" in lab.look()["StatusReason"]
    assert "did not pass the ping" in lab.look()["EndpointMetadata"]["FailureReason"]
    assert lab.variants() == {"live": "InService", "candidate": "Deleted"}
    assert lab.serving() == ("InService", "blue", ["live"])


def test_capacity_that_cannot_be_had_ends_it_cancelled_with_the_reason(lab):
    lab.control.set_knobs(capacity_available=False)
    lab.create()

    lab.advance(minutes=20)

    assert lab.status() == "Cancelled"
    assert "InsufficientInstanceCapacity" in lab.look()["StatusReason"]
    assert lab.serving() == ("InService", "blue", ["live"])


def test_an_endpoint_that_says_nothing_leaves_a_reason_all_the_same(lab):
    lab.control.set_knobs(capacity_available=False, rollback_failure_reason=None)
    lab.create()

    lab.advance(minutes=20)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Cancelled", "The update of the endpoint failed.")


def test_an_endpoint_that_cannot_return_leaves_the_experiment_cancelled_and_the_shadow_there(lab):
    lab.run(end=2 * HOUR)
    lab.control.set_knobs(capacity_available=False)

    lab.advance(hours=3)

    assert lab.status() == "Cancelled"
    assert "InsufficientInstanceCapacity" in lab.look()["StatusReason"]
    assert lab.serving() == ("InService", "churn-trial", ["live", "candidate"])
    assert lab.variants() == {"live": "InService", "candidate": "InService"}


def test_a_limit_that_is_reached_by_the_time_it_starts_ends_it_cancelled(lab):
    lab.create(start=HOUR, end=3 * HOUR)
    lab.control.set_knobs(endpoint_instance_limit=5)

    lab.advance(hours=2)

    assert lab.status() == "Cancelled"
    assert "Maximum number of instances per endpoint" in lab.look()["StatusReason"]


def test_a_model_deleted_by_the_time_it_starts_ends_it_cancelled(lab):
    lab.create(start=HOUR, end=3 * HOUR)
    lab.sagemaker.delete_model(ModelName="churn-2")

    lab.advance(hours=2)

    assert lab.status() == "Cancelled"
    assert "Could not find model" in lab.look()["StatusReason"]


def test_an_endpoint_that_vanishes_ends_it_cancelled(lab):
    lab.run()

    lab.control.vanish("churn")

    assert lab.status() == "Cancelled"
    assert "Could not find endpoint" in lab.look()["StatusReason"]
    assert lab.look()["EndpointMetadata"] == {"EndpointName": "churn"}


def test_a_busy_endpoint_is_waited_for(lab):
    lab.control.system_update("churn", seconds=1800)
    lab.create()
    lab.advance(minutes=29)
    assert lab.status() == "Starting"
    assert lab.churn()["EndpointStatus"] == "SystemUpdating"

    lab.advance(minutes=10)

    assert lab.status() == "Running"


def test_an_end_that_comes_while_the_endpoint_is_busy_waits_too(lab):
    lab.run(end=2 * HOUR)
    lab.advance(hours=1, minutes=45)
    lab.control.system_update("churn", seconds=1800)

    lab.advance(minutes=10)
    assert lab.status() == "Stopping"

    lab.advance(minutes=30)
    assert lab.status() == "Completed"


def test_an_end_that_comes_before_the_shadow_is_up_comes_right_after(lab):
    lab.control.set_knobs(provisioning_seconds=7200)
    lab.create(end=HOUR)
    lab.advance(hours=1, minutes=30)
    assert lab.status() == "Starting"

    lab.control.set_knobs(provisioning_seconds=60)
    lab.advance(hours=1)

    assert lab.status() == "Completed"
    assert lab.serving() == ("InService", "blue", ["live"])


def test_without_any_wait_it_runs_and_ends_all_the_same(lab):
    lab.control.set_knobs(
        provisioning_seconds=0, activation_seconds=0, deleting_seconds=0, experiment_step_seconds=0
    )
    lab.create(end=HOUR)

    lab.advance(seconds=1)
    assert (lab.status(), lab.serving()) == ("Running", ("InService", "churn-trial", ["live", "candidate"]))

    lab.advance(hours=1)
    assert (lab.status(), lab.serving()) == ("Completed", ("InService", "blue", ["live"]))


def test_deleting_it_leaves_endpoint_and_configurations_alone(lab):
    lab.run()
    lab.stop(lab.RETAIN)
    lab.advance(minutes=10)

    lab.delete()

    assert lab.refusal(lab.look)[0] == "ResourceNotFound"
    assert lab.serving() == ("InService", "churn-trial", ["live", "candidate"])
    assert lab.sagemaker.describe_endpoint_config(EndpointConfigName="churn-trial")


def test_a_name_is_free_again_once_deleted_and_its_configuration_a_new_one(lab):
    lab.run()
    lab.stop()
    lab.advance(minutes=10)
    lab.delete()

    lab.run()

    assert lab.serving()[1] == "churn-trial-2"


async def test_aiobotocore_sees_the_same(simulator, lab):
    where = {"region_name": "us-east-1", "endpoint_url": simulator.url}
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    async with aiobotocore.session.get_session().create_client("sagemaker", **where, **keys) as sagemaker:
        await sagemaker.create_inference_experiment(**lab.request())
        lab.advance(minutes=10)
        assert (await sagemaker.describe_inference_experiment(Name="trial"))["Status"] == "Running"
        await sagemaker.stop_inference_experiment(Name="trial", ModelVariantActions={**lab.KEEP})
        lab.advance(minutes=10)
        pages = sagemaker.get_paginator("list_inference_experiments").paginate()
        found = [row["Status"] async for page in pages for row in page["InferenceExperiments"]]
        assert found == ["Cancelled"]


def test_it_runs_without_a_server_too(lab):
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
    sagemaker.experiments.create_inference_experiment({**lab.request(), "Schedule": schedule})
    simulation.clock.advance(600)
    found = sagemaker.experiments.describe_inference_experiment({"Name": "trial"})
    assert found["Status"] == "Running"
    simulation.clock.advance(3600)

    assert sagemaker.experiments.describe_inference_experiment({"Name": "trial"})["Status"] == "Completed"
