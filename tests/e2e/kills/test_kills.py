"""Whoever is killed, cleared or marked: one update is asked for, and its task tells what became of it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.e2e

LEFT_ALONE = "nothing is stopped"
WHERE = pytest.mark.parametrize("where", ["in_triggerer", "in_worker"])


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


def test_a_triggerer_that_stalls_loses_its_trigger_and_aborts_nothing_when_it_wakes(update):
    rollout = update("in_triggerer")
    rollout.start_and_bake()
    stalled = rollout.task()["triggerer_job"]["id"]
    with rollout.house.stalled_triggerer():
        rollout.until(lambda: rollout.task()["triggerer_job"]["id"] != stalled, "another triggerer")
    rollout.until(lambda: LEFT_ALONE in rollout.log(1), "a kill that was thought better of")
    assert rollout.stage() == "Baking"
    rollout.finish()
    rollout.house.end_second_triggerer()

    assert rollout.task()["try_number"] == 1
    assert_it_went_well(rollout, adopted=None)


def test_an_evicted_worker_leaves_its_rollout_alone_and_the_retry_adopts_it(update):
    rollout = update("in_worker")
    rollout.start_and_bake()
    process, worker = rollout.processes()
    worker.terminate()
    rollout.until(lambda: LEFT_ALONE in rollout.log(1), "a kill that was thought better of")
    process.kill()
    rollout.until(lambda: rollout.task()["try_number"] == 2, "a second try")
    assert rollout.stage() == "Baking"
    rollout.finish()

    assert_it_went_well(rollout, adopted="own")


@WHERE
def test_a_cleared_task_leaves_its_rollout_alone_and_the_new_try_adopts_it(update, where):
    rollout = update(where)
    rollout.start_and_bake()
    rollout.house.clear(rollout.dag_id, rollout.name)
    rollout.until(lambda: rollout.task()["try_number"] == 2, "a second try")
    rollout.until(lambda: LEFT_ALONE in rollout.log(1), "a kill that was thought better of")
    assert rollout.stage() == "Baking"
    rollout.finish()

    assert_it_went_well(rollout, adopted="own")


@WHERE
def test_a_task_marked_failed_aborts_its_rollout_and_whoever_looks_next_resets_the_switch(update, where):
    rollout = update(where)
    rollout.start_and_bake()
    rollout.house.mark_failed(rollout.dag_id, rollout.name)
    rollout.until(lambda: rollout.endpoint()["EndpointStatus"] == "InService", "the endpoint rolled back")
    assert rollout.endpoint()["EndpointConfigName"] == rollout.old
    assert rollout.switch_states()[-1] == "ALARM"
    assert rollout.task()["state"] == "failed"

    rollout.house.clear(rollout.dag_id, rollout.name)
    rollout.until(lambda: rollout.task()["try_number"] == 2, "a second try")
    rollout.until_ended()
    assert rollout.task()["state"] == "failed"
    assert rollout.report()["outcome"] == "RolledBack"
    assert rollout.report()["cause"]["kind"] == "abort"
    assert rollout.error(2).startswith("EndpointRolledBack: ")
    rollout.until(lambda: rollout.switch_states()[-1] == "OK", "the switch reset")
    assert rollout.asked() == 1
