"""The base of the tasks that wait for a rollout: in a worker or deferred, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Literal, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.rollout.messages import outcome_message
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import (
    RolloutReport,
    parse_report,
    reported_outcome,
    rollout_report,
)
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.exceptions import ERROR_BY_OUTCOME, RolloutUnwatched
from airflow_guardrails.hooks._cancellation import abort_rollout
from airflow_guardrails.tasks.aws_task import defer_timeout, fire_floor
from airflow_guardrails.tasks.metrics import count_rollout
from airflow_guardrails.tasks.outcome import rollout_outcome, show_outcome
from airflow_guardrails.tasks.waiting import WaitingTask, report_of
from airflow_guardrails.triggers._keys import REPORT_KEY
from airflow_guardrails.triggers._state import dump_state, load_state

OnRollback = Literal["fail", "skip", "return"]
OnTimeout = Literal["fail", "abort"]
OnKill = Literal["leave", "abort"]

# The XCom key of the state that the trigger continues with.
WATCH_KEY = "rollout_watch"
# Seconds between the last looks, taken after Airflow ended the wait.
LAST_LOOKS_EVERY = 10.0
# The XCom key of the summary, for templates of notifications and for the UI.
SUMMARY_KEY = "rollout_summary"
MARKDOWN_KEY = "rollout_summary_markdown"

_UNWATCHED = "The wait for the rollout failed, so its outcome is unknown"


class RolloutTask(WaitingTask):
    """Base of the operators and the sensor of rollouts; it changes nothing in AWS but the abort switch."""

    endpoint_name: str
    on_rollback: OnRollback
    on_timeout: OnTimeout = "fail"
    report_key = REPORT_KEY
    unwatched_error = RolloutUnwatched
    unwatched_text = _UNWATCHED
    kill_action: OnKill = "leave"
    # The report of the rollout, once it has ended.
    reported: RolloutReport | None = None
    # Whether this task's metrics count the rollout. Others only watch what another task has started.
    counts_rollout: ClassVar[bool] = False
    max_describe_gap: float = MAX_DESCRIBE_GAP

    def poll_once(self, context: Mapping[str, Any], state: RolloutState) -> RolloutState:
        """Describe the endpoint once, and return the new state."""
        from airflow_guardrails.domain.rollout.process import poll_once  # noqa: PLC0415

        with self._ends_if_unwatchable(context):
            return self._run_process(poll_once(self._with_kill_action(state)))

    def poll_until_confirmed(
        self, context: Mapping[str, Any], state: RolloutState, *, again_after: float
    ) -> RolloutState:
        """
        Describe the endpoint when no later look is certain; a second look confirms a suspected outcome.

        Reads of SageMaker may lag, so that one look alone does not prove ``RolledBack`` or ``NotStarted``.

        :param again_after: seconds between the two looks.
        """
        state = self.poll_once(context, state)
        if state.suspected and state.outcome is None:
            self.sleep(again_after)
            state = self.poll_once(context, state)
        return state

    def wait_until_finished(
        self, context: Mapping[str, Any], state: RolloutState, *, every: float
    ) -> RolloutReport:
        """Wait in this worker until the rollout ends, looking *every* so many seconds; return the report."""
        from airflow_guardrails.domain.rollout.process import wait_until_finished  # noqa: PLC0415

        wait_policy = self.wait_policy(every=every, on_timeout=self.on_timeout)
        with self._ends_if_unwatchable(context):
            _, report = self._run_process(wait_until_finished(self._with_kill_action(state), wait_policy))
        return report

    def _with_kill_action(self, state: RolloutState) -> RolloutState:
        """So that each report says what marking this task failed would do."""
        return replace(state, rollout=replace(state.rollout, on_kill=self.kill_action))

    def finish(self, context: Mapping[str, Any], state: RolloutState) -> RolloutReport:
        """Find the cause of the outcome, clean up old abort switches, and return the report."""
        from airflow_guardrails.domain.rollout.process import finish  # noqa: PLC0415

        with self._ends_if_unwatchable(context):
            return self._run_process(finish(state))

    def abort_if_killed(self, context: Mapping[str, Any], rollout: Rollout) -> None:
        """From now on, throw the rollout's abort switch if somebody marks this task failed in the UI."""
        if self.kill_action == "abort":
            self._stop_if_killed(context, partial(abort_rollout, self.hook, rollout, self.log))

    def defer_wait(self, context: Mapping[str, Any], state: RolloutState, *, every: float) -> NoReturn:
        """
        Defer the task: the triggerer waits from now on.

        Airflow ignores ``execution_timeout`` while a task is deferred, so the deferral gets a time-out.
        """
        from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger  # noqa: PLC0415

        payload = dump_state(state)
        # Needed for the last looks if Airflow ends the wait before the trigger does.
        self.push(context, WATCH_KEY, payload)
        trigger = SageMakerRolloutTrigger(
            endpoint_name=self.endpoint_name,
            endpoint_config_name=state.rollout.target,
            previous_endpoint_config_name=state.rollout.previous,
            waiter_delay=every,
            start_timeout=state.rollout.grace.total_seconds(),
            deadline=state.deadline.timestamp() if state.deadline else None,
            memory=payload,
            fire_floor=fire_floor(),
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
            on_timeout=self.on_timeout,
            on_kill=self.kill_action,
            max_describe_gap=self.max_describe_gap,
        )
        # Each of these may throw the abort switch as late as the deadline, and then the rollback takes time.
        aborts = self.on_timeout == "abort" or (state.analysis and state.analysis.config.may_abort)
        extra = ABORTING if aborts or state.rollout.require_alarms_ok else timedelta(0)
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=defer_timeout(state.as_of, state.deadline, extra=extra),
        )

    def ended_by_airflow(self, context: Mapping[str, Any], reason: str, *, timed_out: bool) -> RolloutReport:
        """Describe the endpoint a last time and end with the outcome, because the trigger sent no event."""
        payload = self.pull(context, WATCH_KEY)
        if not payload:
            raise RolloutUnwatched(f"{_UNWATCHED}: {reason}")
        # Stages that only the trigger has seen are lost.
        state = replace(load_state(payload), stages_complete=False)
        state = self.poll_until_confirmed(context, state, again_after=LAST_LOOKS_EVERY)
        # The rollout still runs, and its time is not over: it has not timed out, but nobody watches it.
        if state.outcome is None and not timed_out:
            raise self._unwatched(context, Unwatchable(reason, rollout_report(state)))
        # No trigger has aborted at the deadline, so this worker does it now.
        if state.outcome is None and self.on_timeout == "abort":
            return self.end(context, self.wait_until_finished(context, state, every=LAST_LOOKS_EVERY))
        if state.outcome is None:
            state = state.give_up()
        return self.end(context, self.finish(context, state))

    def execute_complete(self, context: Mapping[str, Any], event: Any = None) -> RolloutReport:
        """End with the report in the trigger's event; Airflow calls it when the trigger fired."""
        report = report_of(event, unwatched=partial(self._unwatched, context))
        return self.end(context, parse_report(report))

    def end(self, context: Mapping[str, Any], report: RolloutReport) -> RolloutReport:
        """
        Push the report as XCom, then return it if the target configuration is in service.

        Airflow keeps no return value of a task that raises, so the report is pushed first.

        :raises RolloutError: the subclass for the outcome, for example ``EndpointRolledBack``.
        :raises AirflowSkipException: after a rollback if *on_rollback* is ``"skip"``.
        """
        report = parse_report(self.with_warnings(report))
        self.push_report(context, report)
        outcome = reported_outcome(report)
        if self.counts_rollout:
            count_rollout(report)
        sentence = outcome_message(outcome, report)
        if outcome is Outcome.SUCCEEDED:
            self.log.info(sentence)
            return report
        if outcome is Outcome.ROLLED_BACK and self.on_rollback != "fail":
            return self._accept_rollback(sentence, report)
        raise ERROR_BY_OUTCOME[outcome](sentence, report)

    def push_report(self, context: Mapping[str, Any], report: RolloutReport) -> None:
        """Push the report of a rollout that has ended and its summaries as XComs, and show the outcome."""
        from airflow_guardrails.domain.rollout.markdown import report_in_markdown  # noqa: PLC0415 - not in DAG files

        self.push(context, REPORT_KEY, report)
        self.push(context, SUMMARY_KEY, report["summary"])
        self.push(context, MARKDOWN_KEY, report_in_markdown(report))
        self.reported = report
        show_outcome(context, rollout_outcome(report))

    def push_links(self, context: Mapping[str, Any], alarms: tuple[str, ...]) -> None:
        """Push what the links to the endpoint and to *alarms* in the AWS console need."""
        self.push_endpoint_links(context, self.endpoint_name, alarms=alarms)

    def _accept_rollback(self, sentence: str, report: RolloutReport) -> RolloutReport:
        self.log.warning(sentence)
        if self.on_rollback == "skip":
            raise AirflowSkipException(sentence)
        return report
