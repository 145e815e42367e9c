"""
AWS's errors, told apart by code and by the beginning of the text.

SageMaker uses ``ValidationException`` for almost everything, so the text is needed. Only its beginning is
compared, because the rest has ARNs and changes.
"""

from __future__ import annotations

import re
from typing import TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name
    HTTPClientError,
)

from airflow_guardrails.domain.text import safe_text

# The codes that botocore retries, and those of STS and of proxies.
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_TOOK_TOO_LONG = frozenset({"RequestTimeout", "RequestTimeoutException"})


# Rejected credentials. After somebody corrects the connection or renews the token, AWS accepts them.
_REFUSED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class Unanswered(HTTPClientError):  # type: ignore[misc]
    """A call without a usable response, for a temporary *reason*."""

    fmt = "{reason}"


class ConnectionNotFound(BotoCoreError):  # type: ignore[misc]
    """There is no Airflow connection with this name, so there are no credentials for AWS."""

    fmt = (
        "Airflow connection {name} does not exist: create it, or correct aws_conn_id (got {name!r}); "
        "aws_conn_id=None uses boto3's default credential chain"
    )


class UnexpectedAnswer(Exception):
    """AWS's response has a value that this version does not know. It is never treated as success."""


AnyError = TypeVar("AnyError", bound=BaseException)


def text_for_people(error: BaseException) -> str:
    """Return the error's text for logs and reports: one line, without credentials."""
    return safe_text(str(error))


def named_text(error: BaseException) -> str:
    """Return the error's class and text, as :func:`text_for_people` has it."""
    return f"{type(error).__name__}: {text_for_people(error)}"


def cleaned(error: AnyError) -> AnyError:
    """
    Change the texts of the error and of its causes to one line without credentials; return the error.

    botocore's texts contain the endpoint's URL, and an ``endpoint_url`` may contain a password. A logged
    traceback would show it.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        _clean(link)
        link = link.__cause__ or link.__context__
    return error


def _clean(error: BaseException) -> None:
    if isinstance(error, BotoCoreError):
        error.args = (text_for_people(error),)
        # Unpickling builds the error from these.
        error.kwargs = {key: _clean_value(value) for key, value in error.kwargs.items()}
    elif isinstance(error, ClientError):
        error.args = (text_for_people(error),)
        clean_answer(error.response)
    else:
        error.args = tuple(safe_text(part) if isinstance(part, str) else part for part in error.args)


def _clean_value(value: object) -> object:
    if isinstance(value, BaseException):
        _clean(value)
    return safe_text(value) if isinstance(value, str) else value


def clean_answer(response: object) -> None:
    """Make the message of AWS's error, if the *response* is one, one line without credentials."""
    error = response.get("Error") if isinstance(response, dict) else None
    if isinstance(error, dict) and isinstance(error.get("Message"), str):
        error["Message"] = safe_text(error["Message"])


def code_of(error: ClientError) -> str:
    """Return AWS's error code, for example ``ValidationException``; "" if there is none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def text_of(error: ClientError) -> str:
    """Return AWS's error message; "" if there is none."""
    return str(error.response.get("Error", {}).get("Message", ""))


def is_missing_endpoint(error: ClientError) -> bool:
    """Return whether SageMaker says that the endpoint does not exist."""
    return _says(error, 'Could not find endpoint "')


def is_missing_experiment(error: ClientError) -> bool:
    """Return whether SageMaker says that the inference experiment does not exist."""
    # The API has an error code for missing experiments, but none for missing endpoints.
    return code_of(error) in {"ResourceNotFound", "ResourceNotFoundException"}


def is_in_use(error: ClientError) -> bool:
    """Return whether the name or the endpoint of an inference experiment is in use."""
    return code_of(error) in {"ResourceInUse", "ResourceInUseException"}


def is_conflict(error: ClientError) -> bool:
    """Return whether the status of the inference experiment does not allow this change."""
    return code_of(error) == "ConflictException"


def is_missing_endpoint_config(error: ClientError) -> bool:
    """Return whether SageMaker says that the endpoint configuration does not exist."""
    return _says(error, "Could not find endpoint configuration")


def is_missing_model(error: ClientError) -> bool:
    """Return whether SageMaker says that the model does not exist."""
    return _says(error, "Could not find model")


def is_missing_model_package(error: ClientError) -> bool:
    """Return whether SageMaker does not know the model package or its group."""
    # AWS documents no error for this. The ARN is valid, so there is no other reason to refuse it.
    return code_of(error) in {"ValidationException", "ResourceNotFound"}


def is_missing_role(error: ClientError) -> bool:
    """Return whether IAM does not know the role or user."""
    return code_of(error) in {"NoSuchEntity", "NoSuchEntityException"}


def is_in_progress(error: ClientError) -> bool:
    """Return whether UpdateEndpoint was refused because an update of the endpoint runs."""
    return _says(error, "Cannot update in-progress endpoint")


def is_throttled(error: ClientError) -> bool:
    """Return whether AWS refused the call because there were too many."""
    return code_of(error) in _THROTTLED


def is_access_denied(error: ClientError) -> bool:
    """Return whether a permission is missing."""
    return code_of(error) in {"AccessDenied", "AccessDeniedException"}


def is_refused(error: Exception) -> bool:
    """Return whether AWS rejects the credentials, or does not let them assume the role."""
    if not isinstance(error, ClientError):
        return False
    return code_of(error) in _REFUSED or error.operation_name.startswith("AssumeRole")


def may_be_carried_out(error: ClientError) -> bool:
    """Return whether AWS may have carried the call out despite this error: it is a server error."""
    # A throttled call is refused before AWS carries anything out.
    return is_passing(error) and not is_throttled(error)


def is_passing(error: Exception) -> bool:
    """Return whether the error is temporary: throttled, a server error or no connection."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        server_fault = status >= 500  # noqa: PLR2004 - HTTP's server errors
        return is_throttled(error) or code_of(error) in _TOOK_TOO_LONG or server_fault
    return isinstance(error, (ConnectionError, HTTPClientError))


def _says(error: ClientError, beginning: str) -> bool:
    return code_of(error) == "ValidationException" and text_of(error).startswith(beginning)


# "User: arn:... is not authorized to perform: sagemaker:UpdateEndpoint on resource: arn:... because ..."
_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:\w+)")
_RESOURCE = re.compile(r"on (?:the )?resource:? \"?([^\s\"]+)")

# IAM actions by operation, where they are not ``sagemaker:`` and the operation's name.
_ACTIONS = {
    "AssumeRole": "sts:AssumeRole",
    "DeleteAlarms": "cloudwatch:DeleteAlarms",
    "DescribeAlarmHistory": "cloudwatch:DescribeAlarmHistory",
    "DescribeAlarms": "cloudwatch:DescribeAlarms",
    "GetCallerIdentity": "sts:GetCallerIdentity",
    "GetMetricData": "cloudwatch:GetMetricData",
    "GetMetricStatistics": "cloudwatch:GetMetricStatistics",
    "GetObject": "s3:GetObject",
    "GetRole": "iam:GetRole",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "PutMetricAlarm": "cloudwatch:PutMetricAlarm",
    "PutMetricData": "cloudwatch:PutMetricData",
    "SimulatePrincipalPolicy": "iam:SimulatePrincipalPolicy",
}


def denied_action(error: BaseException) -> str | None:
    """Return the missing IAM action, for example ``sagemaker:UpdateEndpoint``; None for another error."""
    if not isinstance(error, ClientError) or not is_access_denied(error):
        return None
    # The message first: a call may need other actions than its own, such as iam:PassRole.
    if found := _ACTION.search(text_of(error)):
        return found[1]
    return _ACTIONS.get(error.operation_name, f"sagemaker:{error.operation_name}")


def denied_resource(error: ClientError) -> str | None:
    """Return the ARN for which the permission is missing; None if the message has none."""
    found = _RESOURCE.search(text_of(error))
    return found[1] if found else None
