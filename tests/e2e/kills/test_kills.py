"""Whichever process is killed: one update is started, and its task reports the outcome."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.e2e


def assert_it_went_well(rollout, *, adopted):
    assert rollout.task()["state"] == "success"
    report = rollout.report()
    assert report["outcome"] == "Succeeded"
    assert report["adopted"] == adopted
    assert report["previous_endpoint_config_name"] == rollout.old
    assert rollout.endpoint()["EndpointConfigName"] == rollout.new
    assert rollout.asked() == 1
    assert "ALARM" not in rollout.switch_states()


@pytest.mark.parametrize("victims", ["task", "task and worker"])
def test_a_worker_killed_between_update_and_deferral_leaves_an_update_that_the_retry_adopts(update, victims):
    rollout = update("in_triggerer")
    rollout.start_and_hold_the_look_after_the_update()
    process, worker = rollout.processes()
    if victims == "task and worker":
        worker.kill()
    process.kill()
    rollout.until(lambda: rollout.task()["state"] == "deferred", "a retry that has deferred")
    assert rollout.stage() is not None
    rollout.finish()

    assert rollout.task()["try_number"] == 2
    assert_it_went_well(rollout, adopted="own")


def test_a_killed_triggerer_is_replaced_and_costs_no_truth(update):
    rollout = update("in_triggerer")
    rollout.start_and_bake()
    killed = rollout.task()["triggerer_job"]["id"]
    rollout.house.restart_killed_triggerer()
    rollout.until(lambda: rollout.task()["triggerer_job"]["id"] != killed, "another triggerer")
    rollout.finish()

    assert rollout.task()["try_number"] == 1
    assert_it_went_well(rollout, adopted=None)


@pytest.mark.parametrize(
    ("where", "outcome", "error"),
    [
        ("no_triggerer_in_time", "TimedOut", "RolloutTimedOut"),
        ("trigger_fails", None, "RolloutUnwatched"),
    ],
)
def test_a_wait_that_airflow_ends_itself_ends_with_a_report(update, where, outcome, error):
    rollout = update(where)
    rollout.start()
    rollout.until_ended()

    end = rollout.end()
    assert end["state"] == "failed"
    assert error in end["error"]
    assert end["report"]["outcome"] == outcome
    assert end["report"]["endpoint_status"] == "Updating"
    assert "ALARM" not in end["switch"]
