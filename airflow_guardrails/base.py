"""What operator and sensor have in common: a connection, a rollout to follow, and an honest end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, conf

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.deadline import ABORTING
from airflow_guardrails.domain.follow import Following, Say, conclude, follow, observe
from airflow_guardrails.domain.narration import narrate_outcome
from airflow_guardrails.domain.report import Report
from airflow_guardrails.domain.rollout import Outcome, Watch
from airflow_guardrails.domain.rounds import MAX_DESCRIBE_GAP
from airflow_guardrails.exceptions import ERROR_BY_OUTCOME, InvalidArgument, UnexpectedAnswer
from airflow_guardrails.hooks.driving import Result, Steps, drive
from airflow_guardrails.killing import Kill
from airflow_guardrails.links.sagemaker import FACTS_KEY, link_facts
from airflow_guardrails.triggers.live import REPORT_KEY
from airflow_guardrails.triggers.memory import remember

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

OnRollback = Literal["fail", "skip", "return"]
OnTimeout = Literal["fail", "abort"]
OnKill = Literal["leave", "abort"]

# Our own deadline comes first, so that the task ends with our report and not with Airflow's bare time-out.
AIRFLOW_TIMEOUT_MARGIN = timedelta(minutes=2)


class RolloutTask(BaseOperator):
    """
    Base of operators and sensor: follows a rollout, and changes nothing in AWS but the abort switch.
    """

    # Time comes in here, so that a rehearsal can bring its own.
    sleep: Callable[[float], object] = staticmethod(time.sleep)
    now: Callable[[], float] = staticmethod(time.time)

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None
    endpoint_name: str
    on_rollback: OnRollback
    on_timeout: OnTimeout = "fail"
    kill_action: OnKill = "leave"
    max_describe_gap: float = MAX_DESCRIBE_GAP
    events_queue_url: str | None = None
    _kill: Kill | None = None

    @cached_property
    def hook(self) -> GuardrailsHook:
        from airflow_guardrails.hooks.guardrails import GuardrailsHook  # noqa: PLC0415

        return GuardrailsHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    def observe(self, watch: Watch) -> Watch:
        return self._drive(observe(watch))

    def follow(self, context: Mapping[str, Any], watch: Watch, *, every: float, deadline: float) -> Report:
        if self.kill_action == "abort":
            self._kill = Kill(self.hook, watch.rollout, task_instance=context.get("ti"), log=self.log)
        following = Following(every=every, deadline=deadline, now=self.now, on_timeout=self.on_timeout)
        _, report = self._drive(follow(watch, following))
        return report

    def on_kill(self) -> None:
        if self._kill is not None:
            self._kill.asked = True

    def conclude(self, watch: Watch) -> Report:
        return self._drive(conclude(watch))

    def defer_watch(self, watch: Watch, *, every: float, deadline: float) -> NoReturn:
        """
        Hand the watch to the triggerer; ``execution_timeout`` means nothing there, so a time-out goes along.
        """
        from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger  # noqa: PLC0415

        now = self.now()
        trigger = SageMakerRolloutTrigger(
            endpoint_name=self.endpoint_name,
            endpoint_config_name=watch.rollout.target,
            previous_endpoint_config_name=watch.rollout.previous,
            waiter_delay=every,
            start_timeout=watch.rollout.grace.total_seconds(),
            deadline=deadline,
            memory=remember(watch),
            fire_floor=fire_floor(),
            deferred_at=now,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
            on_timeout=self.on_timeout,
            on_kill=self.kill_action,
            max_describe_gap=self.max_describe_gap,
            events_queue_url=self.events_queue_url,
        )
        timeout = timedelta(seconds=max(0.0, deadline - now)) + AIRFLOW_TIMEOUT_MARGIN
        if self.on_timeout == "abort":
            timeout += ABORTING
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timeout)

    def execute_complete(self, context: Mapping[str, Any], event: Any = None) -> Report:
        """Take the trigger's event; called by Airflow when the trigger has fired."""
        return self.end(context, report_of(event))

    def end(self, context: Mapping[str, Any], report: Report) -> Report:
        """
        Leave the report as XCom, then return it where the target is in service.

        Airflow keeps no return value of a task that raises, so the report is pushed before.
        """
        self.push(context, REPORT_KEY, report)
        outcome, sentence = Outcome(report["outcome"]), narrate_outcome(report)
        if outcome is Outcome.SUCCEEDED:
            self.log.info(sentence)
            return report
        if outcome is Outcome.ROLLED_BACK and self.on_rollback != "fail":
            return self._accept_rollback(sentence, report)
        raise ERROR_BY_OUTCOME[outcome.value](sentence, report)

    def push(self, context: Mapping[str, Any], key: str, value: Any) -> None:
        if self.do_xcom_push and (task_instance := context.get("ti")) is not None:
            task_instance.xcom_push(key=key, value=value)

    def push_links(self, context: Mapping[str, Any], alarms: tuple[str, ...]) -> None:
        facts = link_facts(
            region_name=self.hook.conn_region_name,
            partition=self.hook.conn_partition,
            endpoint_name=self.endpoint_name,
            alarms=alarms,
        )
        self.push(context, FACTS_KEY, facts)

    def _accept_rollback(self, sentence: str, report: Report) -> Report:
        self.log.warning(sentence)
        if self.on_rollback == "skip":
            raise AirflowSkipException(sentence)
        return report

    def translated(self, call: Callable[[], Result]) -> Result:
        """Give errors of the lower layers their public names."""
        try:
            return call()
        except errors.UnexpectedAnswer as error:
            raise UnexpectedAnswer(str(error)) from error

    def _drive(self, steps: Steps[Result]) -> Result:
        return self.translated(lambda: drive(steps, self.hook, sleep=self._sleep, say=self._say))

    def _sleep(self, seconds: float) -> None:
        if self._kill is None:
            self.sleep(seconds)
        else:
            self._kill.sleep(seconds, self.sleep)

    def _say(self, news: Say) -> None:
        self.log.info(news.sentence)


def report_of(event: Any) -> Report:
    """
    Read the trigger's event.

    :raises UnexpectedAnswer: if the watch could not go on, or the event is not one of ours.
    """
    if not isinstance(event, Mapping) or not (event.get("report") or event.get("error")):
        raise UnexpectedAnswer(f"the trigger's event must have a report or an error (got {event!r})")
    if event.get("error"):
        raise UnexpectedAnswer(
            "The rollout could not be watched to its end, so nothing is known of its outcome: "
            f"{event['error']}"
        )
    report: Report = event["report"]
    return report


def check_choice(name: str, value: str, choices: Any) -> None:
    """:raises InvalidArgument: if *value* is none of the ``Literal`` *choices*."""
    if value not in get_args(choices):
        known = ", ".join(repr(choice) for choice in get_args(choices))
        raise InvalidArgument(f"{name} must be one of {known} (got {value!r})")


def check_seconds(name: str, value: float) -> None:
    """:raises InvalidArgument: if *value* is not a positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise InvalidArgument(f"{name} must be a number of seconds greater than 0 (got {value!r})")


def check_duration(name: str, value: timedelta | None) -> None:
    """:raises InvalidArgument: if *value* is neither None nor a positive timedelta."""
    if value is not None and not (isinstance(value, timedelta) and value > timedelta(0)):
        raise InvalidArgument(f"{name} must be a timedelta greater than 0 (got {value!r})")


def fire_floor() -> float:
    """Seconds before which a trigger may not fire; follows the heartbeat that makes it necessary."""
    from airflow_guardrails.triggers.rollout import FIRE_FLOOR  # noqa: PLC0415

    heartbeat = float(conf.get("workers", "min_heartbeat_interval", fallback="5"))
    return min(FIRE_FLOOR, heartbeat + 3)
