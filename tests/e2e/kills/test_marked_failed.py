"""
Marking a task or its run failed rolls an update back; nothing else that Airflow does to a task stops one.

All updates run side by side in one Airflow, each on an endpoint of its own, and are told apart by what
happens to them while their canaries bake.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from tests.support.real_airflow import SPEED, House, Update

pytestmark = pytest.mark.e2e

WHERE = ("in_triggerer", "in_worker")
ABORTED = ("task marked failed", "run marked failed")
LEFT_ALONE = ("cleared", "cleared and failing again", "run timed out", "marked success")
# Those that are still watched when the triggerer is restarted, and when another one takes over.
WATCHED = "left to its trigger"
# The one that is marked failed while no triggerer runs.
UNSEEN = "marked failed unseen"

REASSIGNED = "Airflow says this task is deferred: nothing is stopped"

DAG_BY_EVENT = {"cleared and failing again": "_fails_again", "run timed out": "_times_out"}
# Simulated seconds in a second: the bakes outlast all that Airflow does.
SLOW = 2
# For fifteen tasks to begin, on a machine with two cores.
PATIENCE = 150


@dataclass(kw_only=True)
class Story:
    """What happened to each update; the key is what was done to it."""

    house: House
    updates: dict[str, Update]
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    restart_seconds: float = 0.0
    # The job of each triggerer that held the trigger that is left to it.
    triggerers: list[int | None] = field(default_factory=list)
    concluded: dict[str, Any] = field(default_factory=dict)

    def started(self) -> None:
        for update in self.updates.values():
            update.start()
        for key, update in self.updates.items():
            assert self.house.settled(update.bakes, patience=PATIENCE), f"{key}: {update.all_there_is()}"

    def interrupted(self) -> None:
        """Do to each what it is named for, all at about the same time."""
        for where in WHERE:
            self.updates[f"{where}: task marked failed"].mark("failed")
            self.updates[f"{where}: run marked failed"].mark_run("failed")
            self.updates[f"{where}: marked success"].mark("success")
            self.updates[f"{where}: cleared"].clear()
            self.updates[f"{where}: cleared and failing again"].clear()
        self._evict(self.updates["in_worker: evicted"])

    def aborted(self) -> None:
        """Once those marked failed are rolled back, clear them: the next try reports the rollback."""
        for where in WHERE:
            for what in ABORTED:
                update = self.updates[key := f"{where}: {what}"]
                self.house.settled(update.rolled_back)
                self.ends[key] = {"first": update.end()}
                update.clear()

    def left_alone(self) -> None:
        """Go on when Airflow has done what it was asked for to all others."""
        for where in WHERE:
            for what in LEFT_ALONE:
                update = self.updates[f"{where}: {what}"]
                self.house.settled(lambda update=update: update.is_left_alone())
        self.house.settled(lambda: self.updates["in_worker: evicted"].task()["try_number"] == 2)

    def with_other_triggerers(self) -> None:
        """Restart the triggerer, then let one stand still until another one has taken over."""
        watched = self.updates[f"in_triggerer: {WATCHED}"]
        self.triggerers = [watched.triggerer()]
        self.restart_seconds = self.house.restart_triggerer()
        self._taken_over(watched)
        with self.house.stalled_triggerer():
            self._taken_over(watched)
        # The one that wakes up finds that its trigger is another one's now.
        self.house.settled(lambda: REASSIGNED in watched.log(1))
        self.house.end_second_triggerer()

    def without_a_triggerer(self) -> None:
        """Mark the update failed that has a concluding task; start a triggerer after its end."""
        update = self.updates[key := f"concluded: {UNSEEN}"]
        self.house.kill_triggerer()
        update.mark("failed")
        self.house.settled(update.rolled_back)
        self.ends[key] = {"first": update.end()}
        self.house.start_component("triggerer")
        self.house.settled(lambda: self.house.run_state(update.dag_id, update.name) in ("success", "failed"))
        self.concluded = {
            "task": self.house.task_states(update.dag_id, update.name)["conclude"],
            "run": self.house.run_state(update.dag_id, update.name),
            "report": self.house.xcom(update.dag_id, update.name, "conclude", "rollout_report"),
        }

    def finished(self) -> None:
        next(iter(self.updates.values())).cloud.control.clock.advance(minutes=65)
        for key, update in self.updates.items():
            self.house.settled(lambda update=update: update.ended() and not update.stage())
            self.ends.setdefault(key, {})["last"] = update.end()

    def _evict(self, update: Update) -> None:
        """End the worker as its machine does, and then its task."""
        process, worker = update.processes()
        worker.terminate()
        self.house.settled(update.is_left_alone, patience=15)
        for each in (worker, process):
            with suppress(psutil.NoSuchProcess):
                each.kill()

    def _taken_over(self, update: Update) -> None:
        self.house.settled(lambda: update.triggerer() not in (*self.triggerers, None))
        self.triggerers.append(update.triggerer())


@pytest.fixture(scope="module")
def story(house, cloud) -> Story:
    keys = [f"{where}: {what}" for where in WHERE for what in (*ABORTED, *LEFT_ALONE)]
    keys += [f"in_triggerer: {WATCHED}", "in_worker: evicted", f"concluded: {UNSEEN}"]
    # Those with a time-out begin last: it counts from the beginning of their runs.
    keys.sort(key=lambda key: "run timed out" in key)
    updates = {}
    for number, key in enumerate(keys):
        where, _, what = key.partition(": ")
        dag_id = f"update_{where}{DAG_BY_EVENT.get(what, '')}"
        updates[key] = Update(house=house, cloud=cloud, dag_id=dag_id, name=f"marked-{number}")
    story = Story(house=house, updates=updates)
    cloud.control.set_speed(SLOW)
    for chapter in (
        story.started,
        story.interrupted,
        story.aborted,
        story.left_alone,
        story.with_other_triggerers,
        story.without_a_triggerer,
        story.finished,
    ):
        began = time.monotonic()
        chapter()
        print(f"{chapter.__name__}: {time.monotonic() - began:.0f} s")  # noqa: T201 - shown if a test fails
    cloud.control.set_speed(SPEED)
    return story


@pytest.mark.parametrize("what", ABORTED)
@pytest.mark.parametrize("where", WHERE)
def test_an_update_whose_task_or_run_is_marked_failed_is_rolled_back(story, where, what):
    ends = story.ends[f"{where}: {what}"]
    assert ends["first"]["serves"] == "v1"
    assert ends["first"]["state"] == "failed"
    assert "ALARM" in ends["first"]["switch"]
    assert "abort switch thrown" in ends["first"]["log"]


@pytest.mark.parametrize("what", ABORTED)
@pytest.mark.parametrize("where", WHERE)
def test_a_task_that_is_cleared_after_that_reports_the_rollback_and_its_cause(story, where, what):
    last = story.ends[f"{where}: {what}"]["last"]
    assert last["serves"] == "v1"
    assert (last["state"], last["try"]) == ("failed", 2)
    assert (last["report"]["outcome"], last["report"]["cause"]["kind"]) == ("RolledBack", "abort")
    assert last["error"].startswith("EndpointRolledBack: ")


@pytest.mark.parametrize(
    ("what", "state", "tried"),
    [
        ("cleared", "success", 2),
        ("cleared and failing again", "failed", 2),
        ("run timed out", "skipped", 1),
        ("marked success", "success", 1),
    ],
)
@pytest.mark.parametrize("where", WHERE)
def test_whatever_else_happens_to_a_task_leaves_its_update_alone(story, where, what, state, tried):
    last = story.ends[f"{where}: {what}"]["last"]
    assert last["serves"] == "v2"
    assert (last["state"], last["try"]) == (state, tried)
    assert "ALARM" not in last["switch"]
    assert "nothing is stopped" in last["first_log"]


@pytest.mark.parametrize("where", WHERE)
def test_the_new_try_of_a_cleared_task_adopts_its_update(story, where):
    report = story.ends[f"{where}: cleared"]["last"]["report"]
    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")


def test_an_evicted_worker_leaves_its_update_to_the_retry(story):
    last = story.ends["in_worker: evicted"]["last"]
    assert (last["serves"], last["state"], last["try"]) == ("v2", "success", 2)
    assert last["report"]["adopted"] == "own"
    assert "ALARM" not in last["switch"]


def test_a_trigger_that_is_restarted_and_taken_over_by_another_triggerer_aborts_nothing(story):
    last = story.ends[f"in_triggerer: {WATCHED}"]["last"]
    assert (last["serves"], last["state"], last["try"]) == ("v2", "success", 1)
    assert (last["report"]["outcome"], last["report"]["adopted"]) == ("Succeeded", None)
    assert "ALARM" not in last["switch"]
    assert len({*story.triggerers} - {None}) == 3
    assert REASSIGNED in last["first_log"]


def test_a_triggerer_that_is_to_end_is_not_held_up(story):
    assert story.restart_seconds < 30


def test_each_update_is_asked_for_once(story):
    first = next(iter(story.updates.values()))
    assert first.cloud.control.calls("UpdateEndpoint") == len(story.updates)


def test_without_any_triggerer_the_concluding_task_aborts_an_update_that_is_marked_failed(story):
    ends = story.ends[f"concluded: {UNSEEN}"]
    assert (ends["first"]["serves"], ends["first"]["state"]) == ("v1", "failed")
    assert "ALARM" in ends["first"]["switch"]
    # Not by its own trigger, which the next triggerer may still begin, and then finds it rolled back.
    assert "abort switch thrown" not in ends["last"]["first_log"]


def test_the_concluding_task_reports_the_rollback_and_leaves_the_run_failed(story):
    concluded = story.concluded
    assert (concluded["task"], concluded["run"]) == ("success", "failed")
    report = concluded["report"]
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "abort")
