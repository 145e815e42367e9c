"""Constructors whose errors name the arguments that there are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar

from airflow_guardrails.domain.errors import GuardrailsValueError

_Class = TypeVar("_Class", bound=type)


def names_arguments(error: type[GuardrailsValueError]) -> Callable[[_Class], _Class]:
    """
    Let the constructor of a dataclass raise *error* for an unknown or a missing argument.

    Python's own TypeError names the wrong argument, but not the right ones:
    ``Canary: no argument 'persent' (did you mean percent?). Its arguments are ...``
    """

    def decorate(cls: _Class) -> _Class:
        build: Callable[..., None] = cls.__init__  # type: ignore[misc]
        signature = inspect.signature(build)
        names = [name for name in signature.parameters if name != "self"]

        @wraps(build)
        def __init__(self: object, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is the constructor
            try:
                signature.bind(self, *args, **kwargs)
            except TypeError as problem:
                unknown = next((name for name in kwargs if name not in names), None)
                wrong = str(problem) if unknown is None else _no_argument(unknown, names)
                text = f"{cls.__name__}: {wrong}. Its arguments are {', '.join(names)}"
                raise error(text, field=unknown) from None
            build(self, *args, **kwargs)

        cls.__init__ = __init__  # type: ignore[misc]
        return cls

    return decorate


def _no_argument(unknown: str, names: list[str]) -> str:
    similar = get_close_matches(unknown, names, n=1)
    return f"no argument {unknown!r}" + (f" (did you mean {similar[0]}?)" if similar else "")
