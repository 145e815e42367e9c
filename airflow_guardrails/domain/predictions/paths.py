"""
Paths into a JSON answer: ``predictions[0].score``, ``predictions[*].label``, ``[*].probability``.

A small part of JSONPath: names, indices from 0, and one ``[*]`` for the rows of a batch. A leading ``$`` may
be there. Names with dots or brackets in them cannot be written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from airflow_guardrails.domain.predictions.errors import InvalidPredictionRule

Steps = tuple["str | int", ...]

EVERY = "[*]"
_STEP = re.compile(r"\.?(?P<name>[^.\[\]$\s][^.\[\]]*)|\[(?P<index>[0-9]{1,9})\]")


class Path:
    """
    Where something stands in an answer; with ``[*]``, once in each row.

    :raises InvalidPredictionRule: if the text is no path
    """

    __slots__ = ("_head", "_tail", "text")

    def __init__(self, text: str, *, field: str) -> None:
        self.text = text
        head, every, tail = text.removeprefix("$").partition(EVERY)
        self._head = _steps(head, of=text, field=field)
        self._tail = _steps(tail, of=text, field=field) if every else None
        if not (self._head or every):
            raise _no_path(text, "it names nothing", field=field)

    @property
    def of_rows(self) -> bool:
        return self._tail is not None

    @property
    def rows(self) -> Steps:
        """The steps to the list of rows."""
        return self._head

    def find_all(self, answer: Any) -> list[Any]:
        """
        What stands there, once for each row.

        :raises LookupError: if it is not there, in one of the rows at least
        """
        found = _walk(answer, self._head)
        if self._tail is None:
            return [found]
        if not isinstance(found, list):
            raise LookupError(self.text)  # noqa: TRY004 - it is the answer that is at fault
        return [_walk(row, self._tail) for row in found]


def _walk(value: Any, steps: Steps) -> Any:
    step: Any
    for step in steps:
        # Text has indices too; there, as in a dict without the name, it is simply not.
        if not isinstance(value, list if isinstance(step, int) else dict):
            raise LookupError(step)  # noqa: TRY004 - it is the answer that is at fault
        value = value[step]
    return value


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


def same_rows(paths: Sequence[Path]) -> bool:
    """Whether all *paths* go through the same list of rows, or none through any."""
    return len({path.rows if path.of_rows else None for path in paths}) <= 1
