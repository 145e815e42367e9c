"""The demo itself, by its command: the example DAGs in a real Airflow, judged by what it wrote down."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_guardrails.demo.reaper import members

pytestmark = pytest.mark.e2e

LIMIT_SECONDS = 600


@pytest.fixture(scope="module")
def ending(tmp_path_factory):
    """What the demo says became of its five runs; it failing is a failure with its whole output."""
    folder = tmp_path_factory.mktemp("demo")
    summary = folder / "summary.json"
    options = ["--home", str(folder / "home"), "--summary", str(summary)]
    said = folder / "said.txt"
    with said.open("w") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "airflow_guardrails.demo", *options], stdout=output, stderr=output
        )
        try:
            code = demo.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            demo.terminate()
            code = demo.wait()
    assert code == 0, said.read_text()
    return json.loads(summary.read_text())


def test_the_good_model_takes_over_in_stages(ending):
    good = ending["good"]
    assert good["state"] == "success"
    assert set(good["tasks"].values()) == {"success"}
    assert good["verdict"]["label"] == "Pass"
    assert good["report"]["outcome"] == "Succeeded"
    assert good["report"]["serving_endpoint_config_name"] == good["report"]["endpoint_config_name"]
    assert good["report"]["previous_endpoint_config_name"] == "tumours-first"
    assert {"stage": "Baking", "instances": 1} in [
        {key: stage[key] for key in ("stage", "instances")} for stage in good["report"]["stages"]
    ]
    assert good["requests"] > 0
    assert good["failed_requests"] == 0


def test_the_bad_model_is_rolled_back_and_its_run_fails_at_that_task_and_says_why(ending):
    bad = ending["bad"]
    assert bad["state"] == "failed"
    assert [task for task, state in bad["tasks"].items() if state != "success"] == ["guarded_update"]
    assert bad["report"]["outcome"] == "RolledBack"
    assert bad["report"]["cause"]["kind"] == "alarm"
    assert [alarm["name"] for alarm in bad["report"]["cause"]["alarms"]] == ["tumours-errors"]
    assert bad["error"].startswith("EndpointRolledBack: ")
    assert "tumours-errors" in bad["error"]
    assert 0 < bad["failed_requests"] < bad["requests"]


def test_the_wrong_model_is_stopped_by_the_judge_before_any_client_sees_it(ending):
    wrong = ending["wrong"]
    assert wrong["state"] == "failed"
    assert [task for task, state in wrong["tasks"].items() if state == "failed"] == [
        "guarded_deployment.judge"
    ]
    assert wrong["tasks"]["guarded_deployment.stop_shadow_test"] == "success"
    assert wrong["tasks"]["guarded_deployment.guarded_update"] == "upstream_failed"
    assert wrong["verdict"]["label"] == "Fail"
    failed_by = [reason["metric"] for reason in wrong["verdict"]["reasons"] if reason["label"] == "Fail"]
    assert failed_by == ["predictions"]
    assert wrong["error"].startswith("CandidateRejected: ")
    assert (wrong["requests"], wrong["client_errors"]) == (0, 0)


def test_the_slow_model_is_undone_by_comparison_alone(ending):
    report = ending["slow"]["report"]
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert report["analysis"]["label"] == "Fail"
    assert report["analysis"]["acted"] is True
    assert ending["slow"]["error"].startswith("EndpointRolledBack: ")
    assert "ModelLatency" in ending["slow"]["error"]
    assert ending["slow"]["failed_requests"] == 0


def test_an_equal_model_passes_the_comparison(ending):
    assert ending["good"]["report"]["analysis"]["label"] == "Pass"
    assert ending["good"]["report"]["analysis"]["acted"] is False


def test_a_model_that_nobody_asked_is_not_brought_in(ending):
    report = ending["unasked"]["report"]
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert report["analysis"]["label"] == "Inconclusive"
    assert report["serving_endpoint_config_name"] == ending["good"]["report"]["endpoint_config_name"]


def test_the_endpoint_still_answers_with_the_good_model_afterwards(ending):
    assert ending["unasked"]["serving"] == ending["good"]["report"]["endpoint_config_name"]
    assert ending["answers"]["rows"] > 0
    assert ending["answers"]["as_old_model"] == ending["answers"]["rows"]
    assert ending["answers"]["as_new_model"] == 0
    assert ending["answers"]["to_incomplete_row"] in ("0", "1")


def test_nothing_is_left_running(ending):
    assert len(ending["sessions"]) == 5
    assert members(set(ending["sessions"])) == []
