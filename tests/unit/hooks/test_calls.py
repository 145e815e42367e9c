"""Every call of the table, blocking and on an event loop: same requests, same answers, same retries."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.aws import operations
from airflow_guardrails.aws.experiment import parse_experiment
from airflow_guardrails.aws.operations import Operation
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.shadow.eligibility import Production
from airflow_guardrails.domain.shadow.spec import ShadowTest, ShadowVariant
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.abort_switch import THROWN, AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus
from airflow_guardrails.domain.snapshots.experiment import ExperimentStatus
from airflow_guardrails.domain.snapshots.guard_alarms import guard_alarms
from airflow_guardrails.domain.snapshots.metrics import MetricDatum, MetricQuery
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.hooks._api_call import ApiCall, PagedCall
from airflow_guardrails.hooks._calls import Calls
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation
from airflow_guardrails.strategies import Canary
from tests.support.churn import switch_of
from tests.support.lab import PRODUCTION, ROLE, SHADOW, Lab
from tests.support.simulated import START, connection_to, forget_masked_secrets

FORMS = ("blocking", "awaited")

CONFIG_ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/churn-v1"
ACCOUNT = {"account_id": "123456789012"}
BEGUN = START + timedelta(minutes=10)
SPAN = {"start": START, "end": START + timedelta(minutes=20)}
SWITCH = switch_of()
(GUARD,) = guard_alarms([ErrorRate(above=0.01)], SWITCH, target="churn-v2", variants=["AllTraffic"])
FLEET = {"endpoint_name": "churn", "variant_name": PRODUCTION, "endpoint_config_name": "churn-v1"}
CANARY = Guardrails(strategy=Canary(percent=25, bake=timedelta(minutes=10)), alarms=("errors",))
QUERY = MetricQuery(
    namespace="AWS/SageMaker",
    metric="Invocations",
    stat="Sum",
    dimensions=(("EndpointName", "churn"), ("VariantName", PRODUCTION)),
)
DATUM = MetricDatum(metric="VerdictFail", value=1.0, dimensions=(("EndpointName", "churn"),))


@dataclass
class World:
    """A simulator, what was prepared in it, and a hook whose requests are kept."""

    lab: Lab
    aws: Callable[[str], Any]
    hook: GuardrailsHook
    sent: list[tuple[str, ...]] = field(default_factory=list)

    def keep(self, request: Any, **_: Any) -> None:
        place, body = urlsplit(request.url), request.body or b""
        body = body.encode() if isinstance(body, str) else body
        # The header of gzip has the time.
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        body = body.replace(self.lab.simulator.url.encode(), b"SIMULATOR")
        headers = {name.lower(): value for name, value in request.headers.items()}
        named = [str(headers.get(name)) for name in ("x-amz-target", "content-type")]
        self.sent.append((request.method, place.path, place.query, repr(body), *named))

    def experiment(self) -> Any:
        self.lab.run()
        return parse_experiment(self.lab.look())

    def bucket(self) -> str:
        self.aws("s3").create_bucket(Bucket="captures")
        for name in ("a/1", "a/2", "b/1"):
            self.aws("s3").put_object(Bucket="captures", Key=name, Body=b"{}")
        return "captures"


def call(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return args, kwargs


def marked(world: World) -> str:
    world.lab.sagemaker.add_tags(ResourceArn=CONFIG_ARN, Tags=[{"Key": "team", "Value": "churn"}])
    return CONFIG_ARN


def switched(world: World, *targets: str) -> AbortSwitch:
    """Make the switches of updates to *targets*, a minute apart; return the last one."""
    for target in targets:
        world.hook.put_abort_switch(switch_of(target=target), target=target)
        world.lab.advance(minutes=1)
    world.sent.clear()
    return switch_of(target=targets[-1])


def config_request() -> dict[str, Any]:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "churn",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    return {"EndpointConfigName": "churn-v3", "ProductionVariants": [variant]}


def tripped(world: World) -> list[str]:
    world.lab.trip("errors")
    return ["errors"]


def replayed(world: World) -> None:
    world.lab.replay(per_minute=60)
    world.lab.advance(minutes=3)


WANTED = {
    "test": ShadowTest(
        endpoint_name="churn", role_arn=ROLE, shadow=ShadowVariant(model_name="churn-candidate", name=SHADOW)
    ),
    "name": "trial",
    "production": Production(
        variant_name=PRODUCTION, model_name="churn", instance_type="ml.m5.large", instances=4
    ),
    "starts_at": None,
    "ends_at": BEGUN + timedelta(days=1),
}

ENDPOINT_REQUEST = {"EndpointName": "new", "EndpointConfigName": "churn-v1"}
MODEL_REQUEST = {
    "ModelName": "new",
    "PrimaryContainer": {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:2"},
    "ExecutionRoleArn": ROLE,
}


def packaged(world: World) -> str:
    """Make a model package, and return its ARN."""
    world.lab.sagemaker.create_model_package_group(ModelPackageGroupName="churn")
    specification = {
        "Containers": [MODEL_REQUEST["PrimaryContainer"]],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    created = world.lab.sagemaker.create_model_package(
        ModelPackageGroupName="churn",
        InferenceSpecification=specification,
        ModelApprovalStatus="Approved",
    )
    return str(created["ModelPackageArn"])


def with_role(world: World) -> str:
    """Make an IAM role, and return its name."""
    world.aws("iam").create_role(RoleName="serving", AssumeRolePolicyDocument="{}")
    return "serving"


# By call: the operations it sends, and what prepares it and returns its arguments.
CASES: dict[str, tuple[str, Callable[[World], tuple[Any, Any]]]] = {
    "describe_endpoint": ("describe_endpoint", lambda _: call("churn")),
    "list_endpoints": ("list_endpoints", lambda _: call(EndpointStatus.IN_SERVICE)),
    "update_endpoint": (
        "update_endpoint",
        lambda _: call(endpoint_name="churn", endpoint_config_name="churn-v2", guardrails=CANARY),
    ),
    "describe_endpoint_config": ("describe_endpoint_config", lambda _: call("churn-v1")),
    "create_endpoint_config": ("create_endpoint_config", lambda _: call(config_request())),
    "delete_endpoint_config": ("delete_endpoint_config", lambda _: call("churn-v2")),
    "list_tags": ("list_tags", lambda world: call(marked(world))),
    "add_tags": ("add_tags", lambda _: call(CONFIG_ARN, {"team": "churn", "tier": "1"})),
    "describe_model": ("describe_model", lambda _: call("churn", **ACCOUNT)),
    "create_endpoint": ("create_endpoint", lambda _: call(ENDPOINT_REQUEST)),
    "read_model": ("describe_model", lambda _: call("churn")),
    "create_model": ("create_model", lambda _: call(MODEL_REQUEST)),
    "describe_model_package": ("describe_model_package", lambda world: call(packaged(world))),
    "describe_newest_approved": (
        "list_model_packages describe_model_package",
        lambda world: (packaged(world), call("churn"))[1],
    ),
    "update_model_package_metadata": (
        "update_model_package",
        lambda world: call(packaged(world), {"airflow-guardrails-outcome": "Succeeded"}),
    ),
    "get_role_arn": ("get_role", lambda world: call(with_role(world))),
    "get_caller_arn": ("get_caller_identity", lambda _: call()),
    "simulate_policy": (
        "simulate_principal_policy",
        lambda _: call(
            "arn:aws:iam::123456789012:role/airflow",
            "cloudwatch:PutMetricData",
            ["*"],
            context={"cloudwatch:namespace": "AirflowGuardrails"},
        ),
    ),
    "describe_model_artefacts": ("describe_model", lambda _: call("churn")),
    "uses_marketplace_model": ("describe_model", lambda _: call(["churn", "gone"], **ACCOUNT)),
    "describe_inference_experiment": ("describe_inference_experiment", lambda world: call(world.lab.run())),
    "list_inference_experiments": (
        "list_inference_experiments",
        lambda world: (world.lab.run(), call(ExperimentStatus.RUNNING))[1],
    ),
    "list_active_experiments": ("list_inference_experiments", lambda world: (world.lab.run(), call())[1]),
    "create_inference_experiment": ("create_inference_experiment", lambda _: call(**WANTED)),
    "stop_inference_experiment": (
        "stop_inference_experiment",
        lambda world: call(
            world.experiment(), Action.KEEP_PRODUCTION, state="Completed", reason="Enough seen"
        ),
    ),
    "count_fleet_requests": (
        "get_metric_statistics",
        lambda world: (replayed(world), call(**FLEET, **SPAN))[1],
    ),
    "count_variant_requests": (
        "get_metric_statistics",
        lambda world: (replayed(world), call("churn", [PRODUCTION, SHADOW], **SPAN))[1],
    ),
    "find_first_request": (
        "get_metric_statistics",
        lambda world: (replayed(world), call("churn", SHADOW, **SPAN))[1],
    ),
    "get_metric_data": (
        "get_metric_data",
        lambda world: (replayed(world), call([QUERY], **SPAN, period=60))[1],
    ),
    "put_metric_data": ("put_metric_data", lambda _: call("Shop/Verdicts", [DATUM] * 501)),
    "describe_alarms": ("describe_alarms", lambda world: call(tripped(world))),
    "describe_alarm_history": ("describe_alarm_history", lambda world: call(tripped(world), **SPAN)),
    "put_abort_switch": ("put_metric_alarm", lambda _: call(SWITCH, target="churn-v2")),
    "put_guard_alarm": ("put_metric_alarm", lambda _: call(GUARD)),
    "get_abort_switch_target": ("describe_alarms", lambda world: call(switched(world, "churn-v2"))),
    "delete_alarms": ("delete_alarms", lambda _: call(["errors"])),
    "delete_rollout_alarms": (
        "describe_alarms delete_alarms",
        lambda world: (
            switched(world, "churn-v2", "churn-v3", "churn-v4"),
            call("churn", keep=[switch_of(target="churn-v3").alarm_name], before=world.lab.now()),
        )[1],
    ),
    "set_abort_switch": ("put_metric_data", lambda _: call(SWITCH, THROWN)),
    "list_endpoint_names": ("list_endpoints", lambda _: call()),
    "list_endpoint_configs": ("list_endpoint_configs", lambda _: call()),
    "list_models": ("list_models", lambda _: call()),
    "get_model": ("describe_model", lambda _: call("churn")),
    "read_package_contents": ("describe_model_package", lambda world: call(packaged(world))),
    "delete_model": ("delete_model", lambda _: call("churn-candidate")),
    "delete_tags": ("delete_tags", lambda world: call(marked(world), ["team", "none"])),
    "object_identity": ("head_object", lambda world: call(world.bucket(), "a/1")),
    "list_alarm_names": (
        "describe_alarms",
        lambda world: (
            switched(world, "churn-v2", "churn-v3"),
            call("airflow-guardrails-", before=world.lab.now() - timedelta(seconds=90)),
        )[1],
    ),
    "list_object_pages": ("list_objects_v2", lambda world: call(world.bucket(), "a/")),
}

OPERATIONS = {each.name: each for each in vars(operations).values() if isinstance(each, Operation)}
CALLS = {
    name: each for name in dir(Calls) if isinstance(each := inspect.getattr_static(Calls, name), ApiCall)
}


@pytest.fixture
def worlds(monkeypatch, shared_models):
    """Make the same world as often as it is asked for, one at a time."""

    @contextmanager
    def make(**config_kwargs: Any) -> Iterator[World]:
        with serve(Simulation(clock=Clock(start=START))) as running:
            connection = json.loads(connection_to(running.url))
            connection["extra"]["config_kwargs"].update(config_kwargs)
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
            yield world_in(running)
        forget_masked_secrets()

    return make


def world_in(running: Any) -> World:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}

    def aws(service: str) -> Any:
        return boto3.client(service, region_name="us-east-1", endpoint_url=running.url, **keys)

    lab = Lab(simulator=running, sagemaker=aws("sagemaker"), cloudwatch=aws("cloudwatch"))
    lab.begin()
    container = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:2"}
    lab.sagemaker.create_model(ModelName="churn-candidate", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    world = World(lab=lab, aws=aws, hook=GuardrailsHook())
    world.hook.get_session(region_name="us-east-1").events.register("before-send", world.keep)
    emitter = world.hook.get_session(region_name="us-east-1", deferrable=True).get_component("event_emitter")
    emitter.register("before-send", world.keep)
    return world


def make_call(world: World, name: str, arguments: tuple[Any, Any], form: str) -> Any:
    args, kwargs = arguments
    if form == "blocking":
        answer = getattr(world.hook, name)(*args, **kwargs)
        return list(answer) if isinstance(CALLS[name], PagedCall) else answer

    async def awaited() -> Any:
        async with world.hook.asynchronous() as calls:
            answer = getattr(calls, name)(*args, **kwargs)
            return [page async for page in answer] if isinstance(CALLS[name], PagedCall) else await answer

    return asyncio.run(awaited())


def test_every_call_and_every_operation_of_the_table_is_tested_here():
    tested = {operation for operations, _ in CASES.values() for operation in operations.split()}

    assert set(CASES) == set(CALLS)
    # Captured data is read by the line, and only in a worker.
    assert set(OPERATIONS) - tested == {"get_object"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.proof
def test_both_forms_of_a_call_send_the_same_and_answer_the_same(worlds, name):
    answers, sent = [], []
    for form in FORMS:
        with worlds() as world:
            arguments = CASES[name][1](world)
            before = world.lab.simulator.simulation.calls.copy()
            answers.append(make_call(world, name, arguments, form))
            made = world.lab.simulator.simulation.calls - before
            assert set(made) == {api_name(each) for each in CASES[name][0].split()}
            assert len(world.sent) == made.total()
            sent.append(world.sent)

    assert told(answers[0]) == told(answers[1])
    assert sent[0] == sent[1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "operation"),
    [
        (name, operation)
        for name, (operations, _) in CASES.items()
        for operation in operations.split()
        if OPERATIONS[operation].service in {"sagemaker", "cloudwatch"}  # the simulator has faults for these
    ],
)
@pytest.mark.proof
def test_botocore_retries_only_what_may_be_carried_out_twice(worlds, monkeypatch, name, operation, form):
    # botocore waits a random share of a second before it tries again; here none.
    monkeypatch.setattr("botocore.retryhandler.random", SimpleNamespace(random=lambda: 0.0))
    with worlds(retries={"total_max_attempts": 5, "mode": "legacy"}) as world:
        arguments = CASES[name][1](world)
        api, simulator = api_name(operation), world.lab.simulator
        simulator.client.fault(api, kind="throttle", times=1)
        before = world.lab.calls(api)

        if OPERATIONS[operation].once:
            with pytest.raises(ClientError, match="Rate exceeded"):
                make_call(world, name, arguments, form)
            assert world.lab.calls(api) == before + 1
        else:
            make_call(world, name, arguments, form)
            assert world.lab.calls(api) >= before + 2


def alarm_names(world: World) -> set[str]:
    return {alarm["AlarmName"] for alarm in world.lab.cloudwatch.describe_alarms()["MetricAlarms"]}


@pytest.mark.parametrize("form", FORMS)
def test_only_switches_and_guards_of_earlier_rollouts_of_the_endpoint_are_deleted(worlds, form):
    with worlds() as world:
        world.hook.put_guard_alarm(GUARD)
        switched(world, "old", "kept")
        world.hook.put_abort_switch(switch_of("churn-2"), target="old")
        before = world.lab.now()
        world.lab.advance(minutes=1)
        switched(world, "new")
        keep = [switch_of(target="kept").alarm_name]

        for _ in range(2):  # there is nothing left for the second time
            make_call(world, "delete_rollout_alarms", call("churn", keep=keep, before=before), form)

            stay = {switch_of(target=target).alarm_name for target in ("kept", "new")}
            assert alarm_names(world) == {"errors", switch_of("churn-2").alarm_name, *stay}


@pytest.mark.parametrize("form", FORMS)
def test_a_switch_names_the_target_it_was_created_for(worlds, form):
    with worlds() as world:
        switch = switched(world, "churn-v2", "churn-v3")
        assert make_call(world, "get_abort_switch_target", call(switch), form) == "churn-v3"
        assert make_call(world, "get_abort_switch_target", call(switch_of(target="none")), form) is None


def test_what_aws_would_refuse_the_second_time_and_what_a_plan_can_do_without_is_never_retried():
    assert {name for name, operation in OPERATIONS.items() if operation.once} == {
        "get_caller_identity",
        "simulate_principal_policy",
        "update_endpoint",
        "create_endpoint",
        "create_endpoint_config",
        "create_inference_experiment",
        "create_model",
        "stop_inference_experiment",
    }


def told(answer: Any) -> Any:
    """Leave out what distinguishes two requests: their IDs."""
    return {**answer, "ResponseMetadata": None} if isinstance(answer, dict) else answer


def api_name(operation: str) -> str:
    """Name an operation as the simulator counts it; S3 has no names on the wire."""
    on_the_wire = {"list_objects_v2": "GET /captures", "head_object": "HEAD /captures/a/1"}
    if operation in on_the_wire:
        return on_the_wire[operation]
    return "".join(word.capitalize() for word in operation.split("_"))
