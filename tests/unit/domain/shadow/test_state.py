"""What a wait for a shadow test has seen, and whether it is over."""

from __future__ import annotations

import re

import pytest

from airflow_guardrails.domain.shadow.report import (
    parse_shadow_report,
    shadow_test_message,
    shadow_test_report,
)
from airflow_guardrails.domain.shadow.state import (
    GRACE,
    METRICS_SETTLE,
    ShadowTestOutcome,
    ShadowTestState,
    Until,
)
from airflow_guardrails.domain.snapshots.experiment import (
    PHASE_BY_STATUS,
    ExperimentStatus,
    MissingExperiment,
    ModelVariant,
)
from tests.support.experiments import TEN, after, experiment

RUNNING, COMPLETED = ExperimentStatus.RUNNING, ExperimentStatus.COMPLETED
CANCELLED = ExperimentStatus.CANCELLED
OVER = {COMPLETED, CANCELLED}


def seen(status, *, minutes=60.0, over=60.0, **changes):
    """A test that began at ten, *minutes* later; one that is over has ended at *over* minutes."""
    known = {
        "status": status,
        "seen_at": after(minutes),
        "variants": tuple(
            ModelVariant(name=name, model_name=f"churn-{name}", instance_type="ml.m5.large", instances=2)
            for name in ("live", "candidate")
        ),
        "shadow_name": "candidate",
        "starts_at": TEN,
        "ends_at": after(24 * 60),
        "completed_at": after(over) if PHASE_BY_STATUS[status].over else None,
    }
    return experiment(**{**known, **changes})


def missing(minutes):
    return MissingExperiment("trial", after(minutes))


def watch(**facts):
    return ShadowTestState(name="trial", **facts)


def had(live, candidate):
    return {"live": live, "candidate": candidate}


# By what it is.


ENDINGS = {
    Until.RUNNING: {
        RUNNING: ShadowTestOutcome.REACHED,
        COMPLETED: ShadowTestOutcome.REACHED,
        CANCELLED: ShadowTestOutcome.CANCELLED,
    },
    Until.COMPLETED: {COMPLETED: ShadowTestOutcome.REACHED, CANCELLED: ShadowTestOutcome.CANCELLED},
    Until.ENDED: {COMPLETED: ShadowTestOutcome.REACHED, CANCELLED: ShadowTestOutcome.REACHED},
}


@pytest.mark.parametrize("status", ExperimentStatus)
@pytest.mark.parametrize("until", Until)
def test_each_status_ends_the_wait_or_does_not(until, status):
    assert watch(until=until).after(seen(status)).outcome is ENDINGS[until].get(status)


def test_every_status_has_a_phase():
    assert set(PHASE_BY_STATUS) == set(ExperimentStatus)


@pytest.mark.parametrize(
    ("until", "outcome"),
    [
        (Until.RUNNING, ShadowTestOutcome.CANCELLED),
        (Until.COMPLETED, ShadowTestOutcome.CANCELLED),
        (Until.ENDED, ShadowTestOutcome.REACHED),
    ],
)
def test_a_test_that_was_stopped_before_its_start_is_cancelled(until, outcome):
    stopped = watch(until=until).after(seen(COMPLETED, starts_at=after(300), over=60))
    assert stopped.outcome is outcome


def test_a_test_that_is_stopped_at_its_start_is_completed():
    assert watch().after(seen(COMPLETED, starts_at=after(60), over=60)).outcome is ShadowTestOutcome.REACHED


def test_a_test_is_missing_after_the_grace_period():
    waiting = watch().after(missing(0))
    assert waiting.outcome is None
    assert waiting.after(missing(GRACE.total_seconds() / 60 - 0.1)).outcome is None
    assert waiting.after(missing(GRACE.total_seconds() / 60)).outcome is ShadowTestOutcome.NOT_FOUND


def test_a_test_that_is_found_again_restarts_the_grace_period():
    waiting = watch().after(missing(0)).after(seen(RUNNING, minutes=1)).after(missing(3))
    assert waiting.outcome is None
    assert waiting.missing_since == after(3)


# What a list may spare.


@pytest.mark.parametrize("status", [status for status in ExperimentStatus if status not in OVER])
def test_a_running_test_may_be_listed_in_the_status_last_seen(status):
    assert watch(until=Until.ENDED).after(seen(status)).expected is status


@pytest.mark.parametrize(
    "waiting",
    [
        watch(),
        watch().after(missing(0)),
        watch().after(seen(RUNNING, minutes=0)).after(missing(1)),
        watch(min_requests=100).after(seen(RUNNING)),
        watch().after(seen(COMPLETED)),
    ],
    ids=["never seen", "missing", "gone", "to be counted", "over"],
)
def test_a_look_is_needed_for_what_no_list_shows(waiting):
    assert waiting.expected is None


# By its requests.


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (ExperimentStatus.CREATING, False),
        (ExperimentStatus.CREATED, False),
        (ExperimentStatus.STARTING, False),
        (ExperimentStatus.UPDATING, True),
        (RUNNING, True),
        (ExperimentStatus.STOPPING, True),
        (COMPLETED, True),
        (CANCELLED, False),
    ],
)
def test_requests_are_counted_once_there_may_be_some(status, counts):
    assert watch(min_requests=100).after(seen(status)).needs_count is counts
    assert watch().after(seen(status)).needs_count is False


def test_requests_are_counted_again_for_each_look():
    counted = watch(min_requests=100).after(seen(RUNNING)).with_requests(had(90, 80))
    assert not counted.needs_count
    again = counted.after(seen(RUNNING))
    assert again.needs_count
    assert (again.outcome, again.requests) == (None, had(90, 80))


@pytest.mark.parametrize(
    ("requests", "outcome"),
    [
        (had(100, 100), ShadowTestOutcome.REACHED),
        (had(500, 99), None),
        (had(99, 500), None),
        (had(0, 0), None),
        ({}, None),
    ],
)
def test_both_variants_must_have_min_requests(requests, outcome):
    assert watch(min_requests=100).after(seen(RUNNING)).with_requests(requests).outcome is outcome


def test_the_clock_does_not_end_a_wait_for_requests():
    assert watch(min_requests=100).after(seen(COMPLETED, minutes=600)).outcome is None


def test_an_ended_test_with_enough_requests_is_reached():
    waiting = watch(min_requests=100).after(seen(COMPLETED, minutes=61)).with_requests(had(100, 100))
    assert waiting.outcome is ShadowTestOutcome.REACHED


def test_too_few_requests_end_the_wait_once_cloudwatch_has_published_the_last_ones():
    settles = METRICS_SETTLE.total_seconds() / 60
    waiting = (
        watch(min_requests=100).after(seen(COMPLETED, minutes=60 + settles - 0.1)).with_requests(had(90, 90))
    )
    assert waiting.outcome is None
    waiting = waiting.after(seen(COMPLETED, minutes=60 + settles)).with_requests(had(90, 90))
    assert waiting.outcome is ShadowTestOutcome.TOO_FEW_REQUESTS


def test_without_an_end_time_the_last_change_counts():
    facts = {"completed_at": None, "last_modified_at": after(60)}
    waiting = watch(min_requests=100)
    assert waiting.after(seen(COMPLETED, minutes=61, **facts)).with_requests(had(9, 9)).outcome is None
    late = waiting.after(seen(COMPLETED, minutes=66, **facts)).with_requests(had(9, 9))
    assert late.outcome is ShadowTestOutcome.TOO_FEW_REQUESTS


def test_a_cancelled_test_is_cancelled_with_any_number_of_requests():
    waiting = watch(min_requests=100).after(seen(RUNNING)).with_requests(had(99, 99)).after(seen(CANCELLED))
    assert waiting.outcome is ShadowTestOutcome.CANCELLED


# The report, and what it says.


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        (watch().after(seen(COMPLETED)), "Shadow test trial is Completed"),
        (
            watch(min_requests=100).after(seen(RUNNING)).with_requests(had(120, 110)),
            r"trial is Running, with 120 \(live\) and 110 \(candidate\) requests",
        ),
        (
            watch(min_requests=100).after(seen(COMPLETED, minutes=90)).with_requests(had(120, 11)),
            r"has ended with too few requests: 120 \(live\) and 11 \(candidate\) < 100 each",
        ),
        (
            watch().after(seen(CANCELLED, reason="No capacity.")),
            "trial was cancelled: No capacity. Its shadow",
        ),
        (watch().after(seen(CANCELLED)), "was cancelled: SageMaker gives no reason"),
        (
            watch().after(seen(CANCELLED, endpoint_failure_reason="The ping failed.")),
            "failure reason of the endpoint: The ping failed. Its shadow",
        ),
        (
            watch().after(seen(COMPLETED, starts_at=after(300), reason="Not needed")),
            "trial was stopped before it began: Not needed",
        ),
        (watch().after(missing(0)).after(missing(5)), "There is no shadow test trial: correct name, region"),
        (
            watch().after(seen(RUNNING)).after(missing(61)).after(missing(66)),
            "trial was deleted by somebody; its last status was Running",
        ),
        (
            watch().after(seen(RUNNING)).give_up(),
            "trial timed out: it was still Running. The test is not changed",
        ),
        (watch().after(missing(0)).give_up(), "timed out: it was still not visible"),
    ],
)
def test_the_message_says_how_the_wait_ended_and_what_to_do(ended, sentence):
    assert re.search(sentence, shadow_test_message(shadow_test_report(ended)))


def test_a_report_before_the_first_look_has_only_known_values():
    report = shadow_test_report(watch(adopted=True, warnings=("short",)))
    known = {name: value for name, value in report.items() if value is not None}
    assert known == {
        "schema_version": 2,
        "summary": "NOT SEEN YET: shadow test trial",
        "name": "trial",
        "adopted": True,
        "warnings": ["short"],
        "links": {"test": None, "endpoint": None},
        "stopping": {
            "aborts": False,
            "text": 'Marking this task failed leaves the test running, because on_kill is "leave"',
        },
    }


def test_the_end_of_a_test_is_its_actual_end_or_the_planned_one():
    assert shadow_test_report(watch().after(seen(RUNNING)))["ends_at"] == after(24 * 60).isoformat()
    assert shadow_test_report(watch().after(seen(COMPLETED)))["ends_at"] == after(60).isoformat()


def test_a_report_of_version_1_is_read_as_one_of_version_2():
    written = shadow_test_report(watch().after(seen(COMPLETED)))
    assert parse_shadow_report(written) == written
    old = {"schema_version": 1, "name": "trial", "outcome": "Reached", "status": "Completed"}
    report = parse_shadow_report(old)
    assert set(report) == set(written)
    assert report["summary"] == "REACHED: shadow test trial is Completed"


def test_the_message_begins_with_the_summary_and_the_summary_with_the_outcome():
    cancelled = shadow_test_report(watch().after(seen(CANCELLED, reason="No capacity.")))
    assert cancelled["summary"] == "CANCELLED: shadow test trial is Cancelled: No capacity."
    assert shadow_test_message(cancelled).startswith(
        "CANCELLED: shadow test trial is Cancelled: No capacity."
    )
    long = shadow_test_report(watch().after(seen(CANCELLED, reason="x" * 500)))
    assert len(long["summary"]) == 100
