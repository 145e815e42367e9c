"""docs/predictions.md names what there is."""

from __future__ import annotations

from dataclasses import fields

from airflow_guardrails.captured import database, files
from airflow_guardrails.domain.predictions import agreement, records, tally, verdict
from airflow_guardrails.domain.predictions.agreement import Disagreement
from airflow_guardrails.domain.predictions.parsing import MAX_TEXT_LENGTH
from airflow_guardrails.domain.predictions.records import SECOND
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.tally import LineFault, UnjoinedReason
from tests.support.pages import first_column, page, section

TEXT = page("predictions")


def test_every_argument_and_every_kind_is_on_the_page_in_its_order():
    arguments = [each.name for each in fields(PredictionRule)]
    assert first_column(section(TEXT, "What is compared")) == arguments + [
        kind.value for kind in Disagreement
    ]


def test_every_reason_is_on_the_page():
    assert first_column(section(TEXT, "How requests are joined")) == [
        reason.value for reason in [*UnjoinedReason, *LineFault]
    ]


def test_the_limits_are_those_in_force():
    assert records.BOUNDARY_WIDTH == 60 * SECOND
    assert (verdict.MIN_READ_SHARE, verdict.MIN_JOINED_SHARE) == (0.99, 0.5)
    for limit, text in (
        (records.MAX_CHARACTERS, "until {:,} characters for each side"),
        (records.MAX_RECORD_LENGTH, "longer than {:,} characters"),
        (agreement.MAX_LABELS, "at most {} labels"),
        (agreement.MAX_LABEL_LENGTH, "longer than {} characters, are the last row"),
        (tally.MAX_EXAMPLES, "the {} worst"),
        (tally.MAX_PAYLOAD_LENGTH, "first {} characters"),
        (files.MAX_LINE_BYTES // database.MIB, "more than {} MiB, which is more than the largest"),
        (database.LEAST_MEMORY // database.MIB, "one thread and {} MiB to 1 GiB"),
        (MAX_TEXT_LENGTH, "more than {} characters is a digest"),
    ):
        assert text.format(limit) in TEXT.replace("\n", " "), text
