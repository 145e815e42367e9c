"""
SageMaker's errors, with the texts that public sources show.

Clients match on codes and prefixes, so the texts must be AWS's. Where no source shows a text, the class says
so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.core.exceptions import ServiceException

if TYPE_CHECKING:
    from airflow_guardrails.simulator.engine.knobs import Knobs


class ValidationException(ServiceException):  # type: ignore[misc]
    """SageMaker's general error for a request that it refuses."""

    code = "ValidationException"


class ConstraintViolation(ValidationException):
    """
    Values that break the bounds of the service model.

    :param violations: the parts ``Value ... at ... failed to satisfy constraint: ...``.
    """

    def __init__(self, *violations: str) -> None:
        errors = "error" if len(violations) == 1 else "errors"
        super().__init__(f"{len(violations)} validation {errors} detected: {'; '.join(violations)}")


class EndpointNotFound(ValidationException):
    """There is no endpoint with this ARN."""

    def __init__(self, arn: str) -> None:
        super().__init__(f'Could not find endpoint "{arn}".')


class EndpointConfigNotFound(ValidationException):
    """There is no endpoint configuration with this ARN."""

    def __init__(self, arn: str) -> None:
        super().__init__(f'Could not find endpoint configuration "{arn}".')


class ModelNotFound(ValidationException):
    """There is no model with this ARN."""

    def __init__(self, arn: str) -> None:
        super().__init__(f'Could not find model "{arn}".')


class AlreadyExists(ValidationException):
    """The name is taken. *kind* is ``endpoint``, ``endpoint configuration`` or ``model``."""

    def __init__(self, kind: str, arn: str) -> None:
        super().__init__(f'Cannot create already existing {kind} "{arn}".')


class EndpointInProgress(ValidationException):
    """The endpoint is being created, updated or deleted and cannot be changed now."""

    def __init__(self, arn: str) -> None:
        super().__init__(f'Cannot update in-progress endpoint "{arn}".')


class EndpointFailed(ValidationException):
    """A failed endpoint accepts only DeleteEndpoint. Only the beginning of its text is known."""

    def __init__(self, knobs: Knobs, *, arn: str) -> None:
        super().__init__(_fill_template(knobs.failed_endpoint_message, arn=arn))


class ShadowRefused(ValidationException):
    """
    A shadow variant is not allowed here. The text is not documented.

    :param template: the text, in which ``{reason}`` is replaced; None is an empty text.
    """

    def __init__(self, template: str | None, reason: str) -> None:
        super().__init__(_fill_template(template, reason=reason))


class EndpointInExperiment(ValidationException):
    """The endpoint cannot be changed while an experiment runs on it. Neither rule nor text is documented."""

    def __init__(self, knobs: Knobs, *, arn: str, experiment: str) -> None:
        super().__init__(_fill_template(knobs.endpoint_in_experiment_message, arn=arn, experiment=experiment))


class ExperimentInvalid(ValidationException):
    """SageMaker cannot carry out this inference experiment. The text is not documented."""

    def __init__(self, knobs: Knobs, reason: str) -> None:
        super().__init__(_fill_template(knobs.experiment_invalid_message, reason=reason))


class ExperimentInUse(ServiceException):  # type: ignore[misc]
    """The name of the experiment is taken, or its endpoint has another experiment."""

    code = "ResourceInUse"

    def __init__(self, knobs: Knobs, *, name: str, endpoint: str) -> None:
        super().__init__(_fill_template(knobs.experiment_in_use_message, name=name, endpoint=endpoint))


class ExperimentConflict(ServiceException):  # type: ignore[misc]
    """The call is not possible in the current status of the experiment."""

    code = "ConflictException"

    def __init__(self, knobs: Knobs, *, arn: str, status: str, action: str) -> None:
        super().__init__(
            _fill_template(knobs.experiment_conflict_message, arn=arn, status=status, action=action)
        )


class ExperimentNotFound(ServiceException):  # type: ignore[misc]
    """There is no inference experiment with this ARN."""

    code = "ResourceNotFound"

    def __init__(self, knobs: Knobs, *, arn: str) -> None:
        super().__init__(_fill_template(knobs.experiment_missing_message, arn=arn))


class ResourceLimitExceeded(ServiceException):  # type: ignore[misc]
    """A quota for instances is exceeded; *requested* is the number of additional instances."""

    code = "ResourceLimitExceeded"

    def __init__(self, *, resource: str, limit: int, used: int, requested: int) -> None:
        super().__init__(
            f"The account-level service limit '{resource}' is {limit} Instances, with current utilization of "
            f"{used} Instances and a request delta of {requested} Instances. Please use AWS Service Quotas "
            "to request an increase for this quota. If AWS Service Quotas is not available, contact AWS "
            "support to request an increase for this quota."
        )


class TooManyTags(ServiceException):  # type: ignore[misc]
    """A resource would have too many tags. Neither code nor text is documented."""

    code = "ResourceLimitExceeded"

    def __init__(self, *, arn: str, count: int, most: int) -> None:
        super().__init__(f'Resource "{arn}" would have {count} tags; the limit is {most}.')


class ThrottlingException(ServiceException):  # type: ignore[misc]
    """There were too many calls in a short time."""

    code = "ThrottlingException"
    message = "Rate exceeded"


def _fill_template(template: str | None, **values: str) -> str:
    """Replace ``{name}`` in the text of a knob. ``str.format`` would fail on other braces in the text."""
    text = template or ""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
