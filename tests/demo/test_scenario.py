"""The demo compares its results with what is expected, and shows them as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_guardrails.demo.expectations import differences
from airflow_guardrails.demo.production import isolated_environment
from airflow_guardrails.demo.scenario import (
    COMPARED,
    DIRECT,
    SHADOWED,
    DemoResults,
    DemoRun,
    EndpointAnswers,
    waiter_delay,
)
from airflow_guardrails.demo.texts import report_text, shadow_test_text, verdict_text

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
        "alarms": [GUARD],
        "cause": None,
    } | more


GUARD = {"name": "airflow-guardrails-guard-1", "title": "5xx errors of the new fleet"}
CAUSE = {
    "kind": "alarm",
    "alarms": [
        {
            "name": GUARD["name"],
            "state": "ALARM",
            "at": "2026-03-02T10:04:00+00:00",
            "reason": "2.5 % > 1 %",
        }
    ],
}
FAILED_BY_ANSWERS = {
    "label": "Fail",
    "shadow_model_name": "v4",
    "reasons": [
        {"metric": "ModelLatency", "label": "Pass", "text": "as quick"},
        {"metric": "predictions", "label": "Fail", "text": "7 % differ > 5 %"},
    ],
}
SHADOW_STEPS = {f"guarded_deployment.{task}": "success" for task in ("judge", "stop_shadow_test")}
GOOD = DemoRun(
    dag_id=SHADOWED,
    candidate="g",
    run_id="good",
    state="success",
    tasks=SHADOW_STEPS,
    report=report("Succeeded", "v2", analysis={"label": "Pass", "reasons": []}),
    verdict={"label": "Pass", "shadow_model_name": "v2", "reasons": []},
    serving="v2",
    accuracy=0.95,
)
BAD = DemoRun(
    dag_id=DIRECT,
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
STOPPED = {"guarded_deployment.judge": "failed", "guarded_deployment.guarded_update": "upstream_failed"}
WRONG = DemoRun(
    dag_id=SHADOWED,
    candidate="w",
    run_id="wrong",
    state="failed",
    tasks=SHADOW_STEPS | STOPPED,
    verdict=FAILED_BY_ANSWERS,
    serving="v2",
    accuracy=0.97,
    error="CandidateRejected: 7 % differ",
)
SLOWER = {
    "label": "Fail",
    "reasons": [{"metric": "ModelLatency", "label": "Fail", "text": "+20 % > +10 %"}],
}
SLOW = DemoRun(
    dag_id=COMPARED,
    candidate="g",
    run_id="slow",
    state="failed",
    report=report("RolledBack", "v5", cause={"kind": "judge", "alarms": []}, analysis=SLOWER),
    serving="v2",
    error="EndpointRolledBack: +20 %",
)
INCONCLUSIVE = {"label": "Inconclusive", "reasons": []}
NO_TRAFFIC = DemoRun(
    dag_id=COMPARED,
    candidate="g",
    run_id="no-traffic",
    state="failed",
    report=report("RolledBack", "v6", cause={"kind": "judge", "alarms": []}, analysis=INCONCLUSIVE),
    serving="v2",
)
ANSWERS = EndpointAnswers(rows=5, like_old_model=5, like_new_model=0, on_incomplete_row="1")
RESULTS = DemoResults(good=GOOD, bad=BAD, wrong=WRONG, slow=SLOW, no_traffic=NO_TRAFFIC, answers=ANSWERS)


def test_expected_results_have_no_differences():
    assert differences(RESULTS) == []


@pytest.mark.parametrize(
    ("run", "change"),
    [
        ("good", {"state": "failed"}),
        ("good", {"report": report("RolledBack", "v2")}),
        ("good", {"verdict": {"label": "Inconclusive", "reasons": []}}),
        ("good", {"serving": "v1"}),
        ("good", {"failed_requests": 1}),
        ("bad", {"state": "success"}),
        ("bad", {"tasks": {"train": "failed", "guarded_update": "upstream_failed"}}),
        ("bad", {"tasks": {"train": "skipped", "guarded_update": "failed"}}),
        ("bad", {"report": report("Succeeded", "v3", cause=CAUSE)}),
        ("bad", {"report": report("RolledBack", "v3")}),
        ("bad", {"report": report("RolledBack", "v3", cause={"kind": "unknown", "alarms": []})}),
        ("bad", {"report": report("RolledBack", "v3", cause=CAUSE | {"kind": "abort"})}),
        ("bad", {"report": report("RolledBack", "v3", cause=CAUSE, alarms=[])}),
        ("wrong", {"report": report("Succeeded", "v4")}),
        ("bad", {"error": "RolloutTimedOut: still at it"}),
        ("bad", {"serving": "v3"}),
        ("bad", {"failed_requests": 0}),
        ("bad", {"accuracy": 0.95}),
        ("wrong", {"state": "success"}),
        ("wrong", {"tasks": SHADOW_STEPS}),
        ("wrong", {"tasks": SHADOW_STEPS | STOPPED | {"guarded_deployment.stop_shadow_test": "failed"}}),
        ("wrong", {"tasks": SHADOW_STEPS | STOPPED | {"guarded_deployment.guarded_update": "success"}}),
        ("wrong", {"verdict": FAILED_BY_ANSWERS | {"label": "Pass"}}),
        ("wrong", {"verdict": FAILED_BY_ANSWERS | {"reasons": []}}),
        ("wrong", {"error": "CandidateUndecided: too little"}),
        ("wrong", {"serving": "v4"}),
        ("wrong", {"requests": 1}),
        ("wrong", {"client_errors": 1}),
        ("wrong", {"accuracy": 0.95}),
        ("good", {"report": report("Succeeded", "v2", analysis=INCONCLUSIVE)}),
        ("good", {"report": report("Succeeded", "v2")}),
        ("slow", {"report": report("Succeeded", "v5", analysis=SLOWER)}),
        ("slow", {"report": report("RolledBack", "v5", cause=CAUSE, analysis=SLOWER)}),
        ("slow", {"report": report("RolledBack", "v5", cause={"kind": "judge"}, analysis=INCONCLUSIVE)}),
        ("slow", {"error": "RolloutTimedOut: still at it"}),
        ("slow", {"serving": "v5"}),
        ("no_traffic", {"report": report("Succeeded", "v6", analysis=INCONCLUSIVE)}),
        (
            "no_traffic",
            {"report": report("RolledBack", "v6", cause={"kind": "unknown"}, analysis=INCONCLUSIVE)},
        ),
        ("no_traffic", {"report": report("RolledBack", "v6", cause={"kind": "judge"}, analysis=SLOWER)}),
        ("no_traffic", {"serving": "v6"}),
        ("answers", {"rows": 0, "like_old_model": 0}),
        ("answers", {"like_old_model": 4}),
        ("answers", {"like_new_model": 1}),
        ("answers", {"on_incomplete_row": "Input X contains NaN"}),
    ],
)
def test_each_difference_is_reported(run, change):
    changed = replace(getattr(RESULTS, run), **change)

    assert differences(replace(RESULTS, **{run: changed})) != []


def test_a_verdict_reads_as_lines_with_a_reason_each():
    assert verdict_text(FAILED_BY_ANSWERS).splitlines() == [
        "  verdict   Fail",
        "            Pass: as quick",
        "            Fail: 7 % differ > 5 %",
    ]


def test_a_shadow_test_reads_as_a_line():
    report = {"status": "Running", "requests": {"main": 1200.0, "shadow": 1199.0}}

    assert shadow_test_text(report) == "shadow test Running: 1200 requests to main, 1199 requests to shadow"


def test_a_report_reads_as_lines_with_the_alarm_and_its_reason():
    stages = [
        {
            "stage": "Baking",
            "at": "2026-03-02T10:03:10+00:00",
            "instances": 1,
            "desired_instances": 4,
            "seen": True,
        },
        {"stage": "Baking", "at": None, "instances": 4, "desired_instances": 4, "seen": False},
        {"stage": "Deleting", "at": None, "instances": 0, "desired_instances": 0, "seen": True},
    ]
    text = report_text(
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
        "            not seen  Baking: 4 of 4 new instances serve",
        "            --:--:--  Deleting: the new fleet",
        "  cause     alarm",
        "  guard     10:04:00  5xx errors of the new fleet",
        "            2.5 % > 1 %",
        "  warning   one look was throttled",
    ]


def test_children_cannot_reach_a_real_aws_or_another_airflow():
    env = isolated_environment(
        {"AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "t", "AIRFLOW_HOME": "/srv", "LANG": "C"}
    )
    assert env["LANG"] == "C"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AIRFLOW_HOME"} & set(env)
    assert env["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"


@pytest.mark.parametrize(("speed", "seconds"), [(60, 1), (1, 60), (2, 30), (600, 1)])
def test_the_task_polls_once_in_a_simulated_minute_but_at_most_once_in_a_second(speed, seconds):
    assert waiter_delay(speed) == seconds
