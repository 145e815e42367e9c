"""Reads of inference experiments that lag."""

from __future__ import annotations

from datetime import timedelta

import pytest

HOUR = timedelta(hours=1)


def listed(experiment, **more) -> dict[str, str]:
    rows = experiment.sagemaker.list_inference_experiments(**more)["InferenceExperiments"]
    return {row["Name"]: row["Status"] for row in rows}


def plain(look):
    return {key: value for key, value in look.items() if key != "ResponseMetadata"}


def change_by_start(experiment):
    experiment.create(start=HOUR, end=3 * HOUR)
    experiment.advance(minutes=1)
    yield
    experiment.start()


def change_by_stop(experiment):
    experiment.run()
    yield
    experiment.stop(Reason="enough")


def change_by_update(experiment):
    experiment.run()
    yield
    experiment.update(ShadowModeConfig=experiment.mode(percent=40))


@pytest.mark.parametrize("change", [change_by_start, change_by_stop, change_by_update])
def test_the_first_looks_may_be_from_before_a_call_that_changes_it(experiment, change):
    experiment.control.set_knobs(experiment_describe_lag_seconds=20)
    changing = change(experiment)
    next(changing)
    before = plain(experiment.look())

    next(changing, None)

    assert plain(experiment.look()) == before
    experiment.advance(seconds=19)
    assert plain(experiment.look()) == before
    experiment.advance(seconds=1)
    after = plain(experiment.look())
    assert after["Status"] in {"Starting", "Stopping", "Updating"}
    assert after["LastModifiedTime"] > before["LastModifiedTime"]


def test_a_stale_look_is_of_some_time_ago_in_all_that_it_says(experiment):
    experiment.run()
    running = plain(experiment.look())
    experiment.control.set_knobs(experiment_stale_read_probability=1, experiment_stale_read_seconds=30)
    experiment.stop(Reason="enough")

    experiment.advance(seconds=29)
    assert plain(experiment.look()) == running
    assert experiment.churn()["EndpointStatus"] == "Updating"
    experiment.advance(seconds=1)
    assert experiment.look()["EndpointMetadata"]["EndpointStatus"] == "Updating"
    assert experiment.status() == "Stopping"


def test_some_looks_are_stale_and_others_not_so_that_statuses_go_back_and_forth(experiment):
    experiment.run()
    experiment.control.set_knobs(experiment_stale_read_probability=0.5, experiment_stale_read_seconds=300)
    experiment.stop()

    seen = [experiment.status() for _ in range(20)]

    assert set(seen) == {"Running", "Stopping"}
    assert seen != sorted(seen)


def test_an_ended_experiment_may_look_as_if_it_ran(experiment):
    experiment.run()
    experiment.control.set_knobs(experiment_stale_read_probability=1, experiment_stale_read_seconds=600)
    experiment.stop(Reason="enough")
    experiment.advance(minutes=5)
    assert experiment.status() == "Running"

    experiment.advance(minutes=10)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Cancelled", "enough")


def test_a_list_may_be_behind(experiment):
    experiment.control.set_knobs(experiment_list_lag_seconds=60)
    experiment.create()
    assert listed(experiment) == {}
    experiment.advance(seconds=59)
    assert listed(experiment) == {}
    experiment.advance(seconds=1)
    assert listed(experiment) == {"trial": "Creating"}
    experiment.advance(minutes=10)
    experiment.stop()
    assert listed(experiment) == listed(experiment, StatusEquals="Running") == {"trial": "Running"}
    experiment.advance(minutes=10)
    assert listed(experiment) == {"trial": "Cancelled"}
    experiment.delete()
    assert listed(experiment) == {"trial": "Cancelled"}
    experiment.advance(minutes=1)
    assert listed(experiment) == {}


def test_a_new_experiment_may_not_be_found_yet(experiment):
    experiment.control.set_knobs(experiment_visible_after_seconds=10)
    experiment.create()

    assert experiment.refusal(experiment.look)[0] == "ResourceNotFound"
    assert experiment.refusal(experiment.create)[0] == "ResourceInUse"
    experiment.advance(seconds=10)
    assert experiment.status() == "Creating"


def test_a_refused_call_leaves_the_looks_alone(experiment):
    experiment.control.set_knobs(experiment_describe_lag_seconds=600)
    experiment.run()
    experiment.refusal(experiment.stop, {"live": "Remove", "candidate": "Remove"})
    experiment.control.script_experiment("trial", status="Cancelled")
    experiment.advance(seconds=1)

    assert experiment.status() == "Stopping"
