"""Whether a shadow test can get the requests that the tasks behind it wait for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.shadow.planning import RequestsNeeded

HOUR, FIVE_MINUTES = timedelta(hours=1), timedelta(minutes=5)


@pytest.mark.parametrize(
    ("warm_up", "impossible"), [(timedelta(minutes=59), False), (HOUR, True), (2 * HOUR, True)]
)
def test_a_test_must_be_longer_than_the_warm_up(warm_up, impossible):
    reason = RequestsNeeded(min_requests=None, warm_up=warm_up).impossible(HOUR)

    assert (reason is not None) is impossible
    if reason:
        assert reason.startswith("the test lasts 1 h <= ")
        assert "make the test longer, or shorten warm_up" in reason


@pytest.mark.parametrize(
    ("requests", "percentage", "enough"),
    [(6000, 100, True), (6000, 50, False), (5400, 100, False), (0, 100, False)],
)
def test_the_traffic_of_the_last_hour_must_suffice_after_the_warm_up(requests, percentage, enough):
    needed = RequestsNeeded(min_requests=5500, warm_up=FIVE_MINUTES)

    warning = needed.unlikely(HOUR, requests=requests, sampling_percentage=percentage)

    assert (warning is None) is enough
    if warning:
        assert warning.startswith(f"Production had {requests:,} requests in the last hour. At that rate the")
        assert "< 5,500 (min_requests) in the 55 min after the warm-up" in warning


def test_without_a_number_any_traffic_is_enough():
    needed = RequestsNeeded(min_requests=None, warm_up=FIVE_MINUTES)

    assert needed.unlikely(HOUR, requests=0, sampling_percentage=1) is None
