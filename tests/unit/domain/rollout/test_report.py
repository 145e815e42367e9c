"""The report: one schema, whatever is known and however it ended."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary
from airflow_guardrails.domain.rollout.outcome import CauseKind, Outcome
from airflow_guardrails.domain.rollout.report import Cause, parse_report, rollout_report
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState, StageChange
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmRule, AlarmState, AlarmTransition
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus, MissingEndpoint, Stage
from tests.support.churn import switch_of

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
END = START + timedelta(minutes=12, milliseconds=250)
CANARY = Canary(percent=25, bake=timedelta(minutes=10))
GUARDRAILS = Guardrails(strategy=CANARY, alarms=("errors", "latency"))

KEYS = {
    "schema_version",
    "summary",
    "outcome",
    "endpoint_name",
    "endpoint_config_name",
    "previous_endpoint_config_name",
    "serving_endpoint_config_name",
    "endpoint_status",
    "region",
    "account",
    "started_at",
    "ended_at",
    "as_of",
    "deadline",
    "adopted",
    "guarded",
    "unguarded_because",
    "strategy",
    "next_change_at",
    "stages",
    "stages_complete",
    "traffic",
    "alarms",
    "alarms_as_of",
    "abort_switch",
    "abort_switch_thrown_at",
    "stopping",
    "findings",
    "warnings",
    "failure_reason",
    "cause",
    "analysis",
    "approval",
    "links",
}

NOTHING_KNOWN = RolloutState(rollout=Rollout(endpoint_name="churn", target="v2"))
SERVES_V1 = Endpoint(
    name="churn",
    status=EndpointStatus.IN_SERVICE,
    seen_at=END + timedelta(seconds=30),
    endpoint_config_name="v1",
    last_modified_at=END,
    failure_reason="An alarm tripped.",
    arn="arn:aws:sagemaker:eu-west-1:123456789012:endpoint/churn",
)
IN_ALARM = Alarm(
    name="errors",
    state=AlarmState.ALARM,
    since=START + timedelta(minutes=6),
    value=2.5,
    rule=AlarmRule(
        namespace="AWS/SageMaker",
        metric="Invocation5XXErrors",
        statistic="Sum",
        comparison="GreaterThanThreshold",
        threshold=1.0,
        period=timedelta(minutes=1),
        evaluation_periods=1,
        datapoints_to_alarm=1,
    ),
)
# What is said of an alarm that was not read.
UNREAD = {
    "kind": "theirs",
    "title": None,
    "state": None,
    "since": None,
    "watches": None,
    "comparison": None,
    "threshold": None,
    "unit": None,
    "value": None,
    "value_at": None,
}
ROLLED_BACK = RolloutState(
    rollout=Rollout(
        endpoint_name="churn",
        target="v2",
        previous="v1",
        launched_at=START,
        started_at=START + timedelta(seconds=1),
        guardrails=GUARDRAILS,
    ),
    seen_in_flight=True,
    first_look_at=START,
    as_of=SERVES_V1.seen_at,
    last_look=SERVES_V1,
    alarms_seen=(IN_ALARM,),
    alarms_as_of=START + timedelta(minutes=6, seconds=30),
    stages=(
        StageChange(stage=Stage.BAKING, at=START + timedelta(minutes=4), instances=1, desired_instances=4),
    ),
    warnings=("noted on the way",),
    outcome=Outcome.ROLLED_BACK,
)
ERRORS = AlarmTransition(
    name="errors", state=AlarmState.ALARM, at=START + timedelta(minutes=6), reason="2 % > 1 %"
)
CAUSE = Cause(kind=CauseKind.ALARM, alarms=(ERRORS,))

WATCHES = {
    "nothing known": NOTHING_KNOWN,
    "under way": replace(ROLLED_BACK, outcome=None),
    "gone": replace(ROLLED_BACK, last_look=MissingEndpoint(name="churn", seen_at=END)),
    **{outcome.value: replace(ROLLED_BACK, outcome=outcome) for outcome in Outcome},
}


@pytest.mark.parametrize("watch", WATCHES.values(), ids=WATCHES)
@pytest.mark.parametrize("cause", [None, CAUSE, Cause(kind=CauseKind.UNKNOWN)])
def test_every_report_has_every_key_and_is_json(watch, cause):
    report = rollout_report(watch, cause=cause, warnings=["one"])
    assert set(report) == KEYS
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_whole_story_of_a_rollback():
    assert rollout_report(ROLLED_BACK, cause=CAUSE, warnings=["told at the end"]) == {
        "schema_version": 2,
        "summary": "ROLLED BACK: alarm errors; v1 serves",
        "outcome": "RolledBack",
        "endpoint_name": "churn",
        "endpoint_config_name": "v2",
        "previous_endpoint_config_name": "v1",
        "serving_endpoint_config_name": "v1",
        "endpoint_status": "InService",
        "region": "eu-west-1",
        "account": "123456789012",
        "started_at": "2026-03-02T10:00:01+00:00",
        "ended_at": "2026-03-02T10:12:00.250000+00:00",
        "as_of": "2026-03-02T10:12:30.250000+00:00",
        "deadline": None,
        "adopted": None,
        "guarded": True,
        "unguarded_because": None,
        "strategy": {
            "name": "canary",
            "description": CANARY.describe(),
            "steps": [
                {"minute": 0.0, "percent": 25.0, "bake_minutes": 10.0},
                {"minute": 10.0, "percent": 100.0, "bake_minutes": 0.0},
            ],
        },
        "next_change_at": None,
        "stages": [
            {
                "stage": "Baking",
                "at": "2026-03-02T10:04:00+00:00",
                "instances": 1,
                "desired_instances": 4,
                "seen": True,
            }
        ],
        "stages_complete": True,
        "traffic": {
            "percent": 0.0,
            "course": [
                {"at": "2026-03-02T10:00:01+00:00", "percent": 0.0},
                {"at": "2026-03-02T10:04:00+00:00", "percent": 25.0},
                {"at": "2026-03-02T10:12:00.250000+00:00", "percent": 0.0},
            ],
        },
        "alarms": [
            {
                "name": "errors",
                "kind": "theirs",
                "title": None,
                "state": "ALARM",
                "since": "2026-03-02T10:06:00+00:00",
                "watches": "AWS/SageMaker Invocation5XXErrors Sum, 1 min",
                "comparison": ">",
                "threshold": 1.0,
                "unit": None,
                "value": 2.5,
                "value_at": "2026-03-02T10:06:00+00:00",
            },
            {**UNREAD, "name": "latency"},
        ],
        "alarms_as_of": "2026-03-02T10:06:30+00:00",
        "abort_switch": None,
        "abort_switch_thrown_at": None,
        "stopping": None,
        "findings": [],
        "warnings": ["noted on the way", "told at the end"],
        "failure_reason": "An alarm tripped.",
        "cause": {
            "kind": "alarm",
            "alarms": [
                {
                    "name": "errors",
                    "state": "ALARM",
                    "at": "2026-03-02T10:06:00+00:00",
                    "reason": "2 % > 1 %",
                }
            ],
        },
        "analysis": None,
        "approval": None,
        "links": {
            "endpoint": "https://console.aws.amazon.com/sagemaker/home?region=eu-west-1#/endpoints/churn",
            "alarms": {
                name: f"https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/{name}"
                for name in ("errors", "latency")
            },
        },
    }


@pytest.mark.parametrize(
    "key",
    [
        "outcome",
        "previous_endpoint_config_name",
        "serving_endpoint_config_name",
        "endpoint_status",
        "started_at",
        "ended_at",
        "adopted",
        "abort_switch",
        "abort_switch_thrown_at",
        "failure_reason",
        "cause",
        "analysis",
        "region",
        "account",
        "as_of",
        "deadline",
        "strategy",
        "next_change_at",
        "alarms_as_of",
        "approval",
    ],
)
def test_what_is_not_known_is_null(key):
    assert rollout_report(NOTHING_KNOWN)[key] is None


@pytest.mark.parametrize("key", ["serving_endpoint_config_name", "endpoint_status", "failure_reason"])
def test_an_endpoint_that_is_gone_serves_nothing_and_says_nothing(key):
    assert rollout_report(WATCHES["gone"])[key] is None


def test_a_rollout_under_way_has_a_start_and_no_end():
    report = rollout_report(WATCHES["under way"])
    assert (report["started_at"], report["ended_at"]) == ("2026-03-02T10:00:01+00:00", None)


def test_the_launch_is_the_start_if_sagemaker_gives_none():
    unsaid = replace(ROLLED_BACK, rollout=replace(ROLLED_BACK.rollout, started_at=None))
    assert rollout_report(unsaid)["started_at"] == "2026-03-02T10:00:00+00:00"


def test_the_switch_is_reported_with_its_alarm_and_when_it_was_thrown():
    switch = switch_of(target="v2")
    thrown = replace(
        ROLLED_BACK,
        rollout=replace(ROLLED_BACK.rollout, switch=switch),
        thrown_at=START + timedelta(minutes=5),
    )
    report = rollout_report(thrown)
    assert (report["abort_switch"], report["abort_switch_thrown_at"]) == (
        switch.alarm_name,
        "2026-03-02T10:05:00+00:00",
    )
    assert [(alarm["name"], alarm["kind"]) for alarm in report["alarms"]] == [
        ("errors", "theirs"),
        ("latency", "theirs"),
        (switch.alarm_name, "switch"),
    ]


@pytest.mark.parametrize("outcome", Outcome)
def test_nothing_ends_before_it_starts(outcome):
    """Also where the endpoint last changed long before: the update left it as it was."""
    look = replace(SERVES_V1, last_modified_at=START - timedelta(days=30))
    report = rollout_report(replace(ROLLED_BACK, last_look=look, outcome=outcome))
    assert report["started_at"] <= report["ended_at"]


def guarded(guardrails, **watch):
    rollout = replace(ROLLED_BACK.rollout, guardrails=guardrails)
    report = rollout_report(replace(ROLLED_BACK, rollout=rollout, **watch))
    return report["guarded"], report["unguarded_because"], [alarm["name"] for alarm in report["alarms"]]


def test_an_update_without_alarms_is_not_guarded():
    assert guarded(Guardrails(strategy=CANARY)) == (False, "no alarm is given", [])


def test_an_update_without_a_bake_is_not_guarded():
    is_guarded, why, alarms = guarded(Guardrails(strategy=AllAtOnce(), alarms=("errors",)))
    assert (is_guarded, alarms) == (False, ["errors"])
    assert "no bake or wait is longer than 0 s" in why


def test_an_update_with_unknown_alarms_is_not_called_guarded():
    is_guarded, why, alarms = guarded(None)
    assert (is_guarded, alarms) == (False, [])
    assert "unknown whether it has any" in why


def test_an_update_whose_alarms_are_all_that_is_known_is_not_said_to_have_none():
    is_guarded, why, alarms = guarded(None, rollback_alarms=("errors",))
    assert (is_guarded, alarms) == (False, ["errors"])
    assert "unknown whether it bakes" in why


VERSION_1 = {
    "schema_version": 1,
    "outcome": "Succeeded",
    "endpoint_name": "churn",
    "endpoint_config_name": "v2",
    "alarms": ["errors", "switch-of-churn"],
    "abort_switch": "switch-of-churn",
    "stages": [{"stage": "Baking", "at": START.isoformat(), "instances": 1, "desired_instances": 4}],
}


def test_a_report_of_version_1_is_read_as_one_of_version_2():
    report = parse_report(VERSION_1)
    assert set(report) == KEYS
    assert report["schema_version"] == 2
    assert report["stages"] == [{**VERSION_1["stages"][0], "seen": True}]
    assert [(alarm["name"], alarm["kind"], alarm["state"]) for alarm in report["alarms"]] == [
        ("errors", "theirs", None),
        ("switch-of-churn", "switch", None),
    ]
    assert report["traffic"] == {"percent": None, "course": []}
    assert report["summary"] == "SUCCEEDED: churn serves v2"


def test_a_report_of_version_2_is_read_as_it_was_written():
    report = rollout_report(ROLLED_BACK, cause=CAUSE)
    assert parse_report(report) == report
