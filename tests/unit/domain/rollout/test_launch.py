"""What a look calls for before an update is asked for, whose an update is, and what proves one nobody saw."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from itertools import product

import pytest

from airflow_guardrails.domain.rollout.launch import (
    CALLED_WITHIN,
    UPDATABLE,
    Evidence,
    Intent,
    Move,
    UpdateOwner,
    infer_outcome,
    next_move,
    owner_of_update,
)
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointStatus,
    MissingEndpoint,
    PendingDeployment,
)

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
OWN = Intent(previous="v1", modified_at=TEN - 60 * MINUTE, written_at=TEN - 30 * MINUTE)
ACCEPTED = replace(OWN, accepted_at=OWN.written_at + MINUTE)
INTENTS = {"no intent": None, "not accepted": OWN, "accepted": ACCEPTED}

IN_SERVICE, UPDATING = EndpointStatus.IN_SERVICE, EndpointStatus.UPDATING
IN_FLIGHT = [status for status in EndpointStatus if status.in_flight]
AT_REST = [status for status in EndpointStatus if not status.in_flight]

any_intent = pytest.mark.parametrize("own", INTENTS.values(), ids=INTENTS)
switch_or_none = pytest.mark.parametrize("named", [True, False], ids=["switch named", "no switch named"])


def seen(status=IN_SERVICE, *, serving="v1", pending=None, changed=False, started=None):
    """A look at the endpoint; *changed* says whether something has happened to it since OWN was written."""
    update = PendingDeployment(endpoint_config_name=pending, started_at=started) if pending else None
    return Endpoint(
        name="churn",
        status=status,
        seen_at=TEN,
        endpoint_config_name=serving,
        last_modified_at=TEN - MINUTE if changed else OWN.modified_at,
        pending=update,
    )


def move(look, own=None, *, named=False, **more):
    return next_move(look, target="v2", own=own, switch_named=named, **more)


# By intent, whether the switch is named, and whether the endpoint has changed since.
WHOLE = list(product(INTENTS, (False, True), (False, True)))


def is_settled(intent, *, named, changed):
    """What is to be done where another configuration than the target serves and nothing is in flight."""
    if intent == "accepted" or (intent == "not accepted" and named):
        return Move.RESUME
    if named or (intent == "not accepted" and changed):
        return Move.INQUIRE
    return Move.LAUNCH


def in_flight(intent, *, named, changed):
    return Move.RESUME if intent == "accepted" or (intent == "not accepted" and named) else Move.WAIT


def served(intent, *, named, changed):
    return Move.FINISH if named or intent == "accepted" else Move.ALREADY_LIVE


def adopted(intent, *, named, changed):
    return Move.ADOPT


LOOKS = {
    "pending target": ({"status": UPDATING, "pending": "v2"}, adopted),
    "pending target, blue gone": ({"status": UPDATING, "pending": "v2", "serving": "v2"}, adopted),
    "pending other": ({"status": UPDATING, "pending": "v3"}, in_flight),
    "pending other, serving target": ({"status": UPDATING, "pending": "v3", "serving": "v2"}, in_flight),
    "bare Updating": ({"status": UPDATING}, in_flight),
    "bare Updating, serving target": ({"status": UPDATING, "serving": "v2"}, in_flight),
    "serving before": ({}, is_settled),
    "serving third": ({"serving": "v3"}, is_settled),
    "serving target": ({"serving": "v2"}, served),
}


@pytest.mark.parametrize(("intent", "named", "changed"), WHOLE)
@pytest.mark.parametrize(("look", "expected"), LOOKS.values(), ids=LOOKS)
def test_every_move_of_the_table(look, expected, intent, named, changed):
    made = move(seen(**look, changed=changed), INTENTS[intent], named=named)
    assert made is expected(intent, named=named, changed=changed)


@pytest.mark.parametrize(("intent", "named", "changed"), WHOLE)
def test_an_update_is_asked_for_only_where_no_trace_of_an_earlier_one_is_left(intent, named, changed):
    for look, _ in LOOKS.values():
        if move(seen(**look, changed=changed), INTENTS[intent], named=named) is Move.LAUNCH:
            assert not named
            assert intent == "no intent" or (intent == "not accepted" and not changed)


@pytest.mark.parametrize(
    ("intent", "named", "expected"),
    [
        ("no intent", False, Move.ALREADY_LIVE),
        ("not accepted", False, Move.PERHAPS_LIVE),
        ("accepted", False, Move.FINISH),
    ],
)
def test_without_a_switch_it_is_unknown_who_deployed_the_target_in_service(intent, named, expected):
    assert move(seen(serving="v2"), INTENTS[intent], named=named, has_switch=False) is expected


@any_intent
@switch_or_none
@pytest.mark.parametrize("status", [*IN_FLIGHT, IN_SERVICE])
def test_any_update_in_flight_to_the_target_is_adopted(status, own, named):
    assert move(seen(status, pending="v2", changed=True), own, named=named) is Move.ADOPT


@pytest.mark.parametrize("own", [None, OWN], ids=["no intent", "not accepted"])
@pytest.mark.parametrize("pending", [None, "v3"])
@pytest.mark.parametrize("status", IN_FLIGHT)
def test_whatever_else_is_changing_the_endpoint_is_waited_for(status, pending, own):
    assert move(seen(status, pending=pending, changed=True), own) is Move.WAIT


@pytest.mark.parametrize("pending", [None, "v3"])
@pytest.mark.parametrize("status", IN_FLIGHT)
def test_an_update_that_was_accepted_is_watched_on_though_another_one_is_in_flight(status, pending):
    """It has been overtaken, or a read lags: the watch finds out which."""
    assert move(seen(status, pending=pending, changed=True), ACCEPTED) is Move.RESUME


@pytest.mark.parametrize("status", AT_REST)
def test_a_change_since_an_intent_that_was_not_accepted_is_inquired_into_in_every_status(status):
    assert move(seen(status, changed=True), OWN) is Move.INQUIRE


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("status", AT_REST)
def test_an_accepted_update_is_never_asked_for_again_in_any_status(status, changed):
    assert move(seen(status, changed=changed), ACCEPTED) is Move.RESUME


@pytest.mark.parametrize("own", [None, OWN], ids=["no intent", "not accepted"])
@pytest.mark.parametrize("status", AT_REST)
def test_an_unchanged_endpoint_is_updated_where_its_status_allows_that(status, own):
    assert move(seen(status), own) is (Move.LAUNCH if status in UPDATABLE else Move.REFUSE)


def test_the_repair_of_a_failed_rollback_is_an_update():
    assert move(seen(EndpointStatus.UPDATE_ROLLBACK_FAILED, changed=True)) is Move.LAUNCH


def test_a_target_left_pending_by_a_failed_rollback_is_not_in_flight():
    look = seen(EndpointStatus.UPDATE_ROLLBACK_FAILED, pending="v2", changed=True)
    assert move(look) is Move.LAUNCH
    assert move(look, OWN) is Move.INQUIRE
    assert move(look, ACCEPTED) is Move.RESUME


def test_a_failed_rollback_that_shows_the_target_is_not_already_live():
    assert move(seen(EndpointStatus.UPDATE_ROLLBACK_FAILED, serving="v2")) is Move.LAUNCH


@any_intent
@switch_or_none
def test_no_endpoint_is_no_update(own, named):
    assert move(MissingEndpoint(name="churn", seen_at=TEN), own, named=named) is Move.MISSING


# Whose an update in flight is.


def whose(own, started, *, named=False):
    return owner_of_update(seen(UPDATING, pending="v2", started=started), own=own, switch_named=named)


@pytest.mark.parametrize("started", [None, TEN - 60 * MINUTE, TEN])
def test_without_an_intent_an_update_is_foreign_unless_it_names_the_switch(started):
    assert whose(None, started) is UpdateOwner.FOREIGN
    assert whose(None, started, named=True) is UpdateOwner.PERHAPS


@pytest.mark.parametrize(
    ("own", "named", "expected"),
    [
        (OWN, False, UpdateOwner.PERHAPS),
        (ACCEPTED, False, UpdateOwner.PERHAPS),
        (OWN, True, UpdateOwner.OWN),
        (ACCEPTED, True, UpdateOwner.OWN),
    ],
)
def test_without_a_start_time_only_the_switch_proves_whose_it_is(own, named, expected):
    assert whose(own, None, named=named) is expected
    looked = seen(UPDATING)
    assert owner_of_update(looked, own=own, switch_named=named) is expected


@switch_or_none
@pytest.mark.parametrize("own", [OWN, ACCEPTED], ids=["not accepted", "accepted"])
def test_a_start_time_that_was_seen_before_decides_alone(own, named):
    own = replace(own, started_at=OWN.written_at + 2 * MINUTE)
    assert whose(own, own.started_at, named=named) is UpdateOwner.OWN
    for other in (own.started_at - SECOND, own.started_at + SECOND, TEN - 90 * MINUTE):
        assert whose(own, other, named=named) is UpdateOwner.FOREIGN


@switch_or_none
@pytest.mark.parametrize("own", [OWN, ACCEPTED], ids=["not accepted", "accepted"])
def test_what_began_before_the_intent_was_written_is_another_update(own, named):
    """However the alarms of the last deployment read: they may be those of an update that has ended."""
    assert whose(own, OWN.written_at - SECOND, named=named) is UpdateOwner.FOREIGN


# The last StartTime that an update of this owner can have, by whether SageMaker has accepted one.
LATEST = {
    "not accepted": (OWN, OWN.written_at + CALLED_WITHIN + DEFAULT_GRACE),
    "accepted": (ACCEPTED, ACCEPTED.accepted_at + DEFAULT_GRACE),
}


@pytest.mark.parametrize(("own", "latest"), LATEST.values(), ids=LATEST)
def test_what_began_in_time_is_own_where_something_proves_that_one_was_accepted(own, latest):
    for started in (OWN.written_at, latest):
        assert whose(own, started, named=True) is UpdateOwner.OWN
        assert whose(own, started) is (UpdateOwner.OWN if own.accepted_at else UpdateOwner.PERHAPS)


@switch_or_none
@pytest.mark.parametrize(("own", "latest"), LATEST.values(), ids=LATEST)
def test_what_began_too_late_is_proven_by_nothing(own, latest, named):
    """``RetainDeploymentConfig`` hands the switch to the next update of the endpoint."""
    assert whose(own, latest + SECOND, named=named) is UpdateOwner.PERHAPS


# What proves that an update ran.


def test_only_requests_that_the_target_has_answered_prove_that_it_ran():
    assert Evidence(since=TEN, requests=1.0)
    assert not Evidence(since=TEN, requests=0.0)
    assert not Evidence(since=TEN, unread="AccessDenied")


def test_no_failure_reason_and_no_alarm_can_be_brought_as_evidence():
    """They may be yesterday's, or somebody else's."""
    assert {field.name for field in fields(Evidence)} == {"since", "requests", "unread"}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"requests": 3.0}, "requests answered by the target since 2026-03-02T10:00:00+00:00: 3"),
        ({"requests": 0.0}, "requests answered by the target since 2026-03-02T10:00:00+00:00: 0"),
        (
            {"unread": "AccessDenied: not authorized to perform cloudwatch:GetMetricStatistics"},
            (
                "the requests answered by the target since 2026-03-02T10:00:00+00:00 could not be counted "
                "(AccessDenied: not authorized to perform cloudwatch:GetMetricStatistics)"
            ),
        ),
    ],
    ids=["some", "none", "not counted"],
)
def test_evidence_says_what_was_looked_at_and_what_was_there(found, says):
    assert Evidence(since=TEN, **found).describe() == says


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
@pytest.mark.parametrize("reason", [None, "One or more configured alarms have tripped."])
def test_an_update_whose_end_was_not_seen_ended_as_the_endpoint_shows(look, outcome, reason):
    """Whatever the FailureReason says: it may be an older one's."""
    assert infer_outcome(replace(look, failure_reason=reason), "v1") is outcome


# The creation of an endpoint.

CREATES = Intent(previous=None, modified_at=None, written_at=TEN - 30 * MINUTE, creates=True)
CREATED = replace(CREATES, accepted_at=CREATES.written_at + MINUTE)
NOBODY = MissingEndpoint(name="churn", seen_at=TEN)


def test_an_endpoint_is_created_only_if_that_is_wanted():
    assert move(NOBODY, creates=True) is Move.CREATE
    assert move(NOBODY) is Move.MISSING
    assert move(NOBODY, CREATES, creates=True) is Move.CREATE


def test_an_endpoint_that_was_created_and_is_gone_is_not_created_again():
    assert move(NOBODY, CREATED, creates=True) is Move.ADOPT_CREATION


@pytest.mark.parametrize("own", [CREATES, CREATED, None])
def test_an_endpoint_that_is_being_created_with_the_target_is_adopted(own):
    creating = EndpointStatus.CREATING
    assert move(seen(creating, serving="v2"), own, creates=True) is Move.ADOPT_CREATION
    assert move(seen(creating, serving="v2", pending="v2"), own, creates=True) is Move.ADOPT_CREATION


@pytest.mark.parametrize("status", [IN_SERVICE, EndpointStatus.FAILED])
def test_the_end_of_an_own_creation_is_reported(status):
    assert move(seen(status, serving="v2"), CREATES, creates=True) is Move.ADOPT_CREATION
    assert move(seen(status, serving="v2"), CREATED, creates=True) is Move.ADOPT_CREATION


def test_an_endpoint_that_somebody_else_has_created_meanwhile_is_updated():
    assert move(seen(serving="v1"), CREATES, creates=True) is Move.LAUNCH
    assert move(seen(EndpointStatus.CREATING, serving="v1"), creates=True) is Move.WAIT


def test_without_if_missing_a_creation_is_what_it_was():
    assert move(seen(EndpointStatus.CREATING, serving="v2")) is Move.WAIT
