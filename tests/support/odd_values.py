"""Odd values for every argument there is, and what an error must say of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import inf, nan
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

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
    """Name the arguments of a class: its own and those of its bases in this package."""
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


# What people read may be blank, or hold a brace.
FREE_TEXT = {"reason", "description", "warnings"}


def is_sensible(value: object, name: str, kind: type | Callable[..., Any]) -> bool:
    """Whether *value* is of the type that the argument has, and no slip of that type."""
    return _fits(value, _annotation(name, kind), free=name in FREE_TEXT)


def _annotation(name: str, kind: type | Callable[..., Any]) -> Any:
    functions = [vars(each)["__init__"] for each in getattr(kind, "__mro__", ()) if "__init__" in vars(each)]
    for function in functions or [kind]:
        if name in inspect.signature(function).parameters:
            return get_type_hints(function)[name]
    raise AssertionError(f"{kind} has no argument {name}")


def _fits(value: object, annotation: Any, *, free: bool) -> bool:
    origin = get_origin(annotation) or annotation
    if origin in {Union, UnionType}:
        return any(_fits(value, each, free=free) for each in get_args(annotation))
    if origin is Literal:
        return isinstance(value, str) and value in get_args(annotation)
    return origin is Any or _is_one(value, origin, free=free)


def _is_one(value: object, kind: type, *, free: bool) -> bool:
    if kind is NoneType:
        return value is None
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if isinstance(value, int | float):
        # Zero is a sensible count of nothing; where it is not, that is a test of its own.
        numbers = {int: int, float: int | float}
        return kind in numbers and isinstance(value, numbers[kind]) and 0 <= value < 1e300
    if isinstance(value, str):
        return kind is str and value.isprintable() and (free or value.strip() not in {"", "None", "{{ x }}"})
    if isinstance(value, timedelta):
        return kind is timedelta and timedelta(0) <= value < timedelta.max
    return isinstance(value, kind) and not isinstance(value, bytes)
