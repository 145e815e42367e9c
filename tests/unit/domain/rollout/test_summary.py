"""The summary is for somebody who is woken up by it: what happened, why, and what serves."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.rollout.outcome import CauseKind, Outcome
from airflow_guardrails.domain.rollout.summary import MAX_LENGTH, summary_of

CROSSED = "Threshold Crossed: 1 datapoint [0.12 (02/03/26 10:16:00)] was greater than the threshold (0.05)."
SLOW = CROSSED.replace("0.12", "3e5").replace("0.05", "2.5e5")
JUDGED = "ModelLatency Average: +21.3% > limit +10% (interval +15% to +28%, 14 minutes)"


def report(outcome, **known):
    return {
        "outcome": outcome,
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-v42",
        "serving_endpoint_config_name": "churn-v41",
        "endpoint_status": "InService",
        "abort_switch_thrown_at": None,
        "cause": None,
        "stages": [],
        **known,
    }


def cause(kind, reason="", **more):
    alarms = [{"name": "errors", "state": "ALARM", "at": "2026-03-02T10:16:00+00:00", "reason": reason}]
    return {"kind": kind, "alarms": alarms, **more}


@pytest.mark.parametrize(
    ("title", "unit", "reason", "said"),
    [
        ("5xx errors of the new fleet", "%", CROSSED, "5xx errors of the new fleet 12 % > 5 %"),
        (
            "p99 latency",
            "ms",
            CROSSED.replace("0.12", "3e5").replace("0.05", "2.5e5"),
            "p99 latency 300 ms > 250 ms",
        ),
        ("Orders Sum", None, CROSSED, "Orders Sum 0.12 > 0.05"),
        ("5xx errors of the new fleet", "%", "", "5xx errors of the new fleet"),
    ],
)
def test_a_guard_is_named_by_what_it_watches_in_its_unit(title, unit, reason, said):
    guard = {"name": "errors", "kind": "guard", "title": title, "unit": unit}

    told = summary_of(report("RolledBack", cause=cause("alarm", reason), alarms=[guard]))

    assert told == f"ROLLED BACK: {said}; churn-v41 serves"


@pytest.mark.parametrize(
    ("outcome", "known", "summary"),
    [
        ("Succeeded", {}, "SUCCEEDED: churn serves churn-v42"),
        ("RolledBack", {"cause": cause("alarm")}, "ROLLED BACK: alarm errors; churn-v41 serves"),
        (
            "RolledBack",
            {"cause": cause("alarm", CROSSED)},
            "ROLLED BACK: alarm errors 0.12 > 0.05; churn-v41 serves",
        ),
        (
            "RolledBack",
            {"cause": cause("judge", reasons=[JUDGED])},
            "ROLLED BACK: judge: ModelLatency Average +21.3% > +10%; churn-v41 serves",
        ),
        ("RolledBack", {"endpoint_status": None}, "ROLLED BACK: cause unknown; churn-v41 serves"),
        ("RolledBack", {"cause": cause("abort")}, "ROLLED BACK: aborted; churn-v41 serves"),
        ("RolledBack", {"cause": cause("timeout")}, "ROLLED BACK: aborted after max_wait; churn-v41 serves"),
        ("RolledBack", {"cause": cause("unknown")}, "ROLLED BACK: cause unknown; churn-v41 serves"),
        (
            "RollbackFailed",
            {"cause": cause("alarm", CROSSED)},
            "ROLLBACK FAILED: alarm errors 0.12 > 0.05; a mix of both models serves",
        ),
        ("Failed", {"cause": cause("capacity")}, "FAILED: no capacity; churn-v41 serves"),
        (
            "Failed",
            {"endpoint_status": None, "serving_endpoint_config_name": None},
            "FAILED: the endpoint is gone",
        ),
        ("Superseded", {}, "SUPERSEDED: by another update; churn-v41 serves"),
        ("NotStarted", {}, "NOT STARTED: no update to churn-v42 was seen; churn-v41 serves"),
        (
            "TimedOut",
            {"endpoint_status": "Updating"},
            "TIMED OUT: status Updating, left as it is; churn-v41 serves",
        ),
        (
            "TimedOut",
            {"endpoint_status": "Updating", "abort_switch_thrown_at": "2026-03-02T11:00:00+00:00"},
            "TIMED OUT: status Updating, aborted and not rolled back yet; churn-v41 serves",
        ),
        (None, {}, "IN FLIGHT: churn-v42; churn-v41 serves"),
        (
            None,
            {"stages": [{"stage": "Deleting", "instances": 0, "desired_instances": 0}]},
            "ROLLING BACK: churn-v42; churn-v41 serves",
        ),
        (
            None,
            {"stages": [{"stage": "Baking", "at": "", "instances": 1, "desired_instances": 4}]},
            "BAKING 1 of 4 instances: churn-v42; churn-v41 serves",
        ),
    ],
)
def test_the_outcome_comes_first_then_the_cause_then_what_serves(outcome, known, summary):
    assert summary_of(report(outcome, **known)) == summary


@pytest.mark.parametrize(
    ("words", "sign"),
    [
        ("greater than", ">"),
        ("greater than or equal to", ">="),
        ("less than", "<"),
        ("less than or equal to", "<="),
    ],
)
def test_the_value_that_crossed_the_threshold_is_shown(words, sign):
    points = "2 out of the last 3 datapoints [0.4 (a), 0.3 (b)]"
    reason = f"Threshold Crossed: {points} were {words} the threshold (1)."
    assert f"errors 0.4 {sign} 1;" in summary_of(report("RolledBack", cause=cause("alarm", reason)))


@pytest.mark.parametrize("outcome", [*(each.value for each in Outcome), None])
@pytest.mark.parametrize("kind", [*(each.value for each in CauseKind), None])
@pytest.mark.parametrize("length", [1, 30, 63, 255])
def test_a_summary_fits_into_a_line_and_begins_with_the_outcome(outcome, kind, length):
    name = "n" * length
    known = {"endpoint_name": name, "endpoint_config_name": name, "serving_endpoint_config_name": name}
    if kind:
        known["cause"] = {**cause(kind, reasons=["r" * 500]), "alarms": [{"name": name, "reason": "x" * 900}]}
    summary = summary_of(report(outcome, **known))
    assert len(summary) <= MAX_LENGTH
    assert summary.split(":")[0].isupper()
