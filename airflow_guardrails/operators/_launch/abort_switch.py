"""Create the abort switch of an update before the update starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.snapshots.abort_switch import RESET, AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmState
from airflow_guardrails.exceptions import AbortSwitchNotReady

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_TIMEOUT_SECONDS = 180.0
# CloudWatch evaluates a new alarm at the end of its first period of 10 seconds. It allows only a few
# DescribeAlarms calls a second in each account, so after 20 seconds the calls become rarer.
_PAUSE_SECONDS, _SHORT_WAIT_SECONDS, _LONG_PAUSE_SECONDS = 1.0, 20.0, 5.0


class AbortSwitchSetup:
    """
    Creates the abort switch of one rollout, and deletes it again if the update is not started.

    :param target: name of the endpoint configuration to update to; it is stored with the alarm.
    :param sleep: sleeps for a number of seconds.
    :param monotonic: returns seconds since any fixed moment.
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
        self._may_exist = False

    def create(self) -> None:
        """
        Create the alarm, and publish its first value, which makes the alarm OK.

        :raises AbortSwitchNotReady: if CloudWatch rejects a call.
        """
        try:
            self._may_exist = True  # also if the response is lost
            self._hook.put_abort_switch(self.switch, target=self._target)
            self._hook.set_abort_switch(self.switch, RESET)
        except ClientError as error:
            if errors.is_passing(error) or errors.is_access_denied(error):
                raise
            raise self._not_ready(f"CloudWatch rejected it: {errors.text_for_people(error)}") from error

    def wait_until_ok(self) -> None:
        """
        Wait until the alarm is OK. SageMaker would roll back an update whose alarm is in ALARM.

        :raises AbortSwitchNotReady: if the alarm is not OK within three minutes.
        """
        began, logged = self._monotonic(), False
        while True:
            alarms: tuple[Alarm, ...] = ()
            with _passing_errors_ignored():
                alarms = self._hook.describe_alarms([self.switch.alarm_name])
            if alarms and alarms[0].state is AlarmState.OK:
                return
            waited = self._monotonic() - began
            shown = alarms[0].state.value if alarms else "not visible"
            if waited >= _TIMEOUT_SECONDS:
                raise self._not_ready(
                    f"alarm {self.switch.alarm_name} is {shown} after {_TIMEOUT_SECONDS:g} s, and must be OK"
                )
            if not logged:
                logged = True
                self._log.info(
                    "Waiting for the abort switch: alarm %s is %s, and must be OK",
                    self.switch.alarm_name,
                    shown,
                )
            self._sleep(_PAUSE_SECONDS if waited < _SHORT_WAIT_SECONDS else _LONG_PAUSE_SECONDS)

    def delete(self) -> None:
        """Delete the alarm, if it was created. A failure is only logged: a forgotten alarm does no harm."""
        if not self._may_exist:
            return
        try:
            self._hook.delete_alarms([self.switch.alarm_name])
        except (ClientError, BotoCoreError) as error:
            self._log.warning(
                "Alarm %s was not deleted: %s", self.switch.alarm_name, errors.text_for_people(error)
            )

    def _not_ready(self, reason: str) -> AbortSwitchNotReady:
        return AbortSwitchNotReady(
            f"Abort switch of endpoint {self.switch.endpoint_name} is not ready: {reason}. "
            "Set abort_switch=False to run without it"
        )


@contextmanager
def _passing_errors_ignored() -> Iterator[None]:
    """Ignore an error that may go away, for example if CloudWatch does not respond."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        if not errors.is_passing(error):
            raise
