"""Inference experiments on the wire, compared with botocore's own model of the API."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import JSONParser
from botocore.validate import ParamValidator

from airflow_guardrails.aws.errors import UnexpectedAnswer, is_missing_experiment
from airflow_guardrails.aws.experiment import (
    create_experiment_request,
    list_experiments_request,
    missing_experiment,
    parse_experiment,
    parse_experiment_list,
    stop_experiment_request,
)
from airflow_guardrails.aws.metrics import variant_requests_request
from airflow_guardrails.domain.shadow.eligibility import Production
from airflow_guardrails.domain.shadow.spec import ShadowTest, ShadowVariant
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.experiment import (
    CaptureStorage,
    ExperimentStatus,
    ListedExperiment,
    MissingExperiment,
    ModelVariant,
)

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
DATE = {"HTTPHeaders": {"date": "Mon, 02 Mar 2026 10:07:00 GMT"}}
TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
LIVE = Production(variant_name="live", model_name="churn-1", instance_type="ml.m5.large", instances=4)
STORAGE = CaptureStorage(
    uri="s3://captures/trial",
    kms_key="alias/captures",
    csv_content_types=("text/csv",),
    json_content_types=("application/json",),
)


@pytest.fixture
def against(sagemaker):
    """What botocore has against a request, empty if nothing; and members that it does not know."""

    def report(operation, request):
        shape = sagemaker.operation_model(operation).input_shape
        return ParamValidator().validate(request, shape).generate_report(), set(request) - set(shape.members)

    return report


@pytest.fixture
def parsed(sagemaker):
    """What botocore makes of the JSON that SageMaker answers to an operation."""

    def parse(operation, body):
        response = {"status_code": 200, "headers": {}, "body": json.dumps(body).encode()}
        answer = JSONParser().parse(response, sagemaker.operation_model(operation).output_shape)
        return {**answer, "ResponseMetadata": DATE}

    return parse


def variant(name, model, status=None, instances=2):
    capacity = {"InstanceType": "ml.m5.large", "InstanceCount": instances}
    config = {"InfrastructureType": "RealTimeInference", "RealTimeInferenceConfig": capacity}
    known = {"VariantName": name, "ModelName": model, "InfrastructureConfig": config}
    return {**known, "Status": status} if status else known


@pytest.fixture
def wire(parsed):
    def parse(**members):
        body = {
            "Arn": "arn:aws:sagemaker:us-east-1:123456789012:inference-experiment/trial",
            "Name": "trial",
            "Type": "ShadowMode",
            "Status": "Running",
            "EndpointMetadata": {"EndpointName": "churn"},
            "ModelVariants": [
                variant("live", "churn-1", "InService", 4),
                variant("candidate", "churn-2", "InService"),
            ],
            "ShadowModeConfig": mode("candidate"),
            "RoleArn": ROLE,
            **members,
        }
        return parsed("DescribeInferenceExperiment", body)

    return parse


def mode(*shadows):
    return {
        "SourceModelVariantName": "live",
        "ShadowModelVariants": [
            {"ShadowModelVariantName": name, "SamplingPercentage": 50} for name in shadows
        ],
    }


# Words that SageMaker says.


@pytest.mark.parametrize("status", ["Failed", "RUNNING", "running", ""])
def test_an_unknown_status_is_an_error_that_names_the_known_ones(wire, status):
    with pytest.raises(UnexpectedAnswer, match="It is treated as an error") as caught:
        parse_experiment(wire(Status=status))

    assert f"InferenceExperimentStatus {status!r}" in str(caught.value)
    assert "Cancelled" in str(caught.value)


@pytest.mark.parametrize("shadows", [(), ("candidate", "other")])
def test_an_experiment_without_one_shadow_is_none_that_can_be_waited_for(wire, shadows):
    with pytest.raises(UnexpectedAnswer, match=rf"must have one shadow variant \(got {len(shadows)}\)"):
        parse_experiment(wire(ShadowModeConfig=mode(*shadows)))


# What is asked for.


def trial(*, shadow=None, **test):
    variant = ShadowVariant(name="candidate", model_name="churn-2", **(shadow or {}))
    return ShadowTest(endpoint_name="churn", role_arn=ROLE, shadow=variant, **test)


@pytest.mark.parametrize(
    ("test", "more"),
    [
        ({}, {}),
        ({"shadow": {"sampling_percentage": 25}, "storage": STORAGE, "volume_kms_key": "alias/volumes"}, {}),
        ({"storage": CaptureStorage(uri="s3://captures")}, {}),
        ({"shadow": {"instance_type": "ml.c5.xlarge", "instance_count": 1}}, {}),
        ({}, {"starts_at": TEN, "description": "Nightly", "tags": {"owner": "churn"}}),
    ],
    ids=["least", "most", "bare storage", "another capacity", "later"],
)
def test_a_creation_is_what_botocore_accepts(against, test, more):
    request = create_experiment_request(
        trial(**test),
        name="trial",
        production=LIVE,
        **{"starts_at": None, "ends_at": TEN + timedelta(days=7), **more},
    )
    assert against("CreateInferenceExperiment", request) == ("", set())


def test_the_shadow_is_like_production_by_default():
    def capacity(**test):
        request = create_experiment_request(
            trial(shadow=test), name="trial", production=LIVE, starts_at=None, ends_at=TEN
        )
        return [each["InfrastructureConfig"]["RealTimeInferenceConfig"] for each in request["ModelVariants"]]

    of_production = {"InstanceType": "ml.m5.large", "InstanceCount": 4}
    assert capacity() == [of_production, of_production]
    assert capacity(instance_type="ml.c5.large", instance_count=1) == [
        of_production,
        {"InstanceType": "ml.c5.large", "InstanceCount": 1},
    ]


@pytest.mark.parametrize("state", ["Completed", "Cancelled"])
@pytest.mark.parametrize("action", Action)
def test_a_stop_is_what_botocore_accepts(against, wire, action, state):
    request = stop_experiment_request(parse_experiment(wire()), action, state=state, reason="Enough seen")
    assert against("StopInferenceExperiment", request) == ("", set())


def test_only_a_promotion_says_what_is_to_be_there_afterwards(wire):
    experiment = parse_experiment(wire())
    wanted = {
        action: stop_experiment_request(experiment, action, state="Completed", reason="").get(
            "DesiredModelVariants"
        )
        for action in Action
    }
    assert wanted == {
        Action.KEEP_PRODUCTION: None,
        Action.KEEP_BOTH: None,
        Action.PROMOTE: [variant("candidate", "churn-2")],
    }


@pytest.mark.parametrize("status", ExperimentStatus)
def test_a_list_is_what_botocore_can_page(sagemaker, against, status):
    request = list_experiments_request(status)
    paging = request.pop("PaginationConfig")
    assert paging == {"PageSize": sagemaker.shape_for("MaxResults").metadata["max"]}
    assert against("ListInferenceExperiments", request) == ("", set())


@pytest.mark.parametrize("span", [timedelta(seconds=1), timedelta(hours=30), timedelta(days=30)], ids=str)
def test_a_count_is_what_cloudwatch_accepts_and_fits_into_one_answer(refused, span):
    request = variant_requests_request(endpoint_name="churn", variant_name="live", start=TEN, end=TEN + span)
    assert not refused("GetMetricStatistics", request)
    assert request["Period"] % 60 == 0
    assert span.total_seconds() / request["Period"] <= 1440


# What is answered.


def test_a_running_test_is_read(wire):
    experiment = parse_experiment(
        wire(
            Schedule={"StartTime": TEN.timestamp(), "EndTime": TEN.timestamp() + 3600},
            CreationTime=TEN.timestamp() - 60,
            LastModifiedTime=TEN.timestamp() + 300,
            DataStorageConfig={
                "Destination": STORAGE.uri,
                "KmsKey": STORAGE.kms_key,
                "ContentType": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
            },
            KmsKey="alias/volumes",
        )
    )

    assert experiment.status is ExperimentStatus.RUNNING
    assert experiment.seen_at == TEN + timedelta(minutes=7)
    assert (experiment.starts_at, experiment.ends_at) == (TEN, TEN + timedelta(hours=1))
    assert experiment.last_modified_at == TEN + timedelta(minutes=5)
    assert experiment.endpoint_name == "churn"
    assert experiment.production == ModelVariant(
        name="live", model_name="churn-1", instance_type="ml.m5.large", instances=4, status="InService"
    )
    assert experiment.shadow == ModelVariant(
        name="candidate", model_name="churn-2", instance_type="ml.m5.large", instances=2, status="InService"
    )
    assert experiment.sampling_percentage == 50
    assert (experiment.storage, experiment.volume_kms_key) == (STORAGE, "alias/volumes")


def test_a_test_is_read_that_has_only_what_the_model_requires(wire, sagemaker):
    required = sagemaker.operation_model("DescribeInferenceExperiment").output_shape.required_members
    answer = wire()
    least = {key: value for key, value in answer.items() if key in {*required, "ResponseMetadata"}}

    experiment = parse_experiment({**least, "ShadowModeConfig": mode("candidate")})

    assert (experiment.starts_at, experiment.ends_at, experiment.completed_at) == (None, None, None)
    assert (experiment.reason, experiment.storage, experiment.role_arn) == (None, None, "")


def test_why_a_test_is_over_is_read_with_what_its_endpoint_says(wire):
    experiment = parse_experiment(
        wire(
            Status="Cancelled",
            StatusReason="The update of the endpoint failed.",
            CompletionTime=TEN.timestamp(),
            EndpointMetadata={"EndpointName": "churn", "FailureReason": "The ping failed."},
        )
    )
    assert experiment.phase.over
    assert experiment.completed_at == TEN
    assert experiment.reason == "The update of the endpoint failed."
    assert experiment.endpoint_failure_reason == "The ping failed."


@pytest.mark.parametrize(("said", "kept"), [("", None), ("Enough seen", "Enough seen")])
def test_an_empty_reason_is_no_reason(wire, said, kept):
    assert parse_experiment(wire(StatusReason=said)).reason == kept


def test_a_page_of_a_list_is_read(parsed):
    row = {
        "Name": "trial",
        "Type": "ShadowMode",
        "Status": "Running",
        "CreationTime": TEN.timestamp(),
        "LastModifiedTime": TEN.timestamp(),
    }
    page = parsed("ListInferenceExperiments", {"InferenceExperiments": [row]})
    assert parse_experiment_list(page) == [ListedExperiment("trial", ExperimentStatus.RUNNING, TEN)]


@pytest.mark.parametrize(("code", "missing"), [("ResourceNotFound", True), ("ValidationException", False)])
def test_a_missing_test_is_recognised_by_the_code_of_the_error(code, missing):
    answer = {"Error": {"Code": code, "Message": "whatever it says"}, "ResponseMetadata": DATE}
    assert is_missing_experiment(ClientError(answer, "DescribeInferenceExperiment")) is missing
    assert missing_experiment("trial", answer) == MissingExperiment("trial", TEN + timedelta(minutes=7))
