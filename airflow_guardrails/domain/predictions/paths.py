"""
Paths into a JSON answer: ``predictions[0].score``, ``predictions[*].label``, ``[*].probability``.

A small subset of JSONPath: names, indices from 0, and one ``[*]`` for the rows of a batch. A leading ``$`` is
optional. Names that contain dots or brackets are not supported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from airflow_guardrails.domain.errors import InvalidPredictionRule

_Steps = tuple["str | int", ...]

_ALL_ROWS = "[*]"
_STEP = re.compile(r"\.?(?P<name>[^.\[\]$\s][^.\[\]]*)|\[(?P<index>[0-9]{1,9})\]")


class Path:
    """
    A parsed path: the steps to the rows, and the steps inside a row.

    ``rows`` is ``None`` for a path without ``[*]``: the whole answer is the only row.

    :param field: the argument of ``PredictionRule`` that the path is from, for the error.
    :raises InvalidPredictionRule: if the text is not a valid path.
    """

    __slots__ = ("in_row", "rows")

    def __init__(self, text: str, *, field: str) -> None:
        head, every, tail = text.removeprefix("$").partition(_ALL_ROWS)
        steps = _steps(head, of=text, field=field)
        self.rows: _Steps | None = steps if every else None
        self.in_row = _steps(tail, of=text, field=field) if every else steps
        if not (steps or every):
            raise _invalid_path(text, "it names nothing", field=field)


def finder(steps: _Steps) -> Callable[[Any], Any]:
    """Return a function that finds the value at *steps*, or raises LookupError or TypeError."""
    if len(steps) == 1 and isinstance(steps[0], str):
        return itemgetter(steps[0])

    def find(value: Any) -> Any:
        for step in steps:
            # Text has indices, too, but a path does not lead to a single character.
            if isinstance(step, int) and not isinstance(value, list):
                raise LookupError(step)  # noqa: TRY004 - the answer is wrong, not an argument
            value = value[step]
        return value

    return find


def rows_finder(path: Path) -> Callable[[Any], list[Any]]:
    """Return a function that lists the rows of an answer; it raises LookupError if there is no list."""
    if path.rows is None:
        return lambda answer: [answer]
    find = finder(path.rows)

    def rows(answer: Any) -> list[Any]:
        found = find(answer)
        if not isinstance(found, list):
            raise LookupError(_ALL_ROWS)  # noqa: TRY004 - the answer is wrong, not an argument
        return found

    return rows


def _steps(text: str, *, of: str, field: str) -> _Steps:
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        # A name after the first step needs a dot before it.
        if found is None or (text[at] != "." and found["name"] and steps):
            raise _invalid_path(of, f"{text[at:]!r} cannot be read", field=field)
        steps.append(int(found["index"]) if found["index"] else found["name"])
        at = found.end()
    return tuple(steps)


def _invalid_path(text: str, because: str, *, field: str) -> InvalidPredictionRule:
    rule = f"PredictionRule.{field} must be a path such as predictions[0].score or predictions[*].label"
    return InvalidPredictionRule(f"{rule}, with at most one [*] (got {text!r}): {because}", field=field)
