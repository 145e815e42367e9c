"""Odd values for every argument there is, and what an error must say of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import inf, nan
from typing import Any

from airflow_guardrails.domain.errors import GuardrailsValueError


class Odd:
    """Something that no argument is."""

    def __repr__(self) -> str:
        return "<Odd>"


ODD = (
    None,
    "",
    " ",
    "None",
    0,
    -1,
    7,
    10**400,
    1.5,
    nan,
    inf,
    True,
    "False",
    "true",
    [],
    [None],
    ["a", "a"],
    [[]],
    {},
    {"x": 1},
    {1: 2},
    Odd(),
    b"x",
    timedelta(0),
    timedelta.max,
    -timedelta(hours=1),
    datetime(2026, 3, 2),  # noqa: DTZ001 - that it has no zone is what is odd
    "x" * 300,
    "a\nb",
    "{{ x }}",
    "é",
    "a\x1b[31mb",
    print,
)


def parameters(kind: type, *, without: tuple[str, ...] = ()) -> list[str]:
    """Name the arguments of a class: its own and those of bases of ours."""
    found: dict[str, None] = {}
    for each in kind.__mro__:
        if each.__module__.startswith("airflow_guardrails") and "__init__" in vars(each):
            found.update(dict.fromkeys(keywords(vars(each)["__init__"])))
    return [name for name in found if name not in without]


def keywords(function: Callable[..., Any]) -> list[str]:
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def complaint(error: BaseException, name: str, value: object) -> str | None:
    """Say what is wrong with an error that refuses *value*; None where it says name and value."""
    from airflow_guardrails.exceptions import InvalidArgument  # noqa: PLC0415 - it brings Airflow

    text = str(error)
    said = f"{name}={_beginning(value)}: {type(error).__name__}: {text}"
    if not isinstance(error, (InvalidArgument, GuardrailsValueError)):
        return f"raw error: {said}"
    if name not in text:
        return f"the name is missing: {said}"
    if not any(_beginning(part) in text for part in _parts(value)) and _also_written(value) not in text:
        return f"the value is missing: {said}"
    return None


def _parts(value: object) -> list[object]:
    """What an error may show of a value: all of it, or what of it is wrong."""
    if isinstance(value, Mapping):
        return [value, *value]
    return [value, *value] if isinstance(value, list) else [value]


def _also_written(value: object) -> str:
    """As what else an error of a strategy may write a value."""
    if isinstance(value, timedelta):
        return f"got {int(value.total_seconds())} s" if abs(value) < timedelta(days=1) else f"got {value}"
    return "got neither" if value is None else _beginning(value)


def _beginning(value: object) -> str:
    return repr(value)[:20]
