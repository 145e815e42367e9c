"""Parses an answer by a rule into rows of label, score and any other value."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable
from typing import Any, TypeAlias

from airflow_guardrails.domain.predictions.paths import Path, finder, rows_finder
from airflow_guardrails.domain.predictions.records import Form, Row, Rows
from airflow_guardrails.domain.predictions.rule import PredictionRule

_Read: TypeAlias = "Callable[[Form, str | bytes], Rows]"

# Longer text is kept as a hash: it can still be compared, it is small, and it reveals no payload.
MAX_TEXT_LENGTH = 32
_MAX_DEPTH = 40
_UNREADABLE = (ValueError, LookupError, TypeError, RecursionError, OverflowError, csv.Error)

_DECODER = json.JSONDecoder()


def answer_reader(rule: PredictionRule) -> _Read:
    """Return a function that parses an answer into rows, or into ``None`` if *rule* cannot read it."""
    read: _Read
    if rule.is_default:
        read = _read_whole
    elif isinstance(rule.label, int) or isinstance(rule.score, int):
        read = _column_reader(rule)
    else:
        read = _path_reader(rule)

    def read_or_none(form: Form, output: str | bytes) -> Rows:
        try:
            return read(form, output)
        except _UNREADABLE:
            return None

    return read_or_none


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
            if type(label) is not str:
                label = _label(label)
        if find_score is not None:
            score = find_score(value)
            if type(score) is not float:
                score = _score(score)
        return label, score, None

    def read(form: Form, output: str | bytes) -> Rows:
        if form is Form.JSON:
            return [row(value) for value in find_rows(_parse_json(output))]
        if form is Form.JSON_LINES:
            return [row(value) for line in _lines(output) for value in find_rows(_parse_json(line))]
        return None

    return read


def _column_reader(rule: PredictionRule) -> _Read:
    label, score = rule.label, rule.score

    def row(cells: list[str]) -> Row:
        return (
            None if label is None else cells[int(label)].strip(),
            None if score is None else float(cells[int(score)]),
            None,
        )

    def read(form: Form, output: str | bytes) -> Rows:
        if form not in {Form.CSV, Form.TEXT}:
            return None
        return [row(_cells(line)) for line in _lines(output)]

    return read


def _read_whole(form: Form, output: str | bytes) -> list[Row]:
    if form is Form.JSON:
        answer = _parse_json(output)
        return [_whole(each) for each in answer] if isinstance(answer, list) else [_whole(answer)]
    if form is Form.JSON_LINES:
        return [_whole(_parse_json(line)) for line in _lines(output)]
    if form is Form.CSV:
        return [_whole_cells(_cells(line)) for line in _lines(output)]
    return [_whole(_number_or_text(output) if isinstance(output, str) else _digest(output))]


def _whole(value: Any) -> Row:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None, float(value), None
    return None, None, _reduced(value)


def _whole_cells(cells: list[str]) -> Row:
    values = [_number_or_text(cell) for cell in cells]
    return _whole(values[0] if len(values) == 1 else values)


def _reduced(value: Any, depth: int = 0) -> Any:
    """Return *value* with hashes for long texts and floats for integers."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_LENGTH else _digest(value.encode(errors="surrogatepass"))
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_reduced(each, depth + 1) for each in value]
    if isinstance(value, dict):
        return {_reduced(key): _reduced(each, depth + 1) for key, each in value.items()}
    return value


def _label(value: Any) -> str:
    """Return a label as text: 1, 1.0 and "1" are the same class."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, sort_keys=True)


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"not a number: {value!r}")  # noqa: TRY004 - the answer is wrong, not an argument
    return float(value)


def _number_or_text(text: str) -> float | str:
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        return text
    # "nan", "infinity" and "1_000" are numbers for float(), but here they may be words.
    return number if math.isfinite(number) and "_" not in text else text


def _lines(output: str | bytes) -> list[str]:
    if isinstance(output, bytes):
        raise ValueError("not text")  # noqa: TRY004 - the answer is wrong, not an argument
    return [line for line in output.splitlines() if line.strip()]


def _cells(line: str) -> list[str]:
    return next(csv.reader([line])) if '"' in line else line.split(",")


def _digest(data: bytes) -> str:
    return "blake2b:" + hashlib.blake2b(data, digest_size=12).hexdigest()


def _parse_json(text: Any) -> Any:
    try:
        value, end = _DECODER.raw_decode(text)
    except ValueError:
        end = -1
    # raw_decode is a third faster, but does not accept white space around the value.
    return value if end == len(text) else _DECODER.decode(text)
