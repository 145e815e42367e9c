"""
SQL that reads an answer by a rule, where it reads what ``domain.predictions.parsing`` would.

Each expression is about the column ``body``, the answer as text (NULL if it is no text). What is NULL in all
of the columns ``label``, ``score`` and ``digest`` is read by Python.

By a path, SQL also reads what is not quite JSON: a comma at the end, or a name twice, of which it takes the
first and Python the last. So a difference between an answer that SQL has read and one that Python has read
proves nothing; ``counting`` then lets Python read both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from airflow_guardrails.captured.database import literal
from airflow_guardrails.domain.predictions.paths import Path
from airflow_guardrails.domain.predictions.rule import PredictionRule

# A JSON number. A double has all whole numbers below 2^53 exactly.
_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?"
_LARGEST_EXACT = 2**53
_SPACES = (r" ", r"\t", r"\r", r"\n")
_WHITE_SPACE = "".join(_SPACES)
_ENDS = ("starts_with", "ends_with")
# DuckDB's JSON may have a comma at the end, and nan in any case. Python's may not.
_NOT_FOR_PYTHON = r"regexp_matches({}, '(?i),\s*[}}\]]|[:,\[\s][-+]?(nan|inf)')"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_ -]+")


class ReadingSql(NamedTuple):
    """
    SQL expressions for what a rule reads in ``body``.

    :param prepared: expressions that the others use, by their names; each dict may use those before it.
    :param label: the label; NULL if the rule has none, or Python must read it.
    :param score: the score, likewise.
    :param digest: for whole answers: equal if the answers are equal, one row, and no number.
    :param is_read: whether nothing is left to Python.
    """

    prepared: list[dict[str, str]]
    label: str
    score: str
    digest: str
    is_read: str


# What reads nothing.
_NOTHING = ReadingSql(prepared=[], label="NULL", score="NULL", digest="NULL", is_read="false")


def reading_sql(rule: PredictionRule) -> ReadingSql:
    """Return the SQL that reads answers by *rule*."""
    if rule.is_default:
        return _whole()
    if isinstance(rule.label, int) or isinstance(rule.score, int):
        return _columns(rule)
    return _paths(rule)


def _whole() -> ReadingSql:
    # Without a line break, it is one row, whatever it is: but not a list, quoted text or a JSON constant.
    first = "left(trimmed, 1)"
    one_row = f"""
        ({first} BETWEEN 'A' AND 'Z' OR {first} BETWEEN 'a' AND 'z' OR {first} IN ('_', '{{')
            OR (({first} BETWEEN '0' AND '9' OR {first} = '-') AND contains(trimmed, ',')))
        AND NOT contains(trimmed, chr(10))
        AND trimmed NOT IN ('NaN', 'Infinity')
    """
    # An object over several lines is one row if it is surely JSON for Python, too.
    pretty = f"""
        {first} = '{{' AND try(json_valid(trimmed)) AND NOT {_NOT_FOR_PYTHON.format("trimmed")}
    """
    return ReadingSql(
        prepared=[
            # Most answers have nothing to trim, and trim() looks at each character.
            {"trimmed": f"CASE WHEN {_has_space('body')} THEN {_trimmed('body')} ELSE body END"},
            {"number": _number("trimmed")},
        ],
        label="NULL",
        score="number",
        digest=f"CASE WHEN number IS NULL AND (({one_row}) OR ({pretty})) THEN hash(trimmed) END",
        is_read="score IS NOT NULL OR digest IS NOT NULL",
    )


def _paths(rule: PredictionRule) -> ReadingSql:
    places = {
        field: Path(place, field=field)
        for field, place in (("label", rule.label), ("score", rule.score))
        if isinstance(place, str)
    }
    names = {step for path in places.values() for step in (*(path.rows or ()), *path.in_row)}
    if not all(_PLAIN_NAME.fullmatch(str(name)) for name in names):
        return _NOTHING
    rows = next(iter(places.values())).rows
    first = () if rows is None else (*rows, 0)
    wanted = [_json_path((*first, *path.in_row)) for path in places.values()]
    # So there is no escape in names and texts, and quotes are only around them.
    checks = ["NOT contains(body, '\\')"]
    texts = {"label_text": "replace(found[1], '\"', '')"} if "label" in places else {}
    if rows is not None:
        wanted.append(_json_path((*rows, 1)))
        checks.append(f"found[{len(wanted)}] IS NULL")
    paths = ", ".join(map(literal, wanted))
    extracted = f"try(json_extract(body, [{paths}]))::VARCHAR[]"
    label = _json_label("label_text") if "label" in places else "NULL"
    score = _json_number(f"found[{len(places)}]") if "score" in places else "NULL"
    return ReadingSql(
        prepared=[
            {"found": f"CASE WHEN left(body, 1) IN ('{{', '[') THEN {extracted} END"},
            {"is_sure": " AND ".join(checks), **texts},
        ],
        label=f"CASE WHEN is_sure THEN {label} END",
        score=f"CASE WHEN is_sure THEN {score} END",
        digest="NULL",
        is_read=_all_read(rule),
    )


def _columns(rule: PredictionRule) -> ReadingSql:
    columns = [place for place in (rule.label, rule.score) if isinstance(place, int)]
    # A rule that names the first column only cannot tell columns from a batch that commas join.
    cells = "len(cells) = 1" if max(columns) == 0 else f"len(cells) > {max(columns)}"

    places = {"label": rule.label, "score": rule.score}
    texts = {
        f"{field}_text": _trimmed(f"cells[{place + 1}]")
        for field, place in places.items()
        if isinstance(place, int)
    }
    label = _label("label_text") if rule.label is not None else "NULL"
    score = _number("score_text") if rule.score is not None else "NULL"
    return ReadingSql(
        prepared=[
            {"line": _trimmed("body")},
            {"cells": "string_split(line, ',')"},
            texts,
            {
                "is_sure": f"NOT contains(line, chr(10)) AND NOT contains(line, chr(13)) "
                f"AND NOT contains(line, '\"') AND left(line, 1) NOT IN ('{{', '[') AND {cells}"
            },
        ],
        label=f"CASE WHEN is_sure THEN {label} END",
        score=f"CASE WHEN is_sure THEN {score} END",
        digest="NULL",
        is_read=_all_read(rule),
    )


def _all_read(rule: PredictionRule) -> str:
    wanted = [name for name, place in (("label", rule.label), ("score", rule.score)) if place is not None]
    return " AND ".join(f"{name} IS NOT NULL" for name in wanted)


def _label(text: str) -> str:
    """Return the label in a text: a word that is no number and no JSON, or a whole number as it is."""
    # An empty or a padded text, another alphabet and what looks like a number in any way are left to Python.
    plain = (
        f"regexp_full_match({text}, '[A-Za-z_]([-A-Za-z0-9_ .:/]*[-A-Za-z0-9_.:/])?|[1-9][0-9]{{0,17}}|0')"
    )
    return f"CASE WHEN {plain} AND {text} NOT IN ('NaN', 'Infinity') THEN {text} END"


def _json_label(text: str) -> str:
    """Return the label in a JSON value without its quotes, likewise; most begin with a letter."""
    letter = f"(left({text}, 1) BETWEEN 'a' AND 'z' OR left({text}, 1) BETWEEN 'A' AND 'Z')"
    return f"CASE WHEN {letter} AND {text} NOT IN ('NaN', 'Infinity') THEN {text} ELSE {_label(text)} END"


def _number(text: str) -> str:
    """Return the number in a text as a double, if a double has it exactly as Python reads it."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    return (
        f"CASE WHEN regexp_full_match({text}, '{_NUMBER}') AND abs({number}) < {_LARGEST_EXACT} "
        f"THEN {number} END"
    )


def _json_number(text: str) -> str:
    """Return the number in a JSON value, likewise."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    is_number = f"(left({text}, 1) BETWEEN '0' AND '9' OR left({text}, 1) = '-')"
    return f"CASE WHEN {is_number} AND abs({number}) < {_LARGEST_EXACT} THEN {number} END"


def _json_path(steps: tuple[str | int, ...]) -> str:
    """Return the path as DuckDB writes it."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in steps)


def _trimmed(text: str) -> str:
    return f"trim({text}, {_quoted(_WHITE_SPACE)})"


def _has_space(text: str) -> str:
    space = [f"{function}({text}, {_quoted(each)})" for function in _ENDS for each in _SPACES]
    return f"({' OR '.join(space)})"


def _quoted(escaped: str) -> str:
    # E'' reads escapes.
    return f"E'{escaped}'"
