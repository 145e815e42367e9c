"""The base of the tasks that wait for a shadow test: in a worker or deferred, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal, NoReturn

from airflow_guardrails.domain.arguments import check_experiment_name
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.shadow.report import (
    ShadowReport,
    parse_shadow_report,
    shadow_test_message,
    shadow_test_report,
)
from airflow_guardrails.domain.shadow.spec import NO_TEST
from airflow_guardrails.domain.shadow.state import ShadowTestOutcome, ShadowTestState, Until
from airflow_guardrails.exceptions import ERROR_BY_SHADOW_TEST_OUTCOME, ShadowTestUnwatched
from airflow_guardrails.hooks._cancellation import stop_test
from airflow_guardrails.tasks.aws_task import defer_timeout, fire_floor
from airflow_guardrails.tasks.waiting import WaitingTask, report_of
from airflow_guardrails.triggers._keys import SHADOW_TEST_REPORT_KEY

OnKillTest = Literal["leave", "stop"]

# How long SageMaker may take to start or remove a shadow: usually minutes.
CHANGING = timedelta(hours=1)

# The XCom key of what the trigger waits for.
WATCH_KEY = "shadow_test_watch"
# The XCom key of the summary, for templates of notifications.
SUMMARY_KEY = "shadow_test_summary"

_UNWATCHED = "The wait for the shadow test failed"


def check_test_name(name: str, value: object) -> None:
    """Accept the name of a shadow test, or :data:`~airflow_guardrails.domain.shadow.spec.NO_TEST`."""
    if value != NO_TEST:
        check_experiment_name(name, value)


class ShadowTestTask(WaitingTask):
    """Base of the tasks that wait for a shadow test."""

    report_key = SHADOW_TEST_REPORT_KEY
    unwatched_error = ShadowTestUnwatched
    unwatched_text = _UNWATCHED
    kill_action: OnKillTest = "leave"
    max_describe_gap: float = MAX_DESCRIBE_GAP

    def poll_test_once(self, context: Mapping[str, Any], state: ShadowTestState) -> ShadowTestState:
        """Describe the test once, and return the new state."""
        from airflow_guardrails.domain.shadow.process import observe_test  # noqa: PLC0415 - not in DAG files

        with self._ends_if_unwatchable(context):
            return self._run_process(observe_test(state))

    def without_test(self) -> ShadowReport:
        """Return the report that says that there was no test; nothing is pushed, so no page shows one."""
        self.log.info("No shadow test: the endpoint does not exist yet, so there is nothing to compare with")
        state = ShadowTestState(name=NO_TEST, until=Until.ENDED)
        return {**shadow_test_report(state), "summary": NO_TEST, "stopping": None}

    def stop_test_if_killed(self, context: Mapping[str, Any], name: str) -> None:
        """From now on, stop the test if somebody marks this task failed, where ``on_kill="stop"``."""
        if self.kill_action == "stop":
            self._stop_if_killed(context, partial(stop_test, self.hook, name, self.log))

    def wait_for_test(
        self, context: Mapping[str, Any], state: ShadowTestState, *, every: float
    ) -> ShadowTestState:
        """Wait in this worker for the end, looking *every* so many seconds; return the final state."""
        from airflow_guardrails.domain.shadow.process import follow_test  # noqa: PLC0415 - not in DAG files

        self.stop_test_if_killed(context, state.name)
        with self._ends_if_unwatchable(context):
            state = replace(state, on_kill=self.kill_action)
            return self._run_process(follow_test(state, self.wait_policy(every=every)))

    def defer_test(self, context: Mapping[str, Any], state: ShadowTestState, *, every: float) -> NoReturn:
        """
        Defer the task: the triggerer waits from now on.

        Airflow ignores ``execution_timeout`` while a task is deferred, so the deferral gets a time-out.
        """
        from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger  # noqa: PLC0415

        # Needed for the last look if Airflow ends the wait before the trigger does.
        kept = {
            "name": state.name,
            "until": state.until.value,
            "min_requests": state.min_requests,
            "warm_up": state.warm_up.total_seconds(),
        }
        self.push(context, WATCH_KEY, kept)
        trigger = SageMakerShadowTestTrigger(
            name=state.name,
            until=state.until.value,
            min_requests=state.min_requests,
            warm_up=state.warm_up.total_seconds(),
            adopted=state.adopted,
            warnings=list(state.warnings),
            waiter_delay=every,
            deadline=state.deadline.timestamp() if state.deadline else None,
            fire_floor=fire_floor(),
            on_kill=self.kill_action,
            max_describe_gap=self.max_describe_gap,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=defer_timeout(state.as_of, state.deadline),
        )

    def ended_by_airflow(self, context: Mapping[str, Any], reason: str, *, timed_out: bool) -> ShadowReport:
        """Describe the test a last time and end with the outcome, because the trigger sent no event."""
        kept = self.pull(context, WATCH_KEY)
        if not kept:
            raise ShadowTestUnwatched(f"{_UNWATCHED}: {reason}")
        until, warm_up = Until(kept["until"]), timedelta(seconds=kept.get("warm_up", 0))
        state = ShadowTestState(**{**kept, "until": until, "warm_up": warm_up})
        state = self.poll_test_once(context, state)
        # The test goes on, and its time is not over: it has not timed out, but nobody watches it.
        if state.outcome is None and not timed_out:
            raise self._unwatched(context, Unwatchable(reason, shadow_test_report(state)))
        return self.finish_test(context, state if state.outcome else state.give_up())

    def execute_complete(self, context: Mapping[str, Any], event: Any = None) -> ShadowReport:
        """End with the report in the trigger's event; Airflow calls it when the trigger fired."""
        report = report_of(event, unwatched=partial(self._unwatched, context))
        # A trigger of an older release may have fired before the upgrade.
        return self.end_test(context, parse_shadow_report(report))

    def finish_test(self, context: Mapping[str, Any], state: ShadowTestState) -> ShadowReport:
        """End with the report of *state*."""
        return self.end_test(context, shadow_test_report(state))

    def end_test(self, context: Mapping[str, Any], report: ShadowReport) -> ShadowReport:
        """
        Push the report as XCom, then return it if the test reached what the task waits for.

        Airflow keeps no return value of a task that raises, so the report is pushed first.

        :raises ShadowTestError: the subclass for the outcome, for example ``ShadowTestCancelled``.
        """
        report = self.with_warnings(report)
        self.push(context, SHADOW_TEST_REPORT_KEY, report)
        self.push(context, SUMMARY_KEY, report["summary"])
        outcome, sentence = ShadowTestOutcome(report["outcome"]), shadow_test_message(report)
        if outcome is not ShadowTestOutcome.REACHED:
            raise ERROR_BY_SHADOW_TEST_OUTCOME[outcome.value](sentence, report)
        self.log.info(sentence)
        return report
