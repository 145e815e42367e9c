"""
Parses an answer by a rule into rows of label, score and any other value.

The form of an answer is found in its content, never in its content type: two models may name it differently.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import Any, TypeAlias

from airflow_guardrails.domain.predictions.binary import NotAnArray, read_array, unzipped
from airflow_guardrails.domain.predictions.paths import Path, finder, rows_finder
from airflow_guardrails.domain.predictions.records import Row, Rows
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.scalars import (
    MAX_DEPTH,
    MAX_TEXT_LENGTH,
    NUMBER_STARTS,
    digest,
    label_text,
    reduced,
    reduced_text,
    score_of,
    whole_or_text,
)

__all__ = ["MAX_TEXT_LENGTH", "answer_reader", "cells_of", "content_of", "documents_of", "same_whole"]

_Read: TypeAlias = "Callable[[str | bytes, int | None], Rows]"

_UNREADABLE = (ValueError, LookupError, TypeError, RecursionError, OverflowError, csv.Error)
_BLANK = " \t\r\n"  # what JSON takes for white space
_BYTE_ORDER_MARK = "\ufeff"

_parse_json = json.JSONDecoder().raw_decode
# For whole numbers of more digits than Python converts; calling a function for each number is slower.
_parse_long_numbers = json.JSONDecoder(parse_int=whole_or_text).raw_decode


def answer_reader(rule: PredictionRule) -> _Read:
    """
    Return a function that parses an answer into rows, or into ``None`` if *rule* cannot read it.

    Its arguments are the answer (bytes if it is not text), and the number of lines of the request's input
    that are not blank, or ``None`` if that is unknown. A rule without label and score reads every answer.
    """
    if rule.is_default:
        return _read_whole
    read: _Read
    if isinstance(rule.label, int) or isinstance(rule.score, int):
        read = _column_reader(rule)
    else:
        read = _path_reader(rule)

    def read_or_none(body: str | bytes, input_rows: int | None) -> Rows:
        try:
            return read(body, input_rows)
        except _UNREADABLE:
            return None

    return read_or_none


def same_whole(production: str, shadow: str) -> bool:
    """
    Return whether two texts certainly agree as whole answers, whatever the tolerance: they are equal JSON.

    This is faster than reading and comparing their rows. ``False`` means that it is not certain.
    """
    for text in (production, shadow):
        # True equals 1 and NaN does not equal NaN in Python, other than in an answer.
        if "true" in text or "false" in text or "NaN" in text:
            return False
    try:
        answer = _document(production)
        # Deeper answers are compared as text.
        return bool(answer == _document(shadow)) and (
            production.count("[") + production.count("{") <= MAX_DEPTH or not _is_deep(answer)
        )
    except (ValueError, RecursionError):
        return False


def _is_deep(answer: Any) -> bool:
    level = [answer]
    for _ in range(MAX_DEPTH):
        level = [each for each in level if type(each) is list or type(each) is dict]
        if not level:
            return False
        level = [each for parent in level for each in (parent.values() if type(parent) is dict else parent)]
    return any(type(each) is list or type(each) is dict for each in level)


def _path_reader(rule: PredictionRule) -> _Read:
    paths = {
        field: Path(place, field=field)
        for field, place in (("label", rule.label), ("score", rule.score))
        if isinstance(place, str)
    }
    # Both paths go through the same rows; PredictionRule has checked that.
    find_rows = rows_finder(next(iter(paths.values())))
    find_label, find_score = (
        finder(paths[field].in_row) if field in paths else None for field in ("label", "score")
    )

    def row(value: Any) -> Row:
        label = score = None
        if find_label is not None:
            label = find_label(value)
            if type(label) is not str or label[:1] in NUMBER_STARTS:
                label = label_text(label)
        if find_score is not None:
            score = find_score(value)
            if type(score) is not float:
                score = score_of(score)
        return label, score, None

    def read(body: str | bytes, _: int | None) -> Rows:
        try:
            answer, end = _parse_json(body)  # type: ignore[arg-type] # bytes raise TypeError
        except (ValueError, TypeError):
            end = -1
        # The usual case, without anything around the JSON; this path is faster.
        if end == len(body):
            return [row(value) for value in find_rows(answer)]
        content = content_of(body)
        documents = documents_of(content) if isinstance(content, str) else [read_array(content)]
        if documents is None:
            return None
        return [row(value) for document in documents for value in find_rows(document)]

    return read


def _column_reader(rule: PredictionRule) -> _Read:
    label, score = rule.label, rule.score
    # Only such a rule can read a batch that the model writes on one line: value,value,value.
    only_first = {label, score} == {0, None}

    def row(cells: list[str]) -> Row:
        name = number = None
        if label is not None:
            name = cells[int(label)]
            if name[:1] in NUMBER_STARTS:
                name = label_text(name)
        if score is not None:
            number = score_of(cells[int(score)])
        return name, number, None

    def read(body: str | bytes, input_rows: int | None) -> Rows:
        lines = _lines_of_cells(body)
        if only_first and len(lines) == 1 and len(lines[0]) > 1:
            if input_rows == len(lines[0]):
                lines = [[cell] for cell in lines[0]]
            elif input_rows != 1:
                return None  # it may be a batch as well as one row
        return [row(cells) for cells in lines] or None

    return read


def _lines_of_cells(body: str | bytes) -> list[list[str]]:
    content = body if isinstance(body, str) and body[:1] != _BYTE_ORDER_MARK else content_of(body)
    if isinstance(content, bytes):
        answer = read_array(content)
        if isinstance(answer, list):
            raise ValueError("a list has no columns")  # noqa: TRY004 - the answer is wrong, not an argument
        return [[label_text(answer)]]
    # Only JSON with one of these is not CSV as well.
    if '"' in content or "{" in content or "[" in content:
        documents = documents_of(content)
        if documents is not None:
            if any(isinstance(each, (list, dict)) for each in documents):
                raise ValueError("objects and lists have no columns")
            return [[label_text(each).strip()] for each in documents]
    return cells_of(content)


def _read_whole(body: str | bytes, _: int | None) -> list[Row]:
    content = body if isinstance(body, str) and body[:1] != _BYTE_ORDER_MARK else content_of(body)
    return _read_text(content) if isinstance(content, str) else _read_data(content)


def _read_text(text: str) -> list[Row]:
    try:
        documents = documents_of(text)
        if documents is None:
            return [_whole(cells[0] if len(cells) == 1 else cells) for cells in cells_of(text)]
        # One document is the whole answer; several are lines.
        return _items(documents[0]) if len(documents) == 1 else [_whole(each) for each in documents]
    except (RecursionError, csv.Error):
        return [(None, None, reduced_text(text.strip()))]


def _read_data(data: bytes) -> list[Row]:
    try:
        return _items(read_array(data))
    except NotAnArray:
        return [(None, None, digest(data))]


def _items(answer: Any) -> list[Row]:
    return [_whole(each, 1) for each in answer] if type(answer) is list else [_whole(answer)]


def _whole(value: Any, depth: int = 0) -> Row:
    if type(value) is not float:
        value = reduced(value, depth)
    if type(value) is float or type(value) is int:
        return None, value, None
    return None, None, value


def content_of(body: str | bytes) -> str | bytes:
    """Return the text of an answer without gzip and byte order mark; its bytes if it is not text."""
    if isinstance(body, bytes):
        body = unzipped(body)
        try:
            body = body.decode()
        except UnicodeDecodeError:
            return body
    return body.removeprefix(_BYTE_ORDER_MARK)


def documents_of(text: str) -> list[Any] | None:
    """
    Parse JSON: a list of the whole answer, or of the documents in its lines if there are several.

    ``None`` if it is not JSON.

    :raises RecursionError: if it is nested too deeply for Python.
    """
    text = text.strip(_BLANK)
    try:
        document, end = _parse(text)
        if end == len(text):
            return [document]
        if text[end] not in _BLANK:
            return None
        # Only "\n" ends a line: splitlines() would also split texts at U+2028.
        return [_document(line) for line in text.split("\n") if line.strip(_BLANK)]
    except ValueError:
        return None


def _document(line: str) -> Any:
    line = line.strip(_BLANK)
    document, end = _parse(line)
    if end != len(line):
        raise ValueError("more than one document")
    return document


def _parse(text: str) -> tuple[Any, int]:
    try:
        return _parse_json(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _parse_long_numbers(text)


def cells_of(text: str) -> list[list[str]]:
    """
    Parse CSV: the cells of each line that is not blank, without white space around them.

    A line ends at a line break outside of quotes.

    :raises csv.Error: if the quotes are not those of CSV.
    """
    text = text.strip(_BLANK)
    if '"' not in text:
        return [[cell.strip() for cell in line.split(",")] for line in text.split("\n") if line.strip()]
    lines = [f"{line}\n" for line in text.split("\n")]
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    # The last line of a record is only blank if it is the only one: otherwise it has the closing quotes.
    return [[cell.strip() for cell in cells] for cells in reader if lines[reader.line_num - 1].strip()]
