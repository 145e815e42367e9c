"""Knobs, and reads that lag."""

from __future__ import annotations

from dataclasses import fields

import pytest

from airflow_guardrails.simulator.client import SimulatorError
from airflow_guardrails.simulator.engine.knobs import Knobs


def test_every_knob_says_what_it_is():
    for knob in fields(Knobs):
        assert knob.metadata["meaning"].endswith("."), knob.name


def test_an_unknown_knob_is_refused_by_the_names_there_are():
    with pytest.raises(ValueError, match=r"unknown knob: describe_lag \(known: .*describe_lag_seconds"):
        Knobs().update(describe_lag=3)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("timeout_ends_in", "somehow", "one of rollback, Failed"),
        ("provisioning_seconds", -1, "a number of seconds, 0 or more"),
        ("provisioning_seconds", "60", "a number of seconds, 0 or more"),
        ("provisioning_seconds", True, "a number of seconds, 0 or more"),
        ("provisioning_seconds", float("nan"), "a number of seconds, 0 or more"),
        ("stale_read_probability", 1.5, "a number from 0 to 1"),
        ("show_rolling_back", "yes", "true or false"),
        ("instance_limit", 2.5, "a whole number, 0 or more, or None"),
        ("rollback_failure_reason", 7, "a text or None"),
    ],
)
def test_a_wrong_value_is_refused_with_the_rule(name, value, rule):
    with pytest.raises(ValueError, match=rf"knob {name} must be {rule}"):
        Knobs().update(**{name: value})


def test_one_wrong_change_leaves_all_knobs_alone():
    knobs = Knobs()

    with pytest.raises(ValueError, match="deleting_seconds"):
        knobs.update(provisioning_seconds=5, deleting_seconds=-1)

    assert knobs == Knobs()


def test_the_defaults_pass_their_own_rules():
    knobs = Knobs()

    knobs.update(**{knob.name: getattr(knobs, knob.name) for knob in fields(Knobs)})

    assert knobs == Knobs()


def test_knobs_are_checked_over_the_wire_too(simulator):
    with pytest.raises(SimulatorError, match="unknown knob: speed_of_light"):
        simulator.client.set_knobs(speed_of_light=1)


def test_a_stale_read_answers_an_older_state(churn):
    churn.control.set_knobs(stale_read_probability=1.0, stale_read_seconds=30)
    churn.advance(minutes=1)
    churn.update()

    assert churn.status() == ("InService", "blue")
    churn.advance(seconds=30)
    assert churn.status() == ("Updating", "blue")
    churn.advance(seconds=220 + 29)
    assert churn.status() == ("Updating", "blue")
    churn.advance(seconds=1)
    assert churn.status() == ("InService", "green")


def test_reads_are_stale_now_and_then(churn):
    churn.advance(minutes=1)
    churn.control.set_knobs(stale_read_probability=0.3, stale_read_seconds=30)
    churn.update()

    seen = [churn.look()["EndpointStatus"] for _ in range(40)]

    assert set(seen) == {"Updating", "InService"}
    assert 20 <= seen.count("Updating") < 40


def test_looks_beyond_the_limit_of_a_second_are_throttled(churn):
    """The rate of AWS is not documented."""
    churn.control.set_knobs(describe_limit_per_second=3)

    assert [churn.look()["EndpointStatus"] for _ in range(3)] == ["InService"] * 3
    assert churn.refusal(churn.look) == ("ThrottlingException", "Rate exceeded")
    churn.sagemaker.list_endpoints()
    churn.advance(seconds=0.5)
    assert churn.refusal(churn.look)[0] == "ThrottlingException"
    churn.advance(seconds=0.5)

    assert [churn.look()["EndpointStatus"] for _ in range(3)] == ["InService"] * 3
