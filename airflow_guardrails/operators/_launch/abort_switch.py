"""Make the abort switch ready for an update that is about to begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.snapshots.abort_switch import RESET, AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import AlarmState
from airflow_guardrails.exceptions import AbortSwitchNotReady

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

LIMIT_SECONDS = 180.0
# A new alarm is evaluated at the end of its first period, of 10 seconds. CloudWatch answers only few looks a
# second in all, so where it takes longer they become fewer.
PAUSE, SOON, LONGER_PAUSE = 1.0, 20.0, 5.0


class SwitchMaker:
    """
    Makes the abort switch of one rollout, and takes it away again where nothing comes of the rollout.

    :param target: the configuration that the rollout brings into service.
    :param sleep: waits so many seconds.
    :param monotonic: seconds, from any origin.
    """

    def __init__(
        self,
        switch: AbortSwitch,
        *,
        target: str,
        hook: GuardrailsHook,
        log: Any,
        sleep: Callable[[float], object],
        monotonic: Callable[[], float],
    ) -> None:
        self.switch = switch
        self._target = target
        self._hook = hook
        self._log = log
        self._sleep = sleep
        self._monotonic = monotonic
        self._is_made = False

    def make(self) -> None:
        """
        Make its alarm, and publish the first value, by which the alarm becomes OK.

        :raises AbortSwitchNotReady: if CloudWatch refuses it.
        """
        try:
            self._is_made = True  # also if the answer gets lost
            self._hook.put_abort_switch(self.switch, target=self._target)
            self._hook.set_abort_switch(self.switch, RESET)
        except ClientError as error:
            if errors.is_passing(error) or errors.is_access_denied(error):
                raise
            raise AbortSwitchNotReady(
                f"The abort switch of endpoint {self.switch.endpoint_name} could not be made ready: "
                f"{errors.text_for_people(error)}. abort_switch=False does without"
            ) from error

    def see_it_ok(self) -> None:
        """
        Wait until its alarm is OK; SageMaker would roll back for one in ALARM.

        :raises AbortSwitchNotReady: if it is not within three minutes.
        """
        began, told = self._monotonic(), False
        while (state := self._state()) is not AlarmState.OK:
            if self._monotonic() - began >= LIMIT_SECONDS:
                raise AbortSwitchNotReady(
                    f"Alarm {self.switch.alarm_name} must be OK before an update begins, and was still "
                    f"{_said(state)} after {LIMIT_SECONDS:g} s"
                )
            if not told:
                told = True
                self._log.info(
                    "Waiting until the abort switch (alarm %s) is OK; it is %s",
                    self.switch.alarm_name,
                    _said(state),
                )
            waited = self._monotonic() - began
            self._sleep(PAUSE if waited < SOON else LONGER_PAUSE)

    def remove(self) -> None:
        """Take the alarm away; where that fails it stays, which costs a little and does no harm."""
        if not self._is_made:
            return
        try:
            self._hook.delete_alarms([self.switch.alarm_name])
        except (ClientError, BotoCoreError) as error:
            told = errors.text_for_people(error)
            self._log.warning("Alarm %s could not be deleted, and stays: %s", self.switch.alarm_name, told)

    def _state(self) -> AlarmState | None:
        """Return how its alarm stands; None if there is none yet, or CloudWatch does not answer now."""
        try:
            alarms = self._hook.describe_alarms([self.switch.alarm_name])
        except (ClientError, BotoCoreError) as error:
            if not errors.is_passing(error):
                raise
            return None
        return next((alarm.state for alarm in alarms), None)


def _said(state: AlarmState | None) -> str:
    return state.value if state else "not to be seen"
