"""Faults on demand, as a client meets them."""

from __future__ import annotations

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from airflow_guardrails.simulator.client import SimulatorError

ROLE = "arn:aws:iam::123456789012:role/churn"
TRUE_DATE = "Mon, 02 Mar 2026 10:00:00 GMT"
LIST_MODELS = {
    "X-Amz-Target": "SageMaker.ListModels",
    "Content-Type": "application/x-amz-json-1.1",
    "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260302/us-east-1/sagemaker/aws4_request",
}
MODEL = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "registry/churn:1"}}


def test_calls_are_throttled_as_often_as_asked_and_no_other_operation_is(simulator, aws):
    """AWS answers 400 ThrottlingException "Rate exceeded"."""
    sagemaker = aws("sagemaker")
    simulator.client.throttle("ListModels", times=2)

    for _ in range(2):
        with pytest.raises(ClientError) as raised:
            sagemaker.list_models()
        assert raised.value.response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        sagemaker.list_endpoints()

    assert sagemaker.list_models()["Models"] == []


@pytest.mark.parametrize(
    ("operation", "call", "code"),
    [
        ("ListMetrics", lambda aws: aws("cloudwatch").list_metrics(), "Throttling"),
        (
            "InvokeEndpoint",
            lambda aws: aws("sagemaker-runtime").invoke_endpoint(EndpointName="churn", Body=b"1"),
            "ThrottlingException",
        ),
    ],
)
def test_the_other_two_services_throttle_in_their_own_protocols(simulator, aws, operation, call, code):
    simulator.client.throttle(operation, times=1)

    with pytest.raises(ClientError) as raised:
        call(aws)

    error = raised.value.response["Error"]
    assert (error["Code"], error["Message"]) == (code, "Rate exceeded")
    assert simulator.client.calls(operation) == 1


def test_throttling_by_chance_hits_about_that_share_of_calls(simulator, aws):
    simulator.client.throttle("ListModels", probability=0.3)
    sagemaker = aws("sagemaker")

    hit = sum(is_throttled(sagemaker.list_models) for _ in range(100))

    assert 15 <= hit <= 45


def test_an_error_of_any_code_can_be_asked_for_and_is_a_500_by_default(simulator, aws):
    simulator.client.fault("CreateModel", kind="error")
    simulator.client.fault(
        "CreateModel",
        kind="error",
        code="ResourceLimitExceeded",
        message="The limit is 0 Instances.",
        status=400,
    )

    with pytest.raises(ClientError) as first:
        create_model(aws)
    with pytest.raises(ClientError) as second:
        create_model(aws)

    assert first.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert first.value.response["Error"]["Code"] == "InternalFailure"
    assert second.value.response["Error"] == {
        "Code": "ResourceLimitExceeded",
        "Message": "The limit is 0 Instances.",
    }
    assert aws("sagemaker").list_models()["Models"] == []


def test_a_lost_answer_belongs_to_a_call_that_was_carried_out(simulator, aws):
    simulator.client.fault("CreateModel", kind="lose")

    with pytest.raises(ConnectionClosedError):
        create_model(aws)

    assert [model["ModelName"] for model in aws("sagemaker").list_models()["Models"]] == ["churn"]
    assert simulator.client.calls("CreateModel") == 1


def test_a_hanging_call_is_answered_late(simulator, aws):
    simulator.client.fault("ListModels", kind="hang", seconds=0.3)

    started = time.perf_counter()
    assert aws_list(aws)["Models"] == []

    assert time.perf_counter() - started >= 0.3


def test_a_hanging_call_holds_up_neither_other_calls_nor_the_end(simulator, aws):
    simulator.client.fault("ListModels", kind="hang", seconds=3600)
    hanging = Thread(target=lambda: aws_list(aws), daemon=True)
    hanging.start()
    while simulator.client.calls("ListModels") == 0:
        time.sleep(0.005)

    aws("sts").get_caller_identity()
    assert hanging.is_alive()
    simulator.stop()

    hanging.join(60)
    assert not hanging.is_alive()


def test_cleared_faults_are_met_no_more(simulator, aws):
    simulator.client.throttle("ListModels")
    simulator.client.clear_faults()

    assert aws_list(aws)["Models"] == []


def test_a_hanging_call_is_answered_when_faults_are_cleared(simulator, aws):
    simulator.client.fault("ListModels", kind="hang", seconds=3600)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(aws_list, aws)
        while simulator.client.calls("ListModels") == 0:
            time.sleep(0.005)
        assert not answer.done()
        simulator.client.clear_faults()

        assert answer.result(timeout=60)["Models"] == []


def test_calls_are_counted_by_operation_whatever_their_protocol(simulator, aws):
    aws("sagemaker").list_models()
    aws("cloudwatch").list_metrics()
    aws("cloudwatch").list_metrics()
    aws("sts").get_caller_identity()

    counted = simulator.client.status()["calls"]

    assert {"ListModels": 1, "ListMetrics": 2, "GetCallerIdentity": 1}.items() <= counted.items()
    assert simulator.client.calls("UpdateEndpoint") == 0


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ({"operation": "UpdateEndpiont", "kind": "throttle"}, "got 'UpdateEndpiont'"),
        ({"operation": "ListModels", "kind": "explode"}, "kind must be one of throttle, error, hang, lose"),
        (
            {"operation": "ListModels", "kind": "throttle", "probability": 2},
            "probability must be between 0 and 1",
        ),
        ({"operation": "ListModels", "kind": "throttle", "times": 0}, "times must be None or at least 1"),
        ({"operation": "ListModels", "kind": "hang", "seconds": -1}, "seconds must not be negative"),
        (
            {"operation": "ListModels", "kind": "date", "date": "late"},
            "date must be one of missing, malformed",
        ),
        ({"operation": "ListModels", "kind": "date"}, "date must be set if, and only if, kind is 'date'"),
        ({"operation": "ListModels", "kind": "lose", "date": "missing"}, "date must be set if"),
        ({"operation": "ListModels", "kind": "alter", "changes": ["Models"]}, "changes must be a mapping"),
        (
            {"operation": "ListModels", "kind": "alter"},
            "changes must be set if, and only if, kind is 'alter'",
        ),
        (
            {"operation": "ListModels", "kind": "lose", "changes": {"Models": None}},
            "changes must be set if",
        ),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(simulator, fault, rule):
    with pytest.raises(SimulatorError, match=rule):
        simulator.client.fault(**fault)


@pytest.mark.parametrize(
    ("date", "seen"),
    [
        ("missing", None),
        ("malformed", "not a date"),
        ("doubled", "Mon, 02 Mar 2026 10:00:00 GMT, Mon, 02 Mar 2026 10:00:00 GMT"),
        ("repeated", "Mon, 02 Mar 2026 10:00:00 GMT, Mon, 02 Mar 2026 10:00:00 GMT"),
        ("without_zone", "Mon, 02 Mar 2026 10:00:00"),
        ("unknown_zone", "Mon, 02 Mar 2026 10:00:00 -0000"),
    ],
)
def test_the_date_header_can_be_wrong_for_some_calls_of_an_operation(simulator, aws, date, seen):
    simulator.client.fault("ListModels", kind="date", date=date, times=2)

    assert dates_of(aws, 3) == [seen, seen, TRUE_DATE]
    assert date_of(aws("sagemaker").list_endpoints()) == TRUE_DATE


def test_a_repeated_date_header_is_two_lines_and_a_doubled_one_is_one(simulator):
    assert raw_dates(simulator, "repeated") == [TRUE_DATE, TRUE_DATE]
    assert raw_dates(simulator, "doubled") == [f"{TRUE_DATE}, {TRUE_DATE}"]


def test_a_wrong_date_changes_nothing_else_of_an_answer_refusals_included(simulator, aws):
    simulator.client.fault("DescribeModel", kind="date", date="missing", times=None)
    with pytest.raises(ClientError, match="Could not find model") as raised:
        aws("sagemaker").describe_model(ModelName="churn")
    assert date_of(raised.value.response) is None

    create_model(aws)

    assert aws("sagemaker").describe_model(ModelName="churn")["ModelName"] == "churn"


def test_dates_are_right_again_when_faults_are_cleared(simulator, aws):
    simulator.client.fault("ListModels", kind="date", date="malformed", times=None)
    assert dates_of(aws, 1) == ["not a date"]

    simulator.client.clear_faults()

    assert dates_of(aws, 1) == [TRUE_DATE]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"Models.0.ModelName": "other"}, ["other", "m-1"]),
        ({"Models.*.ModelName": "other"}, ["other", "other"]),
        ({"Models.*.ModelName": None}, [None, None]),
        ({"Models.1": None}, ["m-0"]),
        ({"Models.*": None}, []),
        ({"Models": None}, None),
        ({"NextToken": "more", "Models.1": None}, ["m-0"]),
        ({"Models.2.ModelName": "x", "Nothing.of.it": 1, "Models.x": 1}, ["m-0", "m-1"]),
    ],
)
def test_fields_of_an_answer_can_be_changed_or_left_out(simulator, aws, changes, names):
    sagemaker = aws("sagemaker", checked=False)
    for name in ("m-0", "m-1"):
        sagemaker.create_model(ModelName=name, **MODEL)
    simulator.client.fault("ListModels", kind="alter", changes=changes)

    answer = sagemaker.list_models(SortBy="Name", SortOrder="Ascending")

    models = answer.get("Models")
    assert (None if models is None else [model.get("ModelName") for model in models]) == names
    assert answer.get("NextToken") == changes.get("NextToken")
    assert len(sagemaker.list_models()["Models"]) == 2


def test_a_refusal_stays_as_it_is(simulator, aws):
    simulator.client.fault("DescribeModel", kind="alter", changes={"message": "x", "ModelName": "x"})

    with pytest.raises(ClientError, match="Could not find model"):
        aws("sagemaker").describe_model(ModelName="churn")


def test_only_answers_of_sagemaker_can_be_changed(simulator):
    with pytest.raises(SimulatorError, match=r"operation must be one of sagemaker \(got 'DescribeAlarms'\)"):
        simulator.client.fault("DescribeAlarms", kind="alter", changes={"MetricAlarms": None})


def dates_of(aws, calls):
    return [date_of(aws_list(aws)) for _ in range(calls)]


def date_of(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"].get("date")


def raw_dates(simulator, date):
    """Return the lines of one response. A client library would join repeated headers."""
    simulator.client.fault("ListModels", kind="date", date=date)
    request = urllib.request.Request(simulator.url, data=b"{}", headers=LIST_MODELS)
    with urllib.request.urlopen(request) as response:
        return response.headers.get_all("Date")


def aws_list(aws):
    return aws("sagemaker").list_models()


def create_model(aws):
    return aws("sagemaker").create_model(ModelName="churn", **MODEL)


def is_throttled(call) -> bool:
    try:
        call()
    except ClientError:
        return True
    return False
