"""Strategies: what can be built, what cannot, and what each can be asked."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from airflow_guardrails.strategies import (
    AllAtOnce,
    Canary,
    GuardrailsValueError,
    InvalidStrategy,
    Linear,
    Rolling,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def seconds(number):
    return timedelta(seconds=number)


CANARY = {"percent": 10, "bake": MINUTE}
LINEAR = {"percent": 50, "bake": MINUTE}
ROLLING = {"batch_percent": 50, "bake": MINUTE}

# kind, the arguments beside it, argument, unit, least, most: API reference and fact sheet 1.2, 1.3
BOUNDS = [
    (AllAtOnce, {}, "termination_wait", seconds, 0, 3600),
    (AllAtOnce, {}, "max_duration", seconds, 600, 28800),
    (Canary, {"bake": MINUTE}, "percent", int, 1, 50),
    (Canary, {"percent": 10}, "bake", seconds, 0, 3600),
    (Canary, CANARY, "termination_wait", seconds, 0, 3600),
    (Canary, CANARY, "max_duration", seconds, 600, 28800),
    (Linear, {"bake": MINUTE}, "percent", int, 10, 50),
    (Linear, {"percent": 10}, "bake", seconds, 0, 3600),
    (Linear, LINEAR, "termination_wait", seconds, 0, 3600),
    (Linear, LINEAR, "max_duration", seconds, 600, 28800),
    (Rolling, {"bake": MINUTE}, "batch_percent", int, 5, 50),
    (Rolling, {"batch_percent": 10}, "bake", seconds, 0, 3600),
    (Rolling, ROLLING, "rollback_batch_percent", int, 1, 100),
    (Rolling, ROLLING, "max_duration", seconds, 600, 28800),
]
INSTANCES = [
    (Canary, "instances", {}),
    (Linear, "instances", {}),
    (Rolling, "batch_instances", {}),
    (Rolling, "rollback_batch_instances", {"batch_instances": 1}),
]


def row_id(row):
    return f"{row[0].__name__}.{row[2]}"


@pytest.mark.parametrize("row", BOUNDS, ids=row_id)
def test_both_limits_are_accepted(row):
    kind, others, field, unit, least, most = row
    for number in (least, most):
        assert getattr(kind(**{**others, field: unit(number)}), field) == unit(number)


@pytest.mark.parametrize("row", BOUNDS, ids=row_id)
def test_values_just_out_of_range_are_refused_with_name_rule_and_value(row):
    kind, others, field, unit, least, most = row
    s = " s" if unit is seconds else ""
    for number in (least - 1, most + 1):
        with pytest.raises(InvalidStrategy) as caught:
            kind(**{**others, field: unit(number)})
        rule = f"{kind.__name__}.{field} must be {least} to {most}{s} (got {number}{s}): "
        assert str(caught.value).startswith(rule)
        assert caught.value.field == field


@pytest.mark.parametrize(("kind", "field", "others"), INSTANCES)
def test_a_size_in_instances_has_no_upper_limit_without_a_fleet(kind, field, others):
    assert getattr(kind(bake=MINUTE, **{**others, field: 500}), field) == 500


@pytest.mark.parametrize(("kind", "field", "others"), INSTANCES)
def test_a_size_below_one_instance_is_refused(kind, field, others):
    with pytest.raises(InvalidStrategy, match=rf"{kind.__name__}\.{field} must be 1 or more \(got 0\)"):
        kind(bake=MINUTE, **{**others, field: 0})


def test_the_message_says_why():
    with pytest.raises(InvalidStrategy) as caught:
        Canary(percent=60, bake=MINUTE)
    assert str(caught.value) == (
        "Canary.percent must be 1 to 50 (got 60): "
        "SageMaker allows at most half of the fleet in the first step"
    )


@pytest.mark.parametrize(
    ("kind", "percent", "instances"),
    [
        (Canary, "percent", "instances"),
        (Linear, "percent", "instances"),
        (Rolling, "batch_percent", "batch_instances"),
    ],
)
def test_a_step_has_exactly_one_size(kind, percent, instances):
    rule = f"{kind.__name__} needs exactly one of {percent} and {instances}"
    with pytest.raises(InvalidStrategy, match=rf"{rule} \(got neither\)"):
        kind(bake=MINUTE)
    with pytest.raises(InvalidStrategy, match=rf"{rule} \(got {percent}=10 and {instances}=1\)"):
        kind(bake=MINUTE, **{percent: 10, instances: 1})


def test_a_rollback_batch_may_be_left_out_but_has_one_size():
    rolling = Rolling(batch_percent=10, bake=MINUTE)
    assert (rolling.rollback_batch_percent, rolling.rollback_batch_instances) == (None, None)
    with pytest.raises(InvalidStrategy, match="exactly one of rollback_batch_percent and rollback_batch_"):
        Rolling(batch_percent=10, bake=MINUTE, rollback_batch_percent=10, rollback_batch_instances=1)


@pytest.mark.parametrize("value", [True, 10.0, "10"])
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (Canary, "percent"),
        (Canary, "instances"),
        (Linear, "percent"),
        (Linear, "instances"),
        (Rolling, "batch_percent"),
        (Rolling, "batch_instances"),
    ],
)
def test_a_size_is_an_int_and_neither_text_nor_bool(kind, field, value):
    with pytest.raises(InvalidStrategy) as caught:
        kind(bake=MINUTE, **{field: value})
    assert f"{kind.__name__}.{field} must be a whole number (got {value!r})" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (600, "write timedelta(seconds=600)"),
        (0.5, "write timedelta(seconds=0.5)"),
        ("10 min", "write timedelta(minutes=...)"),
        (None, "write timedelta(minutes=...)"),
        (True, "write timedelta(minutes=...)"),
    ],
)
def test_a_duration_that_is_not_a_timedelta_is_refused_with_a_fix(value, advice):
    with pytest.raises(InvalidStrategy) as caught:
        Canary(percent=10, bake=value)
    assert str(caught.value) == f"Canary.bake must be a timedelta (got {value!r}): {advice}"


@pytest.mark.parametrize("field", ["bake", "termination_wait", "max_duration"])
def test_fractions_of_a_second_are_refused(field):
    with pytest.raises(InvalidStrategy, match=rf"Linear\.{field} must be whole seconds"):
        Linear(**{**LINEAR, field: timedelta(minutes=20, microseconds=1)})


@pytest.mark.parametrize(
    ("kind", "arguments", "waits"),
    [
        (AllAtOnce, {"termination_wait": 20 * MINUTE}, 20 * MINUTE),
        (Canary, {"percent": 10, "bake": 15 * MINUTE, "termination_wait": 5 * MINUTE}, 20 * MINUTE),
        (Linear, {"percent": 20, "bake": 5 * MINUTE, "termination_wait": 5 * MINUTE}, 30 * MINUTE),
        (Linear, {"instances": 1, "bake": 10 * MINUTE, "termination_wait": MINUTE}, 21 * MINUTE),
        (Rolling, {"batch_percent": 33, "bake": 5 * MINUTE}, 20 * MINUTE),
        (Rolling, {"batch_instances": 1, "bake": 10 * MINUTE}, 20 * MINUTE),
    ],
)
def test_max_duration_is_longer_than_all_waits_together(kind, arguments, waits):
    longer = waits + timedelta(seconds=1)
    assert kind(**arguments, max_duration=longer).max_duration == longer

    rule = rf"{kind.__name__}\.max_duration must be longer than the {waits.seconds} s of its bakes and waits"
    with pytest.raises(InvalidStrategy, match=rule):
        kind(**arguments, max_duration=waits)


@pytest.mark.parametrize(
    ("strategy", "fleet", "waits"),
    [
        (AllAtOnce(termination_wait=HOUR), 3, HOUR),
        (Canary(percent=10, bake=HOUR, termination_wait=MINUTE), 3, HOUR + MINUTE),
        (Linear(percent=30, bake=MINUTE), None, 4 * MINUTE),
        (Linear(percent=20, bake=MINUTE, termination_wait=HOUR), 10, HOUR + 5 * MINUTE),
        (Linear(instances=2, bake=MINUTE, termination_wait=HOUR), 5, HOUR + 3 * MINUTE),
        (Rolling(batch_percent=5, bake=MINUTE), None, 20 * MINUTE),
        (Rolling(batch_instances=3, bake=MINUTE), 6, 2 * MINUTE),
    ],
)
def test_waiting_time_adds_up_every_bake_and_wait(strategy, fleet, waits):
    assert strategy.waiting_time(fleet) == waits


def test_waiting_time_without_a_fleet_takes_the_smallest_steps_sagemaker_allows():
    assert Linear(instances=4, bake=MINUTE, termination_wait=HOUR).waiting_time() == 10 * MINUTE + HOUR
    assert Rolling(batch_instances=4, bake=MINUTE).waiting_time() == 20 * MINUTE


@pytest.mark.parametrize("kind", [Linear, Rolling])
def test_waiting_time_allows_for_percentages_rounded_down(kind):
    size = "percent" if kind is Linear else "batch_percent"
    assert kind(bake=MINUTE, **{size: 50}).waiting_time(3) == 3 * MINUTE
    assert kind(bake=MINUTE, **{size: 50}).waiting_time(4) == 2 * MINUTE
    assert kind(bake=MINUTE, **{size: 10}).waiting_time(2) == 10 * MINUTE


@pytest.mark.parametrize(
    "strategy",
    [
        AllAtOnce(),
        Canary(percent=10, bake=timedelta(0)),
        Linear(instances=1, bake=timedelta(0)),
        Rolling(batch_percent=10, bake=timedelta(0)),
    ],
)
def test_a_strategy_without_waits_has_a_total_bake_of_zero(strategy):
    assert not strategy.total_bake


@pytest.mark.parametrize(
    ("strategy", "least"),
    [
        (AllAtOnce(), 1),
        (Canary(percent=1, bake=MINUTE), 2),
        (Canary(instances=3, bake=MINUTE), 6),
        (Linear(percent=10, bake=MINUTE), 2),
        (Linear(instances=1, bake=MINUTE), 2),
        (Rolling(batch_percent=50, bake=MINUTE), 2),
        (Rolling(batch_instances=2, bake=MINUTE, rollback_batch_instances=50), 4),
    ],
)
def test_a_fleet_must_be_large_enough_for_a_step_of_half(strategy, least):
    assert strategy.minimum_instances == least


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        (AllAtOnce(), "all at once: the whole fleet in one step, no wait before the old fleet is removed"),
        (
            AllAtOnce(termination_wait=90 * MINUTE / 2),
            "all at once: the whole fleet in one step, wait 45 min before the old fleet is removed",
        ),
        (
            Canary(percent=25, bake=10 * MINUTE, termination_wait=5 * MINUTE),
            "canary: 25 % of the fleet, bake 10 min, then all, wait 5 min before the old fleet is removed",
        ),
        (
            Canary(instances=1, bake=timedelta(0), max_duration=2 * HOUR),
            (
                "canary: 1 instance, no bake, then all, no wait before the old fleet is removed, "
                "at most 2 h in total"
            ),
        ),
        (
            Linear(instances=2, bake=timedelta(seconds=90), termination_wait=HOUR),
            "linear: 2 instances at a time, bake 1 min 30 s each, wait 1 h before the old fleet is removed",
        ),
        (
            Rolling(batch_percent=20, bake=MINUTE),
            "rolling: 20 % of the fleet at a time, bake 1 min each, roll back all at once",
        ),
        (
            Rolling(batch_instances=1, bake=timedelta(0), rollback_batch_percent=50),
            "rolling: 1 instance at a time, no bake, roll back 50 % of the fleet at a time",
        ),
    ],
)
def test_a_strategy_describes_itself_in_a_sentence(strategy, sentence):
    assert strategy.describe() == sentence
    assert str(strategy) == sentence


def test_a_strategy_is_a_value():
    canary = Canary(percent=10, bake=MINUTE)
    assert canary == Canary(percent=10, bake=seconds(60))
    assert canary != Canary(instances=10, bake=MINUTE)
    assert len({canary, copy.deepcopy(canary), pickle.loads(pickle.dumps(canary))}) == 1
    with pytest.raises(FrozenInstanceError):
        canary.percent = 50


def test_an_error_survives_pickling_and_is_a_value_error():
    error = pickle.loads(pickle.dumps(InvalidStrategy("no", field="percent")))
    assert (type(error), str(error), error.field) == (InvalidStrategy, "no", "percent")
    assert isinstance(error, GuardrailsValueError)
    assert isinstance(error, ValueError)
