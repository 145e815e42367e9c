"""Times as others write them."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.times import parse_time

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-02T10:00:00+00:00",
        "2026-03-02T10:00:00Z",
        "2026-03-02T11:00:00+01:00",
        "2026-03-02T10:00:00",
        " 2026-03-02 10:00:00 ",
        TEN,
        TEN.replace(tzinfo=None),
        TEN.astimezone(timezone(timedelta(hours=-5))),
    ],
)
def test_a_time_without_a_zone_is_taken_for_utc(value):
    moment = parse_time(value)

    assert moment == TEN
    assert moment.utcoffset() is not None


@pytest.mark.parametrize(
    "value", [None, "", "None", "yesterday", "2026-13-02", 1_772_445_600, date(2026, 3, 2), b"x"]
)
def test_what_is_no_time_is_none(value):
    assert parse_time(value) is None
