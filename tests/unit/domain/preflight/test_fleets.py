"""Steps that do not fit the fleets, and fleets that will be other than expected."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.deployment.guardrails import NOTHING_RETAINED, Guardrails, RetainedProperties
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.findings import Code
from airflow_guardrails.domain.snapshots.endpoint import Variant
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling
from tests.support.preflight import (
    CANARY,
    NEW,
    OLD,
    ROLLING,
    SWITCH,
    alarm,
    asked,
    codes,
    config,
    context,
    endpoint,
    guarded_by,
    guards,
    live,
    minutes,
    on,
    serverless,
    the,
)

# Sizes.


@pytest.mark.parametrize(
    ("strategy", "instances"),
    [
        (Canary(instances=2, bake=minutes(10)), 4),
        (Linear(instances=2, bake=minutes(10)), 4),
        (Linear(instances=1, bake=minutes(10)), 10),
        (Rolling(batch_instances=2, bake=minutes(10)), 4),
        (Rolling(batch_instances=1, bake=minutes(10)), 20),
        (Canary(instances=1, bake=minutes(10)), 1000),
        (CANARY, 2),
        (ROLLING, 2),
        (AllAtOnce(termination_wait=minutes(10)), 1),
    ],
    ids=str,
)
def test_steps_at_the_bounds_fit(strategy, instances):
    assert not [finding for finding in preflight(guarded_by(strategy, instances=instances)) if finding.stops]


@pytest.mark.parametrize(
    ("strategy", "instances", "code", "text"),
    [
        (
            Canary(instances=2, bake=minutes(10)),
            3,
            Code.STEP_TOO_LARGE,
            "a first step of 2 instances is 66.7 % > 50 % of the 3 instances (live) of AllTraffic",
        ),
        (Linear(instances=2, bake=minutes(10)), 3, Code.STEP_TOO_LARGE, "66.7 % > 50 %"),
        (Rolling(batch_instances=2, bake=minutes(10)), 3, Code.STEP_TOO_LARGE, "66.7 % > 50 %"),
        (
            Linear(instances=1, bake=minutes(10)),
            11,
            Code.STEP_TOO_SMALL,
            "a step of 1 instance is 9.09 % < 10 % of the 11 instances (live) of AllTraffic",
        ),
        (
            Rolling(batch_instances=1, bake=minutes(10)),
            21,
            Code.STEP_TOO_SMALL,
            "a batch of 1 instance is 4.76 % < 5 % of the 21 instances (live) of AllTraffic",
        ),
        (
            CANARY,
            1,
            Code.FLEET_TOO_SMALL,
            "canary needs 2 instances > the 1 instance (live) of AllTraffic: a step is at most 50 %",
        ),
        (Linear(percent=10, bake=minutes(10)), 1, Code.FLEET_TOO_SMALL, "linear needs 2 instances"),
        (ROLLING, 1, Code.FLEET_TOO_SMALL, "rolling needs 2 instances"),
        (Canary(instances=3, bake=minutes(10)), 1, Code.FLEET_TOO_SMALL, "canary needs 6 instances"),
        (CANARY, 0, Code.FLEET_TOO_SMALL, "the 0 instances (live)"),
    ],
    ids=str,
)
def test_steps_out_of_the_bounds_are_refused_with_the_numbers(strategy, instances, code, text):
    found = the(code, guarded_by(strategy, instances=instances))

    assert found.stops
    assert text in found.text


@pytest.mark.parametrize(
    ("size", "fix"),
    [
        (Canary(instances=5, bake=minutes(10)), "make it at most 3 instances"),
        (Rolling(batch_instances=5, bake=minutes(10)), "make it at most 3 instances"),
    ],
    ids=str,
)
def test_the_largest_step_that_fits_is_proposed(size, fix):
    assert the(Code.STEP_TOO_LARGE, guarded_by(size, instances=7)).fix == fix


@pytest.mark.parametrize(
    ("size", "fix"),
    [
        (Linear(instances=5, bake=minutes(10)), "make it at least 11 instances, or give it in percent"),
        (Rolling(batch_instances=5, bake=minutes(10)), "make it at least 6 instances, or give it in percent"),
    ],
    ids=str,
)
def test_the_smallest_step_that_fits_is_proposed(size, fix):
    assert the(Code.STEP_TOO_SMALL, guarded_by(size, instances=101)).fix == fix


@pytest.mark.parametrize(
    ("retained", "count"),
    [
        (RetainedProperties(), "2 instances (live)"),
        (RetainedProperties(excluded=("DesiredWeight",)), "2 instances (live)"),
        (RetainedProperties(excluded=("DesiredInstanceCount",)), "3 instances (initial)"),
        (NOTHING_RETAINED, "3 instances (initial)"),
    ],
    ids=str,
)
def test_bounds_are_of_the_instances_the_new_fleet_will_have(retained, count):
    strategy = Canary(instances=2, bake=minutes(10))
    given = guarded_by(
        strategy,
        endpoint=endpoint(live(instances=2)),
        target=config(NEW, asked(instances=3)),
        retained=retained,
    )

    assert count in the(Code.STEP_TOO_LARGE, given).text


def test_each_variant_is_measured():
    given = guarded_by(
        Canary(instances=1, bake=minutes(10)),
        endpoint=endpoint(live("a", 2), live("b", 1)),
        serving=config(OLD, asked("a"), asked("b", 1)),
        target=config(NEW, asked("a"), asked("b", 1)),
        alarms=(alarm(rule=on(VariantName="a")),),
    )

    assert [finding.code for finding in preflight(given) if finding.stops] == [Code.FLEET_TOO_SMALL]
    assert "the 1 instance (live) of b" in the(Code.FLEET_TOO_SMALL, given).text


# What will be otherwise than somebody may think.


def test_a_live_count_that_overrides_the_configurations_is_found_with_both():
    given = context(endpoint=endpoint(live(instances=2)), target=config(NEW, asked(instances=3)))

    found = the(Code.COUNT_RETAINED, given)
    assert not found.stops
    assert found.text == (
        "AllTraffic keeps its live DesiredInstanceCount 2 instead of the 3 of churn-v2; "
        'exclude_retained_variant_properties=["DesiredInstanceCount"] uses the configuration\'s'
    )


def test_a_live_weight_that_overrides_the_configurations_is_found_with_both():
    given = context(endpoint=endpoint(live(weight=0.25)))

    found = the(Code.WEIGHT_RETAINED, given)
    assert codes(given) == [Code.WEIGHT_RETAINED]
    assert found.text.startswith("AllTraffic keeps its live DesiredWeight 0.25 instead of the 1 of churn-v2")


@pytest.mark.parametrize(
    ("retained", "told"),
    [
        (RetainedProperties(), [Code.COUNT_RETAINED, Code.WEIGHT_RETAINED]),
        (RetainedProperties(excluded=("DesiredWeight",)), [Code.COUNT_RETAINED]),
        (RetainedProperties(excluded=("DesiredInstanceCount",)), [Code.WEIGHT_RETAINED]),
        (NOTHING_RETAINED, []),
    ],
    ids=str,
)
def test_only_what_is_retained_overrides(retained, told):
    given = context(
        endpoint=endpoint(live(instances=2, weight=2.0)),
        serving=config(OLD, asked()),
        target=config(NEW, asked(instances=3, initial_weight=1.0)),
        guardrails=Guardrails(strategy=ROLLING, alarms=("errors",)),
        retained=retained,
    )

    assert codes(given) == told


def test_a_new_variant_has_nothing_to_retain():
    given = context(target=config(NEW, asked("Main", instances=3)), guardrails=guards(SWITCH).guardrails)

    assert Code.COUNT_RETAINED not in codes(given)


@pytest.mark.parametrize(("blue", "green", "told"), [(2, 2, False), (2, 3, True), (3, 2, True)])
@pytest.mark.parametrize("strategy", [CANARY, AllAtOnce(), None], ids=["canary", "all at once", "default"])
def test_two_fleets_that_exceed_the_default_quota_are_found(blue, green, told, strategy):
    given = context(
        endpoint=endpoint(live(instances=blue)),
        target=config(NEW, asked(instances=green)),
        guardrails=Guardrails(strategy=strategy, alarms=("errors",)),
        retained=NOTHING_RETAINED,
    )

    assert (Code.EXTRA_INSTANCES in codes(given)) == told
    if told:
        text = the(Code.EXTRA_INSTANCES, given).text
        assert f"runs {green} new instances beside the {blue} that serve" in text
        assert "5 > 4" in text
        assert (f"both billed for 15 min ({15 * green} instance minutes more)" in text) == (
            strategy is CANARY
        )


def test_a_serverless_fleet_takes_nothing_of_the_quota():
    described = Variant(name="AllTraffic", instances=0, desired_instances=0)
    given = context(
        endpoint=endpoint(described),
        serving=config(OLD, serverless()),
        target=config(NEW, asked(instances=4)),
    )

    assert codes(given) == []


def test_a_rolling_update_needs_no_second_fleet():
    assert Code.EXTRA_INSTANCES not in codes(guarded_by(ROLLING, instances=20))
