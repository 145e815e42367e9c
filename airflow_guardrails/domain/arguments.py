"""
Checks of the arguments of operators, sensors and triggers.

Each ``check_...(name, value)`` raises :class:`InvalidValue` if the value breaks its rule. The text gives the
name of the argument, the rule, the value, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, get_args

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.times import parse_iso

# The longest duration that a check accepts by default.
_LONGEST_DURATION = timedelta(days=30)

LONGEST_NAME = 63
# The beginning of an ARN, in any partition: aws, aws-cn, aws-us-gov, aws-iso, ...
ARN_PREFIX = r"arn:[\w-]+"
# The API's pattern of EndpointName, EndpointConfigName, ModelName, VariantName, InferenceExperimentName.
SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_REGION = re.compile(r"[a-z]{2,12}(-[a-z0-9]{1,12}){1,3}-[0-9]{1,2}")
# Airflow's rule for connection ids.
_CONNECTION_ID = re.compile(r"[\w#!()\-.:/\\]{1,250}")
# SageMaker's limit of Description and Reason.
_LONGEST_TEXT = 1024
_LONGEST_SHOWN = 100
_TOO_LARGE = 1e300
# The largest Integer of SageMaker's API.
LARGEST_INTEGER = 2**31 - 1
# Times outside of these years are mistakes, and arithmetic with them may overflow.
_FIRST_YEAR, _LAST_YEAR = 2000, 2199
_LAST_SECOND = datetime(_LAST_YEAR + 1, 1, 1, tzinfo=timezone.utc).timestamp()

Check = Callable[[str, Any], None]


class InvalidValue(GuardrailsValueError):
    """The value of an argument breaks a rule."""


def optional(check: Check) -> Check:
    """Return *check* for an argument that may be None."""

    def check_if_given(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return check_if_given


def check_flag(name: str, value: object) -> None:
    """Accept True and False."""
    if not isinstance(value, bool):
        hint = ': "False" is text, which Python treats as true' if isinstance(value, str) else ""
        raise _invalid(name, "True or False", value, hint)


def check_choice(name: str, value: object, choices: Any) -> None:
    """
    Accept one of a few strings.

    :param choices: a ``Literal`` of strings.
    """
    if not isinstance(value, str) or value not in get_args(choices):
        raise _invalid(name, f"one of {', '.join(repr(choice) for choice in get_args(choices))}", value)


def check_seconds(name: str, value: Any, *, may_be_zero: bool = False) -> None:
    """Accept a number of seconds above 0 (or at least 0), up to 30 days."""
    most = _LONGEST_DURATION.total_seconds()
    is_valid = is_number(value) and (value > 0 or (may_be_zero and value == 0))
    if not is_valid or value > most:
        limit = f"at most {most:.0f} ({_days(_LONGEST_DURATION)})"
        raise _invalid(name, f"a number of seconds {_above_zero(may_be_zero)} and {limit}", value)


def check_duration(
    name: str, value: Any, *, most: timedelta = _LONGEST_DURATION, may_be_zero: bool = False
) -> None:
    """
    Accept a timedelta above 0 (or at least 0).

    :param most: the longest that is accepted, 30 days by default.
    """
    least = timedelta(0)
    is_valid = isinstance(value, timedelta) and (value > least or (may_be_zero and value == least))
    if not is_valid or value > most:
        hint = f": write timedelta(seconds={value!r})" if is_number(value) else ""
        raise _invalid(name, f"a timedelta {_above_zero(may_be_zero)} and at most {_days(most)}", value, hint)


def check_interval(
    name: str, value: Any, *, most: timedelta = _LONGEST_DURATION, may_be_zero: bool = False
) -> None:
    """Accept a timedelta or a number of seconds, above 0 (or at least 0), as Airflow's sensors do."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_valid = is_number(seconds) and (seconds > 0 or (may_be_zero and seconds == 0))
    if not is_valid or seconds > most.total_seconds():
        rule = f"a timedelta or a number of seconds, {_above_zero(may_be_zero)} and at most {_days(most)}"
        raise _invalid(name, rule, value)


def check_epoch(name: str, value: Any) -> None:
    """Accept a time as seconds since 1970 in UTC, before the year 2200."""
    if not is_number(value) or not 0 <= value < _LAST_SECOND:
        raise _invalid(name, f"seconds since 1970, before the year {_LAST_YEAR + 1}", value)


def check_verify(name: str, value: object) -> None:
    """Accept the values of boto3's ``verify``: None, a bool, or a path. The file may be missing here."""
    if value is not None and not isinstance(value, bool):
        rule = "True, False, None or the path of a file with certificates"
        check_matches(name, value, r"[^{}\x00-\x1f\x7f]*", rule)


def check_count(name: str, value: object) -> None:
    """Accept a whole number from 1 to the largest Integer of SageMaker's API."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _invalid(name, "a whole number of at least 1", value)
    if value > LARGEST_INTEGER:
        raise _invalid(name, f"a whole number of at most {LARGEST_INTEGER}", value)


def check_rendered_count(name: str, value: object) -> None:
    """Accept what :func:`check_count` accepts, and the same number as text, as Jinja renders it."""
    check_count(name, rendered_number(value))


def check_sampling_percentage(name: str, value: object) -> None:
    """Accept a whole number from 1 to 100, also as text."""
    number = rendered_number(value)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 100:  # noqa: PLR2004
        raise _invalid(name, "a whole number from 1 to 100", value)


def rendered_number(value: Any) -> Any:
    """Return the int of a text of up to 9 digits, as Jinja renders numbers; other values unchanged."""
    # With nine digits the number fits into SageMaker's Integer.
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value) else value


def check_alpha(name: str, value: object) -> None:
    """Accept the chance of a wrong verdict: above 0, and below 0.5, which is that of a coin."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < 0.5:  # type: ignore[operator]  # noqa: PLR2004
        raise _invalid(name, "above 0 and below 0.5", value)


def check_name(name: str, value: object, *, longest: int = LONGEST_NAME) -> None:
    """Accept the name of an endpoint, a configuration, a model or a variant."""
    _check_is_text(name, value)
    if not isinstance(value, str) or len(value) > longest or not SAGEMAKER_NAME.fullmatch(value):
        rule = f"1 to {longest} letters and digits, with hyphens only between them"
        raise _invalid(name, rule, value)


def check_experiment_name(name: str, value: object) -> None:
    """Accept the name of an inference experiment: up to 120 characters."""
    # API reference of CreateInferenceExperiment.
    check_name(name, value, longest=120)


def check_model_package_arn(name: str, value: object) -> None:
    """
    Check the ARN of a version of a model package.

    :raises InvalidValue: if *value* is not one.
    """
    # API reference of DescribeModelPackage; the ARN of a package in a group ends with its version.
    pattern = rf"{ARN_PREFIX}:sagemaker:[a-z0-9-]{{9,16}}:[0-9]{{12}}:model-package/[\S]{{1,2048}}"
    check_matches(name, value, pattern, "the ARN of a model package, arn:aws:sagemaker:...:model-package/...")


def check_text(name: str, value: object) -> None:
    """Accept one line of printable text, up to 1024 characters; it may be empty."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise _invalid(name, f"one line of printable text, at most {_LONGEST_TEXT} characters", value)


def check_instance_type(name: str, value: object) -> None:
    """Accept an instance type like ``ml.m5.large``; whether AWS has it is not checked."""
    check_matches(name, value, r"ml(\.[a-z0-9-]+){1,3}", 'an instance type, like "ml.m5.large"')


def check_custom_namespace(name: str, value: object) -> None:
    """Accept a CloudWatch namespace for metrics of one's own: not one of AWS, which begins with ``AWS/``."""
    rule = 'a CloudWatch namespace of letters, digits, spaces or ".-_/#:", not beginning with AWS/ or ":"'
    check_matches(name, value, r"(?!:|AWS/| *$)[0-9A-Za-z._/#: -]{1,255}", rule)


def check_matches(name: str, value: object, pattern: str, rule: str) -> None:
    """
    Accept text that matches *pattern* completely.

    :param rule: the pattern in words, to complete "must be ...".
    """
    _check_is_text(name, value)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise _invalid(name, rule, value)


def check_connection_id(name: str, value: object) -> None:
    """Accept the id of an Airflow connection, or None; the text "None" is refused."""
    if value is None:
        return
    # Jinja renders None as "None", and Airflow would look for a connection of that name.
    if not isinstance(value, str) or value == "None" or not _CONNECTION_ID.fullmatch(value):
        hint = ": None stands for boto3's default credential chain"
        raise _invalid(name, "the id of an Airflow connection, or None", value, hint)


def check_region(name: str, value: object) -> None:
    """Accept a region like ``eu-west-1``, or None; whether AWS has it is not checked."""
    if value is None:
        return
    _check_is_text(name, value)
    if not isinstance(value, str) or not _REGION.fullmatch(value):
        raise _invalid(name, 'an AWS region, like "eu-west-1", or None', value)


def check_strings(name: str, value: Any) -> None:
    """Accept a list of strings."""
    is_valid = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not is_valid or not all(isinstance(text, str) for text in value):
        raise _invalid(name, "a list of text", value)


def check_options(name: str, value: object) -> None:
    """Accept a dict with string keys, or None."""
    if value is None:
        return
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _invalid(name, "a dict of arguments, or None", value)


def parse_time_argument(name: str, value: datetime | str | None) -> datetime | None:
    """
    Return a time that was given as a datetime or in ISO 8601; None for None.

    :raises InvalidValue: if *value* is not a time, has no time zone, or is not in the years 2000 to 2199.
    """
    if value is None:
        return None
    time: object = parse_iso(value) if isinstance(value, str) else value
    if not isinstance(time, datetime) or time.tzinfo is None or time.utcoffset() is None:
        raise _invalid(name, "a time with its zone, as in ISO 8601", value)
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise _invalid(name, f"a time of the years {_FIRST_YEAR} to {_LAST_YEAR}", value)
    return time


def check_time(name: str, value: Any) -> None:
    """Accept what :func:`parse_time_argument` accepts."""
    parse_time_argument(name, value)


def shown(value: object) -> str:
    """Return ``repr(value)`` for an error text, cut to 100 characters."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _check_is_text(name: str, value: object) -> None:
    """Raise an error with a hint if *value* looks like a template that rendered to a number or to nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        hint = ": native rendering turns digits into a number, so write the value as text"
        raise _invalid(name, "text", value, hint)
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        hint = ": an empty template renders to this"
        raise _invalid(name, "given as text", value, hint)


def is_number(value: object) -> bool:
    """Whether *value* is a finite int or float below 1e300, so that arithmetic with it does not overflow."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _TOO_LARGE


def _above_zero(may_be_zero: bool) -> str:
    return "of at least 0" if may_be_zero else "greater than 0"


def _days(duration: timedelta) -> str:
    return f"{duration.days} days"


def _invalid(name: str, rule: str, value: object, hint: str = "") -> InvalidValue:
    return InvalidValue(f"{name} must be {rule} (got {shown(value)}){hint}", field=name)
