"""The HTTP server: one port, AWS's protocols, simulated time."""

from __future__ import annotations

import io
import json
import re
import socket
import time
from datetime import datetime, timezone

import aiobotocore.session
import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation

ROLE = "arn:aws:iam::123456789012:role/churn"
MODEL = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "registry/churn:1"}}
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


def test_our_wire_classes_are_reached_and_the_other_services_are_motos(simulator, aws):
    """moto's dispatcher sends three services to the simulator's own classes."""
    ours = simulator.simulation.world("eu-west-1")
    aws("sagemaker", region="eu-west-1").create_model(ModelName="churn", **MODEL)
    aws("cloudwatch", region="eu-west-1").put_metric_data(
        Namespace="Test", MetricData=[{"MetricName": "m", "Value": 1.0}]
    )
    with pytest.raises(Exception, match="of account 123456789012 not found"):
        aws("sagemaker-runtime", region="eu-west-1").invoke_endpoint(EndpointName="nobody", Body=b"1")

    assert ours.sagemaker.catalogue.model("churn").name == "churn"
    assert (
        aws("cloudwatch", region="eu-west-1").list_metrics(Namespace="Test")["Metrics"][0]["MetricName"]
        == "m"
    )
    aws("s3").create_bucket(Bucket="models")
    aws("s3").put_object(Bucket="models", Key="k", Body=b"motos")
    assert aws("s3").get_object(Bucket="models", Key="k")["Body"].read() == b"motos"
    assert aws("sts").get_caller_identity()["Account"] == "123456789012"


def test_queues_roles_and_the_model_registry_are_there(aws):
    queue = aws("sqs").create_queue(QueueName="events")["QueueUrl"]
    aws("sqs").send_message(QueueUrl=queue, MessageBody="hello")
    aws("iam").create_role(RoleName="churn", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17"}))
    sagemaker = aws("sagemaker", checked=False)
    sagemaker.create_model_package_group(ModelPackageGroupName="churn")
    package = sagemaker.create_model_package(
        ModelPackageGroupName="churn", ModelPackageDescription="nightly", ModelApprovalStatus="Approved"
    )["ModelPackageArn"]

    assert aws("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "hello"
    assert aws("iam").get_role(RoleName="churn")["Role"]["Arn"] == ROLE
    assert sagemaker.describe_model_package(ModelPackageName=package)["ModelApprovalStatus"] == "Approved"


def test_a_model_package_keeps_what_an_update_does_not_name(aws):
    sagemaker = aws("sagemaker", checked=False)
    sagemaker.create_model_package_group(ModelPackageGroupName="churn")
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="churn",
        ModelApprovalStatus="Approved",
        CustomerMetadataProperties={"accuracy": "0.97", "old": "1"},
    )["ModelPackageArn"]

    sagemaker.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"stage": "live"},
        CustomerMetadataPropertiesToRemove=["old"],
    )

    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == "Approved"
    assert found["CustomerMetadataProperties"] == {"accuracy": "0.97", "stage": "live"}
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == "Rejected"
    assert found["CustomerMetadataProperties"] == {"accuracy": "0.97", "stage": "live"}


def test_a_model_package_that_does_not_exist_cannot_be_updated(aws):
    with pytest.raises(Exception, match="churn/1 not found"):
        aws("sagemaker", checked=False).update_model_package(
            ModelPackageArn="arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/1"
        )


async def test_aiobotocore_talks_to_it_as_boto3_does(simulator):
    session = aiobotocore.session.get_session()
    where = {"region_name": "us-east-1", "endpoint_url": simulator.url, **KEYS}
    async with session.create_client("sagemaker", **where) as sagemaker:
        await sagemaker.create_model(ModelName="churn", **MODEL)
        assert (await sagemaker.describe_model(ModelName="churn"))["ModelName"] == "churn"
    async with session.create_client("s3", **where) as s3:
        await s3.create_bucket(Bucket="models")
        await s3.put_object(Bucket="models", Key="k", Body=b"async")
        answer = await s3.get_object(Bucket="models", Key="k")
        assert await answer["Body"].read() == b"async"
    async with session.create_client("sts", **where) as sts:
        assert (await sts.get_caller_identity())["Account"] == "123456789012"


def test_large_objects_and_streams_survive(aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket="models")
    content = bytes(range(256)) * 50_000

    s3.upload_fileobj(io.BytesIO(content), "models", "big")

    assert s3.get_object(Bucket="models", Key="big")["Body"].read() == content


def test_a_bucket_in_the_host_name_is_found(simulator, aws):
    aws("s3").create_bucket(Bucket="models")
    aws("s3").put_object(Bucket="models", Key="k", Body=b"by host")

    signed = "Authorization: AWS4-HMAC-SHA256 Credential=a/20260302/us-east-1/s3/aws4_request"
    host = f"models.localhost:{port_of(simulator)}"

    answer = raw(simulator, f"GET /k HTTP/1.1\r\nHost: {host}\r\n{signed}\r\n\r\n")

    assert (status_of(answer), answer.rpartition("\r\n\r\n")[2]) == (200, "by host")


def test_regions_are_worlds_apart_on_one_clock(simulator, aws):
    aws("sagemaker", region="eu-west-1").create_model(ModelName="churn", **MODEL)

    assert aws("sagemaker", region="us-east-1").list_models()["Models"] == []
    assert aws("sagemaker", region="eu-west-1").list_models()["Models"][0]["ModelArn"] == (
        "arn:aws:sagemaker:eu-west-1:123456789012:model/churn"
    )


S3_REQUEST = "GET /models HTTP/1.1"
SAGEMAKER_REQUEST = """\
POST / HTTP/1.1\r
X-Amz-Target: SageMaker.ListModels\r
Content-Type: application/x-amz-json-1.1\r
Authorization: AWS4-HMAC-SHA256 Credential=a/20260302/us-east-1/sagemaker/aws4_request"""
CONTROL_REQUEST = "GET /_simulator/status HTTP/1.1"
REFUSED_REQUEST = "GET / HTTP/1.1\r\nOrigin: http://evil.example"


@pytest.mark.parametrize("request_line", [S3_REQUEST, SAGEMAKER_REQUEST, CONTROL_REQUEST, REFUSED_REQUEST])
def test_every_answer_has_one_date_header_of_simulated_time(simulator, request_line):
    simulator.client.clock.advance(hours=1, seconds=5)

    answer = raw(
        simulator, f"{request_line}\r\nHost: 127.0.0.1:{port_of(simulator)}\r\nContent-Length: 0\r\n\r\n"
    )

    assert re.findall(r"(?mi)^date: (.*?)\r?$", answer) == ["Mon, 02 Mar 2026 11:00:05 GMT"]


def test_boto3_reads_the_simulated_date(simulator, aws):
    simulator.client.clock.advance(minutes=10)

    headers = aws("sts").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]

    assert headers["date"] == "Mon, 02 Mar 2026 10:10:00 GMT"


def test_an_operation_that_is_not_simulated_is_an_unknown_operation(simulator, aws):
    with pytest.raises(ClientError, match=r"NotImplemented.*The list_hubs action has not been implemented"):
        aws("sagemaker").list_hubs()
    with pytest.raises(
        ClientError, match=r"NotImplemented.*The list_policies_granting_service_access action"
    ):
        aws("iam").list_policies_granting_service_access(Arn="a" * 20, ServiceNamespaces=["s3"])


@pytest.mark.parametrize(
    ("target", "body", "text"),
    [
        ("SageMaker.BrandNew", {}, "The operation BrandNew is not simulated: botocore"),
        ("SageMaker.ListEndpoints", {"New": 1}, "The field New of ListEndpoints is not simulated"),
        (
            "SageMaker.CreateModel",
            {"ModelName": "m", "Containers": [{"Image": "x", "New": None}]},
            "The field Containers.New of CreateModel is not simulated",
        ),
        ("GraniteServiceVersion20100801.BrandNew", {}, "The operation BrandNew is not simulated"),
        ("GraniteServiceVersion20100801.DescribeAlarms", {"New": 1}, "The field New of DescribeAlarms"),
    ],
)
def test_what_only_a_newer_client_knows_is_not_answered_as_if_it_were_known(simulator, target, body, text):
    service = "sagemaker" if target.startswith("Sage") else "monitoring"
    credential = (
        f"Credential=any/20260302/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=any"
    )
    headers = {
        "X-Amz-Target": target,
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": f"AWS4-HMAC-SHA256 {credential}",
    }

    answer = httpx.post(simulator.url, json=body, headers=headers, trust_env=False)

    assert answer.status_code == 501
    assert text in answer.text


@pytest.mark.parametrize("field", ["New.member.1", "AlarmNames.member.1.New", "AlarmNames.New"])
def test_an_unknown_field_of_the_query_protocol_is_refused(simulator, field):
    credential = (
        "Credential=any/20260302/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=any"
    )
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {credential}"}
    form = {
        "Action": "DescribeAlarms",
        "Version": "2010-08-01",
        "AlarmNames.member.1": "a",
        field: "b",
    }

    answer = httpx.post(simulator.url, data=form, headers=headers, trust_env=False)

    assert answer.status_code == 501
    assert f"The field {field} of DescribeAlarms is not simulated" in answer.text


def test_the_nested_fields_of_the_query_protocol_are_known(simulator, aws):
    credential = (
        "Credential=any/20260302/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=any"
    )
    form = {
        "Action": "PutMetricData",
        "Version": "2010-08-01",
        "Namespace": "Shop",
        "MetricData.member.1.MetricName": "Errors",
        "MetricData.member.1.Value": "1",
        "MetricData.member.1.Dimensions.member.1.Name": "place",
        "MetricData.member.1.Dimensions.member.1.Value": "Köln",
    }

    answer = httpx.post(
        simulator.url,
        data=form,
        headers={"Authorization": f"AWS4-HMAC-SHA256 {credential}"},
        trust_env=False,
    )

    assert answer.status_code == 200
    [metric] = aws("cloudwatch").list_metrics(Namespace="Shop")["Metrics"]
    assert metric["Dimensions"] == [{"Name": "place", "Value": "Köln"}]


MODEL_BY_JSON = json.dumps({"Resources": {"M": {"Type": "AWS::SageMaker::Model", "Properties": {}}}})
ALARM_BY_YAML = "Resources:\n  A:\n    Type: AWS::CloudWatch::Alarm\n"
QUEUE = "Resources:\n  Q:\n    Type: 'AWS::SQS::Queue'\n"
NOTEBOOKS = """
Resources:
  N:
    Type: AWS::SageMaker::NotebookInstanceLifecycleConfig
    Properties: {NotebookInstanceLifecycleConfigName: n}
"""


@pytest.mark.parametrize(
    ("template", "type_name"),
    [(MODEL_BY_JSON, "AWS::SageMaker::Model"), (ALARM_BY_YAML, "AWS::CloudWatch::Alarm")],
)
def test_cloudformation_does_not_make_the_simulators_resources_in_a_world_of_its_own(
    aws, template, type_name
):
    cloudformation, s3 = aws("cloudformation", checked=False), aws("s3")
    s3.create_bucket(Bucket="templates")
    s3.put_object(Bucket="templates", Key="inner", Body=template.encode())
    url = "https://templates.s3.amazonaws.com/inner"
    outer = (
        f"Resources:\n  S:\n    Type: AWS::CloudFormation::Stack\n    Properties:\n      TemplateURL: {url}\n"
    )

    for given in ({"TemplateBody": template}, {"TemplateURL": url}, {"TemplateBody": outer}):
        with pytest.raises(ClientError, match=rf"NotImplemented.*CreateStack is refused.*{type_name}\."):
            cloudformation.create_stack(StackName="churn", **given)

    assert cloudformation.list_stacks()["StackSummaries"] == []


@pytest.mark.parametrize("template", [QUEUE, NOTEBOOKS])
def test_cloudformation_makes_what_is_motos(aws, template):
    cloudformation = aws("cloudformation", checked=False)

    cloudformation.create_stack(StackName="churn", TemplateBody=template)

    assert cloudformation.describe_stacks()["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


def test_it_listens_on_the_loopback_only(simulator):
    assert simulator._server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:{port}"}, 404),
        ({"Host": "localhost:{port}"}, 404),
        ({"Host": "models.localhost:{port}"}, 404),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://127.0.0.1:{port}"}, 404),
        ({"Host": "127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 404),
        ({"Host": "127.0.0.1"}, 403),
        ({"Host": "rebound.example:{port}"}, 403),
        ({"Host": "127.0.0.1.nip.io:{port}"}, 403),
        ({"Host": "evillocalhost:{port}"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://evil.example"}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "null"}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "127.0.0.1:{port}", "Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Host": "127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "127.0.0.1:{port}", "Sec-Fetch-Site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/no-such-bucket", "/_simulator/status"])
def test_only_clients_of_this_machine_are_answered_and_no_web_page(simulator, path, headers, status):
    lines = [f"{name}: {value.format(port=port_of(simulator))}" for name, value in headers.items()]

    answer = raw(simulator, "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]))

    # Past the guard, the control API asks for its token.
    assert status_of(answer) == (401 if status == 404 and "_simulator" in path else status)
    assert "access-control-" not in answer.lower()


def test_a_browsers_question_before_a_post_is_not_answered_yes(simulator):
    port = port_of(simulator)
    question = f"OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://evil.example\r\n"

    answer = raw(simulator, question + "Access-Control-Request-Method: POST\r\n\r\n")

    assert status_of(answer) == 403
    assert "access-control-" not in answer.lower()


def test_the_rest_of_motos_own_control_api_is_out_of_reach(simulator):
    for path in ("seed?a=1", "config", "data.json"):
        answer = raw(
            simulator, f"POST /moto-api/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port_of(simulator)}\r\n\r\n"
        )

        assert status_of(answer) == 404


def test_the_reset_of_motos_server_empties_everything(simulator, aws):
    for name in ("one", "two"):
        aws("s3").create_bucket(Bucket=name)
        aws("sagemaker").create_model(ModelName=name, PrimaryContainer={"Image": "any"})
        aws("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Errors", "Value": 1}])
        simulator.client.throttle("ListModels")
        simulator.client.set_policies([], access_key="somebody")
        now = simulator.client.now()

        answer = httpx.post(f"{simulator.url}/moto-api/reset", trust_env=False)

        assert answer.json() == {"status": "ok"}
        assert aws("s3").list_buckets()["Buckets"] == []
        assert aws("sagemaker").list_models()["Models"] == []
        assert aws("cloudwatch").list_metrics()["Metrics"] == []
        assert simulator.client.now() == now


def test_a_web_page_cannot_reset(simulator):
    answer = httpx.post(
        f"{simulator.url}/moto-api/reset", headers={"Origin": "http://evil.example"}, trust_env=False
    )

    assert answer.status_code == 403


def test_one_simulation_after_another_starts_empty():
    def buckets_after_creating(name):
        with serve(Simulation()) as running:
            s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=running.url, **KEYS)
            s3.create_bucket(Bucket=name)
            return [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]

    assert buckets_after_creating("first") == ["first"]
    assert buckets_after_creating("second") == ["second"]


def test_a_taken_port_is_an_error_and_not_the_end_of_the_process(simulator):
    with pytest.raises(OSError, match="in use"):
        serve(Simulation(), port=port_of(simulator))


def test_stopping_closes_the_port_and_may_be_said_twice():
    running = serve(Simulation())
    port = port_of(running)

    running.stop()
    running.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_running_clock_moves_and_its_timers_run_without_requests():
    start = datetime(2026, 3, 2, tzinfo=timezone.utc)
    simulation = Simulation(clock=Clock(start=start, speed=3600))
    ran = []
    simulation.clock.after(60, lambda: ran.append(simulation.clock.now()))
    with serve(simulation):
        deadline = time.monotonic() + 60
        while not ran and time.monotonic() < deadline:
            time.sleep(0.01)

    assert ran == [datetime(2026, 3, 2, 0, 1, tzinfo=timezone.utc)]


def test_a_timer_that_raises_does_not_stop_the_clock(caplog):
    simulation = Simulation(clock=Clock(speed=3600))
    ran = []
    simulation.clock.after(1, lambda: 1 // 0)
    simulation.clock.after(600, lambda: ran.append(True))
    with serve(simulation):
        deadline = time.monotonic() + 60
        while not ran and time.monotonic() < deadline:
            time.sleep(0.01)

    assert ran
    assert "ZeroDivisionError" in caplog.text


def port_of(running) -> int:
    return int(running.url.rpartition(":")[2])


def raw(running, request: str) -> str:
    """Return the bytes on the socket."""
    with socket.create_connection(("127.0.0.1", port_of(running)), timeout=60) as connection:
        connection.sendall(request.encode())
        # Without another request, the server closes the connection after its answer.
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode()


def status_of(answer: str) -> int:
    return int(answer.split()[1])
