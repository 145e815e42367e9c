"""The structure of an answer, for a reader who must not see its values."""

from __future__ import annotations

import gzip
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.domain.predictions.shapes import MAX_LENGTH, shape_of


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("0.5", "number"),
        ("yes", "text"),
        ('"yes"', "text"),
        ("true", "boolean"),
        ("null", "null"),
        ("", "blank text"),
        (" \n", "blank text"),
        ("[]", "[]"),
        ("{}", "{}"),
        ("[1]", "[number]"),
        ("[1, 2]", "[number, ...]"),
        ("[[1, 2], [3, 4]]", "[[number, ...], ...]"),
        (
            '{"predictions": [{"score": 0.5, "label": "a"}, {"score": 0.6, "label": "b"}]}',
            '{"predictions": [{"label": text, "score": number}, ...]}',
        ),
        ('{"predictions": [{"label": null}]}', '{"predictions": [{"label": null}]}'),
        ('{"a": {"b": [{"c": {"d": 1}}]}}', '{"a": {"b": [{"c": {...}}]}}'),
        ('{"a": 1}\n{"b": 1}\n', '2 lines of JSON, the first: {"a": number}'),
        ("1,2,x", "one line of 3 cells: number, number, text"),
        ("1,2,3,4,5,6,7,8,9", "one line of 9 cells: " + "number, " * 8 + "..."),
        ("1,2,x\n1,2,x\n", "2 lines of 3 cells"),
        ("a\nb", "2 lines of 1 cell"),
        ("a\nb,c\nd", "3 lines of 1 to 2 cells"),
        ('"a"b', "text"),
        ("[" * 100_000, "text"),
        (b'\xef\xbb\xbf{"a": 1}', '{"a": number}'),
        (gzip.compress(b"1,2", mtime=0), "one line of 2 cells: number, number"),
        (npy(np.zeros((2, 2))), "an array: [[number, ...], ...]"),
        (npy(np.zeros((), bool)), "an array: boolean"),
    ],
)
def test_the_structure_is_shown_without_values(body, shape):
    assert shape_of(body, "application/json") == shape


@pytest.mark.parametrize(
    ("content_type", "named"),
    [
        ("application/x-recordio-protobuf", "application/x-recordio-protobuf"),
        ("image/svg+xml; name=secret", "image/svg+xml"),
        (None, "an unknown type"),
        ("", "an unknown type"),
        ("the secret/type", "an unknown type"),
    ],
)
def test_of_other_data_the_size_and_the_content_type_are_shown(content_type, named):
    assert shape_of(b"\xff" * 12_345, content_type) == f"12,345 bytes of {named}"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("score", "score"),
        ("_a-1", "_a-1"),
        ("a" * 40, "a" * 40),
        ("a" * 41, "..."),
        ("ada@example.com", "..."),
        ("1234", "..."),
        ("score\n", "..."),
        ("größe", "..."),
        ("", "..."),
    ],
)
def test_only_names_that_look_like_identifiers_are_shown(name, shown):
    assert shape_of(json.dumps({name: 1}), None) == f'{{"{shown}": number}}'


def test_of_many_names_the_first_eight_are_shown():
    eight = {f"n{number}": number for number in range(8)}
    assert "..." not in shape_of(json.dumps(eight), None)
    nine = shape_of(json.dumps(eight | {"n8": 8}), None)
    assert nine.endswith('"n7": number, ...}')


def test_four_levels_are_shown():
    assert shape_of("[[[[1]]]]", None) == "[[[[number]]]]"
    assert shape_of("[[[[[1]]]]]", None) == "[[[[[...]]]]]"
    assert shape_of('[[[[{"a": 1}]]]]', None) == "[[[[{...}]]]]"
    assert shape_of("[[[[[]]]]]", None) == "[[[[[]]]]]"


def test_a_long_structure_is_cut():
    shape = shape_of(json.dumps({f"{'n' * 38}{number}": 1 for number in range(8)}), None)
    assert (len(shape), shape[-3:]) == (MAX_LENGTH, "...")


VALUES = st.recursive(
    st.sampled_from(["secret", "7317", 7317, 73.17]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "7317", "a secret"]), inner),
)


@given(VALUES)
def test_no_value_is_ever_shown(value):
    for body in (
        json.dumps(value),
        f"{json.dumps(value)}\n{json.dumps(value)}",
        str(value),
        f"{value},{value}",
    ):
        shape = shape_of(body, None)
        assert len(shape) <= MAX_LENGTH
        assert not any(secret in shape for secret in ("secret", "7317", "73.17"))


@given(st.text() | st.binary())
def test_every_answer_has_a_structure(body):
    assert shape_of(body, None)
