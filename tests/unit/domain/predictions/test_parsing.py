"""What a rule reads in an answer."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.predictions.parsing import answer_reader
from airflow_guardrails.domain.predictions.records import Form
from airflow_guardrails.domain.predictions.rule import PredictionRule

BOTH = PredictionRule(label="predictions[*].label", score="predictions[*].score")
BATCH = '{"predictions": [{"label": "a", "score": 0.5}, {"label": "b", "score": 2}]}'


def read(rule, form, output):
    return answer_reader(rule)(form, output)


def test_a_batch_has_a_label_and_a_score_in_each_row():
    assert read(BOTH, Form.JSON, BATCH) == [("a", 0.5, None), ("b", 2.0, None)]


@pytest.mark.parametrize(
    ("path", "answer", "score"),
    [
        ("score", '{"score": 0.5}', 0.5),
        ("$.predictions[1].score", BATCH, 2.0),
        ("[0]", "[0.25, 0.75]", 0.25),
        ("a.b[1][0]", ' {"a": {"b": [[1], [3]]}}\n', 3.0),
        ("score", '{"score": "0.5"}', 0.5),
    ],
)
def test_a_path_leads_to_one_score(path, answer, score):
    assert read(PredictionRule(score=path), Form.JSON, answer) == [(None, score, None)]


@pytest.mark.parametrize("label", ["1", "1.0", '"1"'])
def test_labels_are_text_however_they_are_written(label):
    assert read(PredictionRule(label="y"), Form.JSON, f'{{"y": {label}}}') == [("1", None, None)]


@pytest.mark.parametrize(
    "answer",
    [
        "{",
        '{"y": 1} {"y": 2}',
        "[]",
        "null",
        "7",
        '{"score": true}',
        '{"score": null}',
        '{"score": "high"}',
        '{"score": [1]}',
        "[" * 100_000,
    ],
)
def test_an_answer_without_what_the_rule_names_cannot_be_read(answer):
    assert read(PredictionRule(score="score"), Form.JSON, answer) is None


def test_a_path_does_not_lead_into_text():
    assert read(PredictionRule(label="y[0]"), Form.JSON, '{"y": "yes"}') is None


def test_a_path_needs_rows_where_it_says_so():
    assert read(PredictionRule(label="y[*]"), Form.JSON, '{"y": "yes"}') is None
    assert read(PredictionRule(label="y[*]"), Form.JSON, '{"y": []}') == []


def test_lines_of_json_are_rows():
    rule = PredictionRule(score="score")
    assert read(rule, Form.JSON_LINES, '{"score": 1}\n\n{"score": 2}\n') == [
        (None, 1.0, None),
        (None, 2.0, None),
    ]


def test_columns_of_csv_are_counted_from_0():
    rule = PredictionRule(label=1, score=0)
    assert read(rule, Form.CSV, '0.5,yes\n1,"no, never"\n') == [
        ("yes", 0.5, None),
        ("no, never", 1.0, None),
    ]
    assert read(rule, Form.CSV, "0.5\n") is None


def test_a_rule_for_one_form_reads_no_other():
    assert read(PredictionRule(score=0), Form.JSON, "0.5") is None
    assert read(BOTH, Form.CSV, "0.5") is None
    assert read(BOTH, Form.BYTES, b"\xff") is None


@pytest.mark.parametrize(
    ("form", "output", "rows"),
    [
        (Form.JSON, "0.5", [(None, 0.5, None)]),
        (Form.JSON, "[1, 2]", [(None, 1.0, None), (None, 2.0, None)]),
        (Form.JSON, '{"y": [1, "a", null]}', [(None, None, {"y": [1.0, "a", None]})]),
        (Form.CSV, "0.5\n0.25\n", [(None, 0.5, None), (None, 0.25, None)]),
        (Form.CSV, "0.5,yes", [(None, None, [0.5, "yes"])]),
        (Form.TEXT, " 0.5\n", [(None, 0.5, None)]),
        (Form.TEXT, "nan", [(None, None, "nan")]),
        (Form.TEXT, "1_000", [(None, None, "1_000")]),
    ],
)
def test_without_a_rule_numbers_are_numbers_and_text_is_text(form, output, rows):
    assert read(PredictionRule(), form, output) == rows


def test_long_text_and_bytes_are_kept_as_a_digest_only():
    ((_, _, text),) = read(PredictionRule(), Form.TEXT, "Dear Ms Smith, " * 10)
    ((_, _, data),) = read(PredictionRule(), Form.BYTES, b"\xff" * 1000)
    assert text.startswith("blake2b:")
    assert data.startswith("blake2b:")


def test_an_answer_nested_too_deeply_cannot_be_read():
    assert read(PredictionRule(), Form.JSON, '{"a":' * 60 + "1" + "}" * 60) is None
