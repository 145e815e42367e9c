"""What a rule reads in an answer."""

from __future__ import annotations

import json
import sys

import pytest

from airflow_guardrails.domain.predictions.parsing import answer_reader, same_whole
from airflow_guardrails.domain.predictions.rule import PredictionRule

DEFAULT = PredictionRule()
BOTH = PredictionRule(label="predictions[*].label", score="predictions[*].score")
BATCH = '{"predictions": [{"label": "a", "score": 0.5}, {"label": "b", "score": 2}]}'


def read(rule, body, input_rows=None):
    return answer_reader(rule)(body, input_rows)


def same(rows, expected):
    """For Python, 1, 1.0 and True are equal, and NaN is not."""
    assert repr(rows) == repr(expected)


def test_a_batch_has_a_label_and_a_score_in_each_row():
    same(read(BOTH, BATCH), [("a", 0.5, None), ("b", 2, None)])


@pytest.mark.parametrize(
    ("path", "answer", "score"),
    [
        ("score", '{"score": 0.5}', 0.5),
        ("$.predictions[1].score", BATCH, 2),
        ("[0]", "[0.25, 0.75]", 0.25),
        ("a.b[1][0]", ' {"a": {"b": [[1], [3]]}}\n', 3),
        ("score", '{"score": "0.5"}', 0.5),
        ("score", '{"score": "12345678901234567890"}', 12345678901234567890),
        ("score", '{"score": "inf"}', float("inf")),
        ("score", '{"score": "+1"}', 1.0),
        ("score", '\ufeff{"score": 1.0}', 1.0),
    ],
)
def test_a_path_leads_to_one_score(path, answer, score):
    same(read(PredictionRule(score=path), answer), [(None, score, None)])


@pytest.mark.parametrize(
    ("written", "label"),
    [
        *((number, "1") for number in ("1", "1.0", "1e0", '"1"', '"1.0"', '"1e0"')),
        *((number, "0") for number in ("0", "-0", "-0.0", '"-0"', "0e5")),
        *((number, "0.1") for number in ("0.1", "1e-1", '"0.10"')),
        ("12345678901234567890", "12345678901234567890"),
        ('"123e4567"', "123e4567"),
        ("1e22", "10000000000000000000000"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("true", "true"),
        ('"true"', "true"),
        ("false", "false"),
        ("null", "null"),
        ('"007"', "007"),
        ('"+1"', "+1"),
        ('"1_000"', "1_000"),
        ('"nan"', "nan"),
        ('"\u0661"', "\u0661"),
        ('""', ""),
        ('"a long label is kept in full, not as a digest"', "a long label is kept in full, not as a digest"),
        ('[1.0, "1", true, {"b": null, "a": -0.0}]', '[1, 1, "true", {"a": 0, "b": "null"}]'),
    ],
)
def test_labels_are_text_however_they_are_written(written, label):
    assert read(PredictionRule(label="y"), f'{{"y": {written}}}') == [(label, None, None)]


@pytest.mark.parametrize(
    "answer",
    [
        "{",
        "",
        " \n",
        '{"y": 1} {"y": 2}',
        "[]",
        "null",
        "7",
        '{"score": true}',
        '{"score": null}',
        '{"score": "high"}',
        '{"score": "1_000"}',
        '{"score": ""}',
        '{"score": [1]}',
        "[" * 100_000,
        b"\xff",
        b"",
    ],
)
def test_an_answer_without_what_the_rule_names_cannot_be_read(answer):
    assert read(PredictionRule(score="score"), answer) is None


def test_a_path_does_not_lead_into_text():
    assert read(PredictionRule(label="y[0]"), '{"y": "yes"}') is None


def test_a_path_needs_rows_where_it_says_so():
    assert read(PredictionRule(label="y[*]"), '{"y": "yes"}') is None
    assert read(PredictionRule(label="y[*]"), '{"y": []}') == []


def test_a_label_that_is_nested_too_deeply_cannot_be_read():
    for depth, readable in ((100, True), (101, False)):
        body = '{"y": ' + "[" * depth + "]" * depth + "}"
        assert (read(PredictionRule(label="y"), body) is not None) is readable


def test_lines_of_json_are_rows():
    same(
        read(PredictionRule(score="score"), '{"score": 1}\r\n\n \t\r\n{"score": 2.5}\n'),
        [(None, 1, None), (None, 2.5, None)],
    )


def test_every_line_must_be_json():
    rule = PredictionRule(score="score")
    assert read(rule, '{"score": 1}\n{"score": 2') is None
    assert read(rule, '{"score": 1}\n{"score": 2} {"score": 3}') is None
    assert read(rule, '{"score":\n1}\n{"score":\n2}') is None


def test_columns_of_csv_are_counted_from_0():
    rule = PredictionRule(label=1, score=0)
    same(
        read(rule, '0.5, yes\r\n\n1,"no, never"\n'),
        [("yes", 0.5, None), ("no, never", 1, None)],
    )


def test_labels_of_csv_are_those_of_json():
    rule = PredictionRule(label=1)
    assert [row[0] for row in read(rule, "x,1.0\nx,1\nx,1e0\nx,true\nx,007\nx,")] == [
        "1", "1", "1", "true", "007", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "0.5\n",
        "0.5,1\n0.5",
        "true,1",
        "null,1",
        ",1",
        "[0.5, 1]",
        '{"score": 0.5}',
        '0.5\n{"a": 1}',
        "[0.5, 1]\n[0.5, 1]",
        '0.5,"yes',
        '0.5,"y"es',
        "",
        b"\xff,1",
    ],
)
def test_a_rule_for_columns_reads_whole_lines_of_csv_only(body):
    assert read(PredictionRule(label=1, score=0), body) is None


@pytest.mark.parametrize(
    "body", ['"yes"', '"yes"\n', '"y\\u0065s"', '" yes "', "yes", " yes\r\n", '\ufeff"yes"', b"yes"]
)
def test_a_single_value_is_a_cell(body):
    assert read(PredictionRule(label=0), body) == [("yes", None, None)]


def test_a_label_with_brackets_is_a_cell():
    assert read(PredictionRule(label=0), "[unknown],0.5", 1) == [("[unknown]", None, None)]


@pytest.mark.parametrize("rule", [PredictionRule(score=0), PredictionRule(label=0)])
@pytest.mark.parametrize(("input_rows", "rows"), [(3, 3), (1, 1), (None, None), (2, None), (0, None)])
def test_a_line_of_several_cells_is_a_batch_if_the_input_has_as_many_lines(rule, input_rows, rows):
    found = read(rule, "1,2,3\n", input_rows)
    assert (None if found is None else len(found)) == rows


def test_a_batch_on_one_line_has_a_row_for_each_cell():
    same(
        read(PredictionRule(score=0), "0.1, 2,3e0", 3),
        [(None, 0.1, None), (None, 2, None), (None, 3.0, None)],
    )


def test_a_rule_with_a_second_column_reads_a_line_of_cells_as_one_row():
    for rule in (PredictionRule(label=0, score=1), PredictionRule(score=1)):
        assert len(read(rule, "1,2,3", 3)) == 1


def test_the_input_does_not_matter_for_lines():
    assert len(read(PredictionRule(score=0), "1,2\n3,4", 4)) == 2
    assert len(read(PredictionRule(score=0), "1", 4)) == 1


def test_a_rule_for_one_form_reads_no_other():
    assert read(PredictionRule(score=0), '{"0": 0.5}') is None
    assert read(BOTH, "0.5") is None
    assert read(BOTH, "0.5,1\n2,3") is None
    assert read(BOTH, b"\xff") is None


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("0.5", [(None, 0.5, None)]),
        ('"0.5"', [(None, 0.5, None)]),
        (" 0.5\n", [(None, 0.5, None)]),
        ("1", [(None, 1, None)]),
        ("1.0", [(None, 1.0, None)]),
        ("true", [(None, None, "true")]),
        ("null", [(None, None, "null")]),
        ("NaN,Infinity", [(None, None, [float("nan"), float("inf")])]),
        ("[1, 2.5]", [(None, 1, None), (None, 2.5, None)]),
        ("1\n2.5\n", [(None, 1, None), (None, 2.5, None)]),
        ("[1, 2]\n[3, 4]", [(None, None, [1, 2]), (None, None, [3, 4])]),
        ("1, 2\r\n3, 4\r\n", [(None, None, [1, 2]), (None, None, [3, 4])]),
        ('{"y": [1, "a", null, true, "2"]}', [(None, None, {"y": [1, "a", "null", "true", 2]})]),
        ("0.5,yes", [(None, None, [0.5, "yes"])]),
        ('0.5,"yes, no"', [(None, None, [0.5, "yes, no"])]),
        (
            'a,""\n""\n  \n\nb, "c"\n\t\r\n\nd,e',
            [(None, None, ["a", ""]), (None, None, ""), (None, None, ["b", "c"]), (None, None, ["d", "e"])],
        ),
        ("yes", [(None, None, "yes")]),
        ("nan", [(None, None, "nan")]),
        ("1_000", [(None, None, "1_000")]),
        ("007", [(None, None, "007")]),
        ("", []),
        (" \n", []),
        ("[]", []),
        (b"", []),
        (b"\xef\xbb\xbf[1]", [(None, 1, None)]),
    ],
)
def test_without_a_rule_numbers_are_numbers_and_text_is_text(body, rows):
    same(read(DEFAULT, body), rows)


@pytest.mark.parametrize(
    "between", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"], ids=ascii
)
def test_only_a_line_feed_ends_a_line(between):
    text = f"a{between}b"
    assert read(DEFAULT, text) == [(None, None, text)]
    assert read(DEFAULT, f"{text},1\nc,2") == [(None, None, [text, 1]), (None, None, ["c", 2])]
    assert read(PredictionRule(label=0), f"{text},1\nc,2") == [(text, None, None), ("c", None, None)]
    if between > "\x1f":  # other control characters are escaped in JSON
        assert read(PredictionRule(label="y"), f'{{"y": "{text}"}}\n{{"y": "c"}}') == [
            (text, None, None), ("c", None, None),
        ]  # fmt: skip


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb", "a\n\nb", "a\u2028b"], ids=ascii)
def test_a_line_break_in_quotes_is_content(text):
    quoted = f'"{text}",1\r\nc,2\n'
    assert read(PredictionRule(label=0, score=1), quoted) == [(text, 1, None), ("c", 2, None)]
    assert read(DEFAULT, quoted) == [(None, None, [text, 1]), (None, None, ["c", 2])]


@pytest.mark.parametrize("text", ['"a"b,c\nd', 'say "a,\rb', '"a', '1,"a\n'], ids=ascii)
def test_text_that_is_not_csv_either_is_one_row(text):
    rows = read(DEFAULT, text)
    assert rows == [(None, None, text.strip())]


def test_long_text_and_bytes_are_kept_as_a_digest_only():
    ((_, _, text),) = read(DEFAULT, "Dear Ms Smith! " * 10)
    ((_, _, data),) = read(DEFAULT, b"\xff" * 1000)
    ((_, _, nested),) = read(DEFAULT, json.dumps({"k" * 33: "v" * 33}))
    assert text.startswith("blake2b:")
    assert data.startswith("blake2b:")
    assert all(each.startswith("blake2b:") for pair in nested.items() for each in pair)


def test_long_numbers_are_numbers():
    digits = "1" * 40
    same(read(DEFAULT, f'["{digits}", {digits}]'), [(None, int(digits), None)] * 2)


def test_numbers_with_more_digits_than_python_converts_are_text():
    digits = "1" * (sys.get_int_max_str_digits() + 1)
    assert read(PredictionRule(label="y"), f'{{"y": {digits}}}') == [(digits, None, None)]
    assert read(PredictionRule(label="y"), f'{{"y": "{digits}"}}') == [(digits, None, None)]
    assert read(DEFAULT, digits) == read(DEFAULT, f'"{digits}"') != read(DEFAULT, digits[:-1] + "2")


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("depth", [101, 500, 100_000])
def test_an_answer_nested_too_deeply_is_one_text(opening, depth):
    closing = "".join("]" if each == "[" else "}" for each in reversed(opening) if each in "[{")
    body = opening * depth + "1" + closing * depth
    ((_, score, text),) = read(DEFAULT, body)
    assert score is None
    assert text.startswith("blake2b:")
    assert read(DEFAULT, body + "\n") == read(DEFAULT, body) != read(DEFAULT, body.replace("1", "2"))


def test_an_answer_of_100_levels_is_read():
    ((_, _, value),) = read(DEFAULT, "[" * 100 + "1.0" + "]" * 100)
    for _ in range(99):
        (value,) = value
    assert value == 1


@pytest.mark.parametrize(
    ("production", "shadow", "certain"),
    [
        ('{"a": 1, "b": [0.5, "x"]}', '{"b":[0.50,"x"],"a":1.0}\n', True),
        ('"\\u0061"', '"a"', True),
        ("Infinity", " Infinity", True),
        ('{"a": 1}', '{"a": 2}', False),
        ("[1]", "[1, 1]", False),
        # Equal in Python, but not as answers.
        ("1", "true", False),
        ('{"a": 0}', '{"a": false}', False),
        # Equal answers that need a second look.
        ('{"a": true}', '{"a":true}', False),
        ("[NaN]", "[NaN ]", False),
        ("1", '"1"', False),
        ("0.3", "0.30000000000000004", False),
        # Not JSON.
        ("yes", "yes ", False),
        ("1,2", "1, 2", False),
        ("{", "{ ", False),
        ("1\n2", "1\n2\n", False),
        ("[" * 100_000, "[" * 100_000 + " ", False),
        # Compared as text.
        ("[" * 101 + "]" * 101, "[" * 101 + " " + "]" * 101, False),
        ("[" * 100 + "]" * 100, "[" * 100 + " " + "]" * 100, True),
        ("[" + "[]," * 200 + "[]]", "[" + "[], " * 200 + "[]]", True),
        ("[" + "[]," * 200 + '[{"a": 1}]]', "[" + "[], " * 200 + '[{"a": 1.0}]]', True),
    ],
)
def test_equal_json_is_certainly_the_same(production, shadow, certain):
    assert same_whole(production, shadow) is certain
    assert same_whole(shadow, production) is certain
