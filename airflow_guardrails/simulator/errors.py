"""AWS's own sentences. Callers match on codes and prefixes, so these are the texts seen in the wild."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class ValidationException(ServiceException):  # type: ignore[misc]
    code = "ValidationException"


class ConstraintViolation(ValidationException):
    """The generic answer to values out of bounds; *violations* are its ``Value … at …`` parts."""

    def __init__(self, *violations: str) -> None:
        errors = "error" if len(violations) == 1 else "errors"
        super().__init__(f"{len(violations)} validation {errors} detected: {'; '.join(violations)}")


class EndpointNotFound(ValidationException):
    def __init__(self, arn: str) -> None:
        super().__init__(f'Could not find endpoint "{arn}".')


class EndpointConfigNotFound(ValidationException):
    def __init__(self, arn: str) -> None:
        super().__init__(f'Could not find endpoint configuration "{arn}".')


class ModelNotFound(ValidationException):
    def __init__(self, arn: str) -> None:
        super().__init__(f'Could not find model "{arn}".')


class AlreadyExists(ValidationException):
    """*kind* is how SageMaker calls it: ``endpoint``, ``endpoint configuration`` or ``model``."""

    def __init__(self, kind: str, arn: str) -> None:
        super().__init__(f'Cannot create already existing {kind} "{arn}".')


class EndpointInProgress(ValidationException):
    def __init__(self, arn: str) -> None:
        super().__init__(f'Cannot update in-progress endpoint "{arn}".')


class EndpointFailed(ValidationException):
    """Only DeleteEndpoint is accepted on a failed endpoint; the sentence itself is not documented."""


class ShadowRefused(ValidationException):
    """A shadow variant where there can be none; the sentence itself is not documented."""

    def __init__(self, told: str | None, reason: str) -> None:
        super().__init__((told or "").replace("{reason}", reason))


class ResourceLimitExceeded(ServiceException):  # type: ignore[misc]
    code = "ResourceLimitExceeded"

    def __init__(self, *, resource: str, limit: int, used: int, wanted: int) -> None:
        super().__init__(
            f"The account-level service limit '{resource}' is {limit} Instances, with current utilization of "
            f"{used} Instances and a request delta of {wanted} Instances. Please use AWS Service Quotas to "
            "request an increase for this quota. If AWS Service Quotas is not available, contact AWS support "
            "to request an increase for this quota."
        )


class ThrottlingException(ServiceException):  # type: ignore[misc]
    code = "ThrottlingException"
    message = "Rate exceeded"
