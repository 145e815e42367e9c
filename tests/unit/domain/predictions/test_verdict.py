"""What the share of disagreements proves, and what it does not."""

from __future__ import annotations

from airflow_guardrails.captured.comparing import compare_captures
from airflow_guardrails.domain.judge import Label
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.verdict import prediction_reason
from tests.support.capture_lines import capture_line

RULE = PredictionRule(label="label")


def requests(answers, **changes):
    return [
        capture_line(answer, at=number % 3000, inference_id=f"i{number}", **changes)
        for number, answer in enumerate(answers)
    ]


def reason_of(production, shadow, rule=RULE):
    return prediction_reason(compare_captures(production, shadow, rule), rule, alpha=0.05)


def test_pairs_that_cannot_be_read_are_no_pass():
    answers = [{"label": "a"}] * 300 + [{"outputs": [{"name": "secret"}]}] * 2700
    reason = reason_of(requests(answers), requests(answers))
    assert reason.label is Label.INCONCLUSIVE
    assert (
        "PredictionRule(label='label') reads neither answer of 2,700 of 3,000 joined requests" in reason.text
    )
    assert reason.missing == "a rule that reads these answers"


def test_a_few_pairs_that_cannot_be_read_do_not_keep_it_from_passing():
    answers = [{"label": "a"}] * 2990 + ["nothing"] * 10
    assert reason_of(requests(answers), requests(answers)).label is Label.PASS


def test_what_disagrees_fails_whatever_else_cannot_be_read():
    production, shadow = ([{"label": label}] * 500 + ["nothing"] * 500 for label in "ab")
    assert reason_of(requests(production), requests(shadow)).label is Label.FAIL


def test_lines_that_are_no_records_are_no_pass():
    lines = requests([{"label": "a"}] * 2000)
    reason = reason_of(lines, [*lines, *["broken"] * 30, *["[]"] * 20])
    assert reason.label is Label.INCONCLUSIVE
    assert "50 of 2,050 captured lines of shadow are no records: 30 not_json, 20 not_a_record" in reason.text


def test_ids_that_are_not_unique_are_said_where_they_keep_requests_apart():
    def session(side):
        return [
            capture_line({"label": "a"}, at=n, inference_id=f"s{n % 9}", event_id=f"{side}{n}")
            for n in range(600)
        ]

    reason = reason_of(session("p"), session("s"))
    assert reason.label is Label.INCONCLUSIVE
    assert "unique for each request (1,200 records have one that other requests have, too)" in reason.missing


def test_a_rule_that_reads_nothing_says_how_answers_look():
    lines = [capture_line(text="churn,0.8", at=n, inference_id=f"i{n}") for n in range(200)]
    reason = reason_of(lines, lines)
    assert reason.label is Label.INCONCLUSIVE
    assert reason.text.endswith("answers look like one line of 2 cells: text, number")
