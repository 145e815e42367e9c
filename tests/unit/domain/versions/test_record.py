"""A record survives its tag, fits in it, and a damaged one is no record."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.domain.versions.record import (
    LONGEST_VALUE,
    RecordedOutcome,
    RolloutRecord,
    parse_record,
    record_key,
    record_text,
)

AT = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
# API reference, ``Tag``.
VALUE = re.compile(r"([\w\s_.:/=+\-@]*)", re.ASCII)

times = st.integers(0, 2_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, timezone.utc))
records = st.builds(
    RolloutRecord,
    config=st.text("aZ0-", min_size=1, max_size=63),
    outcome=st.sampled_from(RecordedOutcome),
    at=times,
    version=st.none() | st.text("0123456789abcdef", min_size=16, max_size=16),
    by_url=st.booleans(),
    logical_date=st.none() | times,
    run=st.none() | st.text("aZ0_.~:+/-é ", min_size=1, max_size=300),
    cause=st.none() | st.sampled_from(["alarm", "health_check"]),
    reverted_at=st.none() | times,
)


@given(records)
def test_a_record_is_read_as_it_was_written_but_for_a_long_run(record):
    text = record_text(record)

    assert len(text) <= LONGEST_VALUE
    assert VALUE.fullmatch(text)
    read = parse_record(text)
    assert replace(read, run=None) == replace(record, run=None)
    if read.run:
        assert re.sub(r"[^A-Za-z0-9_.:/=+@-]", "_", record.run).startswith(read.run)


def test_the_longest_record_still_names_the_dag():
    record = RolloutRecord(
        config="c" * 63,
        outcome=RecordedOutcome.ROLLBACK_FAILED,
        at=AT,
        version="a" * 16,
        by_url=True,
        logical_date=AT,
        run=f"churn_deploy/{'x' * 200}",
        cause="health_check",
        reverted_at=AT,
    )

    assert len(record_text(record)) == LONGEST_VALUE
    assert parse_record(record_text(record)).run.startswith("churn_deploy/")


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "outcome=Succeeded",
        "outcome=Succeeded at=yesterday config=v1",
        "outcome=Splendid at=2026-03-02T10:00:00Z config=v1",
        "outcome=Succeeded at=2026-03-02T10:00:00Z",
        "at=2026-03-02T10:00:00Z config=v1",
    ],
)
def test_what_is_damaged_is_no_record(text):
    assert parse_record(text) is None


@given(st.text(max_size=300))
def test_no_text_raises(text):
    parse_record(text)


def test_the_key_depends_on_the_configuration_alone():
    assert re.fullmatch(r"airflow-guardrails:rollout:[0-9a-f]{12}", record_key("v1"))
    assert record_key("v1") != record_key("v2")


def test_a_time_with_fractions_is_written_to_the_second():
    record = RolloutRecord(
        config="v1", outcome=RecordedOutcome.SUCCEEDED, at=AT + timedelta(microseconds=999_999)
    )

    assert parse_record(record_text(record)).at == AT


def test_a_text_for_people_says_what_became_of_it():
    record = RolloutRecord(
        config="v1", outcome=RecordedOutcome.SUCCEEDED, at=AT, run="deploy/one", reverted_at=AT
    )

    assert str(record) == (
        "v1: Succeeded at 2026-03-02T10:00:00Z, reverted at 2026-03-02T10:00:00Z, by run deploy/one"
    )
