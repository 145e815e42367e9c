"""What is found before an update: silent just inside each rule, and with numbers just outside."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from airflow_guardrails.domain.deployment.guardrails import NOTHING_RETAINED, Guardrails, RetainedProperties
from airflow_guardrails.domain.preflight import findings, preflight
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Severity
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmRule, AlarmState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus, Variant
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
SWITCH = "airflow-guardrails-abort-churn"
OLD, NEW = "churn-v1", "churn-v2"


def minutes(number):
    return timedelta(minutes=number)


CANARY = Canary(percent=50, bake=minutes(10), termination_wait=minutes(5))
ROLLING = Rolling(batch_percent=50, bake=minutes(10))


def asked(name="AllTraffic", instances=2, **members):
    members = {"instance_types": ("ml.m5.large",), **members}
    return VariantConfig(name=name, initial_instances=instances, **members)


def serverless(name="AllTraffic"):
    return VariantConfig(name=name, serverless=True)


def config(name, *variants, **members):
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{name}"
    return EndpointConfig(name=name, arn=arn, variants=variants or (asked(),), **members)


def live(name="AllTraffic", instances=2, weight=1.0):
    return Variant(name=name, instances=instances, desired_instances=instances, desired_weight=weight)


def endpoint(*variants):
    return Endpoint(
        name="churn",
        status=EndpointStatus.IN_SERVICE,
        seen_at=NOW,
        endpoint_config_name=OLD,
        variants=variants or (live(),),
    )


def rule(**members):
    """Build an alarm on the error rate of the endpoint's variant that goes off within four minutes."""
    dimensions = {"EndpointName": "churn", "VariantName": "AllTraffic", **members.pop("dimensions", {})}
    members = {
        "namespace": "AWS/SageMaker",
        "metric": "Invocation5XXErrors",
        "statistic": "Average",
        "comparison": "GreaterThanThreshold",
        "threshold": 0.05,
        "period": minutes(1),
        "evaluation_periods": 1,
        "datapoints_to_alarm": 1,
        **members,
    }
    return AlarmRule(dimensions=tuple(dimensions.items()), **members)


def alarm(state=AlarmState.OK, *, name="errors", **members):
    return Alarm(name=name, state=state, **{"rule": rule(), **members})


def on(**dimensions):
    return rule(dimensions=dimensions)


SOUND = PreflightContext(
    endpoint=endpoint(),
    serving=config(OLD),
    target=config(NEW),
    guardrails=Guardrails(strategy=CANARY, alarms=("errors", SWITCH)),
    alarms=(alarm(),),
    switch=SWITCH,
)


def context(**changes):
    return replace(SOUND, **changes)


def guarded_by(strategy, *, instances=2, **changes):
    """Say that the live fleet has so many *instances*, and the new configuration asks for as many."""
    fleets = {
        "endpoint": endpoint(live(instances=instances)),
        "target": config(NEW, asked(instances=instances)),
    }
    guardrails = Guardrails(strategy=strategy, alarms=("errors", SWITCH))
    return context(**{"guardrails": guardrails, **fleets, **changes})


def watched_by(found, **changes):
    return context(alarms=(found,), **changes)


def codes(given):
    return [finding.code for finding in preflight(given)]


def table():
    """Read the table of codes: code, severity, meaning."""
    _, head, body, _ = re.split(r"^=[= ]+$", findings.__doc__, flags=re.MULTILINE)
    assert head.split() == ["code", "severity", "meaning"]
    return [row.split(maxsplit=2) for row in body.strip().splitlines()]


SEVERITIES = {code: severity for code, severity, _ in table()}


def the(code, given):
    """Give the only finding of this code; it is as severe as the table says unless an argument says so."""
    (found,) = (finding for finding in preflight(given) if finding.code is code)
    if not (given.allow_unguarded or given.require_alarms_ok):
        assert found.severity.value == SEVERITIES[code.value]
    return found


@pytest.mark.parametrize(
    "given",
    [
        SOUND,
        context(guardrails=Guardrails(strategy=ROLLING, alarms=("errors",)), switch=None),
        context(guardrails=Guardrails(strategy=AllAtOnce(termination_wait=minutes(5)), alarms=("errors",))),
        context(allow_unguarded=True, require_alarms_ok=True, max_wait=timedelta(hours=1)),
    ],
    ids=lambda given: given.guardrails.describe(),
)
def test_a_good_update_has_no_findings(given):
    assert preflight(given) == ()


def test_all_findings_are_returned_and_errors_come_first():
    given = context(
        guardrails=Guardrails(strategy=Canary(instances=2, bake=minutes(0)), alarms=("errors", "latency")),
        alarms=(alarm(AlarmState.ALARM),),
        serving=config(OLD, asynchronous=True),
        endpoint=endpoint(live(instances=3)),
        max_wait=minutes(0),
    )

    assert codes(given) == [
        Code.NO_BAKE,
        Code.ASYNC_DROPPED,
        Code.STEP_TOO_LARGE,
        Code.ALARM_MISSING,
        Code.ALARM_IN_ALARM,
        Code.SCHEDULE_EXCEEDS_WAIT,
        Code.COUNT_RETAINED,
        Code.EXTRA_INSTANCES,
    ]
    assert [finding.stops for finding in preflight(given)] == [True] * 5 + [False] * 3


def test_a_finding_has_text_and_fix_in_the_log_and_in_the_report():
    finding = the(Code.ALARM_MISSING, context(alarms=()))

    assert str(finding) == f"error alarm_missing: {finding.text}; {finding.fix}"
    assert json.loads(json.dumps(finding.as_dict())) == {
        "code": "alarm_missing",
        "severity": "error",
        "text": "there is no CloudWatch alarm errors",
        "fix": "create it in the endpoint's region, or correct alarms (names, not ARNs)",
    }


def test_the_table_of_codes_has_each_once_and_no_other():
    assert [code for code, _, _ in table()] == [code.value for code in Code]


# Guards that guard nothing.


def guards(*alarms, strategy=CANARY, **changes):
    return context(guardrails=Guardrails(strategy=strategy, alarms=alarms), **changes)


UNGUARDED = {
    Code.NO_GUARD: guards(),
    Code.NO_BAKE: guards("errors", strategy=AllAtOnce()),
    Code.INF1: context(target=config(NEW, asked(instance_types=("ml.m5.large", "ml.inf1.xlarge")))),
    Code.MARKETPLACE: context(marketplace=True),
    Code.VARIANT_NAMES: context(target=config(NEW, asked("Main")), guardrails=guards(SWITCH).guardrails),
}


@pytest.mark.parametrize(("code", "given"), UNGUARDED.items(), ids=lambda value: getattr(value, "value", ""))
def test_an_update_without_working_guards_is_refused_unless_that_is_accepted(code, given):
    refused = the(code, given)
    accepted = the(code, replace(given, allow_unguarded=True))

    assert (refused.severity, accepted.severity) == (Severity.ERROR, Severity.WARNING)
    assert refused.text == accepted.text
    assert refused.fix == f"{accepted.fix}, or accept that with allow_unguarded=True"


def test_neither_alarm_nor_switch_is_no_guard():
    assert codes(guards()) == [Code.NO_GUARD]


def test_the_switch_alone_guards_only_if_somebody_throws_it():
    found = the(Code.ONLY_SWITCH, guards(SWITCH))

    assert not found.stops
    assert codes(guards(SWITCH)) == [Code.ONLY_SWITCH]


@pytest.mark.parametrize("strategy", [None, AllAtOnce(), Canary(percent=50, bake=minutes(0))], ids=str)
@pytest.mark.parametrize("alarms", [("errors",), (SWITCH,)], ids=["alarm", "switch"])
def test_an_update_without_a_bake_is_found_with_any_alarms(strategy, alarms):
    assert "bakes for 0 s in total" in the(Code.NO_BAKE, guards(*alarms, strategy=strategy)).text


def test_any_bake_or_wait_is_enough_for_sagemaker_to_watch_alarms():
    second = timedelta(seconds=1)
    given = guards("errors", strategy=Canary(percent=50, bake=minutes(0), termination_wait=second))

    assert Code.NO_BAKE not in codes(given)


@pytest.mark.parametrize("kind", ["ml.inf2.xlarge", "ml.m5.large"])
def test_other_instances_than_inf1_keep_their_guards(kind):
    assert codes(context(target=config(NEW, asked(instance_types=(kind,))))) == []


@pytest.mark.parametrize("where", ["serving", "target"])
def test_inf1_is_found_on_either_side_and_named(where):
    given = context(**{where: config(where, asked(instance_types=("ml.inf1.24xlarge",)))})

    assert "ml.inf1.24xlarge" in the(Code.INF1, given).text


# What SageMaker would refuse.


def test_variants_with_other_names_are_found_with_both_names():
    text = the(Code.VARIANT_NAMES, context(target=config(NEW, asked("Main")))).text

    assert "Main" in text
    assert "AllTraffic" in text


def test_variants_in_another_order_are_the_same():
    pair = asked("a"), asked("b")
    given = context(
        endpoint=endpoint(live("a"), live("b")),
        serving=config(OLD, *pair),
        target=config(NEW, *reversed(pair)),
        alarms=(alarm(rule=on(VariantName="a")),),
    )

    assert Code.VARIANT_NAMES not in codes(given)


def test_serving_variant_names_are_known_without_their_configuration():
    given = context(serving=None, target=config(NEW, asked("Main")))

    assert {Code.VARIANT_NAMES, Code.SERVING_CONFIG_DELETED} <= set(codes(given))


@pytest.mark.parametrize("where", ["serving", "target"])
def test_a_rolling_update_takes_one_variant(where):
    several = config(where, asked("AllTraffic"), asked("b"))
    given = context(guardrails=Guardrails(strategy=ROLLING, alarms=("errors",)), **{where: several})

    found = the(Code.ROLLING_VARIANTS, given)
    assert found.stops
    assert found.text == f"rolling supports 1 variant, and {where} has 2"


@pytest.mark.parametrize("where", ["serving", "target"])
def test_a_rolling_update_takes_no_serverless_variant(where):
    given = context(
        guardrails=Guardrails(strategy=ROLLING, alarms=("errors",)), **{where: config(where, serverless())}
    )

    assert "AllTraffic" in the(Code.ROLLING_SERVERLESS, given).text


def test_blue_green_takes_serverless_variants_and_has_no_instances_to_count():
    described = Variant(name="AllTraffic", instances=0, desired_instances=0)
    given = context(
        endpoint=endpoint(described), serving=config(OLD, serverless()), target=config(NEW, serverless())
    )

    assert preflight(given) == ()


def test_a_serverless_variant_has_no_live_count_to_retain():
    described = Variant(name="AllTraffic", instances=0, desired_instances=0)
    given = context(endpoint=endpoint(described), serving=config(OLD, serverless()))

    assert preflight(given) == ()


def test_a_deleted_serving_configuration_is_named():
    found = the(Code.SERVING_CONFIG_DELETED, context(serving=None))

    assert found.stops
    assert OLD in found.text
    assert OLD in found.fix


def test_an_unknown_serving_configuration_is_not_reported_as_deleted():
    nameless = replace(endpoint(), endpoint_config_name=None)

    assert codes(context(serving=None, endpoint=nameless)) == []


@pytest.mark.parametrize(
    ("before", "after", "dropped"),
    [(False, False, False), (False, True, False), (True, True, False), (True, False, True)],
)
def test_an_asynchronous_endpoint_stays_one(before, after, dropped):
    given = context(serving=config(OLD, asynchronous=before), target=config(NEW, asynchronous=after))

    assert codes(given) == [Code.ASYNC_DROPPED] * dropped


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
def test_steps_at_the_limits_are_accepted(strategy, instances):
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
def test_steps_out_of_range_are_refused_with_the_numbers(strategy, instances, code, text):
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
def test_the_fix_names_the_largest_step(size, fix):
    assert the(Code.STEP_TOO_LARGE, guarded_by(size, instances=7)).fix == fix


@pytest.mark.parametrize(
    ("size", "fix"),
    [
        (Linear(instances=5, bake=minutes(10)), "make it at least 11 instances, or give it in percent"),
        (Rolling(batch_instances=5, bake=minutes(10)), "make it at least 6 instances, or give it in percent"),
    ],
    ids=str,
)
def test_the_fix_names_the_smallest_step(size, fix):
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
def test_limits_are_relative_to_the_size_of_the_new_fleet(retained, count):
    strategy = Canary(instances=2, bake=minutes(10))
    given = guarded_by(
        strategy,
        endpoint=endpoint(live(instances=2)),
        target=config(NEW, asked(instances=3)),
        retained=retained,
    )

    assert count in the(Code.STEP_TOO_LARGE, given).text


def test_each_variant_is_checked():
    given = guarded_by(
        Canary(instances=1, bake=minutes(10)),
        endpoint=endpoint(live("a", 2), live("b", 1)),
        serving=config(OLD, asked("a"), asked("b", 1)),
        target=config(NEW, asked("a"), asked("b", 1)),
        alarms=(alarm(rule=on(VariantName="a")),),
    )

    assert [finding.code for finding in preflight(given) if finding.stops] == [Code.FLEET_TOO_SMALL]
    assert "the 1 instance (live) of b" in the(Code.FLEET_TOO_SMALL, given).text


# The schedule.


@pytest.mark.parametrize(
    ("instances", "too_long"),
    [(5, False), (6, True)],
)
def test_the_schedule_must_end_before_max_duration(instances, too_long):
    strategy = Linear(instances=1, bake=minutes(10), max_duration=minutes(60))

    given = guarded_by(strategy, instances=instances)
    assert (Code.SCHEDULE_TOO_LONG in codes(given)) == too_long
    if too_long:
        assert the(Code.SCHEDULE_TOO_LONG, given).text == (
            "the strategy's bakes and waits can take 1 h >= 1 h, max_duration"
        )
        assert "raise max_duration" in the(Code.SCHEDULE_TOO_LONG, given).fix


@pytest.mark.parametrize(
    ("wait", "too_long"),
    [(minutes(60) - timedelta(seconds=1), False), (minutes(60), True)],
)
def test_without_max_duration_the_schedule_must_end_before_sagemakers_limit(wait, too_long):
    strategy = Linear(instances=1, bake=minutes(60), termination_wait=wait)

    given = guarded_by(strategy, instances=7)
    assert (Code.SCHEDULE_TOO_LONG in codes(given)) == too_long
    if too_long:
        assert "8 h >= 8 h" in the(Code.SCHEDULE_TOO_LONG, given).text
        assert "max_duration" not in the(Code.SCHEDULE_TOO_LONG, given).fix


@pytest.mark.parametrize(("max_wait", "exceeded"), [(None, False), (minutes(16), False), (minutes(15), True)])
def test_a_max_wait_shorter_than_the_schedule_is_a_warning(max_wait, exceeded):
    given = context(max_wait=max_wait)

    assert codes(given) == [Code.SCHEDULE_EXCEEDS_WAIT] * exceeded
    if exceeded:
        assert "15 min >= 15 min" in the(Code.SCHEDULE_EXCEEDS_WAIT, given).text


# Where the alarms stand.


def test_alarms_that_do_not_exist_are_each_named():
    given = guards("errors", "latency", "drift", SWITCH)

    missing = [finding.text for finding in preflight(given) if finding.code is Code.ALARM_MISSING]
    assert missing == ["there is no CloudWatch alarm latency", "there is no CloudWatch alarm drift"]


def test_an_alarm_in_alarm_is_found_with_its_time_and_reason():
    given = watched_by(alarm(AlarmState.ALARM, since=NOW, reason="0.2 > 0.05"))

    found = the(Code.ALARM_IN_ALARM, given)
    assert found.stops
    assert found.text == (
        "alarm errors is in ALARM since 2026-03-02T10:00:00+00:00, and must be OK (0.2 > 0.05)"
    )


@pytest.mark.parametrize(("required", "severity"), [(False, Severity.WARNING), (True, Severity.ERROR)])
@pytest.mark.parametrize("seen", [rule(), on(EndpointConfigName=OLD), None], ids=["variant", "old", "math"])
def test_an_alarm_without_data_is_a_warning_or_an_error(required, severity, seen):
    given = watched_by(alarm(AlarmState.INSUFFICIENT_DATA, rule=seen), require_alarms_ok=required)

    found = the(Code.ALARM_WITHOUT_DATA, given)
    assert found.severity is severity
    assert ("must be OK" in found.text) == required


@pytest.mark.parametrize("required", [False, True])
def test_an_alarm_on_the_new_fleet_may_have_no_data(required):
    waiting = alarm(AlarmState.INSUFFICIENT_DATA, rule=on(EndpointConfigName=NEW))

    assert codes(watched_by(waiting, require_alarms_ok=required)) == []


@pytest.mark.parametrize("state", AlarmState)
def test_the_state_of_the_switch_is_not_checked_here(state):
    switch = alarm(state, name=SWITCH, rule=on(EndpointName="another"))

    assert codes(context(alarms=(alarm(), switch))) == []


def test_a_composite_alarm_is_a_warning():
    given = watched_by(alarm(composite=True, rule=None))

    assert "alarm errors is a composite alarm" in the(Code.ALARM_COMPOSITE, given).text
    assert codes(given) == [Code.ALARM_COMPOSITE]


def test_alarms_on_metric_math_are_not_checked():
    assert codes(watched_by(alarm(rule=None))) == []


# Whether they could go off.


@pytest.mark.parametrize(
    ("dimension", "value", "text"),
    [
        ("EndpointName", "fraud", "its EndpointName is fraud, not churn"),
        ("VariantName", "Main", "its VariantName is Main, not AllTraffic"),
        ("EndpointConfigName", "churn-v0", "its EndpointConfigName is churn-v0, not churn-v2 or churn-v1"),
    ],
)
@pytest.mark.parametrize("namespace", ["AWS/SageMaker", "/aws/sagemaker/Endpoints"])
def test_an_alarm_on_something_else_is_refused(dimension, value, text, namespace):
    given = watched_by(alarm(rule=rule(dimensions={dimension: value}, namespace=namespace)))

    assert the(Code.ALARM_ELSEWHERE, given).text == f"alarm errors cannot see this update: {text}"


def test_all_wrong_dimensions_of_an_alarm_are_one_finding():
    given = watched_by(alarm(rule=on(EndpointName="fraud", VariantName="Main")))

    assert the(Code.ALARM_ELSEWHERE, given).text.count("; ") == 1


@pytest.mark.parametrize(
    "dimensions",
    [{}, {"EndpointConfigName": NEW}, {"EndpointConfigName": OLD}, {"InstanceType": "ml.m5.large"}],
    ids=str,
)
def test_alarms_on_either_fleet_see_the_update(dimensions):
    assert codes(watched_by(alarm(rule=on(**dimensions)))) == []


def test_an_alarm_on_the_shadow_variant_sees_the_update():
    given = watched_by(
        alarm(rule=on(VariantName="Shadow")), target=config(NEW, shadow_variants=(asked("Shadow"),))
    )

    assert codes(given) == []


def test_dimensions_of_custom_metrics_are_not_checked():
    assert codes(watched_by(alarm(rule=rule(dimensions={"EndpointName": "x"}, namespace="Shop")))) == []


OVER, FROM = "GreaterThanThreshold", "GreaterThanOrEqualToThreshold"
RATES = ["Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors", "MidStreamErrors"]


@pytest.mark.parametrize("metric", RATES)
@pytest.mark.parametrize(("comparison", "threshold"), [(OVER, 0.99), (FROM, 1.0)])
@pytest.mark.parametrize("statistic", ["Average", "Maximum"])
def test_a_threshold_that_an_error_rate_can_reach_is_accepted(metric, comparison, threshold, statistic):
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
def test_a_threshold_that_no_error_rate_reaches_is_refused(metric, comparison, threshold, sign):
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
    ],
    ids=["errors counted", "no error rate", "own metric", "from above"],
)
def test_thresholds_of_other_metrics_are_not_checked(seen):
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


def test_an_alarm_slower_than_the_longest_bake_is_compared_with_it():
    just = alarm(rule=rule(evaluation_periods=12, datapoints_to_alarm=12))

    assert "15 min (12 x 1 min, and 3 min lag) > 10 min" in the(Code.ALARM_TOO_SLOW, watched_by(just)).text


def test_an_alarm_slower_than_all_bakes_is_compared_with_their_sum():
    """The guide's own example: 2 datapoints of 10 minutes."""
    slow = alarm(rule=rule(period=minutes(10), evaluation_periods=2, datapoints_to_alarm=2))

    assert (
        "23 min (2 x 10 min, and 3 min lag) > 15 min, all bakes together"
        in preflight(watched_by(slow))[0].text
    )


def test_a_custom_metric_has_no_lag_of_sagemaker():
    quick = rule(namespace="Shop", period=timedelta(seconds=10))
    given = guarded_by(AllAtOnce(termination_wait=timedelta(seconds=20)), alarms=(alarm(rule=quick),))

    assert codes(given) == []


@pytest.mark.parametrize(("wait", "slow"), [(6, False), (5, True)])
def test_an_alarm_on_a_custom_metric_is_evaluated_once_a_minute(wait, slow):
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


def test_the_finding_says_what_an_alarm_on_both_fleets_would_read():
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
def test_an_alarm_that_the_old_fleet_does_not_dilute_sees_a_failing_first_step(seen):
    assert not diluted(STEPS_OF_A_TENTH[0], seen)


def test_a_percentage_of_a_small_fleet_may_be_a_larger_share():
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
def test_without_a_bake_of_a_step_nothing_is_diluted(strategy):
    assert not diluted(strategy, rule(threshold=0.9))


# What will be otherwise than somebody may think.


def test_a_live_count_that_overrides_the_configuration_is_found_with_both_values():
    given = context(endpoint=endpoint(live(instances=2)), target=config(NEW, asked(instances=3)))

    found = the(Code.COUNT_RETAINED, given)
    assert not found.stops
    assert found.text == "AllTraffic keeps its live DesiredInstanceCount 2 instead of the 3 of churn-v2"
    assert 'exclude_retained_variant_properties=["DesiredInstanceCount"]' in found.fix


def test_a_live_weight_that_overrides_the_configuration_is_found_with_both_values():
    given = context(endpoint=endpoint(live(weight=0.25)))

    found = the(Code.WEIGHT_RETAINED, given)
    assert codes(given) == [Code.WEIGHT_RETAINED]
    assert found.text == "AllTraffic keeps its live DesiredWeight 0.25 instead of the 1 of churn-v2"


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
def test_two_fleets_beyond_the_default_quota_are_found(blue, green, told, strategy):
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
        assert ("both billed for 15 min" in text) == (strategy is CANARY)


def test_a_serverless_fleet_does_not_count_for_the_quota():
    described = Variant(name="AllTraffic", instances=0, desired_instances=0)
    given = context(
        endpoint=endpoint(described),
        serving=config(OLD, serverless()),
        target=config(NEW, asked(instances=4)),
    )

    assert codes(given) == []


def test_a_rolling_update_needs_no_second_fleet():
    assert Code.EXTRA_INSTANCES not in codes(guarded_by(ROLLING, instances=20))


# Nothing it is told makes it fail.

whole_strategies = st.one_of(
    st.none(),
    st.builds(AllAtOnce, termination_wait=st.integers(0, 60).map(minutes)),
    st.builds(Canary, percent=st.integers(1, 50), bake=st.integers(0, 60).map(minutes)),
    st.builds(Linear, instances=st.integers(1, 9), bake=st.integers(0, 60).map(minutes)),
    st.builds(Rolling, batch_instances=st.integers(1, 9), bake=st.integers(0, 60).map(minutes)),
)
names = st.sampled_from(["AllTraffic", "Main"])
asked_variants = st.lists(
    st.one_of(
        st.builds(asked, names, st.one_of(st.none(), st.integers(1, 30))), st.builds(serverless, names)
    ),
    min_size=1,
    max_size=2,
)
any_facts = st.builds(
    PreflightContext,
    endpoint=st.lists(st.builds(live, names, st.integers(0, 30), st.sampled_from([None, 0.0, 1.0]))).map(
        lambda variants: replace(endpoint(), variants=tuple(variants))
    ),
    serving=st.one_of(st.none(), asked_variants.map(lambda variants: config(OLD, *variants))),
    target=asked_variants.map(lambda variants: config(NEW, *variants)),
    guardrails=st.builds(
        Guardrails, strategy=whole_strategies, alarms=st.sampled_from([(), ("errors",), (SWITCH, "errors")])
    ),
    alarms=st.lists(
        st.builds(alarm, st.sampled_from(AlarmState), rule=st.one_of(st.none(), st.builds(rule)))
    ).map(tuple),
    retained=st.sampled_from([RetainedProperties(), NOTHING_RETAINED]),
    marketplace=st.booleans(),
    allow_unguarded=st.booleans(),
)


@settings(max_examples=60)
@for_all(any_facts)
def test_errors_always_come_first_and_each_finding_has_a_fix(known):
    found = preflight(known)

    assert [finding.stops for finding in found] == sorted((finding.stops for finding in found), reverse=True)
    assert all(finding.text and finding.fix and "None" not in str(finding) for finding in found)
