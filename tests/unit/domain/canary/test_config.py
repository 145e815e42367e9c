"""What an analysis may be, and the bakes that it has."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_guardrails.domain.canary.config import CanaryAnalysis, InvalidAnalysis, OnInconclusive
from airflow_guardrails.domain.canary.schedule import Bake, last_bake_length, plan_comparison
from airflow_guardrails.domain.judge.rules import InvalidRule, MetricRule, OnMissing
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling

LATENCY = MetricRule("ModelLatency", margin="10%")


def minutes(number):
    return timedelta(minutes=number)


# The arguments.


def test_an_analysis_survives_json():
    errors = MetricRule(
        "Invocation5XXErrors",
        stat="Sum",
        margin=0.01,
        direction="decrease",
        critical=True,
        on_missing="ignore",
        min_requests=7,
        min_minutes=3,
        namespace="Ours",
        dimensions={"Zone": "a"},
    )
    clicks = MetricRule("Clicks", stat="Sum", per="Answers", namespace="Shop", direction="decrease")
    analysis = CanaryAnalysis(
        rules=[LATENCY, errors, clicks],
        every=timedelta(seconds=300.5),
        warm_up=minutes(3),
        alpha=0.01,
        observe_only=True,
        on_inconclusive="continue",
        verdict_namespace="Shop/Verdicts",
    )
    written = json.loads(json.dumps(analysis.as_dict(), allow_nan=False))

    again = CanaryAnalysis(**written)

    assert again == analysis
    assert again.rules[1].dimensions == {"Zone": "a"}
    assert again.rules[1].on_missing is OnMissing.IGNORE
    assert again.on_inconclusive is OnInconclusive.CONTINUE


def test_rules_may_be_dicts_and_durations_seconds():
    given = CanaryAnalysis(rules=[{"metric": "ModelLatency", "margin": "10%"}], every=30, warm_up=0)

    assert given == CanaryAnalysis(rules=(LATENCY,), every=timedelta(seconds=30), warm_up=timedelta(0))


@pytest.mark.parametrize("namespace", [None, "Shop", "Shop/Verdicts of #1: a_b-c.d", "x" * 255, "/aws/ours"])
def test_verdicts_may_be_published_in_any_namespace_that_is_not_of_aws(namespace):
    assert CanaryAnalysis(verdict_namespace=namespace).verdict_namespace == namespace


def test_a_rule_given_twice_is_one():
    assert CanaryAnalysis(rules=[LATENCY, LATENCY]).rules == (LATENCY,)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"rules": []}, "rules"),
        ({"rules": None}, "rules"),
        ({"rules": LATENCY}, "rules"),
        ({"rules": {"metric": "ModelLatency"}}, "rules"),
        ({"rules": ["ModelLatency"]}, "rules"),
        ({"rules": [{1: "ModelLatency"}]}, "rules"),
        ({"every": timedelta(seconds=9.9)}, "every"),
        ({"every": "60"}, "every"),
        ({"every": True}, "every"),
        ({"every": None}, "every"),
        ({"every": float("nan")}, "every"),
        ({"warm_up": timedelta(seconds=-1)}, "warm_up"),
        ({"warm_up": None}, "warm_up"),
        ({"alpha": 0}, "alpha"),
        ({"alpha": 0.5}, "alpha"),
        ({"alpha": True}, "alpha"),
        ({"alpha": "0.05"}, "alpha"),
        ({"observe_only": "no"}, "observe_only"),
        ({"on_inconclusive": "abort"}, "on_inconclusive"),
        ({"verdict_namespace": "AWS/SageMaker"}, "verdict_namespace"),
        ({"verdict_namespace": ":Shop"}, "verdict_namespace"),
        ({"verdict_namespace": "Läden"}, "verdict_namespace"),
        ({"verdict_namespace": "{{ params.namespace }}"}, "verdict_namespace"),
        ({"verdict_namespace": "x" * 256}, "verdict_namespace"),
        ({"verdict_namespace": "  "}, "verdict_namespace"),
        ({"verdict_namespace": 7}, "verdict_namespace"),
    ],
)
def test_invalid_arguments_are_refused_by_name(wrong, field):
    with pytest.raises(InvalidAnalysis, match=f"^{field} must be ") as caught:
        CanaryAnalysis(**wrong)

    assert caught.value.field == field
    assert "(got " in str(caught.value)


def test_a_typo_in_a_rule_is_answered_with_the_arguments_of_rules():
    with pytest.raises(InvalidRule, match=r"no argument 'metrics' \(did you mean metric\?\)"):
        CanaryAnalysis(rules=[{"metrics": "ModelLatency"}])


def test_an_invalid_rule_is_refused_as_a_rule():
    with pytest.raises(InvalidRule, match="margin"):
        CanaryAnalysis(rules=[{"metric": "ModelLatency", "margin": "much"}])


def test_interim_rules_treat_missing_data_as_inconclusive():
    rules = [MetricRule("ModelLatency", on_missing=word) for word in OnMissing]

    under_way = CanaryAnalysis(rules=rules).interim_rules

    assert {rule.on_missing for rule in under_way} == {OnMissing.INCONCLUSIVE}


# The last bake.

NEEDED = minutes(2)


def lasts(strategy, instances, *, desired=4, earlier=0):
    bake = Bake(instances=instances, desired_instances=desired, earlier_bakes=earlier)
    found = last_bake_length(strategy, bake, needed=NEEDED)
    return None if found is None else found / minutes(1)


@pytest.mark.parametrize(
    ("strategy", "instances", "expected"),
    [
        (AllAtOnce(termination_wait=minutes(7)), 4, 7),
        (Canary(percent=25, bake=minutes(10)), 1, 10),
        (Canary(percent=25, bake=minutes(10), termination_wait=minutes(5)), 1, None),
        (Canary(percent=25, bake=minutes(10), termination_wait=minutes(5)), 4, 5),
        # Too short for a switch that is thrown in it.
        (Canary(percent=25, bake=minutes(10), termination_wait=minutes(1)), 1, 10),
        (Canary(percent=25, bake=minutes(10), termination_wait=minutes(1)), 4, 1),
        (Linear(percent=25, bake=minutes(10)), 1, None),
        (Linear(percent=25, bake=minutes(10)), 2, None),
        # Whether it bakes after the last step is undocumented.
        (Linear(percent=25, bake=minutes(10)), 3, 10),
        (Linear(instances=2, bake=minutes(10)), 2, 10),
        (Linear(percent=25, bake=minutes(10)), 4, 10),
        (Linear(percent=25, bake=minutes(10), termination_wait=minutes(5)), 3, None),
        (Linear(percent=25, bake=minutes(10), termination_wait=minutes(5)), 4, 5),
        (Linear(percent=25, bake=minutes(3), termination_wait=minutes(5)), 4, 3),
        (Linear(percent=25, bake=minutes(0), termination_wait=minutes(5)), 4, 5),
        (Rolling(batch_percent=25, bake=minutes(10)), 3, None),
        (Rolling(batch_percent=25, bake=minutes(10)), 4, 10),
        (None, 4, None),
    ],
    ids=str,
)
def test_the_last_certain_bake_follows_from_the_instances_with_traffic(strategy, instances, expected):
    assert lasts(strategy, instances) == expected


@pytest.mark.parametrize(("earlier", "expected"), [(0, None), (1, 5)])
def test_the_last_bake_of_a_serverless_fleet_follows_from_the_number_of_bakes(earlier, expected):
    strategy = Canary(percent=25, bake=minutes(10), termination_wait=minutes(5))

    assert lasts(strategy, 0, desired=0, earlier=earlier) == expected


# The bakes in which there is something to compare.


@pytest.mark.parametrize(
    ("strategy", "shares", "after"),
    [
        (AllAtOnce(termination_wait=minutes(10)), (), 0),
        (None, (), 0),
        (Canary(percent=25, bake=minutes(10)), (0.2,), 0),
        (Canary(instances=1, bake=minutes(10), termination_wait=minutes(5)), (0.2,), 5),
        (Canary(percent=25, bake=minutes(10), termination_wait=minutes(1)), (0.2,), 0),
        (Canary(percent=25, bake=minutes(0), termination_wait=minutes(10)), (), 10),
        (Linear(percent=25, bake=minutes(10)), (0.25, 0.5, 0.75), 0),
        (Linear(instances=2, bake=minutes(10), termination_wait=minutes(5)), (0.5,), 5),
        (Linear(percent=33, bake=minutes(10)), (0.33, 0.66, 0.99), 0),
        (Rolling(batch_percent=50, bake=minutes(10)), (0.5,), 10),
    ],
    ids=str,
)
def test_fleets_are_compared_while_both_have_traffic(strategy, shares, after):
    found = plan_comparison(strategy, instances=4, needed=NEEDED)

    assert found.shares == pytest.approx(shares)
    assert found.after == minutes(after)


def test_a_fleet_of_unknown_size_is_assumed_to_have_the_largest_steps():
    assert plan_comparison(Linear(instances=3, bake=minutes(5)), instances=None, needed=NEEDED).shares == (
        0.5,
    )


def test_skipped_time_is_at_the_begin_and_reserved_time_at_the_end():
    linear = plan_comparison(Linear(percent=25, bake=minutes(10)), instances=4, needed=NEEDED)

    parts = linear.within(skip=minutes(12), reserve=minutes(6))

    assert parts == ((0.5, minutes(8)), (0.75, minutes(4)))


def test_a_wait_after_the_bakes_reduces_the_reserve():
    waiting = Canary(percent=50, bake=minutes(10), termination_wait=minutes(4))
    canary = plan_comparison(waiting, instances=4, needed=NEEDED)

    assert canary.within(skip=minutes(2), reserve=minutes(6)) == ((pytest.approx(1 / 3), minutes(6)),)
    assert canary.within(skip=minutes(2), reserve=minutes(3)) == ((pytest.approx(1 / 3), minutes(8)),)
    assert canary.within(skip=minutes(10), reserve=minutes(0)) == ()
