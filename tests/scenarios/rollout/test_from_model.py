"""A model, or a version of the model registry, is deployed by a copy of the configuration in service."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.aws.tags import DERIVED_FROM, MADE_FOR
from airflow_guardrails.exceptions import (
    ConfigNotDerivable,
    EndpointConfigDiffers,
    EndpointNotFound,
    EndpointRolledBack,
    InvalidArgument,
    ModelDiffers,
    ModelNotFound,
    ModelPackageNotApproved,
    ModelPackageNotFound,
    PreflightFailed,
)
from airflow_guardrails.strategies import Canary
from tests.support.churn import model_request
from tests.support.fakes import TaskInstance

SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
ROLE = model_request("churn")["ExecutionRoleArn"]


@pytest.fixture
def deploy(churn, update_in_simulated_time):
    """Build an update of ``churn`` to the model ``churn-2``; a fresh one, as every try has."""
    churn.sagemaker.create_model(**model_request("churn-2"))

    def build(**changes):
        return update_in_simulated_time(**{"endpoint_name": "churn", "model_name": "churn-2", **changes})

    return build


@pytest.fixture
def serve(churn):
    """Let ``churn`` serve a configuration of these variants; the first is a copy of the one it has."""

    def update(name, *variants, **more):
        plain = churn.sagemaker.describe_endpoint_config(EndpointConfigName="churn-v1")["ProductionVariants"][
            0
        ]
        churn.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[{**plain, **variant} for variant in variants or ({},)],
            **more,
        )
        churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=name)
        churn.advance(minutes=60)
        assert churn.describe()["EndpointConfigName"] == name

    return update


def serving(churn):
    return churn.sagemaker.describe_endpoint_config(EndpointConfigName=churn.describe()["EndpointConfigName"])


def tags_of(churn, arn):
    return {tag["Key"]: tag["Value"] for tag in churn.sagemaker.list_tags(ResourceArn=arn)["Tags"]}


# A model.


def test_the_endpoint_serves_the_model_in_a_copy_of_its_configuration(churn, deploy, serve, context):
    serve(
        "churn-rich",
        {"VolumeSizeInGB": 40, "ContainerStartupHealthCheckTimeoutInSeconds": 300},
        KmsKeyId="alias/churn",
        Tags=[{"Key": "team", "Value": "churn"}],
    )
    before = serving(churn)

    report = deploy().execute(context)

    assert (report["outcome"], report["guarded"]) == ("Succeeded", True)
    assert report["previous_endpoint_config_name"] == "churn-rich"
    after = serving(churn)
    assert after["EndpointConfigName"].startswith("churn-")
    changed = {"ModelName": "churn-2", "InitialVariantWeight": 1.0}
    assert after["ProductionVariants"] == [{**before["ProductionVariants"][0], **changed}]
    assert after["KmsKeyId"] == "alias/churn"
    found = tags_of(churn, after["EndpointConfigArn"])
    assert (found["team"], found[DERIVED_FROM], found[MADE_FOR]) == ("churn", "churn-rich", "churn")


def test_the_name_is_stable_over_tries_and_new_in_every_run_without_a_logical_date(churn, deploy):
    def name(**changes):
        operator = deploy(**changes.pop("arguments", {}))
        operator.name_target({"ti": TaskInstance(**changes)})
        return operator.endpoint_config_name

    first = name(run_id="manual__a")
    assert name(run_id="manual__a", try_number=3) == first
    others = [
        name(run_id="manual__b"),
        name(run_id="manual__a", arguments={"instance_count": 2}),
        name(run_id="manual__a", arguments={"model_name": "churn"}),
    ]
    assert len({first, *others}) == 4


def test_a_count_that_is_given_is_not_overridden_by_the_live_one(churn, deploy, context):
    churn.scale(3)
    churn.advance(minutes=10)

    report = deploy(instance_count="2").execute(context)

    assert churn.describe()["ProductionVariants"][0]["DesiredInstanceCount"] == 2
    assert "count_retained" not in [finding["code"] for finding in report["findings"]]


def test_the_live_count_is_kept_without_one(churn, deploy, context):
    churn.scale(3)
    churn.advance(minutes=10)

    deploy().execute(context)

    assert serving(churn)["ProductionVariants"][0]["InitialInstanceCount"] == 3
    assert churn.describe()["ProductionVariants"][0]["DesiredInstanceCount"] == 3


def test_another_type_loses_the_volume_and_the_report_says_so(churn, deploy, serve, context):
    serve("churn-rich", {"VolumeSizeInGB": 40})

    report = deploy(instance_type="ml.g5.xlarge").execute(context)

    (variant,) = serving(churn)["ProductionVariants"]
    assert variant["InstanceType"] == "ml.g5.xlarge"
    assert "VolumeSizeInGB" not in variant
    assert any("VolumeSizeInGB 40 of variant AllTraffic is left out" in text for text in report["warnings"])


def test_overrides_change_what_they_name(churn, deploy, serve, context):
    serve("churn-rich", {"VolumeSizeInGB": 40}, KmsKeyId="alias/churn")
    overrides = {
        "KmsKeyId": None,
        "EnableNetworkIsolation": "true",
        "ProductionVariants": [{"VariantName": "AllTraffic", "VolumeSizeInGB": "80"}],
        "Tags": [{"Key": "stage", "Value": "prod"}],
    }

    deploy(overrides=overrides).execute(context)

    after = serving(churn)
    assert "KmsKeyId" not in after
    assert after["EnableNetworkIsolation"] is True
    assert after["ProductionVariants"][0]["VolumeSizeInGB"] == 80
    assert tags_of(churn, after["EndpointConfigArn"])["stage"] == "prod"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"Kms": "x"}, r"overrides has the unknown key 'Kms' \(known: .*KmsKeyId"),
        ({"EndpointConfigName": "x"}, "must not have EndpointConfigName"),
        (
            {"ProductionVariants": [{"VariantName": "other"}]},
            r"must name existing variants \(AllTraffic\)",
        ),
        (
            {"ProductionVariants": [{"VolumeSizeInGB": 9}]},
            r"\[0\].VariantName must be given",
        ),
        ({"ProductionVariants": [{"VolumeSizeInGB": "big"}]}, "VolumeSizeInGB must be a whole number"),
        ("x", "must be a dict"),
    ],
)
def test_overrides_that_cannot_be_are_refused_and_nothing_stays(churn, deploy, context, overrides, says):
    before = churn.config_names()

    with pytest.raises(InvalidArgument, match=says):
        deploy(overrides=overrides).execute(context)

    assert churn.config_names() == before
    assert churn.calls("DeleteAlarms") == churn.calls("PutMetricAlarm")


def test_of_several_variants_one_must_be_named(churn, deploy, serve, context):
    serve("churn-two", {"VariantName": "a"}, {"VariantName": "b"})

    with pytest.raises(InvalidArgument, match="variant_name must be one of the variants of churn-two: a, b"):
        deploy(alarms=[]).execute(context)
    deploy(variant_name="b", alarms=[]).execute(context)

    models = {spec["VariantName"]: spec["ModelName"] for spec in serving(churn)["ProductionVariants"]}
    assert models == {"a": "churn", "b": "churn-2"}


def test_a_shadow_stays_and_the_report_says_so(churn, deploy, serve, context):
    shadow = {
        "VariantName": "shadow",
        "ModelName": "churn",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    serve("churn-shadowed", ShadowProductionVariants=[shadow])

    report = deploy().execute(context)

    assert [spec["VariantName"] for spec in serving(churn)["ShadowProductionVariants"]] == ["shadow"]
    assert any("shadow variant shadow of model churn is kept" in text for text in report["warnings"])


def test_a_model_that_does_not_exist_is_named(churn, deploy, context):
    with pytest.raises(ModelNotFound, match="Model churn-3 does not exist in us-east-1"):
        deploy(model_name="churn-3").execute(context)

    assert churn.calls("CreateEndpointConfig") == 0


def test_a_serverless_variant_stays_serverless(churn, deploy, serve, context):
    serverless = {"VariantName": "AllTraffic", "ModelName": "churn", "ServerlessConfig": SERVERLESS}
    churn.sagemaker.create_endpoint_config(EndpointConfigName="churn-less", ProductionVariants=[serverless])
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-less")
    churn.advance(minutes=60)

    with pytest.raises(InvalidArgument, match=r"instance_type must be left out .* AllTraffic is serverless"):
        deploy(instance_type="ml.m5.large").execute(context)
    deploy().execute(context)

    (variant,) = serving(churn)["ProductionVariants"]
    assert variant["ServerlessConfig"] == serverless["ServerlessConfig"]
    assert (variant["ModelName"], "InitialInstanceCount" in variant) == ("churn-2", False)


def test_a_field_that_botocore_does_not_know_is_refused_by_name(churn, deploy, context):
    new = {"ProductionVariants.0.NewSetting": {"On": True}}
    churn.simulator.client.fault("DescribeEndpointConfig", kind="alter", times=None, changes=new)

    says = r"does not know ProductionVariants\[0\]\.NewSetting\. Upgrade boto3"
    with pytest.raises(ConfigNotDerivable, match=says):
        deploy().execute(context)

    assert churn.calls("CreateEndpointConfig") == 0


def test_a_preflight_that_fails_creates_nothing(churn, deploy, context):
    with pytest.raises(PreflightFailed):
        deploy(alarms=["nobody-has-it"]).execute(context)

    assert churn.calls("CreateEndpointConfig") == 0


def test_a_rollback_is_reported_and_the_configuration_stays(churn, deploy, simulated_sleep, context):
    operator = deploy(strategy=Canary(percent=25, bake=timedelta(minutes=10)))

    def sleep(seconds):
        simulated_sleep(seconds)
        pending = churn.describe().get("PendingDeploymentSummary")
        if pending and pending["ProductionVariants"][0]["CurrentInstanceCount"] == 1:
            churn.trip("errors")

    operator.sleep = sleep
    with pytest.raises(EndpointRolledBack) as caught:
        operator.execute(context)

    assert caught.value.report["endpoint_config_name"] in churn.config_names()
    assert serving(churn)["EndpointConfigName"] == "churn-v1"


def test_a_retry_finds_the_configuration_and_its_update(churn, deploy, context):
    first = deploy(wait_for_completion=False).execute(context)
    context["ti"].try_number = 2

    again = deploy().execute(context)

    assert again["endpoint_config_name"] == first["endpoint_config_name"]
    assert (again["outcome"], again["adopted"]) == ("Succeeded", "own")
    assert (churn.calls("CreateEndpointConfig"), churn.calls("UpdateEndpoint")) == (1, 1)


def test_a_configuration_of_this_name_with_other_content_is_refused(churn, deploy, context):
    operator = deploy()
    operator.name_target(context)
    churn.config(operator.endpoint_config_name, model="churn")

    with pytest.raises(EndpointConfigDiffers, match=r"AllTraffic\.ModelName is 'churn' instead of 'churn-2'"):
        deploy().execute(context)


def test_a_model_is_deployed_with_the_wait_in_the_triggerer(churn, deploy, context):
    with pytest.raises(TaskDeferred) as caught:
        deploy(deferrable=True).execute(context)

    _, arguments = caught.value.trigger.serialize()
    pending = churn.describe()["PendingDeploymentSummary"]["EndpointConfigName"]
    assert arguments["endpoint_config_name"] == pending


# A version of the model registry.


@pytest.fixture
def package(churn):
    churn.sagemaker.create_model_package_group(ModelPackageGroupName="churn")

    def create(approval="Approved"):
        container = {"Image": model_request("churn")["PrimaryContainer"]["Image"]}
        return churn.sagemaker.create_model_package(
            ModelPackageGroupName="churn",
            ModelApprovalStatus=approval,
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )["ModelPackageArn"]

    return create


def model_in_service(churn):
    return churn.sagemaker.describe_model(ModelName=serving(churn)["ProductionVariants"][0]["ModelName"])


def test_an_approved_version_gets_the_role_of_the_model_in_service(churn, deploy, package, context):
    arn = package()

    report = deploy(model_name=None, model_package_arn=arn).execute(context)

    assert report["outcome"] == "Succeeded"
    model = model_in_service(churn)
    assert model["Containers"] == [{"ModelPackageName": arn}]
    assert model["ExecutionRoleArn"] == ROLE
    assert tags_of(churn, model["ModelArn"])[MADE_FOR] == "churn"


def test_the_role_may_be_given(churn, deploy, package, context):
    role = "arn:aws:iam::123456789012:role/other"

    deploy(model_name=None, model_package_arn=package(), role_arn=role).execute(context)

    assert model_in_service(churn)["ExecutionRoleArn"] == role


@pytest.mark.parametrize("approval", ["PendingManualApproval", "Rejected"])
def test_a_version_that_is_not_approved_is_refused(churn, deploy, package, context, approval):
    with pytest.raises(ModelPackageNotApproved, match=f"it is {approval}.*Approve it"):
        deploy(model_name=None, model_package_arn=package(approval)).execute(context)

    assert churn.calls("CreateModel") == 1  # that of the fixture


def test_a_version_that_does_not_exist_is_named(churn, deploy, context):
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/9"

    with pytest.raises(ModelPackageNotFound, match=r"Model package .*churn/9 does not exist"):
        deploy(model_name=None, model_package_arn=arn).execute(context)


def test_a_model_of_an_earlier_try_is_used_again(churn, deploy, package, context):
    arn = package()
    churn.simulator.client.throttle("CreateEndpointConfig")
    with pytest.raises(Exception, match="Rate exceeded"):
        deploy(model_name=None, model_package_arn=arn).execute(context)
    churn.simulator.client.clear_faults()
    context["ti"].try_number = 2

    deploy(model_name=None, model_package_arn=arn).execute(context)

    assert churn.calls("CreateModel") == 2  # one is that of the fixture
    assert model_in_service(churn)["Containers"] == [{"ModelPackageName": arn}]


def test_a_model_of_this_name_with_other_content_is_refused(churn, deploy, package, context):
    operator = deploy(model_name=None, model_package_arn=package())
    operator.name_target(context)
    churn.sagemaker.create_model(**model_request(operator._created_model))

    with pytest.raises(ModelDiffers, match="has this task's name, but other content: Containers is None"):
        operator.execute(context)


# Arguments.


def test_without_an_endpoint_a_model_is_not_deployed(churn, deploy, context):
    with pytest.raises(EndpointNotFound):
        deploy(endpoint_name="nobody").execute(context)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"endpoint_config_name": "churn-v2"}, "exactly one of endpoint_config_name, model_name"),
        ({"model_name": None}, "exactly one of .* must be given .got None"),
        ({"role_arn": ROLE}, "role_arn must be left out without config or model_package_arn"),
        (
            {"model_name": None, "endpoint_config_name": "churn-v2", "instance_type": "ml.m5.large"},
            "instance_type must be left out without model_name or model_package_arn",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused_when_the_dag_is_parsed(deploy, arguments, says):
    with pytest.raises(InvalidArgument, match=says):
        deploy(**arguments)


def test_a_strategy_must_be_given_without_config(deploy, context):
    with pytest.raises(InvalidArgument, match="strategy must be built from"):
        deploy(strategy=None).execute(context)


def test_the_report_is_json(deploy, context):
    assert json.dumps(deploy().execute(context))
