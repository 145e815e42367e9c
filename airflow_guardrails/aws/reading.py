"""
Reading AWS's responses. Fields that decide an outcome are required; all others may be missing or unreadable.

A field that cannot be read counts as missing, so a wait does not end because of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from airflow_guardrails.aws.errors import Unanswered, UnexpectedAnswer
from airflow_guardrails.domain.text import masked, one_line

Response = Mapping[str, Any]
_Enum = TypeVar("_Enum", bound=Enum)

# Longest value that an error shows, in characters.
_LONGEST = 100


def text_of(response: Response, key: str) -> str | None:
    """Return the text of field *key*; None if it is missing, empty or no text."""
    value = response.get(key)
    return value if isinstance(value, str) and value else None


def texts_of(response: Response, key: str) -> tuple[str, ...]:
    """Return the non-empty texts in the list *key*."""
    return tuple(value for value in items_of(response, key) if isinstance(value, str) and value)


def number_of(response: Response, key: str) -> float | None:
    """Return the number of field *key*; None if it is missing, NaN or no number."""
    value = response.get(key)
    readable = isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - nan
    return value if readable else None


def whole_number_of(response: Response, key: str) -> int | None:
    """Return the int of field *key*; None if it is missing or no int."""
    value = number_of(response, key)
    return value if isinstance(value, int) else None


def section_of(response: Response, key: str) -> Response:
    """Return the dict of field *key*; an empty one if it is missing or no dict."""
    value = response.get(key)
    return value if isinstance(value, Mapping) else {}


def sections_of(response: Response, key: str) -> tuple[Response, ...]:
    """Return the dicts in the list *key*."""
    return tuple(value for value in items_of(response, key) if isinstance(value, Mapping))


def items_of(response: Response, key: str) -> tuple[Any, ...]:
    """Return the items of the list *key*; none if it is missing or no list."""
    value = response.get(key)
    return tuple(value) if isinstance(value, list | tuple) else ()


def enum_of(enum: type[_Enum], value: object) -> _Enum | None:
    """Return the member of *enum* with this value; None if there is none."""
    try:
        return enum(value)
    except ValueError:
        return None


def required_text(response: Response, key: str, *, by: str) -> str:
    """
    Return the text of field *key*.

    :param by: the source, for the error; for example "DescribeEndpoint".
    :raises UnexpectedAnswer: if it is missing, empty or no text.
    """
    value = text_of(response, key)
    if value is None:
        raise UnexpectedAnswer(
            f"Unexpected response: {key} of {by} is missing or wrong (got {shown(response.get(key))}). It is "
            "treated as an error"
        )
    return value


def check_operation(response: Response, *keys: str, by: str) -> None:
    """
    Check that *response* has at least one of *keys*, or it is not a response of operation *by*.

    :raises Unanswered: if it has none. That may be a proxy's page, and the same call may succeed later.
    """
    if all(response.get(key) is None for key in keys):
        raise Unanswered(reason=f"not a response of {by} (got {shown(dict(response))})")


def required_enum(enum: type[_Enum], response: Response, key: str, *, about: str, field: str = "") -> _Enum:
    """
    Return the value of field *key* as a member of *enum*.

    :param about: the resource, for the error; for example "endpoint churn".
    :param field: the API's name for the field; default: *key*.
    :raises UnexpectedAnswer: if it is missing, or *enum* has no such member.
    """
    member = enum_of(enum, response.get(key))
    if member is None:
        raise UnexpectedAnswer(
            f"Unknown {field or key} {shown(response.get(key))} of {about} (known: "
            f"{', '.join(str(each.value) for each in enum)}). It is treated as an error: check {about}, and "
            "update this package"
        )
    return member


def shown(value: object) -> str:
    """Return a value for an error text: one line, short, without credentials."""
    return "nothing" if value is None else one_line(masked(repr(value)))[:_LONGEST]
