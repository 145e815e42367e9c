"""Checks of the arguments of strategies. Each error names strategy, argument, rule and value."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

from airflow_guardrails.domain.arguments import LARGEST_INTEGER, shown
from airflow_guardrails.domain.errors import InvalidStrategy
from airflow_guardrails.domain.text import whole_seconds


def check_one_of(strategy: object, first: str, second: str) -> None:
    given = [name for name in (first, second) if getattr(strategy, name) is not None]
    if len(given) != 1:
        got = " and ".join(f"{name}={getattr(strategy, name)!r}" for name in given) or "neither"
        raise InvalidStrategy(f"{_kind(strategy)} needs exactly one of {first} and {second} (got {got})")


def check_at_most_one_of(strategy: object, first: str, second: str) -> None:
    if getattr(strategy, first) is not None and getattr(strategy, second) is not None:
        check_one_of(strategy, first, second)


def check_percent(strategy: object, field: str, *, least: int, most: int, because: str) -> None:
    value = getattr(strategy, field)
    if value is None:
        return
    _check_whole_number(strategy, field, value)
    if not least <= value <= most:
        raise _invalid(strategy, field, f"{least} to {most}", value, because)


def check_instances(strategy: object, field: str) -> None:
    value = getattr(strategy, field)
    if value is None:
        return
    _check_whole_number(strategy, field, value)
    if value < 1:
        raise _invalid(strategy, field, "1 or more", value, "a step moves whole instances")
    if value > LARGEST_INTEGER:
        rule = f"at most {LARGEST_INTEGER}"
        raise _invalid(strategy, field, rule, shown(value), "SageMaker accepts no larger number")


def check_wait(strategy: object, *fields: str) -> None:
    for field in fields:
        # API reference of WaitIntervalInSeconds and TerminationWaitInSeconds.
        _check_seconds(strategy, field, least=0, most=3600, because="SageMaker waits at most an hour")


def check_max_duration(strategy: object, total_bake: timedelta) -> None:
    duration = getattr(strategy, "max_duration")  # noqa: B009 - every strategy has it, `object` does not
    if duration is None:
        return
    _check_seconds(
        strategy, "max_duration", least=600, most=28800, because="SageMaker allows 10 minutes to 8 hours"
    )
    # API reference: it "should be larger than the total waiting time".
    if duration <= total_bake:
        rule = f"longer than the {_seconds(total_bake)} of its bakes and waits"
        because = "SageMaker would end the update before it is finished"
        raise _invalid(strategy, "max_duration", rule, _seconds(duration), because)


def check_choice(strategy: object, field: str, choices: Any) -> None:
    """Check that the argument is one of a ``Literal`` of strings."""
    if (value := getattr(strategy, field)) not in get_args(choices):
        rule = f"one of {', '.join(repr(choice) for choice in get_args(choices))}"
        raise _invalid(strategy, field, rule, repr(value), "there is no other choice")


def _check_seconds(strategy: object, field: str, *, least: int, most: int, because: str) -> None:
    value = getattr(strategy, field)
    if not isinstance(value, timedelta):
        raise _invalid(strategy, field, "a timedelta", repr(value), _timedelta_for(value))
    if value.microseconds:
        raise _invalid(strategy, field, "whole seconds", value, "SageMaker accepts no fractions")
    if not timedelta(seconds=least) <= value <= timedelta(seconds=most):
        raise _invalid(strategy, field, f"{least} to {most} s", _seconds(value), because)


def _check_whole_number(strategy: object, field: str, value: Any) -> None:
    # True is an int in Python.
    if isinstance(value, bool) or not isinstance(value, int):
        raise _invalid(strategy, field, "a whole number", repr(value), "write it as an int")


def _timedelta_for(value: object) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"write timedelta(seconds={value})" if number else "write timedelta(minutes=...)"


def _invalid(strategy: object, field: str, rule: str, got: object, because: str) -> InvalidStrategy:
    return InvalidStrategy(f"{_kind(strategy)}.{field} must be {rule} (got {got}): {because}", field=field)


def _kind(strategy: object) -> str:
    return type(strategy).__name__


def _seconds(duration: timedelta) -> str:
    return f"{whole_seconds(duration)} s"
