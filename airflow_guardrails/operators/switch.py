"""Make the abort switch ready for an update that is about to begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.abort_switch import RESET, AbortSwitch
from airflow_guardrails.domain.alarms import AlarmState
from airflow_guardrails.exceptions import AbortSwitchDrifted, AbortSwitchNotReady

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

LIMIT_SECONDS = 180.0
LONGEST_PAUSE = 5.0


def ready_switch(
    switch: AbortSwitch,
    hook: GuardrailsHook,
    *,
    sleep: Callable[[float], object],
    now: Callable[[], float],
    pause: float,
) -> None:
    """
    Make the switch's alarm if there is none, reset it and see it OK.

    Only while nothing is in flight: otherwise the reset might undo somebody's abort.

    :raises AbortSwitchDrifted: if there is an alarm of that name that works otherwise.
    :raises AbortSwitchNotReady: if it may not be made, or is not OK within three minutes.
    """
    try:
        _make(switch, hook)
        hook.set_switch(switch, RESET)
    except ClientError as error:
        if errors.is_passing(error):
            raise
        raise AbortSwitchNotReady(
            f"The abort switch of endpoint {switch.endpoint_name} could not be made ready: {error}. Allow "
            "the task cloudwatch:DescribeAlarms, PutMetricAlarm and PutMetricData, or set "
            "abort_switch=False"
        ) from error
    _see_it_ok(switch, hook, sleep=sleep, now=now, pause=min(pause, LONGEST_PAUSE))


def _make(switch: AbortSwitch, hook: GuardrailsHook) -> None:
    drifted = hook.switch_drift(switch)
    if drifted is None:
        hook.create_switch(switch)
    elif drifted:
        raise AbortSwitchDrifted(
            f"Alarm {switch.alarm_name} is not as the abort switch must be: {'; '.join(drifted)}. Delete "
            "it, and this task makes it anew"
        )


def _see_it_ok(
    switch: AbortSwitch,
    hook: GuardrailsHook,
    *,
    sleep: Callable[[float], object],
    now: Callable[[], float],
    pause: float,
) -> None:
    give_up = now() + LIMIT_SECONDS
    while (state := _state(switch, hook)) is not AlarmState.OK:
        if now() >= give_up:
            raise AbortSwitchNotReady(
                f"Alarm {switch.alarm_name} must be OK before an update begins, and was still "
                f"{state.value if state else 'missing'} after {LIMIT_SECONDS:g} s"
            )
        sleep(pause)


def _state(switch: AbortSwitch, hook: GuardrailsHook) -> AlarmState | None:
    return next((alarm.state for alarm in hook.alarms([switch.alarm_name])), None)
