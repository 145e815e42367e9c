"""The demo itself, by its command: the example DAGs in a real Airflow, checked by the results it writes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_guardrails.demo.reaper import members

pytestmark = pytest.mark.e2e

LIMIT_SECONDS = 600


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of the demo's five runs. If the demo fails, its output is shown."""
    folder = tmp_path_factory.mktemp("demo")
    summary = folder / "summary.json"
    options = ["--home", str(folder / "home"), "--summary", str(summary)]
    log = folder / "log.txt"
    with log.open("w") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "airflow_guardrails.demo", *options], stdout=output, stderr=output
        )
        try:
            code = demo.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            demo.terminate()
            code = demo.wait()
    assert code == 0, log.read_text()
    return json.loads(summary.read_text())


def test_the_good_model_takes_over_in_stages(results):
    good = results["good"]
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


def test_the_bad_model_is_rolled_back_and_its_run_fails_at_that_task_and_says_why(results):
    bad = results["bad"]
    assert bad["state"] == "failed"
    assert [task for task, state in bad["tasks"].items() if state != "success"] == ["guarded_update"]
    assert bad["report"]["outcome"] == "RolledBack"
    assert bad["report"]["cause"]["kind"] == "alarm"
    assert bad["error"].startswith("EndpointRolledBack: ")
    assert "5xx errors of the new fleet" in bad["error"]
    assert 0 < bad["failed_requests"] < bad["requests"]


def test_the_wrong_model_is_stopped_by_the_judge_before_any_client_sees_it(results):
    wrong = results["wrong"]
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


def test_the_slow_model_is_rolled_back_by_the_comparison(results):
    report = results["slow"]["report"]
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert report["analysis"]["label"] == "Fail"
    assert report["analysis"]["acted"] is True
    assert results["slow"]["error"].startswith("EndpointRolledBack: ")
    assert "ModelLatency" in results["slow"]["error"]
    assert results["slow"]["failed_requests"] == 0


def test_an_equal_model_passes_the_comparison(results):
    assert results["good"]["report"]["analysis"]["label"] == "Pass"
    assert results["good"]["report"]["analysis"]["acted"] is False


def test_a_model_without_traffic_is_rolled_back(results):
    report = results["no_traffic"]["report"]
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert report["analysis"]["label"] == "Inconclusive"
    assert report["serving_endpoint_config_name"] == results["good"]["report"]["endpoint_config_name"]


def test_the_endpoint_still_answers_with_the_good_model_afterwards(results):
    assert results["no_traffic"]["serving"] == results["good"]["report"]["endpoint_config_name"]
    assert results["answers"]["rows"] > 0
    assert results["answers"]["like_old_model"] == results["answers"]["rows"]
    assert results["answers"]["like_new_model"] == 0
    assert results["answers"]["on_incomplete_row"] in ("0", "1")


def test_nothing_is_left_running(results):
    assert len(results["sessions"]) == 5
    assert members(set(results["sessions"])) == []
