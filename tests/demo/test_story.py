"""The demo promises certain things, and notices when one of them is not so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_guardrails.demo.cloud import sheltered
from airflow_guardrails.demo.reading import readable
from airflow_guardrails.demo.scene import waiter_delay
from airflow_guardrails.demo.story import Act, Answers, Ending, differences

STEPS = {"train": "success", "guarded_update": "success"}


def report(outcome: str, target: str, **more):
    return {
        "outcome": outcome,
        "endpoint_name": "tumours",
        "endpoint_config_name": target,
        "previous_endpoint_config_name": "v1",
        "serving_endpoint_config_name": "v2",
        "started_at": "2026-03-02T10:00:00+00:00",
        "ended_at": "2026-03-02T10:05:10+00:00",
        "stages": [],
        "warnings": [],
        "failure_reason": None,
        "cause": None,
    } | more


CAUSE = {
    "kind": "alarm",
    "alarms": [
        {
            "name": "tumours-errors",
            "state": "ALARM",
            "at": "2026-03-02T10:04:00+00:00",
            "reason": "2.5 % > 1 %",
        }
    ],
}
GOOD = Act(
    candidate="g",
    run_id="good",
    state="success",
    tasks=STEPS,
    report=report("Succeeded", "v2"),
    serving="v2",
    accuracy=0.95,
)
BAD = Act(
    candidate="b",
    run_id="bad",
    state="failed",
    tasks=STEPS | {"guarded_update": "failed"},
    report=report("RolledBack", "v3", cause=CAUSE),
    serving="v2",
    requests=90,
    failed_requests=9,
    accuracy=0.97,
    error="EndpointRolledBack: it serves v2 again",
)
ANSWERS = Answers(rows=5, as_old_model=5, as_new_model=0, to_incomplete_row="1")


def test_nothing_differs_when_all_is_as_promised():
    assert differences(Ending(good=GOOD, bad=BAD, answers=ANSWERS)) == []


@pytest.mark.parametrize(
    ("act", "otherwise"),
    [
        ("good", {"state": "failed"}),
        ("good", {"report": report("RolledBack", "v2")}),
        ("good", {"serving": "v1"}),
        ("good", {"failed_requests": 1}),
        ("bad", {"state": "success"}),
        ("bad", {"tasks": {"train": "failed", "guarded_update": "upstream_failed"}}),
        ("bad", {"tasks": {"train": "skipped", "guarded_update": "failed"}}),
        ("bad", {"report": report("Succeeded", "v3", cause=CAUSE)}),
        ("bad", {"report": report("RolledBack", "v3")}),
        ("bad", {"report": report("RolledBack", "v3", cause={"kind": "unknown", "alarms": []})}),
        ("bad", {"error": "RolloutTimedOut: still at it"}),
        ("bad", {"serving": "v3"}),
        ("bad", {"failed_requests": 0}),
        ("bad", {"accuracy": 0.95}),
        ("answers", {"rows": 0, "as_old_model": 0}),
        ("answers", {"as_old_model": 4}),
        ("answers", {"as_new_model": 1}),
        ("answers", {"to_incomplete_row": "Input X contains NaN"}),
    ],
)
def test_one_thing_that_is_otherwise_is_noticed(act, otherwise):
    parts = {"good": GOOD, "bad": BAD, "answers": ANSWERS}
    parts[act] = replace(parts[act], **otherwise)
    assert differences(Ending(**parts)) != []


def test_a_report_reads_as_lines_with_the_alarm_and_its_reason():
    stages = [
        {"stage": "Baking", "at": "2026-03-02T10:03:10+00:00", "instances": 1, "desired_instances": 4},
        {"stage": "Deleting", "at": None, "instances": 0, "desired_instances": 0},
    ]
    text = readable(
        report("RolledBack", "v3", cause=CAUSE, stages=stages, warnings=["one look was throttled"])
    )
    assert text.splitlines() == [
        "  outcome   RolledBack",
        "  endpoint  tumours",
        "  target    v3",
        "  before    v1",
        "  serving   v2",
        "  took      5 min 10 s of simulated time, from 10:00:00 to 10:05:10",
        "  stages    10:03:10  Baking: 1 of 4 new instances serve",
        "            --:--:--  Deleting: the new fleet",
        "  cause     alarm",
        "  alarm     10:04:00  tumours-errors",
        "            2.5 % > 1 %",
        "  warning   one look was throttled",
    ]


def test_children_cannot_reach_a_real_aws_or_another_airflow():
    env = sheltered({"AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "t", "AIRFLOW_HOME": "/srv", "LANG": "C"})
    assert env["LANG"] == "C"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AIRFLOW_HOME"} & set(env)
    assert env["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"


@pytest.mark.parametrize(("speed", "seconds"), [(60, 1), (1, 60), (2, 30), (600, 1)])
def test_the_task_looks_once_a_minute_of_aws_time_but_not_more_than_once_a_second(speed, seconds):
    assert waiter_delay(speed) == seconds
