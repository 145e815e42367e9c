"""
The rules that arguments of operators, sensors and triggers share.

Each check raises :class:`InvalidValue` with the name of the argument, the rule, the value, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, get_args

from airflow_guardrails.domain.errors import GuardrailsValueError

# The longest that a task of this package waits, or pauses, unless a check says otherwise.
LONGEST_DURATION = timedelta(days=30)

LONGEST_NAME = 63
# The beginning of an ARN, in any partition: aws, aws-cn, aws-us-gov, aws-iso, ...
ARN_PREFIX = r"arn:[\w-]+"
# EndpointName, EndpointConfigName, ModelName, VariantName and, longer, InferenceExperimentName.
SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_REGION = re.compile(r"[a-z]{2,12}(-[a-z0-9]{1,12}){1,3}-[0-9]{1,2}")
# Airflow's own rule.
_CONNECTION_ID = re.compile(r"[\w#!()\-.:/\\]{1,250}")
# A Description or a Reason, as SageMaker has them.
_LONGEST_TEXT = 1024
_LONGEST_SHOWN = 100
_TOO_LARGE = 1e300
# The largest Integer of SageMaker's API.
LARGEST_INTEGER = 2**31 - 1
# Times outside of these are slips, and arithmetic on them may overflow.
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
    if not isinstance(value, bool):
        hint = ': "False" is text, and text is true to Python' if isinstance(value, str) else ""
        raise _invalid(name, "True or False", value, hint)


def check_choice(name: str, value: object, choices: Any) -> None:
    """:param choices: a ``Literal`` of strings."""
    if not isinstance(value, str) or value not in get_args(choices):
        raise _invalid(name, f"one of {', '.join(repr(choice) for choice in get_args(choices))}", value)


def check_seconds(name: str, value: Any, *, may_be_zero: bool = False) -> None:
    most = LONGEST_DURATION.total_seconds()
    right = is_number(value) and (value > 0 or (may_be_zero and value == 0))
    if not right or value > most:
        limit = f"at most {most:.0f} ({_days(LONGEST_DURATION)})"
        raise _invalid(name, f"a number of seconds {_above_zero(may_be_zero)} and {limit}", value)


def check_duration(
    name: str, value: Any, *, most: timedelta = LONGEST_DURATION, may_be_zero: bool = False
) -> None:
    """:param most: the longest that is accepted, 30 days unless told otherwise."""
    least = timedelta(0)
    right = isinstance(value, timedelta) and (value > least or (may_be_zero and value == least))
    if not right or value > most:
        hint = f": write timedelta(seconds={value!r})" if is_number(value) else ""
        raise _invalid(name, f"a timedelta {_above_zero(may_be_zero)} and at most {_days(most)}", value, hint)


def check_interval(
    name: str, value: Any, *, most: timedelta = LONGEST_DURATION, may_be_zero: bool = False
) -> None:
    """Accept a timedelta or a number of seconds, as Airflow's sensors do."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    right = is_number(seconds) and (seconds > 0 or (may_be_zero and seconds == 0))
    if not right or seconds > most.total_seconds():
        rule = f"a timedelta or a number of seconds, {_above_zero(may_be_zero)} and at most {_days(most)}"
        raise _invalid(name, rule, value)


def check_epoch(name: str, value: Any) -> None:
    """Accept a time as seconds since 1970, UTC."""
    if not is_number(value) or not 0 <= value < _LAST_SECOND:
        raise _invalid(name, f"seconds since 1970, before the year {_LAST_YEAR + 1}", value)


def check_verify(name: str, value: object) -> None:
    """Accept what boto3 takes, whether or not the file exists."""
    if value is not None and not isinstance(value, bool):
        rule = "True, False, None or the path of a file with certificates"
        check_matches(name, value, r"[^{}\x00-\x1f\x7f]*", rule)


def check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _invalid(name, "a whole number of at least 1", value)
    if value > LARGEST_INTEGER:
        raise _invalid(name, f"a whole number of at most {LARGEST_INTEGER}", value)


def check_rendered_count(name: str, value: object) -> None:
    """Accept digits too, which is how Jinja renders a number."""
    check_count(name, rendered_number(value))


def check_sampling_percentage(name: str, value: object) -> None:
    number = rendered_number(value)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 100:  # noqa: PLR2004
        raise _invalid(name, "a whole number from 1 to 100", value)


def rendered_number(value: Any) -> Any:
    """Read the number that Jinja has rendered as text; anything else is returned as it is."""
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
    check_name(name, value, longest=120)


def check_text(name: str, value: object) -> None:
    """Accept one line for people; it may be empty."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise _invalid(name, f"one line of printable text, at most {_LONGEST_TEXT} characters", value)


def check_instance_type(name: str, value: object) -> None:
    check_matches(name, value, r"ml(\.[a-z0-9-]+){1,3}", 'an instance type, like "ml.m5.large"')


def check_matches(name: str, value: object, pattern: str, rule: str) -> None:
    """:param rule: what *pattern* stands for, after "must be"."""
    _check_is_text(name, value)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise _invalid(name, rule, value)


def check_connection_id(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or value == "None" or not _CONNECTION_ID.fullmatch(value):
        hint = ": None stands for boto3's default credential chain"
        raise _invalid(name, "the id of an Airflow connection, or None", value, hint)


def check_region(name: str, value: object) -> None:
    if value is None:
        return
    _check_is_text(name, value)
    if not isinstance(value, str) or not _REGION.fullmatch(value):
        raise _invalid(name, 'an AWS region, like "eu-west-1", or None', value)


def check_strings(name: str, value: Any) -> None:
    """Accept a list of any text."""
    right = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not right or not all(isinstance(text, str) for text in value):
        raise _invalid(name, "a list of text", value)


def check_options(name: str, value: object) -> None:
    """Accept a dict of keyword arguments, or None."""
    if value is None:
        return
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _invalid(name, "a dict of arguments, or None", value)


def moment(name: str, value: datetime | str | None) -> datetime | None:
    """
    Return a time that was given as such or in ISO 8601.

    :raises InvalidValue: if *value* is no time, or has no time zone.
    """
    if value is None:
        return None
    try:
        found: Any = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, datetime) or found.tzinfo is None or found.utcoffset() is None:
        raise _invalid(name, "a time with its zone, as in ISO 8601", value)
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise _invalid(name, f"a time of the years {_FIRST_YEAR} to {_LAST_YEAR}", value)
    return found


def check_moment(name: str, value: Any) -> None:
    moment(name, value)


def shown(value: object) -> str:
    """Return *value* for the text of an error, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _check_is_text(name: str, value: object) -> None:
    """Say why, where a template rendered to something that is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        hint = ": native rendering makes numbers of digits, so write the value as text"
        raise _invalid(name, "text", value, hint)
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        hint = ": a template that finds nothing renders to that"
        raise _invalid(name, "given as text", value, hint)


def is_number(value: object) -> bool:
    """Whether *value* is a finite number, and none that overflows where one calculates with it."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _TOO_LARGE


def _above_zero(may_be_zero: bool) -> str:
    return "of at least 0" if may_be_zero else "greater than 0"


def _days(duration: timedelta) -> str:
    return f"{duration.days} days"


def _invalid(name: str, rule: str, value: object, hint: str = "") -> InvalidValue:
    return InvalidValue(f"{name} must be {rule} (got {shown(value)}){hint}", field=name)
