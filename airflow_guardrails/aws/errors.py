"""
AWS's errors, read by code and by the beginning of the text.

SageMaker says almost everything with ``ValidationException``, so the text has to be looked at; only its
beginning, because the rest carries ARNs and changes.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's name

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
