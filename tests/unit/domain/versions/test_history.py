"""What the history of an endpoint refuses, and what a rollback goes back to."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.versions.history import (
    MAX_RECORDS,
    History,
    newer_run,
    records_to_remove,
    refused_version,
    rollback_target,
    with_rollout,
)
from airflow_guardrails.domain.versions.record import RecordedOutcome, RolloutRecord, record_text

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
GOOD, BAD, SERVED = RecordedOutcome.SUCCEEDED, RecordedOutcome.ROLLED_BACK, RecordedOutcome.SERVED


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def record(config: str, at: float, outcome: RecordedOutcome = GOOD, **more) -> RolloutRecord:
    return RolloutRecord(config=config, outcome=outcome, at=hour(at), **more)


def target(history: History, serving: str | None, *, gone: tuple[str, ...] = ()) -> str | None:
    found = rollback_target(history, serving, exists=lambda name: name not in gone)
    return found.config if found else None


def test_tags_are_read_newest_first_and_what_is_damaged_or_elsewhere_is_left_out():
    first, second = record("v1", 1), record("v2", 2)
    tags = {
        first.tag_key: record_text(first),
        second.tag_key: record_text(second),
        record("v3", 3).tag_key: "outcome=Succe",
        "airflow-guardrails:rollout:000000000000": record_text(record("v4", 4)),
        "team": record_text(record("v5", 5)),
    }

    assert History.of_tags(tags).records == (second, first)


@pytest.mark.parametrize(
    ("records", "refused"),
    [
        ([], None),
        ([record("v1", 1, BAD, version="a")], "v1"),
        ([record("v1", 1, BAD, version="b")], None),
        ([record("v1", 1, BAD)], None),
        ([record("v1", 1, GOOD, version="a", reverted_at=hour(2))], "v1"),
        # The last thing that was learned decides.
        ([record("v1", 1, BAD, version="a"), record("v2", 2, version="a")], None),
        ([record("v1", 1, GOOD, version="a", reverted_at=hour(3)), record("v2", 2, version="a")], "v1"),
        ([record("v1", 2, BAD, version="a"), record("v2", 1, version="a")], "v1"),
        # Without instances, nothing was learned.
        ([record("v1", 1, BAD, version="a", cause="capacity")], None),
        ([record("v1", 1, RecordedOutcome.ROLLBACK_FAILED, version="a")], "v1"),
        ([record("v1", 1, RecordedOutcome.FAILED, version="a")], None),
    ],
)
def test_a_version_is_refused_by_what_was_learned_last(records, refused):
    found = refused_version(History.of(records), "a", config="new")

    assert (found.config if found else None) == refused


def test_a_configuration_is_refused_by_its_name_where_its_version_is_unknown_or_serves():
    history = History.of([record("v1", 1, BAD, version="a")])

    for version, unchanged in ((None, False), ("b", False), ("a", True)):
        assert refused_version(history, version, config="v1", unchanged=unchanged) is not None
    assert refused_version(history, "a", config="v2", unchanged=True) is None


@pytest.mark.parametrize(
    ("records", "newer"),
    [
        ([record("v1", 1, logical_date=hour(1))], "v1"),
        ([record("v1", 1, logical_date=hour(0))], None),
        ([record("v1", 1, logical_date=hour(-1))], None),
        ([record("v1", 1)], None),
        ([record("v1", 1, BAD, logical_date=hour(1))], None),
        ([record("v1", 1, logical_date=hour(1), reverted_at=hour(2))], None),
        ([record("v1", 1, logical_date=hour(9)), record("v2", 2, logical_date=hour(1))], "v1"),
    ],
)
def test_a_run_is_older_than_what_has_deployed_and_served(records, newer):
    history = History.of(records)

    found = newer_run(history, START + timedelta(microseconds=1))

    assert (found.config if found else None) == newer
    assert newer_run(history, None) is None


ONE_TWO_THREE = History.of([record("v1", 1, version="a"), record("v2", 2, version="b"), record("v3", 3)])


@pytest.mark.parametrize(
    ("history", "serving", "expected"),
    [
        (History(), "v1", None),
        (ONE_TWO_THREE, "v3", "v2"),
        (ONE_TWO_THREE, "v2", "v1"),
        (ONE_TWO_THREE, "v1", None),
        # Put there by hand.
        (ONE_TWO_THREE, "other", "v3"),
        (ONE_TWO_THREE, None, "v3"),
        (History.of([record("v1", 1, SERVED), record("v2", 2)]), "v2", "v1"),
        (History.of([record("v1", 1), record("v2", 2, BAD), record("v3", 3)]), "v3", "v1"),
        (History.of([record("v1", 1), record("v2", 2, reverted_at=hour(4)), record("v3", 3)]), "v3", "v1"),
        # Another version first, the same one rather than nothing.
        (
            History.of(
                [record("v1", 1, version="a"), record("v2", 2, version="b"), record("v3", 3, version="b")]
            ),
            "v3",
            "v1",
        ),
        (History.of([record("v2", 2, version="b"), record("v3", 3, version="b")]), "v3", "v2"),
    ],
)
def test_a_rollback_goes_back_to_what_last_served_well_before(history, serving, expected):
    assert target(history, serving) == expected


def test_what_does_not_exist_any_more_is_passed_over():
    assert target(ONE_TWO_THREE, "v3", gone=("v2",)) == "v1"
    assert target(ONE_TWO_THREE, "v3", gone=("v2", "v1")) is None


def test_the_first_success_records_what_served_before_it():
    (new, before) = with_rollout(History(), record("v2", 2), started_at=hour(1), previous="v1")

    assert new == record("v2", 2)
    assert before == record("v1", 1, SERVED)


def test_a_rollout_is_recorded_once():
    history = History.of([record("v2", 2)])

    assert with_rollout(history, record("v2", 3), started_at=hour(1), previous="v1") == ()
    assert with_rollout(history, record("v2", 5), started_at=hour(4), previous="v2") == (record("v2", 5),)


def test_a_rollback_marks_what_it_went_back_from_and_keeps_the_date_of_its_target():
    history = History.of([record("v1", 1, logical_date=hour(0)), record("v2", 2)])

    written = with_rollout(
        history, record("v1", 4, logical_date=hour(3)), started_at=hour(3), previous="v2", reverts=True
    )

    assert written == (record("v1", 4, logical_date=hour(0)), record("v2", 2, reverted_at=hour(4)))


def test_a_rollback_that_failed_marks_nothing():
    history = History.of([record("v1", 1), record("v2", 2)])

    written = with_rollout(history, record("v1", 4, BAD), started_at=hour(3), previous="v2", reverts=True)

    assert written == (record("v1", 4, BAD),)


def test_the_oldest_records_go_but_not_what_serves_and_not_the_newest_good_ones():
    good = [record(f"good-{number}", number) for number in range(3)]
    bad = [record(f"bad-{number}", 10 + number, BAD) for number in range(MAX_RECORDS)]
    history = History.of([*good, *bad])

    gone = records_to_remove(history, serving="bad-0")

    assert [one.config for one in gone] == ["bad-1", "bad-2", "bad-3"]
    assert records_to_remove(History.of(bad), serving=None) == ()
