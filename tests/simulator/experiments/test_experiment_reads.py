"""Reads of inference experiments that are behind what is so."""

from __future__ import annotations

from datetime import timedelta

import pytest

HOUR = timedelta(hours=1)


def listed(lab, **more) -> dict[str, str]:
    rows = lab.sagemaker.list_inference_experiments(**more)["InferenceExperiments"]
    return {row["Name"]: row["Status"] for row in rows}


def plain(look):
    return {key: value for key, value in look.items() if key != "ResponseMetadata"}


def change_by_start(lab):
    lab.create(start=HOUR, end=3 * HOUR)
    lab.advance(minutes=1)
    yield
    lab.start()


def change_by_stop(lab):
    lab.run()
    yield
    lab.stop(Reason="enough")


def change_by_update(lab):
    lab.run()
    yield
    lab.update(ShadowModeConfig=lab.mode(percent=40))


@pytest.mark.parametrize("change", [change_by_start, change_by_stop, change_by_update])
def test_the_first_looks_may_be_from_before_a_call_that_changes_it(lab, change):
    lab.control.set_knobs(experiment_describe_lag_seconds=20)
    changing = change(lab)
    next(changing)
    before = plain(lab.look())

    next(changing, None)

    assert plain(lab.look()) == before
    lab.advance(seconds=19)
    assert plain(lab.look()) == before
    lab.advance(seconds=1)
    after = plain(lab.look())
    assert after["Status"] in {"Starting", "Stopping", "Updating"}
    assert after["LastModifiedTime"] > before["LastModifiedTime"]


def test_a_stale_look_is_of_some_time_ago_in_all_that_it_says(lab):
    lab.run()
    running = plain(lab.look())
    lab.control.set_knobs(experiment_stale_read_probability=1, experiment_stale_read_seconds=30)
    lab.stop(Reason="enough")

    lab.advance(seconds=29)
    assert plain(lab.look()) == running
    assert lab.churn()["EndpointStatus"] == "Updating"
    lab.advance(seconds=1)
    assert lab.look()["EndpointMetadata"]["EndpointStatus"] == "Updating"
    assert lab.status() == "Stopping"


def test_some_looks_are_stale_and_others_not_so_that_statuses_go_back_and_forth(lab):
    lab.run()
    lab.control.set_knobs(experiment_stale_read_probability=0.5, experiment_stale_read_seconds=300)
    lab.stop()

    seen = [lab.status() for _ in range(20)]

    assert set(seen) == {"Running", "Stopping"}
    assert seen != sorted(seen)


def test_an_ended_experiment_may_look_as_if_it_ran(lab):
    lab.run()
    lab.control.set_knobs(experiment_stale_read_probability=1, experiment_stale_read_seconds=600)
    lab.stop(Reason="enough")
    lab.advance(minutes=5)
    assert lab.status() == "Running"

    lab.advance(minutes=10)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Cancelled", "enough")


def test_a_list_may_be_behind(lab):
    lab.control.set_knobs(experiment_list_lag_seconds=60)
    lab.create()
    assert listed(lab) == {}
    lab.advance(seconds=59)
    assert listed(lab) == {}
    lab.advance(seconds=1)
    assert listed(lab) == {"trial": "Creating"}
    lab.advance(minutes=10)
    lab.stop()
    assert listed(lab) == listed(lab, StatusEquals="Running") == {"trial": "Running"}
    lab.advance(minutes=10)
    assert listed(lab) == {"trial": "Cancelled"}
    lab.delete()
    assert listed(lab) == {"trial": "Cancelled"}
    lab.advance(minutes=1)
    assert listed(lab) == {}


def test_a_new_experiment_may_not_be_found_yet(lab):
    lab.control.set_knobs(experiment_visible_after_seconds=10)
    lab.create()

    assert lab.refusal(lab.look)[0] == "ResourceNotFound"
    assert lab.refusal(lab.create)[0] == "ResourceInUse"
    lab.advance(seconds=10)
    assert lab.status() == "Creating"


def test_a_refused_call_leaves_the_looks_alone(lab):
    lab.control.set_knobs(experiment_describe_lag_seconds=600)
    lab.run()
    lab.refusal(lab.stop, {"live": "Remove", "candidate": "Remove"})
    lab.control.script_experiment("trial", status="Cancelled")
    lab.advance(seconds=1)

    assert lab.status() == "Stopping"
