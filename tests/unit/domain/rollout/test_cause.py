"""Why a rollout was undone, by what there is evidence for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.rollout.outcome import CauseKind
from airflow_guardrails.domain.rollout.report import Cause, find_cause
from airflow_guardrails.domain.snapshots.alarms import AlarmState, AlarmTransition

SWITCH = "airflow-guardrails-abort-0123456789ab"
PING = (
    "The primary container for production variant AllTraffic did not pass the ping health check. Please "
    "check CloudWatch logs for this endpoint."
)
LIMIT = (
    "The account-level service limit 'ml.m4.xlarge for endpoint usage' is 0 Instances, with current "
    "utilization of 0 Instances and a request delta of 1 Instances."
)


def tripped(*names):
    start = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
    return tuple(
        AlarmTransition(name=name, state=AlarmState.ALARM, at=start + timedelta(minutes=number))
        for number, name in enumerate(names)
    )


def test_without_evidence_the_cause_is_unknown():
    assert find_cause((), None) == Cause(kind=CauseKind.UNKNOWN)
    assert find_cause((), "") == Cause(kind=CauseKind.UNKNOWN)


def test_an_unknown_reason_is_no_evidence():
    assert find_cause((), "Request to service failed.").kind is CauseKind.UNKNOWN


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (PING, CauseKind.HEALTH_CHECK),
        (LIMIT, CauseKind.CAPACITY),
        ("Unable to provision requested ML compute capacity due to it.", CauseKind.CAPACITY),
        ("InsufficientInstanceCapacity", CauseKind.CAPACITY),
    ],
)
def test_a_reason_in_known_words_names_the_cause(reason, kind):
    assert find_cause((), reason) == Cause(kind=kind)


@pytest.mark.parametrize("reason", [None, PING, LIMIT])
def test_alarms_are_evidence_before_any_reason(reason):
    alarms = tripped("errors", "latency")
    assert find_cause(alarms, reason, switch=SWITCH) == Cause(kind=CauseKind.ALARM, alarms=alarms)


@pytest.mark.parametrize("thrown_for", [CauseKind.ABORT, CauseKind.TIMEOUT])
def test_the_switch_means_what_it_was_thrown_for_where_it_came_first(thrown_for):
    alarms = tripped(SWITCH, "errors")
    assert find_cause(alarms, None, switch=SWITCH, thrown_for=thrown_for) == Cause(
        kind=thrown_for, alarms=alarms
    )


def test_an_alarm_that_came_before_the_switch_is_the_cause():
    alarms = tripped("errors", SWITCH)
    assert find_cause(alarms, None, switch=SWITCH).kind is CauseKind.ALARM


def test_an_alarm_is_the_switch_only_by_its_whole_name():
    assert find_cause(tripped(SWITCH + "0"), None, switch=SWITCH).kind is CauseKind.ALARM
    assert find_cause(tripped(SWITCH), None).kind is CauseKind.ALARM
