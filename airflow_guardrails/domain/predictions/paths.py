"""
Paths into a JSON answer: ``predictions[0].score``, ``predictions[*].label``, ``[*].probability``.

A small part of JSONPath: names, indices from 0, and one ``[*]`` for the rows of a batch. A leading ``$`` may
be there. Names with dots or brackets in them cannot be written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from airflow_guardrails.domain.errors import InvalidPredictionRule

Steps = tuple["str | int", ...]

EVERY = "[*]"
_STEP = re.compile(r"\.?(?P<name>[^.\[\]$\s][^.\[\]]*)|\[(?P<index>[0-9]{1,9})\]")


class Path:
    """
    Where something stands in an answer; with ``[*]``, once in each row.

    :raises InvalidPredictionRule: if the text is no path
    """

    __slots__ = ("in_row", "rows")

    def __init__(self, text: str, *, field: str) -> None:
        head, every, tail = text.removeprefix("$").partition(EVERY)
        steps = _steps(head, of=text, field=field)
        self.rows: Steps | None = steps if every else None
        self.in_row = _steps(tail, of=text, field=field) if every else steps
        if not (steps or every):
            raise _no_path(text, "it names nothing", field=field)


def finder(steps: Steps) -> Callable[[Any], Any]:
    """A function that finds what stands at *steps*; it raises LookupError or TypeError if that is nothing."""
    if len(steps) == 1 and isinstance(steps[0], str):
        return itemgetter(steps[0])

    def find(value: Any) -> Any:
        for step in steps:
            # Text has indices too, and no place for a path to lead into.
            if isinstance(step, int) and not isinstance(value, list):
                raise LookupError(step)  # noqa: TRY004 - it is the answer that is at fault
            value = value[step]
        return value

    return find


def rows_finder(path: Path) -> Callable[[Any], list[Any]]:
    """A function that finds the rows of an answer, which without ``[*]`` is its own only row."""
    if path.rows is None:
        return lambda answer: [answer]
    find = finder(path.rows)

    def rows(answer: Any) -> list[Any]:
        found = find(answer)
        if not isinstance(found, list):
            raise LookupError(EVERY)  # noqa: TRY004 - it is the answer that is at fault
        return found

    return rows


def _steps(text: str, *, of: str, field: str) -> Steps:
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (text[at] != "." and found["name"] and steps):
            raise _no_path(of, f"{text[at:]!r} cannot be read", field=field)
        steps.append(int(found["index"]) if found["index"] else found["name"])
        at = found.end()
    return tuple(steps)


def _no_path(text: str, because: str, *, field: str) -> InvalidPredictionRule:
    rule = f"PredictionRule.{field} must be a path such as predictions[0].score or predictions[*].label"
    return InvalidPredictionRule(f"{rule}, with at most one [*] (got {text!r}): {because}", field=field)
