"""Wait for an update that something else started, and report its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperatorLink,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_guardrails.domain.arguments import Check, check_name, check_time, optional
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.domain.text import duration_in_words
from airflow_guardrails.exceptions import InvalidArgument, RolloutNotStarted, RolloutTimedOut
from airflow_guardrails.links.rollout_page import RolloutPageLink
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.tasks.rollout import OnRollback, RolloutTask
from airflow_guardrails.tasks.validation import (
    check_choice,
    check_flags,
    check_interval,
    check_seconds,
    parse_time_argument,
)
from airflow_guardrails.triggers._state import dump_state, load_state

_STATE_KEY = "airflow_guardrails_watch"
_SECOND_LOOK_AFTER_SECONDS = 5.0
# boto3's default read time-out: a call of UpdateEndpoint may have begun so long before its response.
_LONGEST_CALL = timedelta(seconds=60)
# Somebody else's update may start any time; a rollback that nobody saw must not be waited for all day.
_START_TIMEOUT = timedelta(hours=1)


class SageMakerRolloutSensor(RolloutTask, BaseSensorOperator):
    """
    Wait for an update of an endpoint, and succeed only if the new configuration is in service.

    A rollback, a failed update, and an update by somebody else to a third configuration fail the sensor, each
    with its own error.

    Returns the rollout report, which is also XCom ``rollout_report``, and is there also if the sensor fails.

    Use ``deferrable=True`` rather than ``mode="reschedule"``. A rescheduled sensor stores what it has seen in
    Airflow's task state (3.3); before Airflow 3.3 it needs ``previous_endpoint_config_name`` and
    ``started_after``.

    :param endpoint_name: name of the endpoint. (templated)
    :param endpoint_config_name: name of the endpoint configuration of the update. (templated)
    :param previous_endpoint_config_name: name of the configuration in service before the update. It
        distinguishes a rollback from an update by somebody else. Default: as the endpoint shows it while the
        update runs. (templated)
    :param started_after: time before the update started, as a datetime or ISO 8601 with time zone. An update
        that began earlier is ignored, and one that ran unseen after it is recognised. (templated)
    :param on_rollback: what a rollback does to the task: ``"fail"`` (no retry), ``"skip"`` (also what depends
        on it), or ``"return"`` (the task succeeds and returns the report).
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param start_timeout: seconds within which the update must be seen to run; otherwise the sensor fails with
        ``RolloutNotStarted``. Default: an hour, or two minutes with *started_after*, because the update runs
        already then.
    :param poke_interval: seconds between two calls of DescribeEndpoint.
    :param timeout: seconds after which the sensor fails with ``RolloutTimedOut``; the update goes on.
    :param soft_fail: whether the task is skipped instead of failed if the update did not start, or did not
        end in time. A rollback always fails the task.
    :param max_describe_gap: maximum number of seconds between two calls of DescribeEndpoint by the triggerer.
        In between it may use lists of endpoints instead. Stages may be reported this late.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises EndpointRolledBack: if SageMaker rolled the update back; the text names the alarm.
    :raises RolloutError: if the rollout ended otherwise without success; its subclasses name the outcome.
    """

    template_fields: Sequence[str] = (
        "endpoint_name",
        "endpoint_config_name",
        "previous_endpoint_config_name",
        "started_after",
        *RolloutTask.template_fields,
    )
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "endpoint_name": check_name,
        "endpoint_config_name": check_name,
        "previous_endpoint_config_name": optional(check_name),
        "started_after": check_time,
        **RolloutTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (RolloutPageLink(), SageMakerEndpointLink())
    ui_color = "#d7ecd9"

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str,
        previous_endpoint_config_name: str | None = None,
        started_after: datetime | str | None = None,
        on_rollback: OnRollback = "fail",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_timeout: float | None = None,
        poke_interval: timedelta | float = 30,
        soft_fail: bool = False,
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        **kwargs: Any,
    ) -> None:
        # Before Airflow's constructor, which raises other errors for wrong values.
        check_interval("poke_interval", poke_interval)
        if "timeout" in kwargs:
            check_interval("timeout", kwargs["timeout"], may_be_zero=True)
        # Airflow's own soft_fail would also skip a rollback, so it is not passed on.
        super().__init__(poke_interval=poke_interval, **kwargs)
        check_flags(deferrable=deferrable, soft_fail=soft_fail)
        check_choice("on_rollback", on_rollback, OnRollback)
        if start_timeout is not None:
            check_seconds("start_timeout", start_timeout)
        check_seconds("max_describe_gap", max_describe_gap)
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.previous_endpoint_config_name = previous_endpoint_config_name
        self.started_after = started_after
        self.on_rollback = on_rollback
        self.deferrable = deferrable
        self.start_timeout = start_timeout
        self.skip_unfinished = soft_fail
        self.max_describe_gap = max_describe_gap
        self._state: RolloutState | None = None
        self._check_base_arguments()

    def execute(self, context: Any) -> Any:
        """Wait for the end of the update; return the rollout report."""
        if self.deferrable:
            return self._look_or_defer(context)
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            # Airflow measures the time-out, also in reschedule mode; the report has what was seen last.
            state = self._state or self._first_state(context)
            return self.end(context, self.finish(context, state.give_up()))

    def poke(self, context: Any) -> bool | PokeReturnValue:
        """Look at the endpoint once; return the report if the update has ended, else False."""
        report = self._look(context)
        return PokeReturnValue(is_done=True, xcom_value=report) if report else False

    def end(self, context: Any, report: RolloutReport) -> RolloutReport:
        """
        Push the report, and return it if the update succeeded.

        :raises RolloutError: if it did not; its subclasses name the outcome.
        :raises AirflowSkipException: if ``soft_fail`` or ``on_rollback`` says so.
        """
        try:
            return super().end(context, report)
        except RolloutNotStarted as error:
            text = f"{error} It had {duration_in_words(self._grace)} to start (start_timeout)."
            if self.skip_unfinished:
                raise AirflowSkipException(text) from error
            raise RolloutNotStarted(text, report) from error
        except RolloutTimedOut as error:
            if self.skip_unfinished:
                raise AirflowSkipException(str(error)) from error
            raise

    def _look_or_defer(self, context: Any) -> Any:
        report = self._look(context)
        if report is None and self._state is not None:
            self.defer_wait(context, self._state, every=self.poke_interval)
        return report

    def _look(self, context: Any) -> RolloutReport | None:
        self.check_rendered()
        state = self._first_state(context)
        if self.reschedule:
            # The next poke may not know what this one suspects, so this one confirms it.
            state = self.poll_until_confirmed(context, state, again_after=_SECOND_LOOK_AFTER_SECONDS)
        else:
            state = self.poll_once(context, state)
        state = self._with_deadline(state)
        # In mode "poke", the next poke continues with it. After a time-out, the report is made from it.
        self._state = state
        if state.outcome is None:
            self._store(context, state)
            return None
        return self.end(context, self.finish(context, state))

    def _first_state(self, context: Any) -> RolloutState:
        if self._state is not None:
            return self._state
        self.push_links(context, ())
        if self.reschedule and (stored := self._stored(context)):
            return stored
        started_after = parse_time_argument("started_after", self.started_after)
        rollout = Rollout(
            endpoint_name=self.endpoint_name,
            target=self.endpoint_config_name,
            previous=self.previous_endpoint_config_name,
            # It may be the time of UpdateEndpoint's response, and the StartTime of the update is before that.
            asked_at=started_after - _LONGEST_CALL if started_after else None,
            launched_at=started_after,
            grace=self._grace,
        )
        self.log.info(
            "Waiting for an update of endpoint %s to %s; it must be seen to run within %s (start_timeout)",
            self.endpoint_name,
            self.endpoint_config_name,
            duration_in_words(self._grace),
        )
        return RolloutState(rollout=rollout)

    @property
    def _grace(self) -> timedelta:
        if self.start_timeout is not None:
            return timedelta(seconds=self.start_timeout)
        return _START_TIMEOUT if self.started_after is None else DEFAULT_GRACE

    def _with_deadline(self, state: RolloutState) -> RolloutState:
        """
        Return *state* with the deadline: *timeout* after the first response, on AWS's clock.

        Without any response, Airflow's own time-out ends the sensor.
        """
        if state.rollout.deadline is not None or state.first_look_at is None:
            return state
        deadline = state.first_look_at + timedelta(seconds=self.timeout)
        return replace(state, rollout=replace(state.rollout, deadline=deadline))

    def _store(self, context: Any, state: RolloutState) -> None:
        """Store *state* for the next poke in reschedule mode. A failure is a warning."""
        store = context.get("task_state_store")
        if not self.reschedule or store is None:
            return
        try:
            store.set(_STATE_KEY, {"try": _try(context), "watch": dump_state(state)})
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises
            self.warn(f"Airflow's task state could not be written ({type(error).__name__}: {error})")

    def _stored(self, context: Any) -> RolloutState | None:
        store = context.get("task_state_store")
        try:
            stored = store.get(_STATE_KEY) if store is not None else None
            # Task state outlives retries and clears; another try may wait for another update.
            return load_state(stored["watch"]) if stored and stored["try"] == _try(context) else None
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, or an older release has stored
            self.warn(f"Airflow's task state could not be read ({type(error).__name__}: {error})")
            return None

    def _check_base_arguments(self) -> None:
        """
        Check the arguments of Airflow's sensors.

        :raises InvalidArgument: if one of them would hide a rollback.
        """
        for flag in ("silent_fail", "never_fail"):
            if (value := getattr(self, flag)) is not False:
                raise InvalidArgument(
                    f"{flag} must not be set (got {value!r}): it would hide a rollback. Use "
                    "on_rollback='skip' or 'return' to go on after one"
                )
        known = self.previous_endpoint_config_name is not None and self.started_after is not None
        if self.reschedule and not known and not keeps_task_state():
            raise InvalidArgument(
                "mode must be 'poke' (got 'reschedule') before Airflow 3.3, unless "
                "previous_endpoint_config_name and started_after are given: a rescheduled sensor keeps no "
                "state, so it cannot distinguish a rollback from an update that never started. Use "
                "deferrable=True to free the worker slot"
            )


def _try(context: Any) -> int | None:
    return getattr(context.get("ti"), "try_number", None)


def keeps_task_state() -> bool:
    """Whether this Airflow keeps the state of a task between pokes (since 3.3)."""
    from airflow.sdk.execution_time import context  # noqa: PLC0415 - slow, and only reschedule needs it

    return hasattr(context, "TaskStateStoreAccessor")
