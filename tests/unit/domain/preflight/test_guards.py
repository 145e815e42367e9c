"""Guards that guard nothing, updates that SageMaker would refuse, and schedules that are too long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.findings import Code, Severity
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

# Guards that guard nothing.


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


def test_the_switch_alone_guards_only_if_it_is_thrown():
    found = the(Code.ONLY_SWITCH, guards(SWITCH))

    assert not found.stops
    assert codes(guards(SWITCH)) == [Code.ONLY_SWITCH]


@pytest.mark.parametrize("strategy", [None, AllAtOnce(), Canary(percent=50, bake=minutes(0))], ids=str)
@pytest.mark.parametrize("alarms", [("errors",), (SWITCH,)], ids=["alarm", "switch"])
def test_alarms_are_not_looked_at_without_a_bake(strategy, alarms):
    assert "bakes for 0 s in total" in the(Code.NO_BAKE, guards(*alarms, strategy=strategy)).text


def test_any_bake_or_wait_lets_sagemaker_look():
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


def test_variants_of_other_names_are_found_with_both_names():
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


def test_the_names_that_serve_are_known_even_where_their_configuration_is_gone():
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


@pytest.mark.parametrize(
    "strategy", [Canary(percent=10, bake=minutes(10)), Linear(percent=10, bake=minutes(10))], ids=str
)
@pytest.mark.parametrize("where", ["serving", "target"])
def test_an_update_in_steps_of_serverless_variants_is_undocumented(strategy, where):
    guardrails = Guardrails(strategy=strategy, alarms=("errors",))
    given = context(guardrails=guardrails, **{where: config(where, serverless())})

    found = the(Code.SERVERLESS_STEPS, given)

    assert found.text.startswith(f"{strategy.name} moves traffic by instances, and serverless variants have")
    assert found.fix.startswith("use AllAtOnce with a termination_wait, or accept that")
    assert the(Code.SERVERLESS_STEPS, replace(given, allow_unguarded=True)).severity is Severity.WARNING
    assert Code.SERVERLESS not in codes(given)


@pytest.mark.parametrize(
    "strategy",
    [
        AllAtOnce(termination_wait=minutes(10)),
        Canary(percent=10, bake=minutes(10), if_too_small="all_at_once"),
        Rolling(batch_percent=10, bake=minutes(10), if_too_small="all_at_once"),
    ],
    ids=str,
)
def test_all_at_once_takes_serverless_variants_and_says_what_is_not_known(strategy):
    described = Variant(name="AllTraffic", instances=0, desired_instances=0, serverless=True)
    given = context(
        endpoint=endpoint(described),
        target=config(NEW, serverless()),
        guardrails=Guardrails(strategy=strategy, alarms=("errors", SWITCH)),
    )

    found = the(Code.SERVERLESS, given)

    assert found.text.startswith("nothing may roll back the update of serverless variants (AllTraffic): AWS")
    assert not [each for each in preflight(given) if each.stops]


def test_a_serverless_fleet_has_no_instances_to_count():
    described = Variant(name="AllTraffic", instances=0, desired_instances=0)
    given = context(
        endpoint=endpoint(described),
        serving=config(OLD, serverless()),
        target=config(NEW, serverless()),
        guardrails=Guardrails(strategy=AllAtOnce(termination_wait=minutes(10)), alarms=("errors",)),
    )

    assert codes(given) == [Code.SERVERLESS]


@pytest.mark.parametrize("strategy", [AllAtOnce(termination_wait=minutes(10)), CANARY, ROLLING], ids=str)
def test_an_asynchronous_endpoint_takes_every_strategy_and_a_note_says_that_aws_documents_it(strategy):
    given = context(
        serving=config(OLD, asynchronous=True),
        target=config(NEW, asynchronous=True),
        guardrails=Guardrails(strategy=strategy, alarms=("errors", SWITCH)),
    )

    assert codes(given) == [Code.ASYNCHRONOUS]
    assert the(Code.ASYNCHRONOUS, given).text.startswith("churn-v2 is asynchronous: AWS documents deployment")


def test_a_serverless_variant_has_no_live_count_to_retain():
    described = Variant(name="AllTraffic", instances=0, desired_instances=0)
    given = context(endpoint=endpoint(described), serving=config(OLD, serverless()))

    # Neither count_retained nor fleet_too_small: the fleet is that of the configuration.
    assert codes(given) == [Code.SERVERLESS_STEPS]


def test_a_deleted_serving_configuration_is_named():
    found = the(Code.SERVING_CONFIG_DELETED, context(serving=None))

    assert found.stops
    assert OLD in found.text
    assert OLD in found.fix


def test_an_unknown_configuration_is_not_called_deleted():
    nameless = replace(endpoint(), endpoint_config_name=None)

    assert codes(context(serving=None, endpoint=nameless)) == []


@pytest.mark.parametrize(
    ("before", "after", "dropped"),
    [(False, False, False), (False, True, False), (True, True, False), (True, False, True)],
)
def test_an_asynchronous_endpoint_stays_one(before, after, dropped):
    given = context(serving=config(OLD, asynchronous=before), target=config(NEW, asynchronous=after))

    assert (Code.ASYNC_DROPPED in codes(given)) is dropped
    assert [finding.stops for finding in preflight(given) if finding.stops] == [True] * dropped


# The schedule.


@pytest.mark.parametrize(
    ("instances", "too_long"),
    [(5, False), (6, True)],
)
def test_the_schedule_of_the_fleet_there_is_must_end_before_max_duration(instances, too_long):
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
def test_without_max_duration_it_must_end_before_sagemakers_longest(wait, too_long):
    strategy = Linear(instances=1, bake=minutes(60), termination_wait=wait)

    given = guarded_by(strategy, instances=7)
    assert (Code.SCHEDULE_TOO_LONG in codes(given)) == too_long
    if too_long:
        assert "8 h >= 8 h" in the(Code.SCHEDULE_TOO_LONG, given).text
        assert "max_duration" not in the(Code.SCHEDULE_TOO_LONG, given).fix


@pytest.mark.parametrize(("max_wait", "exceeded"), [(None, False), (minutes(16), False), (minutes(15), True)])
def test_a_task_that_gives_up_before_the_end_is_warned_of(max_wait, exceeded):
    given = context(max_wait=max_wait)

    assert codes(given) == [Code.SCHEDULE_EXCEEDS_WAIT] * exceeded
    if exceeded:
        assert "15 min >= 15 min" in the(Code.SCHEDULE_EXCEEDS_WAIT, given).text
