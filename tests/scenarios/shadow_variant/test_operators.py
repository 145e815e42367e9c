"""A shadow variant comes by a guarded update of what is in service, and goes by another."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow.providers.common.compat.sdk import DAG, TaskDeferred

from airflow_guardrails.aws.tags import INTENT_PREFIX, parse_intent
from airflow_guardrails.exceptions import (
    AccessDenied,
    EndpointBusy,
    EndpointConfigDiffers,
    EndpointConfigNotFound,
    EndpointConfigRejected,
    EndpointNotFound,
    EndpointRolledBack,
    InvalidArgument,
    ModelNotFound,
    PreflightFailed,
    ShadowTestRefused,
    ShadowVariantExists,
    UpdateRejected,
)
from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)
from airflow_guardrails.strategies import Canary
from tests.support.older_airflow import needs_instance_pools
from tests.support.older_airflow import stored as stored_dag

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
DERIVED_FROM = "airflow-guardrails:derived-from"


def shadow_of(described):
    (shadow,) = described["ShadowProductionVariants"]
    return shadow


# Adding.


def test_the_endpoint_serves_as_before_and_has_a_shadow_beside(hosting, add_shadow, config, context):
    report = add_shadow().execute(context)

    assert report["outcome"] == "Succeeded"
    assert report["guarded"] is True
    assert report["previous_endpoint_config_name"] == "churn-v1"
    assert context["ti"].xcoms["rollout_report"] == report
    serving = hosting.describe()
    assert serving["EndpointConfigName"] == report["endpoint_config_name"]
    assert serving["ProductionVariants"][0]["VariantName"] == "AllTraffic"
    shadow = shadow_of(config(report["endpoint_config_name"]))
    assert shadow["VariantName"] == "shadow"
    assert shadow["ModelName"] == "candidate"
    assert (shadow["InstanceType"], shadow["InitialInstanceCount"]) == ("ml.m5.large", 4)
    assert shadow_of(serving)["CurrentInstanceCount"] == 4


def test_the_shadow_is_as_the_author_wants_it(add_shadow, config, context):
    report = add_shadow(
        sampling_percentage="25",
        shadow_variant_name="Candidate",
        instance_type="ml.c5.xlarge",
        instance_count="2",
        endpoint_config_name_prefix="trial",
    ).execute(context)

    assert report["endpoint_config_name"].startswith("trial-")
    shadow = shadow_of(config(report["endpoint_config_name"]))
    assert shadow == {
        "VariantName": "Candidate",
        "ModelName": "candidate",
        "InstanceType": "ml.c5.xlarge",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 0.25,
    }


def test_count_and_weight_are_those_of_now_and_not_the_initial_ones(hosting, add_shadow, config, context):
    hosting.scale(3, weight=2.0)
    hosting.advance(minutes=10)

    report = add_shadow(sampling_percentage=50).execute(context)

    described = config(report["endpoint_config_name"])
    (production,) = described["ProductionVariants"]
    assert (production["InitialInstanceCount"], production["InitialVariantWeight"]) == (3, 2.0)
    assert (
        shadow_of(described)["InitialInstanceCount"],
        shadow_of(described)["InitialVariantWeight"],
    ) == (3, 1.0)
    assert hosting.describe()["ProductionVariants"][0]["DesiredInstanceCount"] == 3


def test_what_the_live_configuration_says_else_is_carried_over(hosting, add_shadow, config, tags, context):
    rich = rich_config(hosting, "churn-rich")

    name = add_shadow().execute(context)["endpoint_config_name"]

    described = config(name)
    for key in ("DataCaptureConfig", "KmsKeyId", "ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation"):
        assert described[key] == rich[key], key
    (production,) = described["ProductionVariants"]
    assert production == {**rich["ProductionVariants"][0], "InitialInstanceCount": 4, **WEIGHT}
    assert shadow_of(described)["ContainerStartupHealthCheckTimeoutInSeconds"] == 300
    assert shadow_of(described)["VolumeSizeInGB"] == 40
    found = {key: value for key, value in tags(name).items() if key in {"team", "aws:cost", DERIVED_FROM}}
    assert found == {"team": "churn", DERIVED_FROM: "churn-rich"}


@pytest.mark.proof
def test_an_intent_of_another_task_is_not_carried_over(hosting, add_shadow, remove_shadow, tags, context):
    added = add_shadow().execute(context)["endpoint_config_name"]
    arn = hosting.sagemaker.describe_endpoint_config(EndpointConfigName=added)["EndpointConfigArn"]
    theirs = {"Key": f"{INTENT_PREFIX}somebody", "Value": "written=2026-03-02T10:00:00Z"}
    hosting.sagemaker.add_tags(ResourceArn=arn, Tags=[theirs])
    removed = remove_shadow().execute(context)["endpoint_config_name"]

    (own,) = (value for key, value in tags(removed).items() if key.startswith(INTENT_PREFIX))
    assert parse_intent(own).previous == added
    assert tags(removed)[DERIVED_FROM] == added


@pytest.mark.proof
def test_the_report_of_a_rollback_is_honest_and_the_configuration_stays(
    hosting, add_shadow, names, context, simulated_sleep
):
    operator = add_shadow(strategy=Canary(percent=25, bake=timedelta(minutes=10)))

    def sleep(seconds):
        simulated_sleep(seconds)
        pending = hosting.describe().get("PendingDeploymentSummary")
        if pending and pending["ProductionVariants"][0]["CurrentInstanceCount"] == 1:
            hosting.trip("errors")

    operator.sleep = sleep
    with pytest.raises(EndpointRolledBack, match="Alarm errors was in ALARM") as caught:
        operator.execute(context)

    assert hosting.describe()["EndpointConfigName"] == "churn-v1"
    assert caught.value.report["endpoint_config_name"] in names()


def test_a_shadow_can_be_waited_for_in_the_triggerer(hosting, add_shadow, context):
    operator = add_shadow(deferrable=True)

    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)

    _, arguments = caught.value.trigger.serialize()
    assert arguments["endpoint_config_name"] == pending(hosting)
    assert arguments["previous_endpoint_config_name"] == "churn-v1"


def pending(hosting):
    return hosting.describe()["PendingDeploymentSummary"]["EndpointConfigName"]


def test_the_shadow_gets_its_part_of_the_requests(hosting, add_shadow, context):
    add_shadow(sampling_percentage=20).execute(context)

    hosting.simulator.client.replay("churn", ["1,2,3"], per_minute=600)
    hosting.advance(minutes=10)

    production, shadow = requests_query(hosting, "AllTraffic"), requests_query(hosting, "shadow")
    assert production > 5000
    assert shadow / production == pytest.approx(0.2, abs=0.03)


def requests_query(hosting, variant_name):
    now = hosting.now()
    statistics = hosting.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[
            {"Name": "EndpointName", "Value": "churn"},
            {"Name": "VariantName", "Value": variant_name},
        ],
        StartTime=now - timedelta(minutes=15),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in statistics["Datapoints"])


# A retry.


def test_a_retry_finds_the_shadow_that_serves_and_is_done(hosting, add_shadow, names, context):
    first = add_shadow().execute(context)
    before = names()

    again = add_shadow().execute(context)

    assert again["outcome"] == "Succeeded"
    assert again["adopted"] == "own"
    assert again["endpoint_config_name"] == first["endpoint_config_name"]
    assert names() == before
    assert hosting.calls("UpdateEndpoint") == 1


def test_a_retry_adopts_the_update_in_flight(hosting, add_shadow, context):
    with pytest.raises(TaskDeferred):
        add_shadow(deferrable=True).execute(context)

    report = add_shadow().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")
    assert hosting.calls("CreateEndpointConfig") == 1
    assert hosting.calls("UpdateEndpoint") == 1


def test_a_retry_uses_what_an_earlier_try_has_made_though_production_has_scaled(
    hosting, add_shadow, names, context
):
    make_and_be_refused(hosting, add_shadow, context)
    before = names()
    hosting.scale(3, weight=2.0)
    hosting.advance(minutes=10)

    report = add_shadow(sampling_percentage=50).execute(context)

    assert report["outcome"] == "Succeeded"
    assert names() == before
    serving = hosting.describe()
    production = serving["ProductionVariants"][0]
    assert production["DesiredInstanceCount"] == 3
    assert shadow_of(serving)["DesiredWeight"] / production["DesiredWeight"] == pytest.approx(0.5)


def make_and_be_refused(hosting, add_shadow, context):
    """Let a first try make the configuration, and get no further."""
    hosting.simulator.client.set_knobs(endpoint_instance_limit=4)
    with pytest.raises(UpdateRejected, match="account-level service limit"):
        add_shadow(sampling_percentage=50).execute(context)
    hosting.simulator.client.set_knobs(endpoint_instance_limit=None)


def test_a_configuration_of_another_base_is_not_taken_for_this_tasks(hosting, add_shadow, context):
    make_and_be_refused(hosting, add_shadow, context)
    serve(hosting, rich_config(hosting, "churn-rich", live=False)["EndpointConfigName"])
    updates = hosting.calls("UpdateEndpoint")

    with pytest.raises(EndpointConfigDiffers, match=r"DataCaptureConfig is None instead of .*delete it"):
        add_shadow(sampling_percentage=50).execute(context)

    assert hosting.calls("UpdateEndpoint") == updates


def test_a_configuration_of_that_name_with_another_shadow_is_an_error(hosting, add_shadow, config, context):
    make_and_be_refused(hosting, add_shadow, context)
    (name,) = [found for found in hosting.config_names() if found.startswith("churn-shadow")]
    made = config(name)
    hosting.sagemaker.delete_endpoint_config(EndpointConfigName=name)
    shadow = {**shadow_of(made), "ModelName": "churn", "InitialVariantWeight": 0.75}
    hosting.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=made["ProductionVariants"],
        ShadowProductionVariants=[shadow],
    )

    with pytest.raises(EndpointConfigDiffers) as caught:
        add_shadow(sampling_percentage=50).execute(context)

    assert "shadow.ModelName is 'churn' instead of 'candidate'" in str(caught.value)
    assert "shadow's share of the requests is 0.75 instead of 0.5" in str(caught.value)


@pytest.mark.parametrize("fault", ["lose", "error"])
def test_an_answer_to_the_creation_that_got_lost_is_looked_up(hosting, add_shadow, names, context, fault):
    hosting.simulator.client.fault("CreateEndpointConfig", kind=fault)

    if fault == "lose":
        assert add_shadow().execute(context)["outcome"] == "Succeeded"
    else:
        with pytest.raises(Exception, match="InternalFailure"):
            add_shadow().execute(context)
        assert names() == ["churn-v1", "churn-v2"]


def test_a_configuration_that_cannot_be_seen_at_once_is_waited_for(hosting, add_shadow, context):
    hosting.simulator.client.set_knobs(config_visible_after_seconds=20)

    assert add_shadow().execute(context)["outcome"] == "Succeeded"


def test_a_configuration_made_so_lately_that_it_cannot_be_seen_is_for_the_next_try(
    hosting, add_shadow, names, context
):
    make_and_be_refused(hosting, add_shadow, context)
    before = names()
    age = 600
    hosting.simulator.client.set_knobs(config_visible_after_seconds=age)
    hosting.config("unrelated")

    with pytest.raises(EndpointBusy, match="is not visible yet"):
        add_shadow(sampling_percentage=50).execute(context)

    hosting.advance(seconds=age)
    assert add_shadow(sampling_percentage=50).execute(context)["outcome"] == "Succeeded"
    assert names() == sorted([*before, "unrelated"])


# Refused, and nothing created.


def test_a_second_shadow_is_refused(hosting, add_shadow, names, context):
    add_shadow().execute(context)
    before = names()

    with pytest.raises(
        ShadowVariantExists, match="already has a shadow variant \\(shadow of model candidate"
    ):
        add_shadow(sampling_percentage=50).execute(context)

    assert names() == before
    assert hosting.calls("UpdateEndpoint") == 1


SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
MARKETPLACE = "arn:aws:sagemaker:us-east-1:865070037744:model-package/bought"
CONTAINERS = {
    "bought": {"PrimaryContainer": {"ModelPackageName": MARKETPLACE}},
    "many": {"PrimaryContainer": {"Image": "registry/a:1", "Mode": "MultiModel"}},
    "several": {"Containers": [{"Image": "registry/a:1"}, {"Image": "registry/b:1"}]},
}


def variant(**changes):
    given = {
        "VariantName": "AllTraffic",
        "ModelName": "churn",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
        **changes,
    }
    return {key: value for key, value in given.items() if value is not None}


REFUSED = {
    "several variants": ([variant(), variant(VariantName="B")], {}, {}, "one production variant (has 2"),
    "serverless": (
        [variant(InstanceType=None, InitialInstanceCount=None, **SERVERLESS)],
        {},
        {},
        "serverless inference does not support shadows",
    ),
    "asynchronous": (
        [variant()],
        {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://churn/out"}}},
        {},
        "asynchronous inference does not support shadows",
    ),
    "inf1": ([variant(InstanceType="ml.inf1.xlarge")], {}, {}, "Inf1 instances do not support shadows"),
    "inf1 of the shadow": (
        [variant()],
        {},
        {"instance_type": "ml.inf1.xlarge"},
        "Inf1 instances do not support shadows",
    ),
    "multi-model": ([variant(ModelName="many")], {}, {}, "multi-model endpoints do not support shadows"),
    "multi-model shadow": ([variant()], {}, {"shadow_model_name": "many"}, "(model many)"),
    "multi-container": ([variant(ModelName="several")], {}, {}, "(model several has 2)"),
    "marketplace": (
        [variant(ModelName="bought")],
        {},
        {},
        "AWS Marketplace containers do not support shadows",
    ),
    "one name for two": (
        [variant()],
        {},
        {"shadow_variant_name": "AllTraffic"},
        "another name than production",
    ),
    "no weight": ([variant(InitialVariantWeight=0.0)], {}, {}, "weight must be above 0"),
    "pools": (
        [
            variant(
                InstanceType=None,
                InstancePools=[
                    {"InstanceType": "ml.m5.large", "Priority": 1},
                    {"InstanceType": "ml.m5.xlarge", "Priority": 2},
                ],
            )
        ],
        {},
        {},
        "instance_type must be given",
    ),
}


@pytest.mark.parametrize(
    "feature",
    [pytest.param(name, marks=needs_instance_pools if name == "pools" else ()) for name in REFUSED],
)
def test_what_can_have_no_shadow_is_refused_with_the_rule(hosting, add_shadow, names, context, feature):
    variants, more, arguments, rule = REFUSED[feature]
    for name, containers in CONTAINERS.items():
        hosting.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, **containers)
    hosting.sagemaker.create_endpoint_config(EndpointConfigName="odd", ProductionVariants=variants, **more)
    hosting.sagemaker.create_endpoint(EndpointName="odd", EndpointConfigName="odd")
    hosting.advance(minutes=10)
    before = names()

    with pytest.raises(ShadowTestRefused) as caught:
        add_shadow(endpoint_name="odd", alarms=[], **arguments).execute(context)

    assert rule in str(caught.value)
    assert names() == before
    assert hosting.calls("UpdateEndpoint") == 0


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"sampling_percentage": 0}, InvalidArgument, r"from 1 to 100 \(got 0\)"),
        ({"sampling_percentage": "101"}, InvalidArgument, r"from 1 to 100 \(got '101'\)"),
        ({"sampling_percentage": "half"}, InvalidArgument, r"from 1 to 100 \(got 'half'\)"),
        ({"instance_count": 0}, InvalidArgument, r"instance_count must be .* at least 1 \(got 0\)"),
        ({"shadow_variant_name": "a b"}, InvalidArgument, "shadow_variant_name must be"),
        ({"endpoint_config_name_prefix": "a b"}, InvalidArgument, "prefix must be"),
        ({"shadow_model_name": "cand"}, ModelNotFound, "Model cand does not exist in us-east-1"),
        ({"endpoint_name": "chrun"}, EndpointNotFound, "chrun does not exist in us-east-1"),
        ({"alarms": ["errors", "latency"]}, PreflightFailed, "alarm_missing"),
    ],
)
def test_bad_input_is_named_before_anything_is_created(
    hosting, add_shadow, names, context, changes, error, says
):
    with pytest.raises(error, match=says):
        add_shadow(**changes).execute(context)

    assert names() == ["churn-v1", "churn-v2"]
    assert hosting.calls("UpdateEndpoint") == 0


def test_a_configuration_in_service_that_was_deleted_is_named(hosting, add_shadow, context):
    hosting.sagemaker.delete_endpoint_config(EndpointConfigName="churn-v1")

    with pytest.raises(EndpointConfigNotFound, match="serves configuration churn-v1, which was"):
        add_shadow().execute(context)


def test_a_busy_endpoint_is_left_alone_and_can_be_waited_for(hosting, add_shadow, names, context):
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    with pytest.raises(EndpointBusy, match="Updating to churn-v2"):
        add_shadow().execute(context)
    assert names() == ["churn-v1", "churn-v2"]

    report = add_shadow(if_busy="wait").execute(context)

    assert report["previous_endpoint_config_name"] == "churn-v2"


def test_an_update_that_comes_between_is_not_undone(hosting, add_shadow, context, simulated_sleep):
    operator = add_shadow()
    moved = []

    def sleep(seconds):
        # The first pause is the one for the abort switch to be OK: the configuration is made by then.
        if not moved:
            moved.append(seconds)
            serve(hosting, "churn-v2")
        simulated_sleep(seconds)

    operator.sleep = sleep
    with pytest.raises(EndpointBusy, match="changed to churn-v2 while this task created"):
        operator.execute(context)

    assert hosting.describe()["EndpointConfigName"] == "churn-v2"
    assert hosting.calls("UpdateEndpoint") == 1, "by the test"


def test_what_sagemaker_refuses_of_the_configuration_is_reported_in_its_own_words(
    hosting, add_shadow, names, context
):
    hosting.simulator.client.fault(
        "CreateEndpointConfig", kind="error", code="ValidationException", message="Not so.", status=400
    )

    with pytest.raises(EndpointConfigRejected, match="Not so"):
        add_shadow().execute(context)

    assert hosting.calls("UpdateEndpoint") == 0


# Inference experiments.


@pytest.fixture
def experiment(hosting):
    def create(endpoint_name="churn"):
        hosting.sagemaker.create_inference_experiment(
            Name="trial",
            Type="ShadowMode",
            RoleArn=ROLE,
            EndpointName=endpoint_name,
            ModelVariants=[model_variant("AllTraffic", "churn"), model_variant("trial", "candidate")],
            ShadowModeConfig={
                "SourceModelVariantName": "AllTraffic",
                "ShadowModelVariants": [{"ShadowModelVariantName": "trial", "SamplingPercentage": 100}],
            },
        )
        hosting.advance(minutes=20)

    return create


def model_variant(name, model):
    capacity = {"InstanceType": "ml.m5.large", "InstanceCount": 4}
    infrastructure = {"InfrastructureType": "RealTimeInference", "RealTimeInferenceConfig": capacity}
    return {"VariantName": name, "ModelName": model, "InfrastructureConfig": infrastructure}


@pytest.mark.parametrize("task", ["add_shadow", "remove_shadow"])
def test_an_endpoint_that_an_experiment_has_is_left_alone(request, hosting, experiment, context, task):
    operator = request.getfixturevalue(task)()
    experiment()

    with pytest.raises(ShadowTestRefused, match=r"Inference experiment trial \(Running\) uses"):
        operator.execute(context)

    assert hosting.calls("UpdateEndpoint") == 0


def test_an_experiment_that_is_over_and_one_elsewhere_are_no_matter(hosting, add_shadow, experiment, context):
    experiment()
    hosting.sagemaker.stop_inference_experiment(
        Name="trial", ModelVariantActions={"AllTraffic": "Retain", "trial": "Remove"}
    )
    hosting.advance(minutes=30)
    hosting.sagemaker.delete_inference_experiment(Name="trial")
    hosting.sagemaker.create_endpoint(EndpointName="fraud", EndpointConfigName="churn-v2")
    hosting.advance(minutes=10)
    experiment("fraud")

    assert add_shadow().execute(context)["outcome"] == "Succeeded"


# Permissions.


def forbid(hosting, *operations):
    for operation in operations:
        hosting.simulator.client.fault(
            operation, kind="error", code="AccessDeniedException", message="no", status=400, times=None
        )


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        (
            "ListInferenceExperiments",
            "It was not checked whether an inference experiment uses endpoint churn",
        ),
        ("DescribeModel", "The models were not checked"),
        ("ListTags", "The tags of churn-v1 are not copied"),
    ],
)
def test_what_may_not_be_looked_at_is_a_warning_in_the_report(hosting, add_shadow, context, operation, says):
    forbid(hosting, operation)

    report = add_shadow().execute(context)

    assert report["outcome"] == "Succeeded"
    assert any(warning.startswith(says) for warning in report["warnings"])


def test_a_task_that_may_not_tag_makes_the_configuration_without(hosting, add_shadow, tags, context):
    hosting.simulator.client.fault(
        "CreateEndpointConfig", kind="error", code="AccessDeniedException", message="no AddTags", status=400
    )

    report = add_shadow().execute(context)

    assert "was created without tags (sagemaker:AddTags)" in report["warnings"][0]
    assert DERIVED_FROM not in tags(report["endpoint_config_name"])


def test_a_task_that_may_not_make_configurations_fails_with_what_it_may_not(hosting, add_shadow, context):
    forbid(hosting, "CreateEndpointConfig")

    with pytest.raises(AccessDenied, match="sagemaker:CreateEndpointConfig"):
        add_shadow().execute(context)


# Removing.


def test_the_shadow_goes_and_all_else_stays(hosting, add_shadow, remove_shadow, config, context):
    rich = rich_config(hosting, "churn-rich")
    added = add_shadow().execute(context)["endpoint_config_name"]

    report = remove_shadow().execute(context)

    assert report["outcome"] == "Succeeded"
    assert report["previous_endpoint_config_name"] == added
    assert "ShadowProductionVariants" not in hosting.describe()
    described = config(report["endpoint_config_name"])
    same = {key: value for key, value in rich.items() if key not in NAMING}
    kept = {key: value for key, value in described.items() if key not in NAMING}
    (production,) = same["ProductionVariants"]
    assert kept == {**same, "ProductionVariants": [{**production, **WEIGHT}]}
    assert config(added), "the configuration with the shadow is kept"


NAMING = {"EndpointConfigName", "EndpointConfigArn", "CreationTime", "ResponseMetadata"}
WEIGHT = {"InitialVariantWeight": 1.0}


def test_where_there_is_no_shadow_nothing_is_done_and_all_is_well(
    hosting, remove_shadow, names, context, capsys
):
    report = remove_shadow().execute(context)

    assert report["outcome"] == "Succeeded"
    assert report["endpoint_config_name"] == report["serving_endpoint_config_name"] == "churn-v1"
    assert report["previous_endpoint_config_name"] is None
    assert context["ti"].xcoms["rollout_report"] == report
    assert "Endpoint churn has no shadow variant" in capsys.readouterr().out
    assert names() == ["churn-v1", "churn-v2"]
    assert hosting.calls("UpdateEndpoint") == 0


def test_a_mix_that_a_failed_rollback_left_is_not_taken_for_an_endpoint_without_a_shadow(
    hosting, remove_shadow, context
):
    hosting.simulator.client.script_ending("churn", status="UpdateRollbackFailed")
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    hosting.advance(minutes=10)
    assert hosting.describe()["EndpointStatus"] == "UpdateRollbackFailed"

    report = remove_shadow().execute(context)

    assert report["outcome"] == "Succeeded"
    assert report["endpoint_config_name"].startswith("churn-plain-")
    assert hosting.describe()["EndpointStatus"] == "InService"


def test_a_removal_again_does_nothing(hosting, add_shadow, remove_shadow, names, context):
    add_shadow().execute(context)
    first = remove_shadow().execute(context)
    before = names()

    again = remove_shadow().execute(context)

    assert (again["outcome"], again["adopted"]) == ("Succeeded", "own")
    assert again["endpoint_config_name"] == first["endpoint_config_name"]
    assert names() == before


def test_a_shadow_on_its_way_is_not_taken_for_none(hosting, add_shadow, remove_shadow, context):
    with pytest.raises(TaskDeferred):
        add_shadow(deferrable=True).execute(context)

    with pytest.raises(EndpointBusy):
        remove_shadow().execute(context)

    assert remove_shadow(if_busy="wait").execute(context)["outcome"] == "Succeeded"
    assert "ShadowProductionVariants" not in hosting.describe()


def test_the_configuration_with_the_shadow_can_be_deleted(add_shadow, remove_shadow, config, context):
    added = add_shadow().execute(context)["endpoint_config_name"]

    report = remove_shadow(delete_config=True).execute(context)

    assert report["outcome"] == "Succeeded"
    assert config(added) is None
    assert remove_shadow(delete_config=True).execute(context)["outcome"] == "Succeeded"


def test_a_configuration_that_somebody_else_made_is_kept(hosting, remove_shadow, config, context):
    hosting.sagemaker.create_endpoint_config(
        EndpointConfigName="by-hand",
        ProductionVariants=[variant()],
        ShadowProductionVariants=[variant(VariantName="hand")],
    )
    serve(hosting, "by-hand")

    remove_shadow(delete_config=True).execute(context)

    assert "ShadowProductionVariants" not in hosting.describe()
    assert config("by-hand")


def test_a_configuration_that_may_not_be_deleted_does_not_spoil_the_removal(
    hosting, add_shadow, remove_shadow, context, capsys
):
    add_shadow().execute(context)
    forbid(hosting, "DeleteEndpointConfig")

    assert remove_shadow(delete_config=True).execute(context)["outcome"] == "Succeeded"

    assert "could not be deleted" in capsys.readouterr().out


def test_deleting_takes_waiting(remove_shadow):
    with pytest.raises(InvalidArgument, match="delete_config must be False without wait_for_completion"):
        remove_shadow(delete_config=True, wait_for_completion=False)


def test_a_removal_that_is_rolled_back_deletes_nothing(
    hosting, add_shadow, remove_shadow, config, context, simulated_sleep
):
    added = add_shadow().execute(context)["endpoint_config_name"]
    hosting.simulator.client.script_ending("churn", status="InService", after_seconds=120)

    with pytest.raises(EndpointRolledBack):
        remove_shadow(delete_config=True).execute(context)

    assert config(added)


# What a DAG author sees.


@pytest.mark.parametrize(
    "operator", [SageMakerAddShadowVariantOperator, SageMakerRemoveShadowVariantOperator]
)
def test_names_strategy_and_connection_are_templated_but_no_name_that_is_made(operator):
    fields = set(operator.template_fields)

    assert fields >= {"endpoint_name", "strategy", "alarms", "aws_conn_id", "region_name", "verify"}
    assert "endpoint_config_name" not in fields


def test_templates_and_default_arguments_reach_the_tasks():
    arguments = {"aws_conn_id": "prod", "waiter_delay": 5, "endpoint_name": "{{ params.endpoint }}"}
    with DAG("trial", schedule=None, default_args=arguments):
        add = SageMakerAddShadowVariantOperator(
            task_id="add", shadow_model_name="m-{{ ds }}", sampling_percentage="{{ params.percent }}"
        )
        remove = SageMakerRemoveShadowVariantOperator(task_id="remove")

    add.render_template_fields({"params": {"endpoint": "churn", "percent": 30}, "ds": "2026-03-02"})

    assert (add.endpoint_name, add.shadow_model_name) == ("churn", "m-2026-03-02")
    assert add._shadow().sampling_percentage == 30
    assert (remove.aws_conn_id, remove.waiter_delay) == ("prod", 5)


def test_both_tasks_can_be_mapped_and_stored():
    with DAG("trial", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        SageMakerAddShadowVariantOperator.partial(
            task_id="add", shadow_model_name="candidate", alarms=["errors"]
        ).expand(endpoint_name=["churn", "fraud"])
        SageMakerRemoveShadowVariantOperator.partial(task_id="remove", delete_config=True).expand(
            endpoint_name=["churn", "fraud"]
        )

    stored = stored_dag(dag)

    assert stored.get_task("add").partial_kwargs["shadow_model_name"] == "candidate"
    assert stored.get_task("remove").is_mapped
    assert "SageMaker endpoint" in stored.get_task("remove").operator_extra_link_dict


def test_the_endpoint_and_every_alarm_have_a_link(add_shadow):
    links = add_shadow(alarms=["errors", "latency"]).operator_extra_links

    assert [link.name for link in links] == [
        "Rollout",
        "SageMaker endpoint",
        "CloudWatch alarm errors",
        "CloudWatch alarm latency",
    ]


# What the tests need.


def serve(hosting, name):
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=name)
    hosting.advance(minutes=10)
    assert hosting.describe()["EndpointConfigName"] == name


def tagged_by_aws(hosting, name):
    """Give the configuration a tag that only AWS may write, and nobody may copy."""
    catalogue = hosting.simulator.simulation.world("us-east-1").sagemaker.catalogue
    arn = catalogue.describe_endpoint_config({"EndpointConfigName": name})["EndpointConfigArn"]
    catalogue.tags._of({"ResourceArn": arn})["aws:cost"] = "42"


def rich_config(hosting, name, *, live=True):
    """Make, and bring into service, a configuration that says a good deal."""
    hosting.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            variant(
                InitialInstanceCount=4, ContainerStartupHealthCheckTimeoutInSeconds=300, VolumeSizeInGB=40
            )
        ],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 50,
            "DestinationS3Uri": "s3://churn/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        },
        KmsKeyId="alias/churn",
        ExecutionRoleArn=ROLE,
        VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        EnableNetworkIsolation=True,
        Tags=[{"Key": "team", "Value": "churn"}],
    )
    tagged_by_aws(hosting, name)
    if live:
        serve(hosting, name)
    return hosting.sagemaker.describe_endpoint_config(EndpointConfigName=name)
