"""What a response holds and botocore's description lacks is found, wherever it is."""

from __future__ import annotations

import json

import pytest

from airflow_guardrails.aws.unknown_fields import UNKNOWN, note_unknown_fields


@pytest.fixture(scope="module")
def operation(sagemaker):
    return sagemaker.operation_model("DescribeEndpointConfig")


def noted(operation, body, status=200):
    found = {}
    response = {"status_code": status, "body": body if isinstance(body, bytes) else json.dumps(body).encode()}
    note_unknown_fields(operation_model=operation, response_dict=response, customized_response_dict=found)
    return found.get(UNKNOWN, ())


def test_known_fields_are_not_noted(operation):
    body = {
        "EndpointConfigName": "v1",
        "ProductionVariants": [{"VariantName": "a", "ServerlessConfig": {"MemorySizeInMB": 2048}}],
        "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://b"}},
    }
    assert noted(operation, body) == ()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"New": 1}, "New"),
        ({"New": {}}, "New"),
        ({"VpcConfig": {"Subnets": ["a"], "New": "x"}}, "VpcConfig.New"),
        (
            {"ProductionVariants": [{}, {"RoutingConfig": {"New": 0}}]},
            "ProductionVariants[1].RoutingConfig.New",
        ),
    ],
)
def test_an_unknown_field_is_noted_by_its_path(operation, body, path):
    assert noted(operation, body) == (path,)


def test_a_field_without_a_value_is_no_loss(operation):
    assert noted(operation, {"New": None, "VpcConfig": {"New": None}}) == ()


def test_an_error_is_no_configuration(operation):
    assert noted(operation, {"__type": "ValidationException", "message": "no"}, status=400) == ()


def test_a_response_that_is_no_json_cannot_be_compared(operation):
    (text,) = noted(operation, b"\xa1")

    assert "is not JSON" in text
