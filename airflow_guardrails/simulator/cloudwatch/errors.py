"""What CloudWatch says when it refuses; the codes are those of its service model."""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException


class CloudWatchError(ServiceException):  # type: ignore[misc]
    """Any refusal of the simulated CloudWatch; moto serialises it in the protocol the client speaks."""


class ValidationError(CloudWatchError):
    code = "ValidationError"


class InvalidParameterValue(CloudWatchError):
    code = "InvalidParameterValue"


class InvalidParameterCombination(CloudWatchError):
    code = "InvalidParameterCombination"


class MissingParameter(CloudWatchError):
    code = "MissingParameter"


class InvalidNextToken(CloudWatchError):
    code = "InvalidNextToken"


class ResourceNotFound(CloudWatchError):
    code = "ResourceNotFound"


class ResourceNotFoundException(CloudWatchError):
    """The tagging operations have a code of their own for what is missing."""

    code = "ResourceNotFoundException"


def constraint(value: Any, field: str, rule: str) -> ValidationError:
    """Return the error in AWS's general form; *field* begins with a small letter there."""
    return ValidationError(
        f"1 validation error detected: Value '{value}' at '{field[:1].lower()}{field[1:]}' "
        f"failed to satisfy constraint: {rule}"
    )
