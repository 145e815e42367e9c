"""Requests for inference experiments: what is accepted, and in which status."""

from __future__ import annotations

from datetime import timedelta

import pytest

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ARN = "arn:aws:sagemaker:us-east-1:123456789012:inference-experiment/trial"


@pytest.fixture
def at(experiment):
    """``at("Running")`` returns the helper when the experiment has that status."""

    def experiment_at(status):
        experiment.create(start=HOUR, end=3 * HOUR)
        if status != "Creating":
            experiment.advance(minutes=2)
        if status in {"Starting", "Running", "Stopping", "Completed"}:
            experiment.start()
        if status in {"Running", "Stopping", "Completed"}:
            experiment.advance(minutes=10)
        if status in {"Stopping", "Completed", "Cancelled"}:
            experiment.stop(DesiredState="Completed" if status == "Completed" else "Cancelled")
        if status in {"Completed", "Cancelled"}:
            experiment.advance(minutes=10)
        if status == "Updating":
            experiment.update(Description="again")
        assert experiment.status() == status
        return experiment

    return experiment_at


CALLS = {
    "update": (lambda experiment: experiment.update(Description="new"), {"Created", "Running"}, "updated"),
    "start": (lambda experiment: experiment.start(), {"Created"}, "started"),
    "stop": (lambda experiment: experiment.stop(), {"Created", "Running"}, "stopped"),
    "delete": (lambda experiment: experiment.delete(), {"Completed", "Cancelled"}, "deleted"),
}
STATUSES = ("Creating", "Created", "Updating", "Starting", "Running", "Stopping", "Completed", "Cancelled")


@pytest.mark.parametrize("status", STATUSES)
def test_a_call_in_the_wrong_status_is_a_conflict(at, status):
    experiment = at(status)
    for call, fine, done in CALLS.values():
        if status not in fine:
            message = f'Inference experiment "{ARN}" cannot be {done} while it is {status}.'
            assert experiment.refusal(call, experiment) == ("ConflictException", message)

    assert experiment.status() == status


@pytest.mark.parametrize(
    ("call", "status"), [(call, status) for call, (_, fine, _) in CALLS.items() for status in sorted(fine)]
)
def test_a_call_in_the_right_status_is_accepted(at, call, status):
    experiment = at(status)

    CALLS[call][0](experiment)


def test_an_experiment_that_does_not_exist_is_not_found_and_no_validation_error(experiment):
    for call in (experiment.look, experiment.start, experiment.stop, experiment.delete, experiment.update):
        assert experiment.refusal(call) == (
            "ResourceNotFound",
            f'Could not find inference experiment "{ARN}".',
        )


def test_a_taken_name_and_an_endpoint_with_another_experiment_are_in_use(experiment):
    experiment.create()

    for name in ("trial", "other"):
        assert experiment.refusal(experiment.create, name) == (
            "ResourceInUse",
            f"Inference experiment {name} exists already, or endpoint churn has another one.",
        )

    experiment.advance(minutes=10)
    experiment.stop()
    experiment.advance(minutes=10)
    assert experiment.refusal(experiment.create)[0] == "ResourceInUse"
    experiment.create("other")


def test_error_texts_that_are_unknown_are_knobs(experiment):
    experiment.control.set_knobs(
        experiment_missing_message="none: {arn}",
        experiment_in_use_message="taken: {name}, {endpoint}",
        experiment_conflict_message="{status}, not {action}: {arn}",
        experiment_invalid_message="no: {reason}",
    )
    assert experiment.refusal(experiment.look) == ("ResourceNotFound", f"none: {ARN}")
    experiment.create()

    assert experiment.refusal(experiment.create) == ("ResourceInUse", "taken: trial, churn")
    assert experiment.refusal(experiment.start) == ("ConflictException", f"Creating, not started: {ARN}")
    experiment.advance(minutes=10)
    assert experiment.refusal(experiment.stop, {"nobody": "Retain"})[1].startswith(
        "no: ModelVariantActions must name"
    )


def test_an_endpoint_that_does_not_exist_is_refused_or_ends_it_cancelled(no_endpoint, arn):
    missing = f'Could not find endpoint "{arn("endpoint", "churn")}".'
    assert no_endpoint.refusal(no_endpoint.create) == ("ValidationException", missing)

    no_endpoint.control.set_knobs(experiment_missing_endpoint="cancelled")
    no_endpoint.create()
    no_endpoint.advance(minutes=2)

    assert (no_endpoint.status(), no_endpoint.look()["StatusReason"]) == ("Cancelled", missing)


def test_an_endpoint_that_does_not_serve_has_no_experiments(no_endpoint, arn):
    experiment = no_endpoint
    experiment.control.profile("churn-1", never_healthy=True)
    experiment.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    assert experiment.refusal(experiment.create) == (
        "ValidationException",
        f'Cannot update in-progress endpoint "{arn("endpoint", "churn")}".',
    )

    experiment.advance(minutes=10)

    assert (
        experiment.refusal(experiment.create)[1]
        == f'Cannot update failed endpoint "{arn("endpoint", "churn")}".'
    )


WRONG = {
    "source": (
        lambda experiment: {"ShadowModeConfig": experiment.mode(source="nobody")},
        "must have nobody as its only",
    ),
    "same": (
        lambda experiment: {"ShadowModeConfig": experiment.mode(source="candidate")},
        "another variant than its source (candidate)",
    ),
    "shadow": (
        lambda experiment: {"ShadowModeConfig": experiment.mode(shadow="nobody")},
        "ModelVariants must be nobody",
    ),
    "stranger": (
        lambda experiment: {"ModelVariants": [experiment.variant(), experiment.variant("third")]},
        "(got ['candidate', 'third'])",
    ),
    "model": (
        lambda experiment: {"ModelVariants": [experiment.variant(model="nobody")]},
        "Could not find model",
    ),
    "none": (
        lambda experiment: {"ModelVariants": [experiment.variant(instances=0)]},
        "InstanceCount of candidate",
    ),
    "sampling": (
        lambda experiment: {"ShadowModeConfig": experiment.mode(percent=0)},
        "SamplingPercentage must be from 1",
    ),
    "too much": (
        lambda experiment: {"ShadowModeConfig": experiment.mode(percent=101)},
        "less than or equal to 100",
    ),
    "type": (lambda _: {"Type": "Canary"}, "Member must satisfy enum value set: [ShadowMode]"),
    "inf1": (
        lambda experiment: {"ModelVariants": [experiment.variant(kind="ml.inf1.xlarge")]},
        "Inf1 instances are not supported (variant candidate)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_is_a_validation_error_at_once(experiment, wrong):
    change, text = WRONG[wrong]

    code, message = experiment.refusal(experiment.create, **change(experiment))

    assert code == "ValidationException"
    assert text in message
    assert experiment.refusal(experiment.look)[0] == "ResourceNotFound"


def test_excluded_features_of_production_are_refused_too(experiment):
    output = {"OutputConfig": {"S3OutputPath": "s3://churn/out"}}
    experiment.config("asynchronous", AsyncInferenceConfig=output)
    experiment.endpoint("slow", "asynchronous")

    code, message = experiment.refusal(experiment.create, EndpointName="slow")

    assert code == "ValidationException"
    assert "asynchronous inference is not supported" in message


def test_an_endpoint_with_a_shadow_or_a_second_variant_has_no_experiments(experiment):
    variant = {
        "ModelName": "churn-1",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "VariantName": "other",
    }
    experiment.config("with-shadow", ShadowProductionVariants=[variant])
    experiment.endpoint("shadowed", "with-shadow")

    code, message = experiment.refusal(experiment.create, EndpointName="shadowed")

    assert code == "ValidationException"
    assert "must have live as its only variant (got ['live', 'other'])" in message


def test_production_may_be_named_as_it_runs_only(experiment):
    other = {"ModelVariants": [experiment.variant(), experiment.variant("live", "churn-2")]}
    assert "live runs model churn-1" in experiment.refusal(experiment.create, **other)[1]
    experiment.create(ModelVariants=[experiment.variant("live", "churn-1"), experiment.variant()])


def test_a_shadow_beyond_the_limit_is_refused_when_asked_for(experiment):
    experiment.control.set_knobs(endpoint_instance_limit=5)
    code, message = experiment.refusal(experiment.create)
    assert code == "ResourceLimitExceeded"
    assert "current utilization of 4 Instances and a request delta of 2 Instances" in message

    experiment.control.set_knobs(endpoint_instance_limit=6)
    experiment.create()
    experiment.advance(minutes=10)

    assert experiment.status() == "Running"


def test_while_it_has_the_endpoint_no_other_change_is_accepted(experiment, arn):
    experiment.config("green")

    def update():
        experiment.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")

    experiment.run()
    told = (
        "ValidationException",
        f'Cannot change endpoint "{arn("endpoint", "churn")}" while inference experiment trial runs on it.',
    )
    assert experiment.refusal(update) == told
    assert experiment.refusal(experiment.sagemaker.delete_endpoint, EndpointName="churn") == told

    experiment.stop()
    experiment.advance(minutes=10)
    update()


def test_before_it_starts_the_endpoint_can_be_changed(experiment):
    experiment.config("green")
    experiment.create(start=HOUR, end=3 * HOUR)

    experiment.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    experiment.advance(hours=1, minutes=20)
    assert experiment.serving() == ("InService", "churn-trial", ["live", "candidate"])
    experiment.advance(hours=3)

    assert experiment.serving() == ("InService", "green", ["live"])


def test_an_update_in_between_takes_the_shadow_away_and_ends_it_cancelled(experiment):
    experiment.control.set_knobs(change_during_experiment="accept")
    experiment.config("green")
    experiment.run(end=2 * HOUR)

    experiment.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    experiment.advance(hours=3)

    assert experiment.serving() == ("InService", "green", ["live"])
    assert experiment.status() == "Cancelled"
    assert "The endpoint uses green" in experiment.look()["StatusReason"]


def test_an_endpoint_deleted_in_between_ends_it_cancelled(experiment):
    experiment.control.set_knobs(change_during_experiment="accept")
    experiment.run()

    experiment.sagemaker.delete_endpoint(EndpointName="churn")
    experiment.advance(minutes=10)

    assert (experiment.status(), experiment.look()["EndpointMetadata"]) == (
        "Cancelled",
        {"EndpointName": "churn"},
    )


def test_before_it_starts_start_end_and_shadow_can_be_changed(at):
    experiment = at("Created")
    now = experiment.control.now()

    experiment.update(
        start=2 * HOUR,
        end=5 * HOUR,
        Description="new",
        ModelVariants=[experiment.variant(instances=3)],
        ShadowModeConfig=experiment.mode(percent=50),
    )

    assert experiment.status() == "Updating"
    experiment.advance(minutes=1)
    look = experiment.look()
    assert (look["Status"], look["Description"]) == ("Created", "new")
    assert look["Schedule"] == {"StartTime": now + 2 * HOUR, "EndTime": now + 5 * HOUR}
    experiment.advance(hours=2, minutes=10)
    (shadow,) = experiment.churn()["ShadowProductionVariants"]
    assert (shadow["CurrentInstanceCount"], shadow["CurrentWeight"]) == (3, 0.5)


def test_while_it_runs_end_description_and_sampling_can_be_changed(at):
    experiment = at("Running")
    before = experiment.look()["Schedule"]

    experiment.update(end=6 * HOUR, Description="new", ShadowModeConfig=experiment.mode(percent=50))

    assert experiment.status() == "Updating"
    assert experiment.variants() == {"live": "InService", "candidate": "Updating"}
    assert experiment.serving()[0] == "InService"
    experiment.advance(minutes=1)
    assert experiment.status() == "Running"
    assert experiment.look()["ShadowModeConfig"] == experiment.mode(percent=50)
    assert experiment.churn()["ShadowProductionVariants"][0]["CurrentWeight"] == 0.5
    assert experiment.look()["Schedule"]["StartTime"] == before["StartTime"]
    experiment.advance(hours=5, minutes=50)
    assert experiment.status() == "Running"
    experiment.advance(minutes=30)
    assert experiment.status() == "Completed"


def test_while_it_runs_nothing_else_can_be_changed(at):
    experiment = at("Running")
    storage = {"Destination": "s3://captures/trial"}
    for change in (
        {"ModelVariants": [experiment.variant(instances=3)]},
        {"DataStorageConfig": storage},
        {"ShadowModeConfig": experiment.mode(shadow="other")},
    ):
        code, message = experiment.refusal(experiment.update, **change)
        assert code == "ValidationException"
        assert "only Description, SamplingPercentage and EndTime can change" in message

    assert "StartTime cannot be changed" in experiment.refusal(experiment.update, start=HOUR)[1]
    assert "at most 30 days" in experiment.refusal(experiment.update, end=30 * DAY)[1]
    assert experiment.status() == "Running"


def test_an_update_that_is_refused_changes_nothing(at):
    experiment = at("Created")
    before = experiment.look()
    for change in (
        {"Description": "new", "end": -HOUR},
        {"Description": "new", "ShadowModeConfig": experiment.mode(source="nobody")},
        {"Description": "new", "ModelVariants": [experiment.variant(model="nobody")]},
    ):
        assert experiment.refusal(experiment.update, **change)[0] == "ValidationException"

    after = experiment.look()
    before.pop("ResponseMetadata"), after.pop("ResponseMetadata")
    assert after == before


def test_an_end_that_passes_during_an_update_is_not_missed(experiment):
    experiment.control.set_knobs(experiment_step_seconds=600)
    experiment.create(end=2 * HOUR)
    experiment.advance(hours=1, minutes=58)
    experiment.update(Description="new")

    experiment.advance(minutes=5)
    assert experiment.status() == "Updating"
    experiment.advance(minutes=6)
    assert experiment.status() == "Stopping"


def test_stopped_it_is_cancelled_for_the_reason_given_and_production_stays(at):
    experiment = at("Running")

    experiment.stop(Reason="it is slow")

    assert (experiment.status(), experiment.serving()[0]) == ("Stopping", "Updating")
    experiment.advance(minutes=10)
    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Cancelled", "it is slow")
    assert experiment.serving() == ("InService", "blue", ["live"])


def test_the_state_after_a_stop_is_the_one_desired(experiment):
    experiment.run()
    experiment.stop(DesiredState="Completed")
    experiment.advance(minutes=10)
    assert experiment.status() == "Completed"


def test_stopped_before_it_starts_the_endpoint_is_not_touched(at):
    experiment = at("Created")
    changed = experiment.churn()["LastModifiedTime"]

    experiment.stop(DesiredState="Completed", Reason="not needed")
    assert experiment.status() == "Stopping"
    experiment.advance(hours=2)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Completed", "not needed")
    assert experiment.churn()["LastModifiedTime"] == changed


def test_a_promoted_shadow_replaces_production_under_its_own_name(at):
    experiment = at("Running")

    experiment.stop(experiment.PROMOTE, DesiredState="Completed")
    assert experiment.variants() == {"live": "Deleting", "candidate": "Updating"}
    experiment.advance(minutes=10)

    assert experiment.serving() == ("InService", "churn-trial-2", ["candidate"])
    (promoted,) = experiment.churn()["ProductionVariants"]
    assert (promoted["CurrentInstanceCount"], promoted["CurrentWeight"]) == (2, 1.0)
    assert experiment.variants() == {"live": "Deleted", "candidate": "InService"}
    assert experiment.status() == "Completed"


def test_a_shadow_is_promoted_to_the_capacity_desired(at):
    experiment = at("Running")

    experiment.stop(
        experiment.PROMOTE, DesiredModelVariants=[experiment.variant(instances=5, kind="ml.m5.xlarge")]
    )
    experiment.advance(minutes=10)

    (promoted,) = experiment.churn()["ProductionVariants"]
    assert promoted["CurrentInstanceCount"] == 5
    made = experiment.sagemaker.describe_endpoint_config(EndpointConfigName=experiment.serving()[1])
    assert made["ProductionVariants"][0]["InstanceType"] == "ml.m5.xlarge"


def test_a_promotion_without_room_for_what_is_desired_ends_it_cancelled(at):
    experiment = at("Running")
    experiment.control.set_knobs(endpoint_instance_limit=8)

    experiment.stop(
        experiment.PROMOTE, DesiredModelVariants=[experiment.variant(instances=9)], DesiredState="Completed"
    )
    experiment.advance(minutes=10)

    assert experiment.status() == "Cancelled"
    assert "Maximum number of instances per endpoint" in experiment.look()["StatusReason"]
    assert experiment.serving() == ("InService", "churn-trial", ["live", "candidate"])


def test_both_variants_retained_leave_the_endpoint_as_it_is(at):
    experiment = at("Running")

    experiment.stop(experiment.RETAIN)
    experiment.advance(minutes=10)

    assert experiment.status() == "Cancelled"
    assert experiment.serving() == ("InService", "churn-trial", ["live", "candidate"])
    assert experiment.variants() == {"live": "InService", "candidate": "InService"}
    experiment.config("green")
    experiment.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")


def test_production_may_be_kept_with_another_capacity(at):
    experiment = at("Running")

    experiment.stop(experiment.KEEP, DesiredModelVariants=[experiment.variant("live", "churn-1", 6)])
    experiment.advance(minutes=10)

    assert experiment.serving() == ("InService", "churn-trial-2", ["live"])
    assert experiment.churn()["ProductionVariants"][0]["CurrentInstanceCount"] == 6


def test_a_shadow_may_be_retained_with_another_capacity(at):
    experiment = at("Running")

    experiment.stop(experiment.RETAIN, DesiredModelVariants=[experiment.variant(instances=1)])
    experiment.advance(minutes=10)

    assert experiment.serving() == ("InService", "churn-trial-2", ["live", "candidate"])
    assert experiment.churn()["ShadowProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_a_variant_without_an_action_is_kept_or_gives_way(experiment):
    experiment.run()
    experiment.stop({"candidate": "Promote"})
    experiment.advance(minutes=10)
    assert experiment.serving()[2] == ["candidate"]


@pytest.mark.parametrize(
    "actions",
    [
        {"live": "Promote", "candidate": "Remove"},
        {"live": "Remove", "candidate": "Remove"},
        {"live": "Remove", "candidate": "Retain"},
        {"live": "Retain", "candidate": "Promote"},
        {"live": "Retain", "nobody": "Remove"},
    ],
)
def test_actions_that_leave_no_endpoint_behind_are_refused(at, actions):
    experiment = at("Running")

    assert experiment.refusal(experiment.stop, actions)[0] == "ValidationException"
    assert experiment.status() == "Running"


def test_an_action_that_does_not_exist_is_refused_by_its_enum(at):
    experiment = at("Running")

    code, message = experiment.refusal(experiment.stop, {"live": "Keep"})

    assert code == "ValidationException"
    assert "Map value must satisfy constraint: [Member must satisfy enum value set: [Retain, " in message


def test_what_is_unknown_about_actions_are_knobs(at):
    experiment = at("Running")
    experiment.control.set_knobs(experiment_keeps_shadow="reject", promote_without_desired="reject")

    assert (
        "live cannot be Retain where candidate is Retain"
        in experiment.refusal(experiment.stop, experiment.RETAIN)[1]
    )
    assert "must hold candidate" in experiment.refusal(experiment.stop, experiment.PROMOTE)[1]
    experiment.stop(experiment.PROMOTE, DesiredModelVariants=[experiment.variant()])


def test_experiments_are_listed_newest_first_with_what_a_row_has(experiment):
    for number in range(12):
        experiment.endpoint(f"churn-{number}")
        experiment.create(f"trial-{number}", EndpointName=f"churn-{number}", Description="d")

    first = experiment.sagemaker.list_inference_experiments()
    second = experiment.sagemaker.list_inference_experiments(NextToken=first["NextToken"])

    names = [row["Name"] for answer in (first, second) for row in answer["InferenceExperiments"]]
    assert names == [f"trial-{number}" for number in reversed(range(12))]
    assert len(first["InferenceExperiments"]) == 10
    assert set(first["InferenceExperiments"][0]) == {
        "Name",
        "Type",
        "Schedule",
        "Status",
        "Description",
        "CreationTime",
        "LastModifiedTime",
        "RoleArn",
    }
    paged = experiment.sagemaker.get_paginator("list_inference_experiments").paginate(
        PaginationConfig={"PageSize": 5}
    )
    assert [len(page["InferenceExperiments"]) for page in paged] == [5, 5, 2]


def test_experiments_are_filtered_and_sorted(experiment):
    experiment.create("b")
    experiment.advance(minutes=10)
    experiment.stop(name="b", Reason="enough")
    experiment.advance(minutes=10)
    between = experiment.control.now()
    experiment.advance(minutes=1)
    experiment.create("ab")

    def listed(**asked):
        rows = experiment.sagemaker.list_inference_experiments(**asked)["InferenceExperiments"]
        return [row["Name"] for row in rows]

    assert listed(NameContains="a") == ["ab"]
    assert listed(Type="ShadowMode", StatusEquals="Cancelled") == ["b"]
    assert listed(CreationTimeAfter=between) == ["ab"]
    assert listed(LastModifiedTimeBefore=between) == ["b"]
    assert listed(SortBy="Name", SortOrder="Ascending") == ["ab", "b"]
    assert listed(SortBy="CreationTime", SortOrder="Ascending") == ["b", "ab"]
    assert listed(SortBy="Status", SortOrder="Ascending") == ["b", "ab"]  # Cancelled, Creating
    (row,) = experiment.sagemaker.list_inference_experiments(NameContains="b", StatusEquals="Cancelled")[
        "InferenceExperiments"
    ]
    assert row["StatusReason"] == "enough"
    assert "CompletionTime" in row


def test_an_experiment_has_tags_until_it_is_deleted(experiment):
    experiment.create(Tags=[{"Key": "team", "Value": "churn"}])
    experiment.sagemaker.add_tags(ResourceArn=ARN, Tags=[{"Key": "stage", "Value": "test"}])
    tags = experiment.sagemaker.list_tags(ResourceArn=ARN)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "churn", "stage": "test"}
    experiment.advance(minutes=10)
    experiment.stop()
    experiment.advance(minutes=10)
    experiment.delete()

    assert experiment.refusal(experiment.sagemaker.list_tags, ResourceArn=ARN)[0] == "ResourceNotFound"


def test_regions_have_experiments_of_their_own(aws, experiment):
    experiment.create()

    assert aws("sagemaker", region="eu-west-1").list_inference_experiments()["InferenceExperiments"] == []


@pytest.fixture
def arn():
    return lambda kind, name: f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}"
