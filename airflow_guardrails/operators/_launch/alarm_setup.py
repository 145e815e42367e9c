"""Create the alarms of a rollout before it starts: its abort switch and its guards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.snapshots.abort_switch import RESET, AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmState
from airflow_guardrails.domain.snapshots.guard_alarms import GuardAlarm
from airflow_guardrails.exceptions import AbortSwitchNotReady, GuardNotReady, GuardrailsError

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_TIMEOUT_SECONDS = 180.0
# CloudWatch evaluates a new switch at the end of its first period of 10 seconds, and a new guard within a
# minute. It allows only a few DescribeAlarms calls a second in each account, so after 20 seconds the calls
# become rarer.
_PAUSE_SECONDS, _SHORT_WAIT_SECONDS, _LONG_PAUSE_SECONDS = 1.0, 20.0, 5.0


class AlarmSetup:
    """
    Creates the alarms of one rollout, and deletes them again if the update is not started.

    :param switch: the abort switch of the rollout, which is created only by :meth:`create_switch`.
    :param target: name of the endpoint configuration to update to; it is stored with the switch.
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
        self._switch = switch
        self._target = target
        self._hook = hook
        self._log = log
        self._sleep = sleep
        self._monotonic = monotonic
        # Names of the alarms that may exist, and the guards among them.
        self._created: list[str] = []
        self._guards: dict[str, GuardAlarm] = {}

    def create_switch(self) -> None:
        """
        Create the switch's alarm, and publish its first value, which makes the alarm OK.

        :raises AbortSwitchNotReady: if CloudWatch rejects a call.
        """
        name = self._switch.alarm_name
        self._created.append(name)  # before the call, because its response may be lost
        with self._rejection_named(name):
            self._hook.put_abort_switch(self._switch, target=self._target)
            self._hook.set_abort_switch(self._switch, RESET)

    def create_guards(self, guards: Sequence[GuardAlarm]) -> None:
        """
        Create the alarms of the guards.

        :raises GuardNotReady: if CloudWatch rejects one.
        """
        for guard in guards:
            self._created.append(guard.name)
            self._guards[guard.name] = guard
            with self._rejection_named(guard.name):
                self._hook.put_guard_alarm(guard)
            self._log.info("Guard: %s (alarm %s)", guard.words, guard.name)

    def wait_until_ok(self) -> None:
        """
        Wait until the alarms are OK. SageMaker would roll back an update whose alarm is in ALARM.

        :raises AbortSwitchNotReady: if the switch is not OK within three minutes.
        :raises GuardNotReady: if a guard is in ALARM after three minutes, or not visible. One that CloudWatch
            has not evaluated by then is logged: AWS does not document how long that may take.
        """
        began, logged = self._monotonic(), False
        while self._created:
            alarms: tuple[Alarm, ...] = ()
            with _passing_errors_ignored():
                alarms = self._hook.describe_alarms(self._created)
            waited = self._monotonic() - began
            is_over = waited >= _TIMEOUT_SECONDS
            if (late := self._first_late(alarms, may_lack_data=is_over)) is None:
                if is_over:
                    self._log.warning("The guards are not in ALARM, and not all of them are OK yet")
                return
            shown = _shown(late, alarms)
            if is_over:
                raise self._not_ready(
                    late, f"alarm {late} is {shown} after {_TIMEOUT_SECONDS:g} s, and must be OK"
                )
            if not logged:
                logged = True
                what = "the guards" if late in self._guards else "the abort switch"
                self._log.info("Waiting for %s: alarm %s is %s, and must be OK", what, late, shown)
            self._sleep(_PAUSE_SECONDS if waited < _SHORT_WAIT_SECONDS else _LONG_PAUSE_SECONDS)

    def delete(self) -> None:
        """Delete what was created. A failure is only logged: a forgotten alarm does no harm."""
        if not self._created:
            return
        try:
            self._hook.delete_alarms(self._created)
        except (ClientError, BotoCoreError) as error:
            names = ", ".join(self._created)
            self._log.warning("Alarms were not deleted (%s): %s", names, errors.text_for_people(error))

    def _first_late(self, alarms: Sequence[Alarm], *, may_lack_data: bool) -> str | None:
        """
        Return the first alarm that keeps the update from being started; None if there is none.

        :param may_lack_data: whether a guard may be without data. Some may at any time, see
            ``GuardAlarm.gets_ok``.
        """
        states = {alarm.name: alarm.state for alarm in alarms}
        for name in self._created:
            state, guard = states.get(name), self._guards.get(name)
            lacks_data = guard is not None and state is AlarmState.INSUFFICIENT_DATA
            if lacks_data and (may_lack_data or not self._guards[name].gets_ok):
                continue
            if state is not AlarmState.OK:
                return name
        return None

    @contextmanager
    def _rejection_named(self, name: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if errors.is_passing(error) or errors.is_access_denied(error):
                raise
            text = f"CloudWatch rejected it: {errors.text_for_people(error)}"
            raise self._not_ready(name, text) from error

    def _not_ready(self, name: str, reason: str) -> GuardrailsError:
        endpoint, guard = self._switch.endpoint_name, self._guards.get(name)
        if guard is not None:
            return GuardNotReady(
                f"Guard {guard.words} of endpoint {endpoint} is not ready: {reason}. No update was started; "
                "correct the guard, or wait until what it watches is good again"
            )
        return AbortSwitchNotReady(
            f"Abort switch of endpoint {endpoint} is not ready: {reason}. "
            "Set abort_switch=False to run without it"
        )


def _shown(name: str, alarms: Sequence[Alarm]) -> str:
    alarm = next((alarm for alarm in alarms if alarm.name == name), None)
    if alarm is None:
        return "not visible"
    reason = f" ({alarm.reason})" if alarm.state is AlarmState.ALARM and alarm.reason else ""
    return f"{alarm.state.value}{reason}"


@contextmanager
def _passing_errors_ignored() -> Iterator[None]:
    """Ignore an error that may go away, for example if CloudWatch does not respond."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        if not errors.is_passing(error):
            raise
