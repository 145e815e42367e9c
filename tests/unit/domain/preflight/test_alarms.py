"""Alarms that are missing, in the wrong state, or could not go off during the update."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.findings import Code, Severity
from airflow_guardrails.domain.snapshots.alarms import AlarmState
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling
from tests.support.preflight import (
    NEW,
    NOW,
    OLD,
    SWITCH,
    alarm,
    asked,
    codes,
    config,
    context,
    guarded_by,
    guards,
    minutes,
    on,
    rule,
    the,
    watched_by,
)

# Where the alarms stand.


def test_alarms_that_do_not_exist_are_each_named():
    given = guards("errors", "latency", "drift", SWITCH)

    missing = [finding.text for finding in preflight(given) if finding.code is Code.ALARM_MISSING]
    assert missing == ["there is no CloudWatch alarm latency", "there is no CloudWatch alarm drift"]


def test_an_alarm_in_alarm_is_found_with_time_and_reason():
    given = watched_by(alarm(AlarmState.ALARM, since=NOW, reason="0.2 > 0.05"))

    found = the(Code.ALARM_IN_ALARM, given)
    assert found.stops
    assert found.text == (
        "alarm errors is in ALARM since 2026-03-02T10:00:00+00:00, and must be OK (0.2 > 0.05)"
    )


@pytest.mark.parametrize(("required", "severity"), [(False, Severity.WARNING), (True, Severity.ERROR)])
@pytest.mark.parametrize("seen", [rule(), on(EndpointConfigName=OLD), None], ids=["variant", "old", "math"])
def test_an_alarm_without_data_is_warned_of_or_refused(required, severity, seen):
    given = watched_by(alarm(AlarmState.INSUFFICIENT_DATA, rule=seen), require_alarms_ok=required)

    found = the(Code.ALARM_WITHOUT_DATA, given)
    assert found.severity is severity
    assert ("must be OK" in found.text) == required


@pytest.mark.parametrize("required", [False, True])
def test_no_data_is_right_for_an_alarm_on_the_new_fleet(required):
    waiting = alarm(AlarmState.INSUFFICIENT_DATA, rule=on(EndpointConfigName=NEW))

    assert codes(watched_by(waiting, require_alarms_ok=required)) == []


@pytest.mark.parametrize("state", AlarmState)
def test_the_state_of_the_switch_is_no_finding(state):
    switch = alarm(state, name=SWITCH, rule=on(EndpointName="another"))

    assert codes(context(alarms=(alarm(), switch))) == []


def test_a_composite_alarm_is_warned_of():
    given = watched_by(alarm(composite=True, rule=None))

    assert "alarm errors is a composite alarm" in the(Code.ALARM_COMPOSITE, given).text
    assert codes(given) == [Code.ALARM_COMPOSITE]


def test_a_composite_alarm_is_to_be_replaced_by_its_children():
    given = watched_by(alarm(composite=True, rule=None, children=("rate", "latency")))

    assert the(Code.ALARM_COMPOSITE, given).fix.endswith("consists of: rate, latency")


def test_what_cannot_be_checked_is_noted():
    given = watched_by(alarm(rule=None))

    assert codes(given) == [Code.ALARM_UNCHECKED]
    assert "alarm errors watches something of an unknown form" in the(Code.ALARM_UNCHECKED, given).text


# Whether they could go off.


@pytest.mark.parametrize(
    ("dimension", "value", "text"),
    [
        ("EndpointName", "fraud", "its EndpointName is fraud, not churn"),
        ("VariantName", "Main", "its VariantName is Main, not AllTraffic"),
        ("EndpointConfigName", "churn-v0", "its EndpointConfigName is churn-v0, not churn-v2 or churn-v1"),
    ],
)
@pytest.mark.parametrize(
    ("namespace", "metric"),
    [("AWS/SageMaker", "Invocation5XXErrors"), ("/aws/sagemaker/Endpoints", "CPUUtilization")],
)
def test_an_alarm_on_something_else_is_refused(dimension, value, text, namespace, metric):
    seen = rule(dimensions={dimension: value}, namespace=namespace, metric=metric)
    # With a value, it is known that the alarm watches something that exists.
    given = watched_by(alarm(rule=seen, value=0.0))

    assert the(Code.ALARM_ELSEWHERE, given).text == f"alarm errors cannot see this update: {text}"


def test_everything_that_an_alarm_has_wrong_is_one_finding():
    given = watched_by(alarm(rule=on(EndpointName="fraud", VariantName="Main")))

    assert the(Code.ALARM_ELSEWHERE, given).text.count("; ") == 1


@pytest.mark.parametrize(
    "dimensions",
    [{}, {"EndpointConfigName": NEW}, {"InstanceType": "ml.m5.large"}],
    ids=str,
)
def test_alarms_on_both_fleets_or_the_new_one_see_the_update(dimensions):
    assert codes(watched_by(alarm(rule=on(**dimensions)))) == []


def test_an_alarm_on_the_old_fleet_alone_cannot_see_the_new_one():
    given = watched_by(alarm(rule=on(EndpointConfigName=OLD)))

    assert codes(given) == [Code.ALARM_OLD_FLEET]
    assert not the(Code.ALARM_OLD_FLEET, given).stops
    assert f"it watches only {OLD}, the configuration in service" in the(Code.ALARM_OLD_FLEET, given).text


def test_an_update_to_the_configuration_in_service_has_no_other_fleet():
    seen = alarm(rule=replace(on(EndpointConfigName=OLD), treat_missing_data="breaching"))

    assert codes(watched_by(seen, target=config(OLD))) == []


def test_an_alarm_on_the_shadow_variant_sees_the_update():
    given = watched_by(
        alarm(rule=on(VariantName="Shadow")), target=config(NEW, shadow_variants=(asked("Shadow"),))
    )

    assert codes(given) == []


def test_the_dimensions_of_ones_own_metrics_mean_what_one_likes():
    assert codes(watched_by(alarm(rule=rule(dimensions={"EndpointName": "x"}, namespace="Shop")))) == []


OVER, FROM = "GreaterThanThreshold", "GreaterThanOrEqualToThreshold"
RATES = ["Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors", "MidStreamErrors"]


@pytest.mark.parametrize("metric", RATES)
@pytest.mark.parametrize(("comparison", "threshold"), [(OVER, 0.99), (FROM, 1.0)])
@pytest.mark.parametrize("statistic", ["Average", "Maximum"])
def test_a_threshold_that_an_error_rate_can_pass_is_fine(metric, comparison, threshold, statistic):
    seen = rule(
        metric=metric,
        comparison=comparison,
        threshold=threshold,
        statistic=statistic,
        dimensions={"EndpointConfigName": NEW},
    )

    assert codes(watched_by(alarm(rule=seen))) == []


@pytest.mark.parametrize("metric", RATES)
@pytest.mark.parametrize(
    ("comparison", "threshold", "sign"), [(OVER, 1, ">"), (OVER, 5, ">"), (FROM, 1.01, ">=")]
)
def test_a_threshold_that_no_error_rate_passes_is_refused(metric, comparison, threshold, sign):
    given = watched_by(alarm(rule=rule(metric=metric, comparison=comparison, threshold=threshold)))

    assert codes(given) == [Code.ALARM_UNREACHABLE]
    text = the(Code.ALARM_UNREACHABLE, given).text
    assert f"Average {metric} {sign} {threshold:g}, and an error rate is at most 1" in text


@pytest.mark.parametrize(
    "seen",
    [
        rule(threshold=5, statistic="Sum"),
        rule(threshold=5, metric="ModelLatency"),
        rule(threshold=5, namespace="Shop"),
        rule(threshold=5, comparison="LessThanThreshold"),
        rule(threshold=5, statistic="PR(:300)"),
    ],
    ids=["errors counted", "no error rate", "own metric", "from above", "rank"],
)
def test_thresholds_of_what_is_no_error_rate_are_not_judged(seen):
    assert codes(watched_by(alarm(rule=seen))) == []


@pytest.mark.parametrize(("datapoints", "slow"), [(7, False), (8, True)])
def test_an_alarm_must_go_off_within_the_longest_bake(datapoints, slow):
    """Seven minutes and three of lag are the ten of the bake."""
    given = watched_by(alarm(rule=rule(evaluation_periods=8, datapoints_to_alarm=datapoints)))

    assert codes(given) == [Code.ALARM_TOO_SLOW] * slow
    if slow:
        assert preflight(given)[0].text == (
            "alarm errors needs about 11 min (8 x 1 min, and 3 min lag) > 10 min, the longest bake"
        )
        assert not preflight(given)[0].stops


@pytest.mark.parametrize(
    ("strategy", "longest"),
    [
        (AllAtOnce(termination_wait=minutes(5)), 5),
        (Canary(percent=50, bake=minutes(5), termination_wait=minutes(6)), 6),
        (Linear(percent=50, bake=minutes(6), termination_wait=minutes(5)), 6),
        (Rolling(batch_percent=50, bake=minutes(5)), 5),
    ],
    ids=str,
)
def test_the_longest_bake_is_that_of_the_strategy(strategy, longest):
    def lasting(datapoints):
        return alarm(rule=rule(evaluation_periods=datapoints, datapoints_to_alarm=datapoints))

    assert codes(guarded_by(strategy, alarms=(lasting(longest - 3),))) == []
    assert codes(guarded_by(strategy, alarms=(lasting(longest - 2),))) == [Code.ALARM_TOO_SLOW]


def test_an_alarm_that_all_bakes_together_are_long_enough_for_is_held_against_the_longest():
    just = alarm(rule=rule(evaluation_periods=12, datapoints_to_alarm=12))

    assert "15 min (12 x 1 min, and 3 min lag) > 10 min" in the(Code.ALARM_TOO_SLOW, watched_by(just)).text


def test_an_alarm_slower_than_all_bakes_is_held_against_their_sum():
    """The guide's own example: 2 datapoints of 10 minutes."""
    slow = alarm(rule=rule(period=minutes(10), evaluation_periods=2, datapoints_to_alarm=2))

    assert (
        "23 min (2 x 10 min, and 3 min lag) > 15 min, all bakes together"
        in preflight(watched_by(slow))[0].text
    )


def test_a_metric_of_ones_own_is_not_as_late_as_sagemakers():
    quick = rule(namespace="Shop", period=timedelta(seconds=10))
    given = guarded_by(AllAtOnce(termination_wait=timedelta(seconds=20)), alarms=(alarm(rule=quick),))

    assert codes(given) == []


@pytest.mark.parametrize(("wait", "slow"), [(6, False), (5, True)])
def test_an_alarm_on_a_metric_of_ones_own_is_evaluated_once_a_minute(wait, slow):
    own = rule(namespace="Shop", period=minutes(5))
    given = guarded_by(AllAtOnce(termination_wait=minutes(wait)), alarms=(alarm(rule=own),))

    assert codes(given) == [Code.ALARM_TOO_SLOW] * slow


STEPS_OF_A_TENTH = [
    Canary(percent=10, bake=minutes(10)),
    Canary(instances=1, bake=minutes(10)),
    Linear(percent=10, bake=minutes(10)),
    Rolling(batch_instances=1, bake=minutes(10)),
]


def diluted(strategy, seen, instances=10):
    return Code.ALARM_DILUTED in codes(guarded_by(strategy, instances=instances, alarms=(alarm(rule=seen),)))


@pytest.mark.parametrize("strategy", STEPS_OF_A_TENTH, ids=str)
@pytest.mark.parametrize(
    ("comparison", "threshold", "hidden"),
    [(OVER, 0.09, False), (OVER, 0.1, True), (FROM, 0.1, False), (FROM, 0.11, True)],
)
def test_an_alarm_on_both_fleets_must_be_able_to_see_a_failing_first_step(
    strategy, comparison, threshold, hidden
):
    assert diluted(strategy, rule(comparison=comparison, threshold=threshold)) == hidden


def test_what_an_alarm_on_both_fleets_would_read_is_in_the_finding():
    given = guarded_by(STEPS_OF_A_TENTH[0], instances=10, alarms=(alarm(rule=rule(threshold=0.2)),))

    found = the(Code.ALARM_DILUTED, given)
    assert "needs Average Invocation5XXErrors > 0.2, and reads 0.1 in the first bake" in found.text
    assert f"EndpointConfigName={NEW}" in found.fix


@pytest.mark.parametrize(
    "seen",
    [
        rule(threshold=0.2, dimensions={"EndpointConfigName": NEW}),
        rule(threshold=0.2, statistic="Maximum"),
        rule(threshold=0.2, namespace="Shop"),
    ],
    ids=["one fleet", "not blended", "own metric"],
)
def test_an_alarm_that_no_old_answers_calm_sees_a_failing_first_step(seen):
    assert not diluted(STEPS_OF_A_TENTH[0], seen)


def test_a_percentage_of_a_small_fleet_may_be_a_larger_part_of_it():
    """Of three instances, a tenth is one: a third of the traffic."""
    assert not diluted(Canary(percent=10, bake=minutes(10)), rule(threshold=0.3), instances=3)
    assert diluted(Canary(percent=10, bake=minutes(10)), rule(threshold=0.34), instances=3)
    assert not diluted(Canary(percent=10, bake=minutes(10)), rule(threshold=0.105), instances=101)
    assert diluted(Canary(percent=10, bake=minutes(10)), rule(threshold=0.11), instances=101)


@pytest.mark.parametrize(
    "strategy",
    [
        AllAtOnce(termination_wait=minutes(10)),
        Canary(percent=10, bake=minutes(0), termination_wait=minutes(10)),
    ],
    ids=str,
)
def test_without_a_bake_of_a_part_nothing_is_diluted(strategy):
    assert not diluted(strategy, rule(threshold=0.9))
