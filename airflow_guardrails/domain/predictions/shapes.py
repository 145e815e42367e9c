"""Describes the structure of an answer without its values, for the text of a verdict."""

from __future__ import annotations

import csv
import re
from typing import Any

from airflow_guardrails.domain.predictions.binary import NotAnArray, read_array
from airflow_guardrails.domain.predictions.parsing import cells_of, content_of, documents_of
from airflow_guardrails.domain.predictions.scalars import number_or_text
from airflow_guardrails.domain.text import cut

MAX_LENGTH = 200  # characters
MAX_NAMES = 8  # of an object, and cells of a line
MAX_DEPTH = 4

# Other names may be values, such as ids or addresses.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9.+-]{1,30}/[A-Za-z0-9.+-]{1,60}")
_MORE = "..."


def shape_of(body: str | bytes, content_type: str | None) -> str:
    """
    Return the structure of an answer, for example ``{"predictions": [{"score": number}, ...]}``.

    No value of the answer is in it, and no name that is not an identifier.

    :param content_type: is in the text only if the answer is neither text nor an array of numbers.
    """
    content = content_of(body)
    text = _shape_of_text(content) if isinstance(content, str) else _shape_of_data(content, content_type)
    return cut(text, MAX_LENGTH)


def _shape_of_text(text: str) -> str:
    if not text.strip():
        return "blank text"
    try:
        documents = documents_of(text)
        if documents is None:
            return _shape_of_cells(cells_of(text))
    except (RecursionError, csv.Error):
        return "text"
    first = _shape(documents[0])
    return first if len(documents) == 1 else f"{len(documents):,} lines of JSON, the first: {first}"


def _shape_of_data(data: bytes, content_type: str | None) -> str:
    try:
        return f"an array: {_shape(read_array(data))}"
    except NotAnArray:
        pass
    found = _CONTENT_TYPE.match(content_type or "")
    return f"{len(data):,} bytes of {found[0] if found else 'an unknown type'}"


def _shape_of_cells(lines: list[list[str]]) -> str:
    counts = sorted({len(cells) for cells in lines})
    each = _counted(counts[0], "cell") if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,} cells"
    if len(lines) > 1:
        return f"{len(lines):,} lines of {each}"
    kinds = [_shape(number_or_text(cell)) for cell in lines[0]]
    if len(kinds) == 1:
        return kinds[0]
    return f"one line of {each}: {_listed(kinds)}"


def _shape(value: Any, depth: int = 0) -> str:
    if isinstance(value, (list, dict)):
        first, last = "[]" if isinstance(value, list) else "{}"
        if value and depth >= MAX_DEPTH:
            return first + _MORE + last
        return first + (_items(value, depth) if isinstance(value, list) else _fields(value, depth)) + last
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _items(values: list[Any], depth: int) -> str:
    first = [_shape(each, depth + 1) for each in values[:1]]
    return ", ".join(first + [_MORE] * (len(values) > 1))


def _fields(values: dict[str, Any], depth: int) -> str:
    # By name, because the order of names is no difference.
    return _listed(
        [
            f'"{name if _NAME.fullmatch(name) else _MORE}": {_shape(values[name], depth + 1)}'
            for name in sorted(values)[: MAX_NAMES + 1]
        ]
    )


def _listed(parts: list[str]) -> str:
    return ", ".join(parts if len(parts) <= MAX_NAMES else [*parts[:MAX_NAMES], _MORE])


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
