"""AWS's clock goes on whatever a proxy makes of the Date header."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.aws.clock import HeaderClock, read_date
from airflow_guardrails.aws.endpoint import aws_time

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
DATE = "Mon, 02 Mar 2026 10:00:00 GMT"
UNREADABLE = [None, "", "soon", "Mon, 99 Mar 2026 10:00:00 GMT", "GMT", 5, [], {}, "Mon, 02 Mar 2026"]


class Clocks:
    """A monotonic clock and a wall clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.wall = TEN.timestamp() + 600
        self.aws = HeaderClock(monotonic=lambda: self.seconds, wall=lambda: self.wall)


@pytest.fixture
def clocks():
    return Clocks()


@pytest.mark.parametrize(
    "header",
    [
        DATE,
        f"{DATE}, {DATE}",
        f"{DATE},{DATE}",
        f"{DATE}, Mon, 02 Mar 2026 10:07:00 GMT",
        f"via proxy, {DATE}",
        [DATE, DATE],
        "Mon, 02 Mar 2026 10:00:00",
        "Mon, 02 Mar 2026 10:00:00 -0000",
        "Mon, 02 Mar 2026 11:00:00 +0100",
        "Mon, 2 Mar 2026 10:00:00 UTC",
        "Mo, 02 Mar 2026 10:00:00 GMT",
        "Monday, 02-Mar-26 10:00:00 GMT",
        "Mon Mar  2 10:00:00 2026",
        "2026-03-02T10:00:00Z",
        "2026-03-02T10:00:00",
    ],
)
def test_a_date_is_read_in_every_form_that_a_proxy_makes_of_it(header):
    assert read_date(header) == TEN
    assert read_date(header).utcoffset() is not None


@pytest.mark.parametrize("header", UNREADABLE)
def test_what_is_no_date_is_none(header):
    assert read_date(header) is None


@given(
    st.one_of(
        st.text(),
        st.text(alphabet="MonMar0123456789:,+- GMT"),
        st.from_regex(r"\d+ [A-Z][a-z]{2} \d+ \d\d:\d\d:\d\d .*"),
    )
)
def test_no_header_is_an_error_or_a_time_without_a_zone(header):
    moment = read_date(header)

    assert moment is None or moment.utcoffset() is not None


@pytest.mark.parametrize("header", UNREADABLE)
@pytest.mark.parametrize("off", [-600, 600])
def test_without_a_readable_date_the_last_one_and_the_time_since_count(clocks, header, off):
    clocks.wall = TEN.timestamp() + off
    assert clocks.aws.read(DATE) == TEN
    clocks.seconds += 90
    clocks.wall += 10_000

    assert clocks.aws.read(header) == TEN + timedelta(seconds=90)
    assert clocks.aws.now() == TEN + timedelta(seconds=90)


def test_this_machines_clock_counts_only_until_aws_has_said_the_time(clocks):
    assert clocks.aws.read(None) == TEN + timedelta(minutes=10)

    clocks.aws.read(DATE)

    assert clocks.aws.read(None) == TEN


def test_each_date_replaces_the_one_before(clocks):
    clocks.aws.read(DATE)
    clocks.seconds += 60
    assert clocks.aws.read("Mon, 02 Mar 2026 10:00:59 GMT") == TEN + timedelta(seconds=59)
    clocks.seconds += 1

    assert clocks.aws.now() == TEN + timedelta(minutes=1)


def test_threads_share_one_clock(clocks):
    with ThreadPoolExecutor(8) as threads:
        moments = list(threads.map(lambda at: clocks.aws.read(DATE if at % 2 else None), range(400)))

    assert set(moments) <= {TEN, TEN + timedelta(minutes=10)}
    assert clocks.aws.now() == TEN


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ResponseMetadata": None},
        {"ResponseMetadata": "x"},
        {"ResponseMetadata": {"HTTPHeaders": None}},
        {"ResponseMetadata": {"HTTPHeaders": {"date": "soon"}}},
    ],
)
def test_an_answer_without_a_date_is_of_the_time_that_it_is_at_aws(clocks, answer):
    dated = {"ResponseMetadata": {"HTTPHeaders": {"date": f"{DATE}, {DATE}"}}}
    assert aws_time(dated, clock=clocks.aws) == TEN
    clocks.seconds += 5

    assert aws_time(answer, clock=clocks.aws) == TEN + timedelta(seconds=5)


def test_aws_s_time_of_another_process_takes_precedence_over_the_local_clock(clocks):
    clocks.aws.go_on_from(TEN)
    clocks.seconds += 5

    assert clocks.aws.read(None) == TEN + timedelta(seconds=5)


def test_aws_s_time_of_this_process_takes_precedence_over_that_of_another(clocks):
    clocks.aws.read(DATE)
    clocks.aws.go_on_from(TEN - timedelta(hours=1))

    assert clocks.aws.now() == TEN
