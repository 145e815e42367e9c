"""
Each call of each task is denied in turn: a needed one ends the task with its name, an optional one does not.

What a task calls is recorded, so that a call that is added is denied, too.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from airflow_guardrails.aws.errors import denied_action, denied_resource
from airflow_guardrails.aws.tags import MADE_FOR
from airflow_guardrails.cli.policy import grants_of, policy_of
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix, switch_prefix
from airflow_guardrails.exceptions import AccessDenied, GuardrailsError
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.predictions import (
    SageMakerComparePredictionsOperator,
    SageMakerPlanPredictionsOperator,
)
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from airflow_guardrails.rules import CanaryAnalysis, MetricRule
from airflow_guardrails.sensors.model_package import SageMakerModelPackageSensor
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from airflow_guardrails.strategies import Canary
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger
from tests.support.churn import alarm_request, model_request, new_churn
from tests.support.fakes import TaskInstance
from tests.support.lab import ROLE, Lab
from tests.support.simulated import new_simulator

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
CLOUDWATCH = frozenset(
    {
        "DescribeAlarmHistory",
        "DescribeAlarms",
        "GetMetricData",
        "GetMetricStatistics",
        "PutMetricAlarm",
        "PutMetricData",
        "DeleteAlarms",
    }
)
S3 = {"ListObjectsV2": "s3:ListBucket", "GetObject": "s3:GetObject", "HeadObject": "s3:GetObject"}
# The simulator has no faults for IAM, so a policy denies it.
IAM = {"GetRole": "iam:GetRole"}
ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn"


def policy_for(task: Any) -> dict[str, Any]:
    """What ``python -m airflow_guardrails policy`` prints for *task*."""
    (found,), _ = grants_of([task], account="123456789012", region="us-east-1")
    return policy_of(found.grants)


def action_of(operation: str) -> str:
    if operation in {**S3, **IAM}:
        return {**S3, **IAM}[operation]
    return f"{'cloudwatch' if operation in CLOUDWATCH else 'sagemaker'}:{operation}"


def refusal(operation: str) -> str:
    """What AWS says to whom has no permission."""
    action = action_of(operation)
    return (
        f"User: arn:aws:sts::123456789012:assumed-role/airflow/task is not authorized to perform: {action} "
        f"on resource: {ARN} because no identity-based policy allows the {action} action"
    )


@dataclass(kw_only=True)
class Account:
    """A simulator with the endpoint ``churn``, and what the task under test calls there."""

    lab: Lab
    patch: pytest.MonkeyPatch
    before: Counter[str] = field(default_factory=Counter)
    s3: list[str] = field(default_factory=list)
    denied: str | None = None

    def prepared(self, task: Any) -> Any:
        task.sleep = self.lab.simulator.simulation.clock.advance
        task.monotonic = lambda: self.lab.now().timestamp()
        return task

    def begin(self, task: Any, denied: str | None) -> None:
        """From now on *task* calls. It may call what its own policy allows, but not *denied*."""
        # A fault of AddTags leaves the tags of what is created, and IAM has no faults.
        action = action_of(denied) if denied in {*IAM, "AddTags"} else "sagemaker:None"
        deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
        self.lab.simulator.client.set_policies([policy_for(task), {"Statement": deny}])
        self.before = Counter(self.lab.simulator.simulation.calls)
        self.denied = denied
        if denied and denied not in {**S3, **IAM}:
            self.lab.simulator.client.fault(
                denied,
                kind="error",
                code="AccessDenied" if denied in CLOUDWATCH else "AccessDeniedException",
                message=refusal(denied),
                status=400,
                times=None,
            )

    @property
    def called(self) -> set[str]:
        calls = self.lab.simulator.simulation.calls - self.before
        return {operation for operation in calls if " " not in operation} | set(self.s3)

    def listen_to_s3(self) -> None:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook  # noqa: PLC0415

        make = AwsBaseHook.get_client_type

        def listened_to(hook: Any, *arguments: Any, **more: Any) -> Any:
            client = make(hook, *arguments, **more)
            if hook.client_type == "s3":
                client.meta.events.register("before-send", self._sending)
            return client

        self.patch.setattr(AwsBaseHook, "get_client_type", listened_to)

    def _sending(self, *, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        self.s3.append(operation)
        if operation != self.denied:
            return None
        text = f"<Error><Code>AccessDenied</Code><Message>{refusal(operation)}</Message></Error>"
        answer = AWSResponse(request.url, 403, {}, None)
        answer._content = text.encode()
        return answer


@contextmanager
def account() -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch, new_simulator(patch) as running:
        churn = new_churn(running)
        lab = Lab(simulator=running, sagemaker=churn.sagemaker, cloudwatch=churn.cloudwatch)
        lab.sagemaker.create_model(**model_request("churn-candidate"))
        found = Account(lab=lab, patch=patch)
        found.listen_to_s3()
        yield found


# The tasks, each with what it takes to come to all of its calls.


def update(account: Account, **more: Any) -> Any:
    arguments = {
        "task_id": "update",
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-v2",
        "alarms": ["errors"],
        "strategy": CANARY,
        "deferrable": False,
        **more,
    }
    return account.prepared(SageMakerGuardedUpdateOperator(**arguments))


def rolled_back(account: Account) -> Any:
    """An update whose alarm trips while its canary bakes, so that the cause is looked for."""
    task, began = update(account, on_rollback="return", waiter_delay=60), account.lab.now()
    advance, tripped = task.sleep, []

    def sleep(seconds: float) -> None:
        advance(seconds)
        if account.lab.now() - began > timedelta(minutes=12) and not tripped:
            tripped.append("errors")
            world = account.lab.simulator.simulation.world("us-east-1")
            world.alarms.set_state("errors", state="ALARM", reason="Threshold Crossed")

    task.sleep = sleep
    return task


def guarded(account: Account) -> Any:
    """An update with a guard and without a switch; an earlier rollout has left its guard."""
    old = f"{guard_prefix('churn')}{'0' * 20}-{'0' * 8}-1-5xx-errors"
    account.lab.cloudwatch.put_metric_alarm(**alarm_request(old))
    account.lab.advance(minutes=1)
    return update(account, guards=[ErrorRate(above=0.01)], abort_switch=False)


def with_artefact(account: Account, name: str) -> dict[str, Any]:
    """Put an artefact into S3, and return the request of a model with it."""
    s3 = s3_client(account)
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=b"a model")
    request = model_request(name)
    container = request.pop("PrimaryContainer")
    # The simulator loads only the artefact of the first one.
    return {**request, "Containers": [container, {**container, "ModelDataUrl": "s3://models/model.tar.gz"}]}


def from_model(account: Account) -> Any:
    """An update to a model with an artefact, while a shadow test of another endpoint runs."""
    account.lab.sagemaker.create_model(**with_artefact(account, "churn-2"))
    account.lab.run()
    account.lab.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="churn-v1")
    account.lab.advance(minutes=60)
    more = {"endpoint_name": "other", "endpoint_config_name": None, "model_name": "churn-2"}
    return update(account, **more, alarms=[])


def registered(account: Account) -> str:
    sagemaker = account.lab.sagemaker
    sagemaker.create_model_package_group(ModelPackageGroupName="churn")
    specification = {
        "Containers": [model_request("any")["PrimaryContainer"]],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    created = sagemaker.create_model_package(
        ModelPackageGroupName="churn",
        InferenceSpecification=specification,
        ModelApprovalStatus="Approved",
    )
    return str(created["ModelPackageArn"])


def from_package(account: Account) -> Any:
    return update(account, endpoint_config_name=None, model_package_arn=registered(account))


def from_config(account: Account) -> Any:
    """An update by a ``config`` that names a role without its ARN."""
    iam = boto3.client("iam", endpoint_url=account.lab.simulator.url, **KEYS)
    iam.create_role(RoleName="serving", AssumeRolePolicyDocument="{}")
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "churn-model",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 4,
    }
    config = {
        "Model": {**with_artefact(account, "churn-model"), "ExecutionRoleArn": "serving"},
        "EndpointConfig": {"EndpointConfigName": "churn-config", "ProductionVariants": [variant]},
        "Endpoint": {"EndpointName": "churn", "EndpointConfigName": "churn-config"},
    }
    return update(account, endpoint_config_name=None, config=config)


def first_deployment(account: Account) -> Any:
    return update(account, endpoint_name="new", if_missing="create", alarms=[])


def await_package(account: Account) -> Any:
    registered(account)
    task = SageMakerModelPackageSensor(task_id="approved", model_package_group_name="churn", deferrable=False)
    return account.prepared(task)


def roll_back_by_history(account: Account) -> Any:
    update(account).execute({"ti": TaskInstance(task_id="before")})
    account.lab.advance(minutes=60)
    return account.prepared(
        SageMakerRollbackOperator(task_id="back", endpoint_name="churn", alarms=["errors"], deferrable=False)
    )


def abort(account: Account) -> Any:
    update(account, wait_for_completion=False).execute({"ti": TaskInstance()})
    account.lab.advance(minutes=5)
    return account.prepared(
        SageMakerAbortRolloutOperator(task_id="abort", endpoint_name="churn", deferrable=False)
    )


def roll_back(account: Account) -> Any:
    account.lab.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    account.lab.advance(minutes=60)
    return account.prepared(
        SageMakerRollbackOperator(
            task_id="back", endpoint_name="churn", to="churn-v1", alarms=["errors"], deferrable=False
        )
    )


def clean_up(account: Account) -> Any:
    """A clean-up that finds one of each kind."""
    lab, tags = account.lab, [{"Key": MADE_FOR, "Value": "churn"}]
    lab.sagemaker.create_model(**model_request("churn-made"), Tags=tags)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "churn-made",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    lab.sagemaker.create_endpoint_config(
        EndpointConfigName="churn-made", ProductionVariants=[variant], Tags=tags
    )
    lab.cloudwatch.put_metric_alarm(**alarm_request(f"{switch_prefix('churn')}left"))
    lab.run()
    lab.advance(minutes=120)
    lab.stop()
    lab.advance(minutes=60)
    return account.prepared(SageMakerCleanUpOperator(task_id="clean", endpoint_name="churn"))


def rollout_sensor(account: Account) -> Any:
    account.lab.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    account.lab.advance(minutes=20)
    return account.prepared(
        SageMakerRolloutSensor(task_id="wait", endpoint_name="churn", endpoint_config_name="churn-v2")
    )


SHADOW = {"endpoint_name": "churn", "alarms": ["errors"], "deferrable": False}


def add_shadow(account: Account) -> Any:
    task = SageMakerAddShadowVariantOperator(task_id="add", shadow_model_name="churn-candidate", **SHADOW)
    return account.prepared(task)


def remove_shadow(account: Account) -> Any:
    add_shadow(account).execute({"ti": TaskInstance()})
    return account.prepared(SageMakerRemoveShadowVariantOperator(task_id="remove", **SHADOW))


def create_test(account: Account) -> Any:
    arguments: dict[str, Any] = {
        "task_id": "create",
        "name": "trial",
        "endpoint_name": "churn",
        "role_arn": ROLE,
        "shadow_model_name": "churn-candidate",
        "duration": timedelta(hours=2),
        "wait_until": "Running",
        "deferrable": False,
    }
    return account.prepared(SageMakerCreateShadowTestOperator(**arguments))


def create_test_before_update(account: Account) -> Any:
    """A shadow test with the update behind it, whose alarms are looked at."""
    task = create_test(account)
    planned = update(account, analysis=CanaryAnalysis(rules=[MetricRule("Invocation5XXErrors", margin=0.01)]))
    task._update = planned
    return task


def stop_test(account: Account) -> Any:
    account.lab.run()
    return account.prepared(SageMakerStopShadowTestOperator(task_id="stop", name="trial", deferrable=False))


def test_sensor(account: Account) -> Any:
    account.lab.replay(per_minute=60)
    account.lab.run()
    account.lab.advance(minutes=30)
    account.lab.stop()
    account.lab.advance(minutes=30)
    return account.prepared(
        SageMakerShadowTestSensor(task_id="wait", name="trial", until="Completed", min_requests=1)
    )


KEYS = {
    "region_name": "us-east-1",
    "aws_access_key_id": "testing",
    "aws_secret_access_key": "testing",
}
STORAGE = {"Destination": "s3://captures/kept", "ContentType": {"CsvContentTypes": ["text/csv"]}}


def s3_client(account: Account) -> Any:
    return boto3.client("s3", endpoint_url=account.lab.simulator.url, **KEYS)


def capturing(account: Account) -> None:
    s3 = s3_client(account)
    s3.create_bucket(Bucket="captures")
    for variant in ("AllTraffic", "candidate"):
        s3.put_object(Bucket="captures", Key=f"kept/churn/{variant}/2026/03/02/10/00-00.jsonl", Body=b"{}\n")
    account.lab.replay(per_minute=60)
    account.lab.run(DataStorageConfig=STORAGE)
    account.lab.advance(minutes=60)


def judge(account: Account) -> Any:
    capturing(account)
    task = SageMakerJudgeShadowTestOperator(
        task_id="judge", name="trial", on_inconclusive="return", verdict_namespace="Shop"
    )
    return account.prepared(task)


def plan_predictions(account: Account) -> Any:
    capturing(account)
    return account.prepared(SageMakerPlanPredictionsOperator(task_id="plan", name="trial"))


def compare_predictions(account: Account) -> Any:
    capturing(account)
    hour = "2026-03-02T10:00:00+00:00"
    return account.prepared(SageMakerComparePredictionsOperator(task_id="compare", name="trial", hour=hour))


# What each may do without, and what it says then; the pages of the documentation say the same.
OF_AN_UPDATE = {
    "AddTags": "",
    "ListTags": "",
    "DescribeModel": "",
    "DescribeAlarmHistory": "",
    "GetMetricStatistics": "",
}
DERIVED = {
    **OF_AN_UPDATE,
    "ListInferenceExperiments": "sagemaker:ListInferenceExperiments",
    "DescribeInferenceExperiment": "DescribeInferenceExperiment",
    "ListTags": "sagemaker:ListTags",
    "HeadObject": "",
    "AddTags": "without tags",
    "UpdateModelPackage": "",
}
OF_A_SHADOW = {
    **OF_AN_UPDATE,
    "ListTags": "sagemaker:ListTags",
    "DescribeModel": "sagemaker:DescribeModel",
    "ListInferenceExperiments": "sagemaker:ListInferenceExperiments",
    "DescribeInferenceExperiment": "DescribeInferenceExperiment",
    "DeleteEndpointConfig": "could not be deleted",
}
Make = Callable[[Account], Any]
TASKS: Mapping[Make, Mapping[str, str]] = {
    create_test: {"DescribeModel": "sagemaker:DescribeModel"},
    create_test_before_update: {
        "DescribeModel": "sagemaker:DescribeModel",
        **dict.fromkeys(
            ("DescribeAlarms", "GetMetricData", "ListTags"),
            "The update behind the test was not fully checked",
        ),
    },
    stop_test: {},
    test_sensor: {},
    judge: {"PutMetricData": "A verdict was not published as metrics of Shop"},
    plan_predictions: {},
    compare_predictions: {},
    add_shadow: OF_A_SHADOW,
    remove_shadow: {
        **OF_A_SHADOW,
        "DescribeModel": "",
        "DeleteAlarms": "Alarms of earlier rollouts could not be deleted",
    },
    update: OF_AN_UPDATE,
    guarded: {**OF_AN_UPDATE, "DeleteAlarms": "Alarms of earlier rollouts could not be deleted"},
    from_model: {**DERIVED, "DescribeModel": "It was not checked whether model churn-2 exists"},
    from_package: {key: text for key, text in DERIVED.items() if key != "DescribeModel"},
    from_config: {**OF_AN_UPDATE, "HeadObject": "", "AddTags": "without tags"},
    first_deployment: {**OF_AN_UPDATE, "AddTags": "without tags"},
    await_package: {},
    rolled_back: {**OF_AN_UPDATE, "DescribeAlarmHistory": "cause may be incomplete"},
    abort: {
        "DescribeAlarmHistory": "",
        "DescribeAlarms": "",
        "DescribeEndpointConfig": "",
        "ListTags": "",
    },
    roll_back: OF_AN_UPDATE,
    roll_back_by_history: {
        **{key: text for key, text in OF_AN_UPDATE.items() if key != "ListTags"},
        "DeleteAlarms": "Alarms of earlier rollouts could not be deleted",
    },
    clean_up: {
        **dict.fromkeys(
            (
                "DescribeAlarms",
                "DescribeModel",
                "ListEndpointConfigs",
                "ListEndpoints",
                "ListInferenceExperiments",
                "ListModels",
                "ListTags",
                "DescribeEndpointConfig",
            ),
            "Access denied: ",
        ),
        **dict.fromkeys(("DeleteAlarms", "DeleteEndpointConfig", "DeleteModel"), "could not be deleted"),
    },
    rollout_sensor: {"DescribeAlarmHistory": "", "DescribeAlarms": ""},
}
test_sensor.__test__ = False  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Ended:
    """How a run ended: what it returned or raised, what it called, and what it logged."""

    result: Any
    called: set[str]
    said: str


def run(make: Make, said: Callable[[], str], *, denied: str | None = None) -> Ended:
    with account() as here:
        task, instance = make(here), TaskInstance()
        said()
        here.begin(task, denied)
        try:
            result = task.execute({"ti": instance})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            result = error
        return Ended(result, here.called, said() + str(instance.xcoms))


@pytest.fixture
def said(caplog, capsys):
    """Return what was logged since it was last asked."""
    caplog.set_level(logging.INFO)

    def told() -> str:
        text = caplog.text + "".join(capsys.readouterr())
        caplog.clear()
        return text

    return told


@pytest.mark.proof
@pytest.mark.parametrize("make", TASKS, ids=lambda make: make.__name__)
def test_a_task_without_a_permission_says_which_or_does_without(shared_models, make, said):
    clean = run(make, said)
    assert not isinstance(clean.result, Exception), clean.result
    assert clean.called
    assert "not authorized" not in clean.said
    assert make is not rolled_back or clean.result["outcome"] == "RolledBack"

    wrong = {
        operation: why
        for operation in sorted(clean.called)
        if (why := complaint(operation, run(make, said, denied=operation), TASKS[make].get(operation)))
    }
    assert wrong == {}


def complaint(operation: str, ended: Ended, optional: str | None) -> str | None:
    """Say what is not as it must be; None if all is."""
    found, action = ended.result, action_of(operation)
    if operation not in ended.called:
        return "was not called"
    if optional is not None:
        return None if not isinstance(found, Exception) and optional in ended.said else f"optional: {found!r}"
    where = ARN if operation not in IAM else "role/serving"
    named = isinstance(found, GuardrailsError) and action in str(found) and where in str(found)
    if not named or not isinstance(found, AirflowFailException):
        return f"{type(found).__name__}: {found}"
    return None


# Quick ones, and those that wait in a triggerer.


@pytest.mark.parametrize("make", [update, stop_test, create_test], ids=lambda make: make.__name__)
def test_a_task_needs_no_more_than_its_policy_allows(shared_models, said, make):
    ended = run(make, said)

    assert not isinstance(ended.result, Exception), ended.result
    assert "not authorized" not in ended.said


@pytest.mark.parametrize(
    ("make", "operation"),
    [
        (stop_test, "StopInferenceExperiment"),
        (create_test, "CreateInferenceExperiment"),
        (judge, "GetMetricData"),
    ],
    ids=["stop", "create", "judge"],
)
def test_a_needed_permission_is_named_and_not_retried(shared_models, said, make, operation):
    ended = run(make, said, denied=operation)

    assert isinstance(ended.result, AccessDenied)
    assert str(ended.result).startswith(f"Access denied: {action_of(operation)} on {ARN}. Allow it to ")


@pytest.mark.parametrize(
    ("trigger", "task", "operation"),
    [
        (
            lambda: SageMakerRolloutTrigger(
                endpoint_name="churn", endpoint_config_name="churn-v2", waiter_delay=1
            ),
            lambda: SageMakerRolloutSensor(
                task_id="wait", endpoint_name="churn", endpoint_config_name="churn-v2"
            ),
            "DescribeEndpoint",
        ),
        (
            lambda: SageMakerShadowTestTrigger(name="trial", until="Completed", waiter_delay=1),
            lambda: SageMakerShadowTestSensor(task_id="wait", name="trial"),
            "DescribeInferenceExperiment",
        ),
    ],
    ids=["rollout", "shadow test"],
)
async def test_a_permission_that_a_triggerer_lacks_is_named_by_the_task(churn, trigger, task, operation):
    churn.simulator.client.fault(
        operation,
        kind="error",
        code="AccessDeniedException",
        message=refusal(operation),
        status=400,
        times=None,
    )
    event = json.loads(json.dumps((await anext(trigger().run())).payload))
    instance = TaskInstance()

    with pytest.raises(AccessDenied) as caught:
        task().execute_complete({"ti": instance}, event)

    assert str(caught.value).startswith(f"Access denied: {action_of(operation)} on ")
    assert ARN in str(caught.value)
    assert caught.value.report == event["report"] != {}
    assert event["report"] in instance.xcoms.values()


# What AWS says, and what it does not.


def denied_call(
    text: str, *, operation: str = "UpdateEndpoint", code: str = "AccessDeniedException"
) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": text}}, operation)


@pytest.mark.parametrize(
    ("error", "action", "resource"),
    [
        (denied_call(refusal("UpdateEndpoint")), "sagemaker:UpdateEndpoint", ARN),
        (
            denied_call(
                "User: x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/r"
            ),
            "iam:PassRole",
            "arn:aws:iam::1:role/r",
        ),
        (
            denied_call('is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::b" because'),
            "s3:ListBucket",
            "arn:aws:s3:::b",
        ),
        (denied_call("Access Denied", operation="ListObjectsV2", code="AccessDenied"), "s3:ListBucket", None),
        (denied_call("no", operation="PutMetricData", code="AccessDenied"), "cloudwatch:PutMetricData", None),
        (denied_call("no"), "sagemaker:UpdateEndpoint", None),
        (denied_call("no", code="ValidationException"), None, None),
        (ValueError("no"), None, None),
    ],
)
def test_action_and_resource_are_read_from_what_aws_says(error, action, resource):
    assert denied_action(error) == action
    if isinstance(error, ClientError):
        assert denied_resource(error) == resource


def test_where_aws_does_not_say_the_resource_the_task_does(churn):
    churn.simulator.client.fault(
        "DescribeEndpoint", kind="error", code="AccessDeniedException", message="no", status=400, times=None
    )
    task = SageMakerAbortRolloutOperator(task_id="abort", endpoint_name="churn", aws_conn_id="aws_default")

    with pytest.raises(AccessDenied, match=r"sagemaker:DescribeEndpoint on endpoint churn\. Allow"):
        task.execute({"ti": TaskInstance()})
