"""What can be asked of an experiment and when: fact sheet 11, lines 52 to 56."""

from __future__ import annotations

from datetime import timedelta

import pytest

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ARN = "arn:aws:sagemaker:us-east-1:123456789012:inference-experiment/trial"


@pytest.fixture
def at(lab):
    """``at("Running")`` is a lab whose experiment is in that status."""

    def lab_at(status):
        lab.create(start=HOUR, end=3 * HOUR)
        if status != "Creating":
            lab.advance(minutes=2)
        if status in {"Starting", "Running", "Stopping", "Completed"}:
            lab.start()
        if status in {"Running", "Stopping", "Completed"}:
            lab.advance(minutes=10)
        if status in {"Stopping", "Completed", "Cancelled"}:
            lab.stop(DesiredState="Completed" if status == "Completed" else "Cancelled")
        if status in {"Completed", "Cancelled"}:
            lab.advance(minutes=10)
        if status == "Updating":
            lab.update(Description="again")
        assert lab.status() == status
        return lab

    return lab_at


CALLS = {
    "update": (lambda lab: lab.update(Description="new"), {"Created", "Running"}, "updated"),
    "start": (lambda lab: lab.start(), {"Created"}, "started"),
    "stop": (lambda lab: lab.stop(), {"Created", "Running"}, "stopped"),
    "delete": (lambda lab: lab.delete(), {"Completed", "Cancelled"}, "deleted"),
}
STATUSES = ("Creating", "Created", "Updating", "Starting", "Running", "Stopping", "Completed", "Cancelled")


@pytest.mark.parametrize("status", STATUSES)
def test_a_call_in_the_wrong_status_is_a_conflict(at, status):
    lab = at(status)
    for call, fine, done in CALLS.values():
        if status not in fine:
            message = f'Inference experiment "{ARN}" cannot be {done} while it is {status}.'
            assert lab.refusal(call, lab) == ("ConflictException", message)

    assert lab.status() == status


@pytest.mark.parametrize(
    ("call", "status"), [(call, status) for call, (_, fine, _) in CALLS.items() for status in sorted(fine)]
)
def test_a_call_in_the_right_status_is_accepted(at, call, status):
    lab = at(status)

    CALLS[call][0](lab)


def test_an_experiment_that_does_not_exist_is_not_found_and_no_validation_error(lab):
    for call in (lab.look, lab.start, lab.stop, lab.delete, lab.update):
        assert lab.refusal(call) == ("ResourceNotFound", f'Could not find inference experiment "{ARN}".')


def test_a_taken_name_and_an_endpoint_with_another_experiment_are_in_use(lab):
    lab.create()

    for name in ("trial", "other"):
        assert lab.refusal(lab.create, name) == (
            "ResourceInUse",
            f"Inference experiment {name} exists already, or endpoint churn has another one.",
        )

    lab.advance(minutes=10)
    lab.stop()
    lab.advance(minutes=10)
    assert lab.refusal(lab.create)[0] == "ResourceInUse"
    lab.create("other")


def test_what_is_said_in_words_nobody_knows_are_knobs(lab):
    lab.control.set_knobs(
        experiment_missing_message="none: {arn}",
        experiment_in_use_message="taken: {name}, {endpoint}",
        experiment_conflict_message="{status}, not {action}: {arn}",
        experiment_invalid_message="no: {reason}",
    )
    assert lab.refusal(lab.look) == ("ResourceNotFound", f"none: {ARN}")
    lab.create()

    assert lab.refusal(lab.create) == ("ResourceInUse", "taken: trial, churn")
    assert lab.refusal(lab.start) == ("ConflictException", f"Creating, not started: {ARN}")
    lab.advance(minutes=10)
    assert lab.refusal(lab.stop, {"nobody": "Retain"})[1].startswith("no: ModelVariantActions must name")


def test_an_endpoint_that_does_not_exist_is_refused_or_ends_it_cancelled(empty_lab, arn):
    missing = f'Could not find endpoint "{arn("endpoint", "churn")}".'
    assert empty_lab.refusal(empty_lab.create) == ("ValidationException", missing)

    empty_lab.control.set_knobs(experiment_missing_endpoint="cancelled")
    empty_lab.create()
    empty_lab.advance(minutes=2)

    assert (empty_lab.status(), empty_lab.look()["StatusReason"]) == ("Cancelled", missing)


def test_an_endpoint_that_does_not_serve_has_no_experiments(empty_lab, arn):
    lab = empty_lab
    lab.control.profile("churn-1", never_healthy=True)
    lab.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    assert lab.refusal(lab.create) == (
        "ValidationException",
        f'Cannot update in-progress endpoint "{arn("endpoint", "churn")}".',
    )

    lab.advance(minutes=10)

    assert lab.refusal(lab.create)[1] == f'Cannot update failed endpoint "{arn("endpoint", "churn")}".'


WRONG = {
    "source": (lambda lab: {"ShadowModeConfig": lab.mode(source="nobody")}, "must have nobody as its only"),
    "same": (
        lambda lab: {"ShadowModeConfig": lab.mode(source="candidate")},
        "another variant than its source (candidate)",
    ),
    "shadow": (lambda lab: {"ShadowModeConfig": lab.mode(shadow="nobody")}, "ModelVariants must be nobody"),
    "stranger": (
        lambda lab: {"ModelVariants": [lab.variant(), lab.variant("third")]},
        "(got ['candidate', 'third'])",
    ),
    "model": (lambda lab: {"ModelVariants": [lab.variant(model="nobody")]}, "Could not find model"),
    "none": (lambda lab: {"ModelVariants": [lab.variant(instances=0)]}, "InstanceCount of candidate"),
    "sampling": (lambda lab: {"ShadowModeConfig": lab.mode(percent=0)}, "SamplingPercentage must be from 1"),
    "too much": (lambda lab: {"ShadowModeConfig": lab.mode(percent=101)}, "less than or equal to 100"),
    "type": (lambda _: {"Type": "Canary"}, "Member must satisfy enum value set: [ShadowMode]"),
    "inf1": (
        lambda lab: {"ModelVariants": [lab.variant(kind="ml.inf1.xlarge")]},
        "Inf1 instances are not supported (variant candidate)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_is_a_validation_error_at_once(lab, wrong):
    change, text = WRONG[wrong]

    code, message = lab.refusal(lab.create, **change(lab))

    assert code == "ValidationException"
    assert text in message
    assert lab.refusal(lab.look)[0] == "ResourceNotFound"


def test_excluded_features_of_production_are_refused_too(lab):
    output = {"OutputConfig": {"S3OutputPath": "s3://churn/out"}}
    lab.config("asynchronous", AsyncInferenceConfig=output)
    lab.endpoint("slow", "asynchronous")

    code, message = lab.refusal(lab.create, EndpointName="slow")

    assert code == "ValidationException"
    assert "asynchronous inference is not supported" in message


def test_an_endpoint_with_a_shadow_or_a_second_variant_has_no_experiments(lab):
    variant = {
        "ModelName": "churn-1",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "VariantName": "other",
    }
    lab.config("with-shadow", ShadowProductionVariants=[variant])
    lab.endpoint("shadowed", "with-shadow")

    code, message = lab.refusal(lab.create, EndpointName="shadowed")

    assert code == "ValidationException"
    assert "must have live as its only variant (got ['live', 'other'])" in message


def test_production_may_be_named_as_it_runs_only(lab):
    other = {"ModelVariants": [lab.variant(), lab.variant("live", "churn-2")]}
    assert "live runs model churn-1" in lab.refusal(lab.create, **other)[1]
    lab.create(ModelVariants=[lab.variant("live", "churn-1"), lab.variant()])


def test_a_shadow_beyond_the_limit_is_refused_when_asked_for(lab):
    lab.control.set_knobs(endpoint_instance_limit=5)
    code, message = lab.refusal(lab.create)
    assert code == "ResourceLimitExceeded"
    assert "current utilization of 4 Instances and a request delta of 2 Instances" in message

    lab.control.set_knobs(endpoint_instance_limit=6)
    lab.create()
    lab.advance(minutes=10)

    assert lab.status() == "Running"


def test_while_it_has_the_endpoint_nobody_else_changes_it(lab, arn):
    lab.config("green")

    def update():
        lab.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")

    lab.run()
    told = (
        "ValidationException",
        f'Cannot change endpoint "{arn("endpoint", "churn")}" while inference experiment trial runs on it.',
    )
    assert lab.refusal(update) == told
    assert lab.refusal(lab.sagemaker.delete_endpoint, EndpointName="churn") == told

    lab.stop()
    lab.advance(minutes=10)
    update()


def test_before_it_starts_the_endpoint_can_be_changed(lab):
    lab.config("green")
    lab.create(start=HOUR, end=3 * HOUR)

    lab.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    lab.advance(hours=1, minutes=20)
    assert lab.serving() == ("InService", "churn-trial", ["live", "candidate"])
    lab.advance(hours=3)

    assert lab.serving() == ("InService", "green", ["live"])


def test_an_update_in_between_takes_the_shadow_away_and_ends_it_cancelled(lab):
    lab.control.set_knobs(change_during_experiment="accept")
    lab.config("green")
    lab.run(end=2 * HOUR)

    lab.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    lab.advance(hours=3)

    assert lab.serving() == ("InService", "green", ["live"])
    assert lab.status() == "Cancelled"
    assert "The endpoint uses green" in lab.look()["StatusReason"]


def test_an_endpoint_deleted_in_between_ends_it_cancelled(lab):
    lab.control.set_knobs(change_during_experiment="accept")
    lab.run()

    lab.sagemaker.delete_endpoint(EndpointName="churn")
    lab.advance(minutes=10)

    assert (lab.status(), lab.look()["EndpointMetadata"]) == ("Cancelled", {"EndpointName": "churn"})


def test_before_it_starts_start_end_and_shadow_can_be_changed(at):
    lab = at("Created")
    now = lab.control.now()

    lab.update(
        start=2 * HOUR,
        end=5 * HOUR,
        Description="new",
        ModelVariants=[lab.variant(instances=3)],
        ShadowModeConfig=lab.mode(percent=50),
    )

    assert lab.status() == "Updating"
    lab.advance(minutes=1)
    look = lab.look()
    assert (look["Status"], look["Description"]) == ("Created", "new")
    assert look["Schedule"] == {"StartTime": now + 2 * HOUR, "EndTime": now + 5 * HOUR}
    lab.advance(hours=2, minutes=10)
    (shadow,) = lab.churn()["ShadowProductionVariants"]
    assert (shadow["CurrentInstanceCount"], shadow["CurrentWeight"]) == (3, 0.5)


def test_while_it_runs_end_description_and_sampling_can_be_changed(at):
    lab = at("Running")
    before = lab.look()["Schedule"]

    lab.update(end=6 * HOUR, Description="new", ShadowModeConfig=lab.mode(percent=50))

    assert lab.status() == "Updating"
    assert lab.variants() == {"live": "InService", "candidate": "Updating"}
    assert lab.serving()[0] == "InService"
    lab.advance(minutes=1)
    assert lab.status() == "Running"
    assert lab.look()["ShadowModeConfig"] == lab.mode(percent=50)
    assert lab.churn()["ShadowProductionVariants"][0]["CurrentWeight"] == 0.5
    assert lab.look()["Schedule"]["StartTime"] == before["StartTime"]
    lab.advance(hours=5, minutes=50)
    assert lab.status() == "Running"
    lab.advance(minutes=30)
    assert lab.status() == "Completed"


def test_while_it_runs_nothing_else_can_be_changed(at):
    lab = at("Running")
    storage = {"Destination": "s3://captures/trial"}
    for change in (
        {"ModelVariants": [lab.variant(instances=3)]},
        {"DataStorageConfig": storage},
        {"ShadowModeConfig": lab.mode(shadow="other")},
    ):
        code, message = lab.refusal(lab.update, **change)
        assert code == "ValidationException"
        assert "only Description, SamplingPercentage and EndTime can change" in message

    assert "StartTime cannot be changed" in lab.refusal(lab.update, start=HOUR)[1]
    assert "at most 30 days" in lab.refusal(lab.update, end=30 * DAY)[1]
    assert lab.status() == "Running"


def test_an_update_that_is_refused_changes_nothing(at):
    lab = at("Created")
    before = lab.look()
    for change in (
        {"Description": "new", "end": -HOUR},
        {"Description": "new", "ShadowModeConfig": lab.mode(source="nobody")},
        {"Description": "new", "ModelVariants": [lab.variant(model="nobody")]},
    ):
        assert lab.refusal(lab.update, **change)[0] == "ValidationException"

    after = lab.look()
    before.pop("ResponseMetadata"), after.pop("ResponseMetadata")
    assert after == before


def test_an_end_that_passes_during_an_update_is_not_missed(lab):
    lab.control.set_knobs(experiment_step_seconds=600)
    lab.create(end=2 * HOUR)
    lab.advance(hours=1, minutes=58)
    lab.update(Description="new")

    lab.advance(minutes=5)
    assert lab.status() == "Updating"
    lab.advance(minutes=6)
    assert lab.status() == "Stopping"


def test_stopped_it_is_cancelled_for_the_reason_given_and_production_stays(at):
    lab = at("Running")

    lab.stop(Reason="it is slow")

    assert (lab.status(), lab.serving()[0]) == ("Stopping", "Updating")
    lab.advance(minutes=10)
    assert (lab.status(), lab.look()["StatusReason"]) == ("Cancelled", "it is slow")
    assert lab.serving() == ("InService", "blue", ["live"])


def test_the_state_after_a_stop_is_the_one_desired(lab):
    lab.run()
    lab.stop(DesiredState="Completed")
    lab.advance(minutes=10)
    assert lab.status() == "Completed"


def test_stopped_before_it_starts_the_endpoint_is_not_touched(at):
    lab = at("Created")
    changed = lab.churn()["LastModifiedTime"]

    lab.stop(DesiredState="Completed", Reason="not needed")
    assert lab.status() == "Stopping"
    lab.advance(hours=2)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Completed", "not needed")
    assert lab.churn()["LastModifiedTime"] == changed


def test_a_promoted_shadow_replaces_production_under_its_own_name(at):
    lab = at("Running")

    lab.stop(lab.PROMOTE, DesiredState="Completed")
    assert lab.variants() == {"live": "Deleting", "candidate": "Updating"}
    lab.advance(minutes=10)

    assert lab.serving() == ("InService", "churn-trial-2", ["candidate"])
    (promoted,) = lab.churn()["ProductionVariants"]
    assert (promoted["CurrentInstanceCount"], promoted["CurrentWeight"]) == (2, 1.0)
    assert lab.variants() == {"live": "Deleted", "candidate": "InService"}
    assert lab.status() == "Completed"


def test_a_shadow_is_promoted_to_the_capacity_desired(at):
    lab = at("Running")

    lab.stop(lab.PROMOTE, DesiredModelVariants=[lab.variant(instances=5, kind="ml.m5.xlarge")])
    lab.advance(minutes=10)

    (promoted,) = lab.churn()["ProductionVariants"]
    assert promoted["CurrentInstanceCount"] == 5
    made = lab.sagemaker.describe_endpoint_config(EndpointConfigName=lab.serving()[1])
    assert made["ProductionVariants"][0]["InstanceType"] == "ml.m5.xlarge"


def test_a_promotion_without_room_for_what_is_desired_ends_it_cancelled(at):
    lab = at("Running")
    lab.control.set_knobs(endpoint_instance_limit=8)

    lab.stop(lab.PROMOTE, DesiredModelVariants=[lab.variant(instances=9)], DesiredState="Completed")
    lab.advance(minutes=10)

    assert lab.status() == "Cancelled"
    assert "Maximum number of instances per endpoint" in lab.look()["StatusReason"]
    assert lab.serving() == ("InService", "churn-trial", ["live", "candidate"])


def test_both_variants_retained_leave_the_endpoint_as_it_is(at):
    lab = at("Running")

    lab.stop(lab.RETAIN)
    lab.advance(minutes=10)

    assert lab.status() == "Cancelled"
    assert lab.serving() == ("InService", "churn-trial", ["live", "candidate"])
    assert lab.variants() == {"live": "InService", "candidate": "InService"}
    lab.config("green")
    lab.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")


def test_production_may_be_kept_with_another_capacity(at):
    lab = at("Running")

    lab.stop(lab.KEEP, DesiredModelVariants=[lab.variant("live", "churn-1", 6)])
    lab.advance(minutes=10)

    assert lab.serving() == ("InService", "churn-trial-2", ["live"])
    assert lab.churn()["ProductionVariants"][0]["CurrentInstanceCount"] == 6


def test_a_shadow_may_be_retained_with_another_capacity(at):
    lab = at("Running")

    lab.stop(lab.RETAIN, DesiredModelVariants=[lab.variant(instances=1)])
    lab.advance(minutes=10)

    assert lab.serving() == ("InService", "churn-trial-2", ["live", "candidate"])
    assert lab.churn()["ShadowProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_a_variant_without_an_action_is_kept_or_gives_way(lab):
    lab.run()
    lab.stop({"candidate": "Promote"})
    lab.advance(minutes=10)
    assert lab.serving()[2] == ["candidate"]


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
    lab = at("Running")

    assert lab.refusal(lab.stop, actions)[0] == "ValidationException"
    assert lab.status() == "Running"


def test_an_action_that_does_not_exist_is_refused_by_its_enum(at):
    lab = at("Running")

    code, message = lab.refusal(lab.stop, {"live": "Keep"})

    assert code == "ValidationException"
    assert "Map value must satisfy constraint: [Member must satisfy enum value set: [Retain, " in message


def test_what_nobody_knows_about_actions_are_knobs(at):
    lab = at("Running")
    lab.control.set_knobs(experiment_keeps_shadow="reject", promote_without_desired="reject")

    assert "live cannot be Retain where candidate is Retain" in lab.refusal(lab.stop, lab.RETAIN)[1]
    assert "must hold candidate" in lab.refusal(lab.stop, lab.PROMOTE)[1]
    lab.stop(lab.PROMOTE, DesiredModelVariants=[lab.variant()])


def test_experiments_are_listed_newest_first_with_what_a_row_has(lab):
    for number in range(12):
        lab.endpoint(f"churn-{number}")
        lab.create(f"trial-{number}", EndpointName=f"churn-{number}", Description="d")

    first = lab.sagemaker.list_inference_experiments()
    second = lab.sagemaker.list_inference_experiments(NextToken=first["NextToken"])

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
    paged = lab.sagemaker.get_paginator("list_inference_experiments").paginate(
        PaginationConfig={"PageSize": 5}
    )
    assert [len(page["InferenceExperiments"]) for page in paged] == [5, 5, 2]


def test_experiments_are_filtered_and_sorted(lab):
    lab.create("b")
    lab.advance(minutes=10)
    lab.stop(name="b", Reason="enough")
    lab.advance(minutes=10)
    between = lab.control.now()
    lab.advance(minutes=1)
    lab.create("ab")

    def listed(**asked):
        rows = lab.sagemaker.list_inference_experiments(**asked)["InferenceExperiments"]
        return [row["Name"] for row in rows]

    assert listed(NameContains="a") == ["ab"]
    assert listed(Type="ShadowMode", StatusEquals="Cancelled") == ["b"]
    assert listed(CreationTimeAfter=between) == ["ab"]
    assert listed(LastModifiedTimeBefore=between) == ["b"]
    assert listed(SortBy="Name", SortOrder="Ascending") == ["ab", "b"]
    assert listed(SortBy="CreationTime", SortOrder="Ascending") == ["b", "ab"]
    assert listed(SortBy="Status", SortOrder="Ascending") == ["b", "ab"]  # Cancelled, Creating
    (row,) = lab.sagemaker.list_inference_experiments(NameContains="b", StatusEquals="Cancelled")[
        "InferenceExperiments"
    ]
    assert row["StatusReason"] == "enough"
    assert "CompletionTime" in row


def test_an_experiment_has_tags_until_it_is_deleted(lab):
    lab.create(Tags=[{"Key": "team", "Value": "churn"}])
    lab.sagemaker.add_tags(ResourceArn=ARN, Tags=[{"Key": "stage", "Value": "test"}])
    tags = lab.sagemaker.list_tags(ResourceArn=ARN)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "churn", "stage": "test"}
    lab.advance(minutes=10)
    lab.stop()
    lab.advance(minutes=10)
    lab.delete()

    assert lab.refusal(lab.sagemaker.list_tags, ResourceArn=ARN)[0] == "ResourceNotFound"


def test_regions_have_experiments_of_their_own(aws, lab):
    lab.create()

    assert aws("sagemaker", region="eu-west-1").list_inference_experiments()["InferenceExperiments"] == []


@pytest.fixture
def arn():
    return lambda kind, name: f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}"
