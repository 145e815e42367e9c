"""Wait for an update that something else launched, and tell how it ended."""

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
from airflow_guardrails.exceptions import InvalidArgument, RolloutNotStarted, RolloutTimedOut
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

STATE_KEY = "airflow_guardrails_watch"
SECOND_LOOK_AFTER = 5.0
# boto3 waits so long for an answer, at the most.
LONGEST_CALL = timedelta(seconds=60)


class SageMakerRolloutSensor(RolloutTask, BaseSensorOperator):
    """
    Wait until an endpoint has been updated to a configuration; succeed only if that configuration serves.

    A rollback, a failed update and an update by somebody else to a third configuration fail the sensor, each
    with its own error. The report is the return value and XCom ``rollout_report``.

    A rescheduled sensor starts anew at every look. It keeps what it has seen in Airflow's task state (3.3);
    before 3.3 it has to be told ``previous_endpoint_config_name`` and ``started_after``. Deferrable is the
    better choice.

    :param endpoint_name: name of the endpoint. (templated)
    :param endpoint_config_name: name of the endpoint configuration that the update is to bring into service.
        (templated)
    :param previous_endpoint_config_name: name of the configuration served before, which tells a rollback from
        an update by somebody else; learned from the endpoint if the update is seen in flight. (templated)
    :param on_rollback: what a rollback does to the task: ``"fail"`` it, ``"skip"`` it and what depends on it,
        or ``"return"`` the report.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param start_timeout: seconds within which the update must be seen to run.
    :param poke_interval: seconds between two looks.
    :param timeout: seconds after which the sensor gives up with ``RolloutTimedOut``.
    :param soft_fail: skip where the update did not start or did not end in time. A rollback is never skipped
        by it.
    :param max_describe_gap: the most seconds between two looks of the triggerer at this endpoint while lists
        of endpoints spare them; stages are seen that late, and a change that a list has missed.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
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
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
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
        start_timeout: float = DEFAULT_GRACE.total_seconds(),
        poke_interval: timedelta | float = 30,
        soft_fail: bool = False,
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        **kwargs: Any,
    ) -> None:
        check_interval("poke_interval", poke_interval)
        if "timeout" in kwargs:
            check_interval("timeout", kwargs["timeout"], may_be_zero=True)
        # Airflow's own soft_fail skips on every failure, a rollback included; so it is not told.
        super().__init__(poke_interval=poke_interval, **kwargs)
        check_flags(deferrable=deferrable, soft_fail=soft_fail)
        check_choice("on_rollback", on_rollback, OnRollback)
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
        self._watch: RolloutState | None = None
        self._refuse_what_hides_a_rollback()

    def execute(self, context: Any) -> Any:
        if self.deferrable:
            return self._look_or_defer(context)
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            # Airflow knows since when it looks, also in reschedule mode; the report says what was seen last.
            watch = self._watch or self._begun(context)
            return self.end(context, self.conclude(context, watch.give_up()))

    def _look_or_defer(self, context: Any) -> Any:
        report = self._look(context)
        if report is None and self._watch is not None:
            self.defer_watch(context, self._watch, every=self.poke_interval)
        return report

    def poke(self, context: Any) -> bool | PokeReturnValue:
        report = self._look(context)
        return PokeReturnValue(is_done=True, xcom_value=report) if report else False

    def end(self, context: Any, report: RolloutReport) -> RolloutReport:
        try:
            return super().end(context, report)
        except (RolloutNotStarted, RolloutTimedOut) as error:
            if self.skip_unfinished:
                raise AirflowSkipException(str(error)) from error
            raise

    def _look(self, context: Any) -> RolloutReport | None:
        self.check_rendered()
        begun = self._begun(context)
        if self.reschedule:
            # A rescheduled sensor may forget what it suspects.
            watch = self.observe_for_good(context, begun, again_after=SECOND_LOOK_AFTER)
        else:
            watch = self.observe(context, begun)
        watch = self._with_deadline(watch)
        self._watch = watch
        if watch.outcome is None:
            self._keep(context, watch)
            return None
        return self.end(context, self.conclude(context, watch))

    def _begun(self, context: Any) -> RolloutState:
        if self._watch is not None:
            return self._watch
        self.push_links(context, ())
        if self.reschedule and (kept := self._kept(context)):
            return kept
        started_after = parse_time_argument("started_after", self.started_after)
        rollout = Rollout(
            endpoint_name=self.endpoint_name,
            target=self.endpoint_config_name,
            previous=self.previous_endpoint_config_name,
            # Whoever launched it may have taken the time of the answer, which comes after the StartTime.
            asked_at=started_after - LONGEST_CALL if started_after else None,
            launched_at=started_after,
            grace=timedelta(seconds=self.start_timeout),
        )
        return RolloutState(rollout=rollout)

    def _with_deadline(self, watch: RolloutState) -> RolloutState:
        """
        Count *timeout* from the first answer, on AWS's clock; while there is none, Airflow's own time-out
        holds.
        """
        if watch.rollout.deadline is not None or watch.first_look_at is None:
            return watch
        deadline = watch.first_look_at + timedelta(seconds=self.timeout)
        return replace(watch, rollout=replace(watch.rollout, deadline=deadline))

    def _keep(self, context: Any, watch: RolloutState) -> None:
        """Keep the watch for the next look; where that fails, the next one begins anew."""
        store = context.get("task_state_store")
        if not self.reschedule or store is None:
            return
        try:
            store.set(STATE_KEY, {"try": _try(context), "watch": dump_state(watch)})
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises
            self.warn(f"Airflow's task state could not be written ({type(error).__name__}: {error})")

    def _kept(self, context: Any) -> RolloutState | None:
        store = context.get("task_state_store")
        try:
            kept = store.get(STATE_KEY) if store is not None else None
            # Task state outlives retries and clears; another try may wait for another update.
            return load_state(kept["watch"]) if kept and kept["try"] == _try(context) else None
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, or an older release has kept
            self.warn(f"Airflow's task state could not be read ({type(error).__name__}: {error})")
            return None

    def _refuse_what_hides_a_rollback(self) -> None:
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
                "previous_endpoint_config_name and started_after are given: a rescheduled sensor forgets "
                "what it has seen, and cannot tell a rollback from an update that never began. Use "
                "deferrable=True to free the worker slot"
            )


def _try(context: Any) -> int | None:
    return getattr(context.get("ti"), "try_number", None)


def keeps_task_state() -> bool:
    """Whether this Airflow keeps a state for a task over all of its looks (3.3 does)."""
    from airflow.sdk.execution_time import context  # noqa: PLC0415 - costs time, and only reschedule needs it

    return hasattr(context, "TaskStateStoreAccessor")
