"""What a look calls for before an update is asked for; and the traces of one that nobody saw."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.alarms import AlarmState, AlarmTransition
from airflow_guardrails.domain.endpoint import Endpoint, EndpointStatus, MissingEndpoint, PendingDeployment
from airflow_guardrails.domain.intent import Intent
from airflow_guardrails.domain.launching import UPDATABLE, Evidence, Move, next_move, outcome_unwatched
from airflow_guardrails.domain.rollout import Outcome

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
OWN = Intent(owner="me", previous="v1", modified_at=TEN - 60 * MINUTE, written_at=TEN - 30 * MINUTE)

IN_SERVICE, UPDATING = EndpointStatus.IN_SERVICE, EndpointStatus.UPDATING
IN_FLIGHT = [status for status in EndpointStatus if status.in_flight]
AT_REST = [status for status in EndpointStatus if not status.in_flight]


def seen(status=IN_SERVICE, *, serving="v1", pending=None, changed=False):
    """A look at the endpoint; *changed* says whether something has happened to it since OWN was written."""
    return Endpoint(
        name="churn",
        status=status,
        seen_at=TEN,
        endpoint_config_name=serving,
        last_modified_at=TEN - MINUTE if changed else OWN.modified_at,
        pending=PendingDeployment(endpoint_config_name=pending) if pending else None,
    )


def move(look, own=None):
    return next_move(look, target="v2", own=own)


@pytest.mark.parametrize("own", [None, OWN], ids=["no intent", "own intent"])
@pytest.mark.parametrize("status", [*IN_FLIGHT, IN_SERVICE])
def test_what_is_on_its_way_to_the_target_is_adopted_whoever_launched_it(status, own):
    assert move(seen(status, pending="v2", changed=True), own) is Move.ADOPT


@pytest.mark.parametrize("own", [None, OWN], ids=["no intent", "own intent"])
@pytest.mark.parametrize("pending", [None, "v3"])
@pytest.mark.parametrize("status", IN_FLIGHT)
def test_whatever_else_is_changing_the_endpoint_is_waited_for(status, pending, own):
    assert move(seen(status, pending=pending, changed=True), own) is Move.WAIT


@pytest.mark.parametrize("changed", [True, False])
def test_a_target_that_serves_is_the_end_of_our_own_launch_and_nothing_to_launch_else(changed):
    assert move(seen(serving="v2", changed=changed), OWN) is Move.FINISH
    assert move(seen(serving="v2", changed=changed)) is Move.ALREADY_LIVE


@pytest.mark.parametrize("status", AT_REST)
def test_a_change_since_our_own_intent_is_inquired_into_in_every_status(status):
    assert move(seen(status, changed=True), OWN) is Move.INQUIRE


@pytest.mark.parametrize("own", [None, OWN], ids=["no intent", "own intent"])
@pytest.mark.parametrize("status", AT_REST)
def test_an_unchanged_endpoint_is_updated_where_its_status_allows_that(status, own):
    assert move(seen(status), own) is (Move.LAUNCH if status in UPDATABLE else Move.REFUSE)


def test_the_repair_of_a_failed_rollback_is_an_update():
    assert move(seen(EndpointStatus.UPDATE_ROLLBACK_FAILED, changed=True)) is Move.LAUNCH


def test_a_target_left_pending_by_a_failed_rollback_is_not_in_flight():
    look = seen(EndpointStatus.UPDATE_ROLLBACK_FAILED, pending="v2", changed=True)
    assert move(look) is Move.LAUNCH
    assert move(look, OWN) is Move.INQUIRE


def test_a_failed_rollback_that_shows_the_target_is_not_already_live():
    assert move(seen(EndpointStatus.UPDATE_ROLLBACK_FAILED, serving="v2")) is Move.LAUNCH


@pytest.mark.parametrize("own", [None, OWN], ids=["no intent", "own intent"])
def test_no_endpoint_is_no_update(own):
    assert move(MissingEndpoint(name="churn", seen_at=TEN), own) is Move.MISSING


# Traces.

TRIPPED = AlarmTransition(name="errors", state=AlarmState.ALARM, at=TEN, reason="crossed")


@pytest.mark.parametrize(
    ("trace", "says"),
    [
        ({"requests": 3.0}, "answered by the target since 2026-03-02T10:00:00+00:00: 3; alarms"),
        ({"tripped": (TRIPPED,)}, "alarms that went off: errors; FailureReason"),
        ({"failure_reason": "No ping."}, "FailureReason: No ping."),
    ],
)
def test_any_one_trace_is_evidence(trace, says):
    evidence = Evidence(since=TEN, **trace)

    assert evidence
    assert says in evidence.describe()


@pytest.mark.parametrize("reason", [None, ""])
def test_without_a_trace_there_is_none_and_the_text_says_what_was_looked_at(reason):
    evidence = Evidence(since=TEN, failure_reason=reason)

    assert not evidence
    assert evidence.describe() == (
        "requests answered by the target since 2026-03-02T10:00:00+00:00: 0; alarms that went off: none; "
        "FailureReason: none"
    )


@pytest.mark.parametrize(
    ("look", "outcome"),
    [
        (seen(serving="v1"), Outcome.ROLLED_BACK),
        (seen(serving="v3"), Outcome.SUPERSEDED),
        (seen(EndpointStatus.UPDATE_ROLLBACK_FAILED), Outcome.ROLLBACK_FAILED),
        (seen(EndpointStatus.FAILED), Outcome.FAILED),
        (seen(EndpointStatus.OUT_OF_SERVICE), Outcome.FAILED),
        (seen(EndpointStatus.DELETING), Outcome.FAILED),
    ],
    ids=lambda value: value.status.value if isinstance(value, Endpoint) else value.value,
)
def test_an_update_that_nobody_saw_end_ended_as_the_endpoint_shows(look, outcome):
    assert outcome_unwatched(look, OWN) is outcome
