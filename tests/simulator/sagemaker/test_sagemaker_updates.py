"""An update as a client sees it."""

from __future__ import annotations

from datetime import timedelta

import pytest


def test_an_update_returns_at_once_and_shows_updating(churn, arn):
    answer = churn.update()

    assert answer["EndpointArn"] == arn("endpoint", "churn")
    assert churn.look()["EndpointStatus"] == "Updating"


def test_the_first_look_may_be_from_before_the_update(churn):
    churn.control.set_knobs(describe_lag_seconds=20)
    before = churn.look()

    churn.update()

    assert _without_metadata(churn.look()) == _without_metadata(before)
    churn.advance(seconds=19)
    assert churn.status() == ("InService", "blue")
    churn.advance(seconds=1)
    assert churn.status() == ("Updating", "blue")


def test_the_old_configuration_serves_and_the_new_one_is_pending_until_the_end(churn, canary):
    churn.update("green", canary())

    while churn.look()["EndpointStatus"] == "Updating":
        look = churn.look()
        assert look["EndpointConfigName"] == "blue"
        assert look["PendingDeploymentSummary"]["EndpointConfigName"] == "green"
        churn.advance(seconds=30)
    assert churn.status() == ("InService", "green")


def test_a_pending_deployment_is_shown_only_during_an_update_to_a_new_configuration(endpoint):
    endpoint.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    assert endpoint.look()["PendingDeploymentSummary"]["EndpointConfigName"] == "blue"
    endpoint.advance(minutes=10)
    assert "PendingDeploymentSummary" not in endpoint.look()

    wishes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 6}]
    endpoint.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="churn", DesiredWeightsAndCapacities=wishes
    )

    assert endpoint.look()["EndpointStatus"] == "Updating"
    assert "PendingDeploymentSummary" not in endpoint.look()
    assert endpoint.blue()["VariantStatus"][0]["Status"] == "Updating"
    assert (endpoint.blue()["CurrentInstanceCount"], endpoint.blue()["DesiredInstanceCount"]) == (4, 6)
    endpoint.advance(minutes=10)
    assert endpoint.blue()["CurrentInstanceCount"] == 6
    assert endpoint.status() == ("InService", "blue")


def test_pending_instances_rise_from_none_to_the_canary_to_all(churn, canary):
    """The weights do not show the canary, and blue keeps all its instances."""
    churn.update("green", canary())

    seen = []
    while churn.look()["EndpointStatus"] == "Updating":
        green, blue = churn.green(), churn.blue()
        if not seen or seen[-1] != green["CurrentInstanceCount"]:
            seen.append(green["CurrentInstanceCount"])
        assert green["DesiredInstanceCount"] == 4
        assert blue["CurrentInstanceCount"] == 4
        assert green["CurrentWeight"] == green["DesiredWeight"] == blue["CurrentWeight"] == 1
        churn.advance(seconds=30)
    assert seen == [0, 1, 4]


def test_stages_come_in_order_each_with_its_start_and_its_sentence(churn, canary):
    """The message of a canary's bake names TerminationWaitInSeconds, as in AWS's published example."""
    start = churn.control.now()
    churn.update("green", canary())

    told = []
    while stage := churn.stage():
        told.append((stage["Status"], stage["StatusMessage"], (stage["StartTime"] - start).total_seconds()))
        churn.advance(seconds=5)

    baking = "Baking for {} seconds (TerminationWaitInSeconds) with traffic enabled on {} instance(s)."
    assert list(dict.fromkeys(told)) == [
        ("Creating", "Launching 4 instance(s).", 0),
        ("ActivatingTraffic", "Activating traffic on canary capacity of 1 instance(s).", 180),
        ("Baking", baking.format(600, "canary capacity of 1"), 190),
        ("ActivatingTraffic", "Activating traffic on full capacity of 4 instance(s).", 790),
        ("Baking", baking.format(300, "full capacity of 4"), 800),
        ("Deleting", "Terminating 4 instance(s).", 1100),
    ]


def test_without_a_deployment_config_traffic_moves_at_once_without_a_bake(churn):
    churn.update()

    assert churn.stages() == [("Creating", 180), ("ActivatingTraffic", 10), ("Deleting", 60)]
    assert churn.status() == ("InService", "green")


def test_the_next_update_clears_the_reason_of_the_last_one(churn, all_at_once):
    churn.alarm("errors", "ALARM")
    churn.update("green", all_at_once(alarms=["errors"]))
    churn.advance(minutes=10)
    assert churn.look()["FailureReason"]

    churn.update("green")

    assert "FailureReason" not in churn.look()
    churn.advance(minutes=10)
    assert "FailureReason" not in churn.look()
    assert churn.status() == ("InService", "green")


def test_the_last_deployment_config_can_be_used_again_even_after_a_rollback(churn, canary):
    config = canary(alarms=["errors"])
    churn.alarm("errors", "ALARM")
    churn.update("green", config)
    assert churn.look()["LastDeploymentConfig"] == config
    churn.advance(minutes=10)
    assert churn.status() == ("InService", "blue")
    assert churn.look()["LastDeploymentConfig"] == config

    churn.turn("errors", "OK")
    churn.update("green", RetainDeploymentConfig=True)

    assert [name for name, _ in churn.stages()].count("Baking") == 2
    assert churn.status() == ("InService", "green")


def test_a_deployment_config_given_at_creation_is_the_last_one(endpoint, all_at_once):
    endpoint.create(DeploymentConfig=all_at_once(termination_wait=120))

    endpoint.update("green", RetainDeploymentConfig=True)

    assert ("Baking", 120) in endpoint.stages()


def test_an_update_without_a_deployment_config_leaves_the_last_one(endpoint, all_at_once):
    endpoint.create(DeploymentConfig=all_at_once())

    endpoint.update("green")
    endpoint.advance(minutes=10)

    assert endpoint.status() == ("InService", "green")
    assert endpoint.look()["LastDeploymentConfig"] == all_at_once()


def test_there_may_be_nothing_to_retain(churn):
    churn.update("green", RetainDeploymentConfig=True)
    assert "Baking" not in dict(churn.stages())

    churn.control.set_knobs(retain_without_last="reject")

    assert churn.refusal(churn.update, "blue", RetainDeploymentConfig=True)[0] == "ValidationException"


def test_retained_variants_keep_count_and_weight_unless_excluded(endpoint):
    endpoint.config("grown", endpoint.variant(instances=2, InitialVariantWeight=1.0))
    endpoint.create()
    wishes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 6, "DesiredWeight": 3.0}]
    endpoint.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="churn", DesiredWeightsAndCapacities=wishes
    )
    endpoint.advance(minutes=10)

    endpoint.update("grown", RetainAllVariantProperties=True)
    assert (endpoint.green()["DesiredInstanceCount"], endpoint.green()["DesiredWeight"]) == (6, 3.0)
    endpoint.advance(minutes=10)

    excluded = [{"VariantPropertyType": "DesiredInstanceCount"}]
    endpoint.config("back", endpoint.variant(instances=2))
    endpoint.update("back", RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded)
    assert (endpoint.green()["DesiredInstanceCount"], endpoint.green()["DesiredWeight"]) == (2, 3.0)
    endpoint.advance(minutes=10)

    endpoint.config("plain", endpoint.variant(instances=1))
    endpoint.update("plain")
    assert (endpoint.green()["DesiredInstanceCount"], endpoint.green()["DesiredWeight"]) == (1, 1.0)


def test_a_policy_wants_the_same_variant_names(endpoint, canary):
    endpoint.config("renamed", endpoint.variant("Other"))
    endpoint.create()

    assert endpoint.refusal(endpoint.update, "renamed", canary())[0] == "ValidationException"
    assert endpoint.status() == ("InService", "blue")

    endpoint.control.set_knobs(variant_names_differ="all_at_once")
    endpoint.update("renamed", canary())
    assert "Baking" not in dict(endpoint.stages())
    assert endpoint.status() == ("InService", "renamed")


def test_without_a_policy_variants_may_change_their_names(endpoint):
    endpoint.config("renamed", endpoint.variant("Other"))
    endpoint.create()

    endpoint.update("renamed")
    endpoint.advance(minutes=10)

    assert endpoint.status() == ("InService", "renamed")


def test_inferentia_instances_silently_get_all_at_once_without_a_bake(endpoint, canary):
    endpoint.config("inf1", endpoint.variant(InstanceType="ml.inf1.xlarge"))
    endpoint.create()

    endpoint.update("inf1", canary())

    assert endpoint.stages() == [("Creating", 180), ("ActivatingTraffic", 10), ("Deleting", 60)]
    assert endpoint.status() == ("InService", "inf1")


@pytest.mark.parametrize(
    ("package", "baking"),
    [
        ("arn:aws:sagemaker:us-east-1:865070037744:model-package/bought-1a2b3c", False),
        ("arn:aws:sagemaker:us-east-1:210987654321:model-package/shared-group/7", True),
        ("arn:aws:sagemaker:us-east-1:123456789012:model-package/own", True),
        ("own", True),
    ],
    ids=["marketplace", "another account's registry", "own", "own by name"],
)
def test_marketplace_containers_silently_get_all_at_once_without_a_bake(endpoint, canary, package, baking):
    endpoint.sagemaker.create_model(ModelName="packaged", PrimaryContainer={"ModelPackageName": package})
    endpoint.config("packaged", endpoint.variant(ModelName="packaged"))
    endpoint.create()

    endpoint.update("packaged", canary())

    assert ("Baking" in dict(endpoint.stages())) is baking
    assert endpoint.status() == ("InService", "packaged")


def test_leaving_inferentia_or_the_marketplace_is_not_guarded_either(endpoint, canary):
    endpoint.config("inf1", endpoint.variant(InstanceType="ml.inf1.xlarge"))
    endpoint.create("inf1")

    endpoint.update("green", canary())

    assert "Baking" not in dict(endpoint.stages())


def test_a_new_configuration_may_not_be_found_at_first(churn):
    churn.control.set_knobs(config_visible_after_seconds=5)
    churn.config("newest")

    assert churn.refusal(churn.update, "newest")[1].startswith("Could not find endpoint configuration ")

    churn.advance(seconds=5)
    churn.update("newest")
    assert churn.look()["PendingDeploymentSummary"]["EndpointConfigName"] == "newest"


def test_the_configuration_in_service_is_accepted_or_not(churn):
    churn.update("blue")
    assert churn.look()["PendingDeploymentSummary"]["EndpointConfigName"] == "blue"
    churn.advance(minutes=10)
    assert churn.status() == ("InService", "blue")

    churn.control.set_knobs(same_config_update="reject")

    assert churn.refusal(churn.update, "blue")[0] == "ValidationException"


def test_the_last_modified_time_moves_when_an_update_starts_and_when_it_ends(churn):
    before = churn.look()["LastModifiedTime"]
    churn.advance(minutes=1)

    churn.update()
    started = churn.look()["LastModifiedTime"]
    assert started > before
    assert churn.look()["PendingDeploymentSummary"]["StartTime"] == started
    churn.advance(minutes=30)

    assert churn.look()["LastModifiedTime"] == started + timedelta(seconds=180 + 10 + 60)


def _without_metadata(look):
    return {key: value for key, value in look.items() if key != "ResponseMetadata"}
