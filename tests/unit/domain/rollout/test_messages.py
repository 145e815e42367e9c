"""A rollout in sentences."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary, Linear, Rolling
from airflow_guardrails.domain.rollout.messages import outcome_message, stage_message
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.state import StageChange
from airflow_guardrails.domain.rollout.summary import summary_of
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmState
from airflow_guardrails.domain.snapshots.endpoint import (
    Stage,
)

MINUTE = timedelta(minutes=1)
CANARY = Canary(percent=25, bake=10 * MINUTE, termination_wait=5 * MINUTE)
LINEAR = Linear(percent=25, bake=10 * MINUTE)
ROLLING = Rolling(batch_percent=25, bake=3 * MINUTE)
OK = Alarm(name="errors", state=AlarmState.OK)


def stage(name, instances=0, desired=4):
    at = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
    return StageChange(stage=Stage(name), at=at, instances=instances, desired_instances=desired)


@pytest.mark.parametrize(
    ("change", "strategy", "sentence"),
    [
        (
            stage("Creating"),
            CANARY,
            "canary: no instance serves green; launching the green fleet; 1 alarm OK",
        ),
        (
            stage("ActivatingTraffic"),
            CANARY,
            "canary: no instance serves green; shifting traffic; 1 alarm OK",
        ),
        (stage("Baking", 1), CANARY, "canary: 1 of 4 instances serve green; baking 10 min; 1 alarm OK"),
        (stage("Baking", 4), CANARY, "canary: 4 of 4 instances serve green; baking 5 min; 1 alarm OK"),
        (stage("Baking", 2), LINEAR, "linear: 2 of 4 instances serve green; baking 10 min; 1 alarm OK"),
        (stage("Baking", 2), ROLLING, "rolling: 2 of 4 instances serve green; baking 3 min; 1 alarm OK"),
        (
            stage("Baking", 4),
            AllAtOnce(termination_wait=7 * MINUTE),
            "all at once: 4 of 4 instances serve green; baking 7 min; 1 alarm OK",
        ),
        (stage("Baking", 1), None, "update: 1 of 4 instances serve green; baking; 1 alarm OK"),
        (stage("Updating", 4), None, "update: 4 of 4 instances serve green; changing instances; 1 alarm OK"),
    ],
)
def test_a_stage_says_who_serves_what_happens_and_how_the_alarms_stand(change, strategy, sentence):
    assert stage_message(change, strategy=strategy, alarms=[OK]) == sentence


@pytest.mark.parametrize(
    ("change", "strategy", "doing"),
    [
        (stage("Deleting", 4), CANARY, "removing the blue fleet"),
        (stage("Deleting", 0), CANARY, "rolling back: removing the green fleet"),
        (stage("Deleting", 0), None, "rolling back: removing the green fleet"),
        # A canary that is deleted while part of it still serves is rolled back, or the blue fleet goes early.
        (stage("Deleting", 1), CANARY, "removing instances"),
        # Both fleets serve while a rolling update goes either way.
        (stage("Deleting", 2), ROLLING, "removing instances"),
        # Serverless: there are no instances to count.
        (stage("Deleting", 0, desired=0), None, "removing instances"),
    ],
)
def test_only_a_fleet_known_to_go_is_said_to(change, strategy, doing):
    assert stage_message(change, strategy=strategy, alarms=[OK]).split("; ")[1] == doing


def test_a_fleet_without_instances_is_not_said_to_serve_nothing():
    sentence = stage_message(stage("Baking", 0, desired=0), strategy=None, alarms=[OK])
    assert sentence == "update: green fleet without instances; baking; 1 alarm OK"


@pytest.mark.parametrize(("alarms", "standing"), [(None, "alarms unknown"), ([], "no alarms")])
def test_not_knowing_the_alarms_is_not_having_none(alarms, standing):
    assert stage_message(stage("Creating"), strategy=CANARY, alarms=alarms).endswith(f"; {standing}")


@pytest.mark.parametrize("name", Stage)
@pytest.mark.parametrize("strategy", [None, CANARY, LINEAR, ROLLING, AllAtOnce()])
def test_every_stage_of_every_strategy_has_a_message(name, strategy):
    assert stage_message(stage(name, 2), strategy=strategy, alarms=None)


def report(outcome, **known):
    written = {
        "outcome": outcome,
        "endpoint_name": "churn",
        "endpoint_config_name": "v2",
        "previous_endpoint_config_name": "v1",
        "serving_endpoint_config_name": "v1",
        "endpoint_status": "InService",
        "abort_switch_thrown_at": None,
        "failure_reason": None,
        "cause": None,
        "stages": [],
        **known,
    }
    return {**written, "summary": summary_of(written)}


def message(outcome, **known):
    """The message of an outcome, without the summary that it begins with."""
    written = report(outcome, **known)
    told = outcome_message(Outcome(outcome), written)
    assert told.startswith(f"{written['summary']}.")
    return told.removeprefix(f"{written['summary']}.").strip()


def alarm(name, reason="2 > 1"):
    return {"name": name, "state": "ALARM", "at": "2026-03-02T10:06:00+00:00", "reason": reason}


SENTENCES = {
    Outcome.SUCCEEDED: "",
    Outcome.ROLLED_BACK: "Endpoint churn was rolled back: it serves v1 again, not v2.",
    Outcome.ROLLBACK_FAILED: (
        "Rollback of endpoint churn failed: it serves a mix of v1 and v2. Call UpdateEndpoint again with the "
        "configuration you want."
    ),
    Outcome.FAILED: "Update of churn to v2 failed: its status is InService.",
    Outcome.SUPERSEDED: (
        "Update of churn to v2 was superseded by another update: it serves v1 (before: v1). Find out who "
        "else updates this endpoint."
    ),
    Outcome.NOT_STARTED: (
        "No update of churn to v2 was seen: it serves v1. Check that the update was started in this region "
        "and account."
    ),
    Outcome.TIMED_OUT: (
        "Update of churn to v2 timed out (status InService); it was left running. A retry continues to wait."
    ),
}


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_message_with_the_state_and_the_next_step(outcome):
    assert message(outcome.value) == SENTENCES[outcome]


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_names_the_endpoint_and_the_target(outcome):
    sentence = outcome_message(outcome, report(outcome.value))
    assert "churn" in sentence
    assert "v2" in sentence


def test_only_success_says_that_the_target_serves():
    assert outcome_message(Outcome.SUCCEEDED, report("Succeeded")) == "SUCCEEDED: churn serves v2."
    others = [message(outcome.value) for outcome in Outcome if outcome is not Outcome.SUCCEEDED]
    assert not [sentence for sentence in others if "serves v2" in sentence]


def test_a_rollback_says_what_serves_which_alarms_and_sagemakers_words():
    cause = {"kind": "alarm", "alarms": [alarm("errors"), alarm("latency", reason="")]}
    assert message("RolledBack", cause=cause, failure_reason="Tripped.") == (
        "Endpoint churn was rolled back: it serves v1 again, not v2. "
        "Alarm errors was in ALARM since 2026-03-02T10:06:00+00:00: 2 > 1. "
        "Alarm latency was in ALARM since 2026-03-02T10:06:00+00:00. "
        "SageMaker says: Tripped."
    )


@pytest.mark.parametrize(
    ("kind", "words"), [("health_check", "Cause: health check."), ("unknown", "Cause: unknown.")]
)
def test_a_cause_without_alarms_is_named(kind, words):
    assert message("Failed", cause={"kind": kind, "alarms": []}).endswith(words)


def test_a_failed_rollback_says_what_the_repair_is():
    assert "Call UpdateEndpoint again" in message("RollbackFailed")


def test_what_is_unknown_is_called_unknown():
    unknown = {
        "previous_endpoint_config_name": None,
        "serving_endpoint_config_name": None,
        "endpoint_status": None,
    }
    assert "an unknown configuration" in message("NotStarted", **unknown)
    assert "its previous configuration" in message("RollbackFailed", **unknown)
    assert "failed: it does not exist any more" in message("Failed", **unknown)


def test_an_endpoint_that_could_not_be_described_is_not_called_gone():
    never_answered = {"serving_endpoint_config_name": None, "endpoint_status": None}
    assert "timed out (status unknown)" in message("TimedOut", **never_answered)


def test_names_with_braces_are_kept_as_they_are():
    sentence = message("Failed", endpoint_name="{target}", failure_reason="{0}")
    assert "Update of {target} to v2" in sentence
    assert sentence.endswith("SageMaker says: {0}")


# What a time-out says of the rollout it ends

THROWN = {"abort_switch_thrown_at": "2026-03-02T11:00:00+00:00"}


def test_a_rollout_that_was_aborted_is_not_said_to_be_left_running():
    assert message("TimedOut", **THROWN) == (
        "Update of churn to v2 timed out (status InService); its abort switch was thrown at "
        "2026-03-02T11:00:00+00:00, and it is not rolled back yet. A retry continues to wait."
    )
    assert "left running" in message("TimedOut", abort_switch_thrown_at=None)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.TIMED_OUT])
def test_only_a_time_out_says_what_has_become_of_the_rollout(outcome):
    assert message(outcome.value, **THROWN) == SENTENCES[outcome]
