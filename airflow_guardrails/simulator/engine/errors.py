"""AWS's own sentences. Callers match on codes and prefixes, so these are the texts seen in the wild."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.core.exceptions import ServiceException

if TYPE_CHECKING:
    from airflow_guardrails.simulator.engine.knobs import Knobs


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

    def __init__(self, template: str | None, reason: str) -> None:
        super().__init__(_fill_template(template, reason=reason))


class EndpointInExperiment(ValidationException):
    """Not documented at all, sentence included."""

    def __init__(self, knobs: Knobs, *, arn: str, experiment: str) -> None:
        super().__init__(_fill_template(knobs.endpoint_in_experiment_message, arn=arn, experiment=experiment))


class ExperimentInvalid(ValidationException):
    """What an inference experiment cannot be like; no sentence of these is documented."""

    def __init__(self, knobs: Knobs, reason: str) -> None:
        super().__init__(_fill_template(knobs.experiment_invalid_message, reason=reason))


class ExperimentInUse(ServiceException):  # type: ignore[misc]
    """Its name is taken, or its endpoint by another experiment."""

    code = "ResourceInUse"

    def __init__(self, knobs: Knobs, *, name: str, endpoint: str) -> None:
        super().__init__(_fill_template(knobs.experiment_in_use_message, name=name, endpoint=endpoint))


class ExperimentConflict(ServiceException):  # type: ignore[misc]
    """The call does not go with the experiment's status."""

    code = "ConflictException"

    def __init__(self, knobs: Knobs, *, arn: str, status: str, action: str) -> None:
        super().__init__(
            _fill_template(knobs.experiment_conflict_message, arn=arn, status=status, action=action)
        )


class ExperimentNotFound(ServiceException):  # type: ignore[misc]
    code = "ResourceNotFound"

    def __init__(self, knobs: Knobs, *, arn: str) -> None:
        super().__init__(_fill_template(knobs.experiment_missing_message, arn=arn))


class ResourceLimitExceeded(ServiceException):  # type: ignore[misc]
    code = "ResourceLimitExceeded"

    def __init__(self, *, resource: str, limit: int, used: int, requested: int) -> None:
        super().__init__(
            f"The account-level service limit '{resource}' is {limit} Instances, with current utilization of "
            f"{used} Instances and a request delta of {requested} Instances. Please use AWS Service Quotas to "
            "request an increase for this quota. If AWS Service Quotas is not available, contact AWS support "
            "to request an increase for this quota."
        )


class TooManyTags(ServiceException):  # type: ignore[misc]
    """More tags than a resource may have; neither code nor sentence is documented."""

    code = "ResourceLimitExceeded"

    def __init__(self, *, arn: str, count: int, most: int) -> None:
        super().__init__(f'Resource "{arn}" would have {count} tags; the limit is {most}.')


class ThrottlingException(ServiceException):  # type: ignore[misc]
    code = "ThrottlingException"
    message = "Rate exceeded"


def _fill_template(template: str | None, **values: str) -> str:
    """A sentence that nobody has published, as a knob has it; not a format string, which may be anything."""
    text = template or ""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
