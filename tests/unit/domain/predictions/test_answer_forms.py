"""
Two models may write the same answer in different ways; that is no disagreement. Different answers disagree.

The answers go the whole way here, from what was captured to the result of the comparison.
"""

from __future__ import annotations

import gzip
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.predictions.agreement import Comparer
from airflow_guardrails.domain.predictions.parsing import answer_reader, same_whole
from airflow_guardrails.domain.predictions.rule import PredictionRule

RULES = {
    "default": PredictionRule(),
    "tolerance": PredictionRule(absolute_tolerance=0.2),
    "path label": PredictionRule(label="y"),
    "path score": PredictionRule(score="s"),
    "path label, score": PredictionRule(label="y", score="s"),
    "path score, tolerance": PredictionRule(score="s", absolute_tolerance=0.2),
    "rows label": PredictionRule(label="[*].y"),
    "rows score": PredictionRule(score="[*].s"),
    "index score": PredictionRule(score="[1]"),
    "first label": PredictionRule(label=0),
    "first score": PredictionRule(score=0),
    "first score, tolerance": PredictionRule(score=0, absolute_tolerance=0.2),
    "columns": PredictionRule(label=1, score=0, absolute_tolerance=0),
}


def npy(value):
    file = io.BytesIO()
    np.save(file, np.array(value))
    return file.getvalue()


def written(*texts):
    """Every way to write these texts, which are the same answer."""
    ways = [*texts]
    for text in texts:
        ways += [f"{text}\n", f" {text}\r\n", f"\ufeff{text}", text.encode(), f"\ufeff{text}\n".encode()]
        ways += [gzip.compress(text.encode()), gzip.compress(f"\ufeff{text}\r\n".encode())]
    return ways


def zipped(*data):
    return [*data, *map(gzip.compress, data)]


# Form: the ways to write one answer, another answer, and the results of comparing the two by rule. All other
# rules can read neither.
FORMS = {
    "number": (
        [*written("0.5", '"0.5"', "5e-1", "0.50"), *zipped(npy(0.5))],
        "0.6",
        {
            "default": "score",
            "tolerance": None,
            "first label": "label",
            "first score": "score",
            "first score, tolerance": None,
        },
    ),
    "label": (
        written("yes", '"yes"', '"y\\u0065s"'),
        "no",
        {"default": "value", "tolerance": "value", "first label": "label"},
    ),
    "truth": (
        [*written("true", '"true"'), *zipped(npy(True))],
        "false",
        {"default": "value", "tolerance": "value", "first label": "label"},
    ),
    "object": (
        written(
            '{"y": 1, "s": 0.5, "n": 7317731701}',
            '{"n":7317731701,"s":"0.50","y":"1.0"}',
            '{\n  "s": 5e-1,\n  "y": 1e0,\n  "n": 7317731701\n}',
            '{"y": 1, "s": 0.50000000000000001, "n": "7317731701"}',
        ),
        '{"y": 1, "s": 0.6, "n": 7317731701}',
        {
            "default": "value",
            "tolerance": None,
            "path label": None,
            "path score": "score",
            "path label, score": None,
            "path score, tolerance": None,
        },
    ),
    "object with an id": (
        written('{"y": "a", "s": 1, "n": 7317731701}', '{"s": 1.0, "n": 7317731701, "y": "a"}'),
        '{"y": "b", "s": 1, "n": 7317731703}',
        {
            "default": "value",
            "tolerance": "value",
            "path label": "label",
            "path score": None,
            "path label, score": "label",
            "path score, tolerance": None,
        },
    ),
    "batch in a list": (
        written(
            '[{"y": "a", "s": 0.5}, {"y": "b", "s": 1}]',
            '[{"s": "0.5", "y": "a"},\n{"s": "1.0", "y": "b"}]',
        ),
        '[{"y": "b", "s": 0.5}, {"y": "b", "s": 2}]',
        {"default": "value", "tolerance": "value", "rows label": "label", "rows score": "score"},
    ),
    "JSON Lines": (
        written(
            '{"y": "a", "s": 0.5}\n{"y": "b", "s": 1}',
            '{"s": 0.5, "y": "a"}\r\n\r\n{"s": "1.0", "y": "b"}',
        ),
        '{"y": "b", "s": 0.5}\n{"y": "b", "s": 2}',
        {
            "default": "value",
            "tolerance": "value",
            "path label": "label",
            "path score": "score",
            "path label, score": "label",
            "path score, tolerance": "score",
        },
    ),
    "numbers in a list": (
        [*written("[1, 0.5]", "[1.0,\n0.50]"), *zipped(npy([1, 0.5]))],
        "[1, 0.6]",
        {"default": "score", "tolerance": None, "index score": "score"},
    ),
    "numbers in lines": (
        written("1\n0.5", "1.0\r\n\n0.50", '"1"\n"0.5"'),
        "1\n0.6",
        {
            "default": "score",
            "tolerance": None,
            "first label": "label",
            "first score": "score",
            "first score, tolerance": None,
        },
    ),
    "a table": (
        [*written("[[1.5, 2], [3, 4]]"), *zipped(npy([[1.5, 2], [3, 4]]))],
        "[[1.5, 2], [3, 4.1]]",
        {"default": "value", "tolerance": None},
    ),
    "whole numbers in an array": (
        [*written("[[7317731701, 2]]"), *zipped(npy([[7317731701, 2]]))],
        npy([[7317731703, 2]]),
        {"default": "value", "tolerance": "value"},
    ),
    "line of CSV": (
        written("0.5,yes", '0.50, "yes"', '"0.5","yes"', "5e-1 , yes"),
        "0.5,no",
        {"default": "value", "tolerance": "value", "columns": "label"},
    ),
    "lines of CSV": (
        written("1,yes\n2,no", '1.0,"yes"\r\n\n2e0,no', '"1",yes\n"2","no"'),
        "1,yes\n2.1,no",
        {
            "default": "value",
            "tolerance": None,
            "first label": "label",
            "first score": "score",
            "first score, tolerance": None,
            "columns": "score",
        },
    ),
    "line break in quotes": (
        written('1,"yes\nno"\n2,no', '"1.0","yes\nno"\n2,no'),
        '1,"yes\nyes"\n2,no',
        {
            "default": "value",
            "tolerance": "value",
            "first label": None,
            "first score": None,
            "first score, tolerance": None,
            "columns": "label",
        },
    ),
    "text": (
        written("Dear Ms Smith!\u2028Your loan is granted."),
        "Dear Ms Smith!\u2028Your loan is refused.",
        {"default": "value", "tolerance": "value", "first label": "label"},
    ),
    "other data": (
        zipped(b"PK\x03\x04\xff"),
        b"PK\x03\x04\xfe",
        {"default": "value", "tolerance": "value"},
    ),
    "damaged gzip": (
        [gzip.compress(b"yes", mtime=0)[:-1]],
        gzip.compress(b"yes", mtime=0)[:-2],
        {"default": "value", "tolerance": "value"},
    ),
    "nested too deeply": (
        written('{"a":' * 200 + "1" + "}" * 200),
        '{"a":' * 200 + "2" + "}" * 200,
        {"default": "value", "tolerance": "value"},
    ),
}  # fmt: skip

NOT_READ = object()


def result(rule, production, shadow, input_rows=None):
    read = answer_reader(rule)
    compared = Comparer(rule).compare(read(production, input_rows), read(shadow, input_rows))
    return NOT_READ if compared is None else compared.kind and compared.kind.value


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("form", FORMS)
def test_one_answer_agrees_however_it_is_written_and_another_one_does_not(form, rule):
    ways, other, kinds = FORMS[form]
    expected = kinds.get(rule, NOT_READ)
    equal = NOT_READ if rule not in kinds else None
    for way in ways:
        assert result(RULES[rule], ways[0], way) is equal, way
        assert result(RULES[rule], way, ways[0]) is equal, way
        assert result(RULES[rule], way, other) == expected, way
        assert result(RULES[rule], other, way) == expected, way


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("form", FORMS)
def test_an_answer_that_cannot_be_read_disagrees_with_one_that_can(form, rule):
    ways, _, kinds = FORMS[form]
    nothing = b"\xff\xff"
    expected = "unreadable" if rule in kinds else NOT_READ
    if RULES[rule].is_default:
        expected = "shape" if len(answer_reader(RULES[rule])(ways[0], None)) > 1 else "value"
    for way in ways:
        assert result(RULES[rule], way, nothing) == result(RULES[rule], nothing, way) == expected


BATCH = written("0.1,0.2,0.3", "1e-1 , 0.20,3e-1", '"0.1","0.2","0.3"')


@pytest.mark.parametrize(
    ("rule", "input_rows", "expected"),
    [
        ("first score", 3, "score"),
        ("first score", 1, None),
        ("first score", None, NOT_READ),
        ("first score", 2, NOT_READ),
        ("first label", 3, "label"),
        ("first label", 1, None),
        ("first label", None, NOT_READ),
        ("first score, tolerance", 3, None),
        ("columns", 3, None),
        ("default", 3, "value"),
        ("tolerance", 3, None),
        ("path score", 3, NOT_READ),
    ],
)
def test_a_batch_on_one_line_is_compared_cell_by_cell(rule, input_rows, expected):
    """The last cell differs: it is not looked at if the line is one row."""
    for way in BATCH:
        assert result(RULES[rule], way, "0.1,0.2,0.35", input_rows) == expected
        assert result(RULES[rule], way, BATCH[0], input_rows) is (NOT_READ if expected is NOT_READ else None)


def test_a_batch_on_one_line_and_one_in_lines_agree():
    assert result(RULES["first score"], "0.1,0.2,0.3", "0.1\n0.2\n0.3\n", 3) is None
    assert result(RULES["first score"], "0.1,0.2,0.3", "0.1\n0.2\n0.4\n", 3) == "score"


PIECES = st.lists(
    st.sampled_from(
        [
            *'",[]{}:\n\r1-.e \ufeff\u2028\0',
            *("true", "null", "NaN", "Infinity", '"y"', '"s"', "1" * 5000, "[" * 150, "]" * 150, "[" * 2000),
        ]
    ),
    max_size=30,
).map("".join)
DATA = st.builds(
    lambda magic, data: magic + data, st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"\x1f\x8b"]), st.binary()
)


@pytest.mark.parametrize("rule", RULES)
@given(
    body=PIECES | st.text() | DATA | PIECES.map(str.encode) | PIECES.map(str.encode).map(gzip.compress),
    input_rows=st.none() | st.integers(0, 3),
)
@settings(max_examples=50)
def test_reading_never_fails_and_an_answer_agrees_with_itself(rule, body, input_rows):
    rows = answer_reader(RULES[rule])(body, input_rows)
    assert rows is not None or not RULES[rule].is_default
    assert result(RULES[rule], body, body, input_rows) is (NOT_READ if rows is None else None)


# Few values, so that equal ones are often compared; many of them are equal in Python.
LEAVES = st.sampled_from(
    [
        *(0, -0.0, False, 1, 1.0, True, "1", "true", None, "null", [], "x" * 40, 0.1 + 0.2, 0.3),
        *(2**53, 2.0**53, 2**53 + 1, 10**400, float("inf"), float("nan"), "inf"),
    ]
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(DOCUMENTS, DOCUMENTS, st.sampled_from([0, 60, 90, 95, 150]))
@settings(max_examples=500)
def test_answers_that_are_certainly_the_same_agree_by_every_tolerance(production, shadow, depth):
    for one, other in ((production, shadow), (production, production)):
        texts = ["[" * depth + json.dumps(each) + "]" * depth for each in (one, other)]
        texts[1] += "\n"
        if same_whole(*texts):
            for rule in ("default", "tolerance"):
                assert result(RULES[rule], *texts) is None
