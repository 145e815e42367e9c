"""docs/predictions.md names what there is."""

from __future__ import annotations

from dataclasses import fields

from airflow_guardrails.domain.predictions import agreement, joining, records, tally
from airflow_guardrails.domain.predictions.agreement import Disagreement
from airflow_guardrails.domain.predictions.parsing import MAX_TEXT_LENGTH
from airflow_guardrails.domain.predictions.records import SECOND
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.tally import UnjoinedReason
from tests.support.pages import first_column, page, section

TEXT = page("predictions")


def test_every_argument_and_every_kind_is_on_the_page_in_its_order():
    arguments = [each.name for each in fields(PredictionRule)]
    assert first_column(section(TEXT, "What is compared")) == arguments + [
        kind.value for kind in Disagreement
    ]


def test_every_reason_is_on_the_page():
    assert first_column(section(TEXT, "How requests are joined")) == [
        reason.value for reason in UnjoinedReason
    ]


def test_the_limits_are_those_in_force():
    assert (records.BOUNDARY_WIDTH, joining.MAX_BYTES_IN_MEMORY) == (60 * SECOND, 16 * 2**20)
    for limit, text in (
        (records.MAX_CHARACTERS, "{:,} characters for each side"),
        (records.MAX_RECORD_LENGTH, "longer than {:,} characters"),
        (agreement.MAX_LABELS, "at most {} labels"),
        (agreement.MAX_LABEL_LENGTH, "longer than {} characters, are the last row"),
        (tally.MAX_EXAMPLES, "the {} worst"),
        (tally.MAX_PAYLOAD_LENGTH, "first {} characters"),
        (joining.BUCKETS, "into {} buckets"),
        (MAX_TEXT_LENGTH, "more than {} characters is a digest"),
    ):
        assert text.format(limit) in TEXT.replace("\n", " "), text
