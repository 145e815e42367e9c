"""
The single values of an answer: numbers and texts, in one form however they are written.

=====================================  ================================================
written                                value
=====================================  ================================================
``1``, ``1.0``, ``1e0``, ``"1"``       the number 1; an ``int`` only if it is written
                                       without point and exponent
``-0``, ``0``, ``0.0``                 the number 0
``NaN``, ``Infinity``, ``-Infinity``   the numbers that Python's json reads
``true``, ``"true"``                   the text ``true``, which is never 1
``null``, ``"null"``                   the text ``null``
``007``, ``+1``, ``1_000``, ``nan``    text
=====================================  ================================================

The table is the same for JSON, JSON Lines, CSV and NumPy arrays.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

# Longer text is kept as a hash: it can still be compared, it is small, and it reveals no payload.
MAX_TEXT_LENGTH = 32
# Deeper lists and objects are not read: every Python can read and compare this depth, also from a deep stack.
MAX_DEPTH = 100

# First characters of a number. Most texts start with another one, so they need no regular expression.
NUMBER_STARTS = frozenset("-0123456789")
# A number; its group is empty if the number is written as whole.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_NOT_FINITE: dict[str, float | str] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WORDS = {None: "null", True: "true", False: "false"}


def number_or_text(text: str) -> int | float | str:
    """
    Return the number that *text* is, or *text* itself.

    A number that is too large for Python stays text, so that two of them are equal only if they are written
    alike.
    """
    if text[:1] not in NUMBER_STARTS or (found := _NUMBER.fullmatch(text)) is None:
        return _NOT_FINITE.get(text, text)
    if not found[1]:
        return whole_or_text(text)
    number = float(text)
    return number if math.isfinite(number) else text


def whole_or_text(digits: str) -> int | str:
    """Return the whole number; the text if it has more digits than Python converts (usually 4,300)."""
    try:
        return int(digits)
    except ValueError:
        return digits


def reduced(value: Any, depth: int = 0) -> Any:
    """
    Return a parsed *value* with its single values in one form, and with hashes for long texts.

    :raises RecursionError: if it is nested more than 100 levels deep.
    """
    kind = type(value)
    if kind is float or kind is int:
        return value
    if kind is str:
        if value[:1] in NUMBER_STARTS or value in _NOT_FINITE:
            value = number_or_text(value)
            if type(value) is not str:
                return value
        return value if len(value) <= MAX_TEXT_LENGTH else reduced_text(value)
    if value is None or kind is bool:
        return _WORDS[value]
    if depth >= MAX_DEPTH:
        raise RecursionError("nested too deeply")
    depth += 1
    if kind is list:
        return [reduced(each, depth) for each in value]
    return {reduced_text(key): reduced(each, depth) for key, each in value.items()}


def reduced_text(text: str) -> str:
    """Return *text*, or its hash if it is long."""
    return text if len(text) <= MAX_TEXT_LENGTH else digest(text.encode(errors="surrogatepass"))


def digest(data: bytes) -> str:
    """Return a hash that takes the place of *data*."""
    return "blake2b:" + hashlib.blake2b(data, digest_size=12).hexdigest()


def label_text(value: Any) -> str:
    """Return a label as text: 1, 1.0 and "1" are the same class."""
    value = _label(value)
    return value if type(value) is str else json.dumps(value, sort_keys=True)


def _label(value: Any, depth: int = 0) -> Any:
    """Return *value* as :func:`reduced` does, but whole numbers as integers and long texts in full."""
    kind = type(value)
    if kind is str:
        value = number_or_text(value)
        kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() else value
    if kind is int or kind is str:
        return value
    if value is None or kind is bool:
        return _WORDS[value]
    if depth >= MAX_DEPTH:
        raise RecursionError("nested too deeply")
    if kind is list:
        return [_label(each, depth + 1) for each in value]
    return {key: _label(each, depth + 1) for key, each in value.items()}


def score_of(value: Any) -> int | float:
    """
    Return a score as a number; a whole number stays exact.

    :raises ValueError: if it is not a number; ``true`` and ``null`` are none.
    """
    # With a point it is no whole number, and float() reads it faster.
    if type(value) is str and "." not in value:
        value = number_or_text(value)
    if type(value) is int or type(value) is float:
        return value
    # float() also reads "nan", "+1" and "007", which number_or_text() leaves as text.
    if type(value) is not str or "_" in value:
        raise ValueError(f"not a number: {value!r}")
    return float(value)
