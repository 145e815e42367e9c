"""
Checks of a DAG author's arguments; each raises :class:`~airflow_guardrails.exceptions.InvalidArgument`.

A constructor checks the arguments that are not templated. Templated ones are checked once they are rendered,
see :meth:`airflow_guardrails.tasks.aws_task.AwsTask.check_rendered`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from airflow_guardrails.aws.deployment_config import as_guardrails
from airflow_guardrails.domain import arguments
from airflow_guardrails.domain.arguments import Check, shown
from airflow_guardrails.domain.deployment.guard_dicts import as_guard
from airflow_guardrails.domain.deployment.guardrails import MAX_ALARMS
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.exceptions import InvalidArgument

# The pattern of CsvContentType and JsonContentType:
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CaptureContentTypeHeader.html
_CONTENT_TYPE = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*/[a-zA-Z0-9](-*[a-zA-Z0-9.])*")

Result = TypeVar("Result")
Given = ParamSpec("Given")


def refused(check: Callable[Given, Result]) -> Callable[Given, Result]:
    """Return *check* so that it raises ``InvalidArgument``, which Airflow does not retry."""

    @wraps(check)
    def checked(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return check(*args, **kwargs)
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error

    return checked


check_alpha = refused(arguments.check_alpha)
check_choice = refused(arguments.check_choice)
check_count = refused(arguments.check_count)
check_duration = refused(arguments.check_duration)
check_flag = refused(arguments.check_flag)
check_interval = refused(arguments.check_interval)
check_options = refused(arguments.check_options)
check_seconds = refused(arguments.check_seconds)
parse_time_argument = refused(arguments.parse_time_argument)


def check_flags(**flags: object) -> None:
    """
    Check flags given by name.

    :raises InvalidArgument: if one of them is neither True nor False; ``"False"`` is not.
    """
    for name, value in flags.items():
        check_flag(name, value)


def check_left_out(owner: str, given: Mapping[str, object], *names: str) -> None:
    """
    Refuse arguments that *owner* sets itself; Python's own error would name another class.

    :raises InvalidArgument: if one of *names* is among the arguments *given*.
    """
    for name in names:
        if name in given:
            raise InvalidArgument(f"{name} must be left out (got {shown(given[name])}): {owner} sets it")


def check_list(name: str, value: object, *, of: str) -> None:
    """
    Check that *value* is a list, and not one string.

    :param of: what the list holds, for the error text.
    :raises InvalidArgument: if *value* is not a list, tuple or other sequence.
    """
    # A string is a sequence, too, and each of its characters would count as an item.
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise InvalidArgument(f"{name} must be a list of {of} (got {shown(value)})")


def check_content_types(name: str, value: Any) -> None:
    """
    Check a list of content types, which may be empty.

    :raises InvalidArgument: if *value* is not one.
    """
    check_list(name, value, of="content types")
    for text in value:
        if not isinstance(text, str) or not _CONTENT_TYPE.fullmatch(text):
            raise InvalidArgument(f'{name} must be content types, like "text/csv" (got {shown(text)})')


def check_verify(name: str, value: object) -> None:
    """
    Check the argument ``verify`` of a boto3 client.

    :raises InvalidArgument: if *value* is neither None, nor True or False, nor the path of an existing file.
    """
    if value is None or isinstance(value, bool):
        return
    if not isinstance(value, str) or not _exists(value):
        raise InvalidArgument(
            f"{name} must be True, False, None or the path of a file with certificates that exists "
            f"(got {shown(value)})"
        )


def check_strategy(name: str, value: Any) -> None:
    """
    Check a deployment strategy.

    :raises InvalidArgument: if *value* is neither a strategy nor a dict in the API's form.
    """
    # as_guardrails() takes None for SageMaker's default. Here it is more likely a template without a value.
    if value is None:
        raise InvalidArgument(
            f"{name} must be built from airflow_guardrails.strategies, or a dict in the form of the API's "
            "DeploymentConfig (got None)"
        )
    try:
        as_guardrails(value)
    except GuardrailsValueError as error:
        text = str(error)
        # The error about a dict begins with a path in it, which does not name the argument.
        raise InvalidArgument(text if text.startswith(name) else f"{name}: {text}") from error


def check_alarms(name: str, value: Any) -> None:
    """
    Check a list of alarm names, which may be empty.

    :raises InvalidArgument: if *value* is not one; None is not.
    """
    check_list(name, value, of="alarm names, which may be empty")
    try:
        as_guardrails(None, value)
    except GuardrailsValueError as error:
        raise InvalidArgument(str(error)) from error


def check_guards(name: str, value: Any) -> None:
    """
    Check a list of guards, which may be empty.

    :raises InvalidArgument: if *value* is not one, or a guard breaks a rule; None is not.
    """
    check_list(name, value, of="guards, which may be empty")
    for number, guard in enumerate(value):
        try:
            as_guard(guard)
        except GuardrailsValueError as error:  # noqa: PERF203 - the error names the place
            raise InvalidArgument(f"{name}[{number}]: {error}") from error


def check_number_of_alarms(alarms: Sequence[str], guards: Sequence[object]) -> None:
    """
    Check that an update can have so many alarms; each guard makes at least one.

    :param alarms: names, with that of the abort switch.
    :raises InvalidArgument: if there are too many.
    """
    if (total := len(alarms) + len(guards)) > MAX_ALARMS:
        raise InvalidArgument(
            f"alarms and guards must be at most {MAX_ALARMS} with the abort switch (got {total}: "
            f"{len(guards)} guards, and {len(alarms)} alarms with the switch): SageMaker takes no more"
        )


def check_tags(name: str, value: object) -> None:
    """
    Check tags for AWS resources.

    :raises InvalidArgument: if *value* is neither None nor a dict of text to text.
    """
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{name} must be a dict of tags, or None (got {shown(value)})")
    for key, text in value.items():
        if not isinstance(key, str) or not key or not isinstance(text, str):
            raise InvalidArgument(
                f"{name} must be a dict of tags, whose keys and values are text (got {shown({key: text})})"
            )


def coerce(name: str, kind: Any, value: Any) -> Any:
    """
    Return *value* if it is a *kind*, else build a *kind* from *value* as a dict of arguments.

    :raises InvalidArgument: if *value* is neither, or an argument breaks a rule.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise InvalidArgument(
            f"{name} must be a {kind.__name__} or a dict of its arguments (got {shown(value)})"
        )
    try:
        return kind(**value)
    except (TypeError, GuardrailsValueError) as error:
        raise InvalidArgument(
            f"{name}: {kind.__name__} cannot be built from {shown(value)}: {error}"
        ) from error


def _exists(path: str) -> bool:
    try:
        return Path(path).exists() and bool(path.strip())
    except (OSError, ValueError):  # too long, or with a null byte
        return False


# The checks of the templated fields that every task has.
CONNECTION_CHECKS: Mapping[str, Check] = {
    "aws_conn_id": arguments.check_connection_id,
    "region_name": arguments.check_region,
    "verify": check_verify,
}
