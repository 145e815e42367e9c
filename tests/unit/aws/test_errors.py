"""What AWS's errors are taken for, by the texts that it is known to send."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from airflow_guardrails.aws.errors import (
    code_of,
    is_access_denied,
    is_in_progress,
    is_missing_endpoint,
    is_missing_endpoint_config,
    is_passing,
    is_throttled,
    text_of,
)

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
NO_ENDPOINT = f'Could not find endpoint "{ARN}:endpoint/churn".'
NO_CONFIG = f'Could not find endpoint configuration "{ARN}:endpoint-config/churn-v2".'
IN_PROGRESS = f'Cannot update in-progress endpoint "{ARN}:endpoint/churn".'
OTHER_TEXTS = (
    f'Could not find model "{ARN}:model/churn".',
    f'Cannot create already existing endpoint "{ARN}:endpoint/churn".',
    f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/churn-v2".',
    "The AsyncInferenceConfig parameter cannot be removed from this endpoint churn.",
    "1 validation error detected: Value '0' at 'desiredInstanceCount' failed to satisfy constraint: ...",
)


def refusal(text, code="ValidationException", status=400):
    answer = {
        "Error": {"Code": code, "Message": text},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "UpdateEndpoint")


@pytest.mark.parametrize(
    ("recognizes", "text"),
    [
        (is_missing_endpoint, NO_ENDPOINT),
        (is_missing_endpoint_config, NO_CONFIG),
        (is_in_progress, IN_PROGRESS),
    ],
)
def test_each_text_is_taken_for_one_thing_only(recognizes, text):
    texts = {NO_ENDPOINT, NO_CONFIG, IN_PROGRESS, *OTHER_TEXTS}

    assert {other for other in texts if recognizes(refusal(other))} == {text}


@pytest.mark.parametrize(
    ("recognizes", "text"),
    [
        (is_missing_endpoint, NO_ENDPOINT),
        (is_missing_endpoint_config, NO_CONFIG),
        (is_in_progress, IN_PROGRESS),
    ],
)
def test_the_same_text_under_another_code_or_further_on_means_something_else(recognizes, text):
    assert not recognizes(refusal(text, code="AccessDeniedException"))
    assert not recognizes(refusal(f"Somebody says: {text}"))


@pytest.mark.parametrize("beyond", ["cn", "us-gov"])
def test_a_missing_endpoint_is_recognized_in_every_partition(beyond):
    assert is_missing_endpoint(refusal(NO_ENDPOINT.replace("arn:aws:", f"arn:aws-{beyond}:")))


@pytest.mark.parametrize("code", ["ThrottlingException", "Throttling", "TooManyRequestsException"])
def test_being_throttled_passes(code):
    error = refusal("Rate exceeded", code=code)

    assert is_throttled(error)
    assert is_passing(error)


# botocore says these nowhere else than in its own retries.
@pytest.mark.parametrize(
    "code",
    sorted(
        {*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, *TransientRetryableChecker._TRANSIENT_ERROR_CODES}
    ),
)
def test_whatever_botocore_would_ask_again_passes(code):
    assert is_passing(refusal("Rate exceeded", code=code))


@pytest.mark.parametrize("kind", TransientRetryableChecker._TRANSIENT_EXCEPTION_CLS)
def test_whatever_broke_on_the_way_passes(kind):
    assert is_passing(kind(error="broken", request=None, response=None))


@pytest.mark.parametrize(
    "error",
    [
        refusal("An internal error", code="InternalFailure", status=500),
        refusal("Try again", code="ServiceUnavailable", status=503),
        EndpointConnectionError(endpoint_url="https://api.sagemaker.us-east-1.amazonaws.com"),
        ConnectTimeoutError(endpoint_url="https://api.sagemaker.us-east-1.amazonaws.com"),
        ReadTimeoutError(endpoint_url="https://api.sagemaker.us-east-1.amazonaws.com"),
    ],
    ids=lambda error: code_of(error) if isinstance(error, ClientError) else type(error).__name__,
)
def test_a_fault_of_the_server_or_the_network_passes(error):
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        *(refusal(text) for text in (NO_ENDPOINT, NO_CONFIG, IN_PROGRESS, *OTHER_TEXTS)),
        refusal("The account-level service limit ...", code="ResourceLimitExceeded"),
        refusal("not authorized to perform: sagemaker:DescribeEndpoint", code="AccessDeniedException"),
        NoCredentialsError(),
        ParamValidationError(report="Missing required parameter"),
    ],
    ids=lambda error: str(error)[:60],
)
def test_what_would_be_answered_the_same_way_again_does_not_pass(error):
    assert not is_passing(error)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_both_words_for_a_missing_permission_are_known(code):
    assert is_access_denied(refusal("not authorized", code=code))
    assert not is_access_denied(refusal("not authorized"))


def test_an_answer_without_code_and_text_is_taken_for_nothing():
    error = ClientError({}, "DescribeEndpoint")

    assert (code_of(error), text_of(error)) == ("", "")
    assert not any(
        recognizes(error)
        for recognizes in (
            is_missing_endpoint,
            is_missing_endpoint_config,
            is_in_progress,
            is_throttled,
            is_access_denied,
            is_passing,
        )
    )
