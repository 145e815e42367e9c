"""Launch a guarded update of a SageMaker endpoint and tell how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

from airflow_guardrails.aws.deployment_config import alarm_names, as_guardrails
from airflow_guardrails.domain.arguments import Check, check_name
from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.deployment.guardrails import MAX_ALARMS, Guardrails, RetainedProperties
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport, rollout_report
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.exceptions import InvalidArgument, PreflightFailed
from airflow_guardrails.links.sagemaker import CloudWatchAlarmLink, SageMakerEndpointLink
from airflow_guardrails.operators._launch.request import LaunchRequest
from airflow_guardrails.strategies import Strategy
from airflow_guardrails.tasks.rollout import OnKill, OnRollback, OnTimeout, RolloutTask
from airflow_guardrails.tasks.validation import (
    check_alarms,
    check_choice,
    check_duration,
    check_flags,
    check_list,
    check_seconds,
    check_strategy,
    coerce,
)
from airflow_guardrails.tasks.waiting import is_retry
from airflow_guardrails.triggers._base import REPORT_KEY

if TYPE_CHECKING:
    # It brings the checks and the judge, which a DAG file need not pay for.
    from airflow_guardrails.operators._launch.launch import Launch, TargetMaker

IfBusy = Literal["fail", "wait"]
IfAlreadyLive = Literal["fail", "succeed"]


class SageMakerGuardedUpdateOperator(RolloutTask):
    """
    Update a SageMaker endpoint under the watch of alarms, and succeed only if the new configuration serves.

    SageMaker ends an update that an alarm has undone as ``InService``, like one that went well; this operator
    compares which configuration serves, and fails with
    :class:`~airflow_guardrails.exceptions.EndpointRolledBack`, naming the alarm. The report is the return
    value and XCom ``rollout_report``, which is there also when the task fails.

    It asks for an update once: what an earlier try of this task has launched is adopted and watched, or
    reported if it has ended meanwhile. What the task means to do is written into tags of the endpoint
    configuration before (``sagemaker:AddTags``, ``ListTags``), or else kept in Airflow's task state.

    The update carries an *abort switch*: an alarm of this package that can be thrown to roll the update back,
    by :class:`~airflow_guardrails.operators.abort.SageMakerAbortRolloutOperator`, by ``on_timeout`` or
    ``on_kill``. It takes one of the 10 alarms.

    :param endpoint_name: name of the endpoint, which must exist. (templated)
    :param endpoint_config_name: name of the endpoint configuration to bring into service; not the one served
        now. (templated)
    :param strategy: one of :mod:`airflow_guardrails.strategies`, or a dict in the form of the API's
        ``DeploymentConfig``, whose numbers may be strings. (templated)
    :param alarms: names of CloudWatch alarms, at most 10; any of them in ALARM during a bake makes SageMaker
        roll back. An empty list is no alarms; None is refused. (templated)
    :param on_rollback: what a rollback does to the task: ``"fail"`` it (without retries), ``"skip"`` it and
        what depends on it, or ``"return"`` the report for the DAG to decide.
    :param wait_for_completion: whether to wait for the end; without, the task ends once the update is
        accepted, and the report's outcome is null.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two looks at the endpoint, at most 30 days.
    :param max_wait: how long after the start of the update to wait, on AWS's clock; default: SageMaker's own
        limit for it, or what its waits, the start-up of its instances and a rollback may take. A retry does
        not extend it, and goes on watching where it is over.
    :param retain_all_variant_properties: keep the live instance counts and weights of the variants, whatever
        the new configuration says. The API's own default is not to, which undoes what autoscaling has set.
    :param exclude_retained_variant_properties: of ``DesiredInstanceCount`` and ``DesiredWeight``, those to
        take from the new configuration all the same.
    :param abort_switch: whether the update carries the abort switch. It needs ``cloudwatch:PutMetricAlarm``
        and ``PutMetricData``.
    :param on_timeout: what happens to an update still in flight after *max_wait*: ``"fail"`` leaves it alone,
        ``"abort"`` throws the switch and waits for the rollback.
    :param on_kill: what happens to it when somebody marks the task, or its run, failed: ``"abort"`` it where
        it has the switch, or ``"leave"`` it alone. A cleared task, an evicted worker or a restarted triggerer
        never aborts anything.
    :param if_busy: where the endpoint is being changed by something else: ``"fail"`` with ``EndpointBusy``,
        which Airflow retries, or ``"wait"`` in the worker, *busy_timeout* at most.
    :param busy_timeout: how long ``if_busy="wait"`` waits, at most 30 days.
    :param if_already_live: where the endpoint serves the configuration already, and it was not this task:
        ``"fail"`` or ``"succeed"``.
    :param relaunch: ask for the update even if an earlier try of this task has launched it and it was undone.
    :param require_alarms_ok: refuse the update while an alarm has no data (``INSUFFICIENT_DATA``), which is a
        warning otherwise; alarms on the new configuration's own metrics cannot have any yet, and are let
        through.
    :param allow_unguarded: ask for the update even though nothing could undo it: no alarm and no switch, no
        bake, or variants for which SageMaker goes all at once by itself (Inf1, Marketplace).
    :param analysis: compare the new fleet with the old one while it bakes, and throw the abort switch if it
        is worse: a :class:`~airflow_guardrails.rules.CanaryAnalysis`, or a dict of its arguments.
        ``docs/analysis.md`` says how.
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
        "strategy",
        "alarms",
        *RolloutTask.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"strategy": "json", "alarms": "json"}
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "endpoint_name": check_name,
        "endpoint_config_name": check_name,
        "strategy": check_strategy,
        "alarms": check_alarms,
        **RolloutTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#d7ecd9"

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str,
        strategy: Strategy | Mapping[str, Any],
        alarms: Sequence[str] = (),
        on_rollback: OnRollback = "fail",
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        waiter_delay: float = 30,
        max_wait: timedelta | None = None,
        retain_all_variant_properties: bool = True,
        exclude_retained_variant_properties: Sequence[str] = (),
        abort_switch: bool = True,
        on_timeout: OnTimeout = "fail",
        on_kill: OnKill = "abort",
        if_busy: IfBusy = "fail",
        busy_timeout: timedelta = timedelta(hours=1),
        if_already_live: IfAlreadyLive = "fail",
        relaunch: bool = False,
        require_alarms_ok: bool = False,
        allow_unguarded: bool = False,
        analysis: CanaryAnalysis | Mapping[str, Any] | None = None,
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flags(
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            retain_all_variant_properties=retain_all_variant_properties,
            abort_switch=abort_switch,
            relaunch=relaunch,
            require_alarms_ok=require_alarms_ok,
            allow_unguarded=allow_unguarded,
        )
        check_choice("on_rollback", on_rollback, OnRollback)
        check_choice("on_timeout", on_timeout, OnTimeout)
        check_choice("on_kill", on_kill, OnKill)
        check_choice("if_busy", if_busy, IfBusy)
        check_choice("if_already_live", if_already_live, IfAlreadyLive)
        check_seconds("waiter_delay", waiter_delay)
        check_seconds("max_describe_gap", max_describe_gap)
        if max_wait is not None:
            check_duration("max_wait", max_wait)
        check_duration("busy_timeout", busy_timeout)
        check_list("exclude_retained_variant_properties", exclude_retained_variant_properties, of="names")
        if analysis is not None and not wait_for_completion:
            raise InvalidArgument(
                "wait_for_completion must be True with an analysis (got False): it is done while one waits"
            )
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.strategy = strategy
        self.alarms = alarms
        self.on_rollback = on_rollback
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.max_wait = max_wait
        self.retain_all_variant_properties = retain_all_variant_properties
        self.exclude_retained_variant_properties = exclude_retained_variant_properties
        self.abort_switch = abort_switch
        self.on_timeout = on_timeout
        self.kill_action = on_kill  # on_kill is a method of every operator
        self.if_busy = if_busy
        self.busy_timeout = busy_timeout
        self.if_already_live = if_already_live
        self.relaunch = relaunch
        self.require_alarms_ok = require_alarms_ok
        self.allow_unguarded = allow_unguarded
        self.analysis = None if analysis is None else coerce("analysis", CanaryAnalysis, analysis)
        self.max_describe_gap = max_describe_gap
        self._retained()
        self.operator_extra_links = (*type(self).operator_extra_links, *_alarm_links(alarms, strategy))

    def execute(self, context: Any) -> RolloutReport:
        self.check_rendered()
        launch = self._launching(context)
        watch = self._launched(context, launch)
        # The author's alarms come first: the links count those, and know of no others.
        self.push_links(context, tuple(dict.fromkeys([*self.alarms, *watch.alarms])))
        if watch.outcome is None and not self.wait_for_completion:
            report = rollout_report(watch)
            self.push(context, REPORT_KEY, report)
            return report
        self.abort_if_killed(context, watch.rollout)
        if watch.outcome is None:
            watch = self.observe(context, watch)
            launch.learn_start(watch)
        if watch.outcome is not None and not self._still_to_abort(watch):
            return self.end(context, self.conclude(context, watch))
        if self.deferrable and (watch.outcome is None or watch.may_abort):
            self.defer_watch(context, watch, every=self.waiter_delay)
        return self.end(context, self.follow(context, watch, every=self.waiter_delay))

    def check_rendered(self) -> None:
        super().check_rendered()
        self._guardrails(AbortSwitch.of(self.endpoint_name, owner="0" * 20, target=self.endpoint_config_name))

    def _guardrails(self, switch: AbortSwitch) -> Guardrails:
        own = (switch.alarm_name,) if self.abort_switch else ()
        try:
            given = as_guardrails(self.strategy, self.alarms)
            return replace(given, alarms=(*(name for name in given.alarms if name not in own), *own))
        except GuardrailsValueError as error:
            raise InvalidArgument(f"{error}{self._room_for_the_switch()}") from error

    def _retained(self) -> RetainedProperties:
        try:
            return RetainedProperties(
                retain_all=self.retain_all_variant_properties,
                excluded=tuple(self.exclude_retained_variant_properties),
            )
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error

    def _room_for_the_switch(self) -> str:
        crowded = self.abort_switch and not isinstance(self.alarms, str) and len(self.alarms) == MAX_ALARMS
        return "; one of them is the abort switch: leave it 9, or set abort_switch=False" if crowded else ""

    def _launch_request(self, switch: AbortSwitch) -> LaunchRequest:
        return LaunchRequest(
            endpoint_name=self.endpoint_name,
            target=self.endpoint_config_name,
            guardrails=self._guardrails(switch),
            retained=self._retained(),
            switch=switch,
            abort_switch=self.abort_switch,
            if_already_live=self.if_already_live,
            if_busy=self.if_busy,
            busy_timeout=self.busy_timeout,
            relaunch=self.relaunch,
            require_alarms_ok=self.require_alarms_ok,
            allow_unguarded=self.allow_unguarded,
            analysis=self.analysis,
            max_wait=self.max_wait,
            on_timeout=self.on_timeout,
        )

    def _launching(self, context: Any) -> Launch:
        from airflow_guardrails.operators._launch.intent_store import IntentStore, owner_in  # noqa: PLC0415 - not in DAG files
        from airflow_guardrails.operators._launch.launch import Launch  # noqa: PLC0415

        name, target = self.endpoint_name, self.endpoint_config_name
        wishes = self._launch_request(AbortSwitch.of(name, owner=owner_in(context, name), target=target))
        intents = IntentStore(
            hook=self.hook,
            owner=wishes.switch.owner,
            target=self.endpoint_config_name,
            task_state=context.get("task_state_store"),
            log=self.log,
        )
        return Launch(
            wishes,
            hook=self.hook,
            intents=intents,
            log=self.log,
            sleep=self.sleep_unless_killed,
            monotonic=self.monotonic,
            waiter_delay=self.waiter_delay,
            refuse_if_killed=self.refuse_if_killed,
            asked=partial(self.abort_if_killed, context),
            sleep_once_asked=self._sleep,
            is_first_try=not is_retry(context),
            maker=self._maker(),
        )

    def _launched(self, context: Any, launch: Launch) -> RolloutState:
        try:
            return launch.run()
        except PreflightFailed as failure:
            self.push(context, REPORT_KEY, failure.report)
            raise

    def _maker(self) -> TargetMaker | None:
        """Return what makes the target; None where it has to be there before."""
        return None

    def _still_to_abort(self, watch: RolloutState) -> bool:
        """Whether the time was up before this try began, and the switch is to be thrown for that."""
        return watch.outcome is Outcome.TIMED_OUT and self.on_timeout == "abort"


def _alarm_links(alarms: Any, strategy: Any) -> list[BaseOperatorLink]:
    """
    Make one link for each alarm; none for alarms that are known only when the task runs.

    A DAG file must import whatever *alarms* and *strategy* are; they are checked once they are rendered.
    """
    if not isinstance(alarms, list | tuple):
        return []
    names = [_plain(name) for name in (*alarms, *alarm_names(strategy))]
    known = [name for at, name in enumerate(names) if name is None or name not in names[:at]]
    return [CloudWatchAlarmLink(number, name) for number, name in enumerate(known, start=1)]


def _plain(name: Any) -> str | None:
    return name if isinstance(name, str) and "{{" not in name else None
