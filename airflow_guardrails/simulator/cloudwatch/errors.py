"""CloudWatch's errors, with the codes of its service model."""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException


class CloudWatchError(ServiceException):  # type: ignore[misc]
    """Any error of CloudWatch. moto serialises it in the protocol of the client."""


class ValidationError(CloudWatchError):
    """A request that CloudWatch refuses."""

    code = "ValidationError"


class InvalidParameterValue(CloudWatchError):
    """A parameter with a value out of bounds."""

    code = "InvalidParameterValue"


class InvalidParameterCombination(CloudWatchError):
    """Parameters that cannot be used together."""

    code = "InvalidParameterCombination"


class MissingParameter(CloudWatchError):
    """A required parameter is missing."""

    code = "MissingParameter"


class InvalidNextToken(CloudWatchError):
    """The NextToken did not come from the same operation."""

    code = "InvalidNextToken"


class ResourceNotFound(CloudWatchError):
    """The alarm does not exist."""

    code = "ResourceNotFound"


class ResourceNotFoundException(CloudWatchError):
    """The resource does not exist. Operations on tags use this code."""

    code = "ResourceNotFoundException"


def constraint(value: Any, field: str, rule: str) -> ValidationError:
    """Return the error in AWS's general form; its text begins *field* with a small letter."""
    return ValidationError(
        f"1 validation error detected: Value '{value}' at '{field[:1].lower()}{field[1:]}' "
        f"failed to satisfy constraint: {rule}"
    )
