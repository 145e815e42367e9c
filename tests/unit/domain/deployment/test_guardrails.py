"""A strategy with its alarms."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.strategies import AllAtOnce, Canary, InvalidAlarms, InvalidStrategy, Linear

MINUTE = timedelta(minutes=1)
CANARY = Canary(percent=25, bake=10 * MINUTE, max_duration=timedelta(hours=1))


def test_ten_different_alarms_are_accepted():
    alarms = tuple(f"alarm-{number}" for number in range(11))
    assert Guardrails(strategy=CANARY, alarms=alarms[:10]).alarms == alarms[:10]
    with pytest.raises(InvalidAlarms, match=r"alarms must be at most 10 \(got 11\)"):
        Guardrails(strategy=CANARY, alarms=alarms)


@pytest.mark.parametrize("alarm", ["a", "a" * 255, " a ", "arn", "Fehler über 1 %"])
def test_any_line_up_to_255_characters_is_a_name(alarm):
    assert Guardrails(strategy=CANARY, alarms=(alarm,)).alarms == (alarm,)


@pytest.mark.parametrize(
    ("alarms", "message"),
    [
        (("",), "alarms must be names, of one line and not blank (got '')"),
        ((" \t",), "alarms must be names, of one line and not blank (got ' \\t')"),
        (("a\nb",), "alarms must be names, of one line and not blank (got 'a\\nb')"),
        (("a\n",), "alarms must be names, of one line and not blank (got 'a\\n')"),
        (
            ("a" * 256,),
            "alarms must be names at most 255 characters long (got 256: 'aaaaaaaaaaaaaaaaaaaa'...)",
        ),
        ((7,), "alarms must be names (got 7)"),
        (("a", "b", "a"), "alarms must be different (got 'a' twice)"),
        (["a"], "alarms must be a tuple of alarm names (got ['a'])"),
        (
            ("arn:aws-cn:cloudwatch:cn-north-1:123456789012:alarm:errors: all",),
            (
                "alarms must be names, not ARNs "
                "(got 'arn:aws-cn:cloudwatch:cn-north-1:123456789012:alarm:errors: all'): write 'errors: all'"
            ),
        ),
    ],
)
def test_invalid_alarms_are_refused_with_name_rule_and_value(alarms, message):
    with pytest.raises(InvalidAlarms) as caught:
        Guardrails(strategy=CANARY, alarms=alarms)
    assert str(caught.value) == message


@pytest.mark.parametrize("strategy", [Canary, "canary", {"Type": "CANARY"}, 10])
def test_anything_but_a_strategy_is_refused(strategy):
    with pytest.raises(
        InvalidStrategy, match=r"strategy must be built from airflow_guardrails\.strategies \(got"
    ):
        Guardrails(strategy=strategy)


def test_guarded_by_an_alarm_and_a_bake():
    assert Guardrails(strategy=CANARY, alarms=("errors",)).unguarded_because is None
    waits = AllAtOnce(termination_wait=MINUTE)
    assert Guardrails(strategy=waits, alarms=("errors",)).unguarded_because is None


def test_unguarded_without_an_alarm():
    assert Guardrails(strategy=CANARY).unguarded_because == "no alarm is given"


@pytest.mark.parametrize("strategy", [None, AllAtOnce(), Canary(percent=10, bake=timedelta(0))])
def test_unguarded_without_a_bake(strategy):
    assert "no bake or wait" in Guardrails(strategy=strategy, alarms=("errors",)).unguarded_because


def test_times_are_those_of_the_strategy():
    linear = Linear(instances=1, bake=MINUTE, max_duration=timedelta(hours=1))
    guardrails = Guardrails(strategy=linear)
    assert guardrails.total_bake == 2 * MINUTE
    assert guardrails.waiting_time() == 10 * MINUTE
    assert guardrails.waiting_time(4) == 4 * MINUTE
    assert guardrails.max_duration == timedelta(hours=1)


def test_sagemakers_default_has_no_bakes_and_no_limit():
    default = Guardrails(strategy=None)
    assert (default.total_bake, default.waiting_time(4), default.max_duration) == (
        timedelta(0),
        timedelta(0),
        None,
    )


@pytest.mark.parametrize(
    ("guardrails", "sentence"),
    [
        (Guardrails(strategy=None), "SageMaker's default: all at once, no bake; no alarms"),
        (Guardrails(strategy=CANARY, alarms=("errors",)), f"{CANARY}; 1 alarm: errors"),
        (Guardrails(strategy=CANARY, alarms=("errors", "slow")), f"{CANARY}; 2 alarms: errors, slow"),
    ],
)
def test_guardrails_describe_themselves_in_a_sentence(guardrails, sentence):
    assert str(guardrails) == sentence
