from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.exceptions import (
    AccessDenied,
    InvalidArgument,
    ModelPackageNotApproved,
    ModelPackageNotFound,
)
from airflow_guardrails.sensors.model_package import SageMakerModelPackageSensor
from tests.support.simulated import deny, new_client
from tests.support.triggers import executed, in_simulated_time, only_event, recreated

MODES = ["poke", "deferrable"]


@pytest.fixture
def registry(simulator):
    client = new_client(simulator.url, "sagemaker")
    client.create_model_package_group(ModelPackageGroupName="churn")
    return client


@pytest.fixture
def register(registry):
    def package(approval="PendingManualApproval"):
        response = registry.create_model_package(
            ModelPackageGroupName="churn",
            ModelApprovalStatus=approval,
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": "s3://models/churn.tar.gz"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )
        return response["ModelPackageArn"]

    return package


@pytest.fixture
def decide(registry):
    def to(arn, approval, **more):
        registry.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=approval, **more)

    return to


@pytest.fixture
def result_in():
    async def in_mode(mode, between=lambda: None, **arguments):
        """What the sensor returns, if *between* happens after its first look that decides nothing."""
        sensor = SageMakerModelPackageSensor(task_id="approved", deferrable=mode == "deferrable", **arguments)
        if mode == "deferrable":
            return await executed(sensor, {}, lambda _: between())
        while not (done := sensor.poke({})):
            between()
        return done.xcom_value

    return in_mode


@pytest.mark.parametrize("mode", MODES)
async def test_an_approved_package_is_returned_at_once(mode, register, result_in):
    arn = register("Approved")

    assert await result_in(mode, model_package_arn=arn) == arn


@pytest.mark.parametrize("mode", MODES)
async def test_a_package_is_waited_for_until_somebody_approves_it(mode, register, decide, result_in):
    arn = register()

    assert await result_in(mode, lambda: decide(arn, "Approved"), model_package_arn=arn) == arn


@pytest.mark.parametrize("mode", MODES)
async def test_a_rejected_package_fails_with_what_the_person_wrote(mode, register, decide, result_in):
    arn = register()

    with pytest.raises(ModelPackageNotApproved, match=r"churn/1 cannot be deployed: it is Rejected \(biased"):
        await result_in(
            mode, lambda: decide(arn, "Rejected", ApprovalDescription="biased"), model_package_arn=arn
        )


@pytest.mark.parametrize("mode", MODES)
async def test_the_newest_approved_version_of_a_group_is_returned(mode, register, result_in):
    register("Approved")
    newest = register("Approved")
    register("Rejected")
    register()

    assert await result_in(mode, model_package_group_name="churn") == newest


@pytest.mark.parametrize("mode", MODES)
async def test_a_group_without_an_approved_version_is_waited_for(mode, register, decide, result_in):
    arn = register()

    assert await result_in(mode, lambda: decide(arn, "Approved"), model_package_group_name="churn") == arn


async def test_a_package_that_does_not_exist_fails_with_its_arn(register, result_in):
    arn = register().replace("churn/1", "churn/7")

    with pytest.raises(ModelPackageNotFound, match=r"churn/7 does not exist in us-east-1"):
        await result_in("poke", model_package_arn=arn)


async def test_a_missing_permission_is_named(simulator, register, result_in):
    arn = register()
    deny(simulator.client, "DescribeModelPackage")

    with pytest.raises(AccessDenied, match="DescribeModelPackage"):
        await result_in("poke", model_package_arn=arn)


async def test_a_call_that_fails_for_a_moment_does_not_end_a_deferred_wait(simulator, register, decide):
    arn, pauses = register(), []
    sensor = SageMakerModelPackageSensor(task_id="approved", deferrable=True, model_package_arn=arn)
    with pytest.raises(TaskDeferred) as deferral:
        sensor.execute({})

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 1:
            simulator.client.throttle("DescribeModelPackage", times=1)
            decide(arn, "Approved")

    event = await only_event(in_simulated_time(recreated(deferral.value.trigger), sleep))

    assert sensor.execute_complete({}, event) == arn
    assert pauses[:2] == [0.0, 300]


async def test_waits_in_a_triggerer_share_their_calls(simulator, register, decide):
    arn = register()
    sensor = SageMakerModelPackageSensor(
        task_id="approved", deferrable=True, model_package_arn=arn, poke_interval=0.2
    )
    with pytest.raises(TaskDeferred) as deferral:
        sensor.execute({})
    decide(arn, "Approved")

    event = await only_event(recreated(deferral.value.trigger))

    assert sensor.execute_complete({}, event) == arn


@pytest.mark.parametrize("given", [{}, {"model_package_arn": "a", "model_package_group_name": "b"}])
def test_a_package_or_a_group_must_be_given(given):
    with pytest.raises(
        InvalidArgument, match="Exactly one of model_package_arn and model_package_group_name"
    ):
        SageMakerModelPackageSensor(task_id="approved", **given)


def test_a_name_instead_of_an_arn_is_refused_before_any_call():
    sensor = SageMakerModelPackageSensor(task_id="approved", model_package_arn="churn")

    with pytest.raises(InvalidArgument, match="must be the ARN of a model package"):
        sensor.execute({})
