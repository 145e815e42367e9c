"""
AWS's errors, read by code and by the beginning of the text.

SageMaker says almost everything with ``ValidationException``, so the text has to be looked at; only its
beginning, because the rest carries ARNs and changes.
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

# Those that botocore itself would retry; STS and proxies in between have their own words.
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


# A connection that somebody corrects, or a token that somebody renews, is accepted again.
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
    """A call that was not answered, for a *reason* that may pass."""

    fmt = "{reason}"


class ConnectionNotFound(BotoCoreError):  # type: ignore[misc]
    """There is no Airflow connection of this name, so there are no credentials to call AWS with."""

    fmt = (
        "Airflow connection {name} does not exist: create it, or correct aws_conn_id (got {name!r}); "
        "aws_conn_id=None uses boto3's default credential chain"
    )


class UnexpectedAnswer(Exception):
    """AWS answered with a word this package does not know; that is never taken for success."""


AnyError = TypeVar("AnyError", bound=BaseException)


def text_for_people(error: BaseException) -> str:
    """Return the error's text for logs, reports and other errors: one line, without credentials."""
    return safe_text(str(error))


def named_text(error: BaseException) -> str:
    """Return the error's class and text, as :func:`text_for_people` has it."""
    return f"{type(error).__name__}: {text_for_people(error)}"


def cleaned(error: AnyError) -> AnyError:
    """
    Make the error's own text, and those of its causes, one line without credentials; return the error.

    botocore names the endpoint that it could not reach, and an ``endpoint_url`` may hold a password. Whoever
    logs a traceback would show it.
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
        # It is made anew of these when it is unpickled.
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


def clean_answer(answer: object) -> None:
    """Make the message of AWS's error, if the *answer* is one, one line without credentials."""
    error = answer.get("Error") if isinstance(answer, dict) else None
    if isinstance(error, dict) and isinstance(error.get("Message"), str):
        error["Message"] = safe_text(error["Message"])


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def text_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))


def is_missing_endpoint(error: ClientError) -> bool:
    return _says(error, 'Could not find endpoint "')


def is_missing_experiment(error: ClientError) -> bool:
    return code_of(error) in {"ResourceNotFound", "ResourceNotFoundException"}


def is_in_use(error: ClientError) -> bool:
    """Whether the name, or the endpoint, of an inference experiment is taken."""
    return code_of(error) in {"ResourceInUse", "ResourceInUseException"}


def is_conflict(error: ClientError) -> bool:
    """Whether an inference experiment is in a state that does not take this change."""
    return code_of(error) == "ConflictException"


def is_missing_endpoint_config(error: ClientError) -> bool:
    return _says(error, "Could not find endpoint configuration")


def is_missing_model(error: ClientError) -> bool:
    return _says(error, "Could not find model")


def is_in_progress(error: ClientError) -> bool:
    return _says(error, "Cannot update in-progress endpoint")


def is_throttled(error: ClientError) -> bool:
    return code_of(error) in _THROTTLED


def is_access_denied(error: ClientError) -> bool:
    return code_of(error) in {"AccessDenied", "AccessDeniedException"}


def is_refused(error: Exception) -> bool:
    """Whether AWS does not accept the credentials, or gives none for a role, whatever they may do."""
    if not isinstance(error, ClientError):
        return False
    return code_of(error) in _REFUSED or error.operation_name.startswith("AssumeRole")


def may_be_carried_out(error: ClientError) -> bool:
    """Whether a call that was answered with this may have been carried out all the same: a server's fault."""
    return is_passing(error) and not is_throttled(error)


def is_passing(error: Exception) -> bool:
    """
    Whether the same read may well be answered a little later: throttled, a server's fault, no connection.
    """
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

# Actions whose name is not that of the operation, or whose service is not SageMaker.
_ACTIONS = {
    "AssumeRole": "sts:AssumeRole",
    "DeleteAlarms": "cloudwatch:DeleteAlarms",
    "DescribeAlarmHistory": "cloudwatch:DescribeAlarmHistory",
    "DescribeAlarms": "cloudwatch:DescribeAlarms",
    "GetCallerIdentity": "sts:GetCallerIdentity",
    "GetMetricData": "cloudwatch:GetMetricData",
    "GetMetricStatistics": "cloudwatch:GetMetricStatistics",
    "GetObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "PutMetricAlarm": "cloudwatch:PutMetricAlarm",
    "PutMetricData": "cloudwatch:PutMetricData",
}


def denied_action(error: BaseException) -> str | None:
    """Return the IAM action that AWS did not allow, for example ``sagemaker:UpdateEndpoint``, or None."""
    if not isinstance(error, ClientError) or not is_access_denied(error):
        return None
    # A call may need more than its own action: iam:PassRole, or sagemaker:AddTags.
    if found := _ACTION.search(text_of(error)):
        return found[1]
    return _ACTIONS.get(error.operation_name, f"sagemaker:{error.operation_name}")


def denied_resource(error: ClientError) -> str | None:
    """Return the ARN that the action was not allowed on, where AWS says it."""
    found = _RESOURCE.search(text_of(error))
    return found[1] if found else None


def denial(error: BaseException) -> dict[str, str]:
    """Return what a trigger's event says of a denied call besides its text: ``denied``, the action."""
    action = denied_action(error)
    return {"denied": action} if action else {}
