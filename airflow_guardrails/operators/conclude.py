"""Report how a guarded update ended, in a task behind it, and abort it if that task was marked failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperatorLink, conf
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.assets import ROLLOUTS, rollout_asset
from airflow_guardrails.aws.errors import is_passing, named_text, text_for_people
from airflow_guardrails.domain.arguments import Check, check_matches, check_name, optional, shown
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.rollout.messages import outcome_message
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport, parse_report, reported_outcome
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.rollout.stopping import when_an_abort_acts
from airflow_guardrails.domain.snapshots.abort_switch import PERIOD_SECONDS, THROWN
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook
from airflow_guardrails.exceptions import ERROR_BY_OUTCOME, InvalidArgument
from airflow_guardrails.hooks._cancellation import FAILED, TRY_KEY, single_state, task_states_query
from airflow_guardrails.links.rollout_page import RolloutPageLink
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators._conclude.update_task import UpdateTask
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.tasks.metrics import count_rollout
from airflow_guardrails.tasks.rollout import OnKill, OnRollback, RolloutTask
from airflow_guardrails.tasks.validation import check_choice, check_flag, check_seconds
from airflow_guardrails.triggers._keys import REPORT_KEY

_Result = TypeVar("_Result")

# How long a call to AWS is repeated if there is no response.
_RETRY_SECONDS = 3600.0
# Short, because the abort only acts in a bake, and the last bake may end meanwhile.
_THROW_RETRY_PAUSE_SECONDS = 5.0

_CONNECTION_ARGUMENTS = ("aws_conn_id", "region_name", "verify", "botocore_config")
_NO_ROLLOUT = "No rollout to conclude: there is no record that task {} started an update of endpoint {}"
_NO_END = "task {} waited for an update of endpoint {}, but there is no record of its end"
_NOT_ABORTED = "Task {} was marked failed, but its rollout is not aborted: {}"
_TOO_LATE = "The abort came too late: the endpoint serves {}. Update it back if it must not serve that"


class SageMakerConcludeRolloutOperator(RolloutTask):
    """
    Report how a guarded update ended, and abort it if the task that started it was marked failed.

    A teardown task behind the update, in one line::

        SageMakerConcludeRolloutOperator(task_id="conclude", update=update)

    It runs in a worker as soon as the update task is over, in whatever state. If somebody has marked that
    task, or its run, failed while it was deferred, this task throws the abort switch of its rollout. This
    works even if no triggerer runs. Nothing else aborts: no failure, time-out, clear or mark of success. Then
    the task waits for the end of the rollout.

    Returns the rollout report, which is also XCom ``rollout_report``. If the update task has already reported
    the outcome, its report is returned. If there is no rollout, this task is skipped.

    A teardown does not change the state of the DAG run. This task fails if the rollout did not succeed, and
    the update task has not failed because of it, for example with ``wait_for_completion=False``.

    The outcome is sent as an event of the asset :func:`~airflow_guardrails.assets.rollout_asset`, with the
    report as its extra. Airflow sends events only if the task succeeds.

    :param update: the task that updates the endpoint, in the same DAG, not mapped by ``expand``. This task is
        placed behind it, and takes over its names, connection, *on_kill*, *waiter_delay* and *deferrable*.
    :param update_task_id: id of that task, if *update* is not given. Both have the same map index, and you
        set the dependency yourself. (templated)
    :param endpoint_name: name of the endpoint, if *update* is not given. (templated)
    :param endpoint_config_name: name of the endpoint configuration of the update, if *update* is not given;
        default: the name in the update's report or of its abort switch. (templated)
    :param on_kill: what happens if the update task was marked failed: ``"abort"`` (default) throws the abort
        switch, ``"leave"`` leaves the update running.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two calls of DescribeEndpoint; default: 30.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises RolloutError: if the rollout did not succeed, and the update task has not failed because of it.
    :raises RolloutUnwatched: if the update task waited for a rollout, but its end is not known.
    """

    template_fields: Sequence[str] = (
        "update_task_id",
        "endpoint_name",
        "endpoint_config_name",
        *RolloutTask.template_fields,
    )
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "update_task_id": partial(check_matches, pattern=r"[\w.-]+", rule="the id of a task"),
        "endpoint_name": check_name,
        "endpoint_config_name": optional(check_name),
        **RolloutTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (RolloutPageLink(), SageMakerEndpointLink())
    ui_color = "#dfe3ee"
    on_rollback: OnRollback = "return"
    # Whether the update task has reported the outcome, and counted the rollout.
    _is_reported = False
    # As the update has it: it may be a template.
    _model_package_arn: Any = None

    def __init__(
        self,
        *,
        update: SageMakerGuardedUpdateOperator | None = None,
        update_task_id: str | None = None,
        endpoint_name: str | None = None,
        endpoint_config_name: str | None = None,
        on_kill: OnKill = "abort",
        deferrable: bool | None = None,
        waiter_delay: float | None = None,
        **kwargs: Any,
    ) -> None:
        if update is not None:
            _check_update(update)
            # Arguments of this task override those of the update, which override default_args.
            kwargs = {**{name: getattr(update, name) for name in _CONNECTION_ARGUMENTS}, **kwargs}
        super().__init__(**kwargs)
        check_choice("on_kill", on_kill, OnKill)
        self.update_task_id: Any = update_task_id
        self.endpoint_name: Any = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.abort_action = on_kill  # on_kill is a method of every operator
        self.deferrable = deferrable
        self.has_switch = True
        if update is not None:
            self._take_over(update)
        if waiter_delay is None:
            waiter_delay = update.waiter_delay if update is not None else 30
        if self.deferrable is None:
            self.deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        check_flag("deferrable", self.deferrable)
        check_seconds("waiter_delay", waiter_delay)
        self.waiter_delay = waiter_delay
        # Airflow accepts events only for outlets that the DAG file declares.
        if ROLLOUTS not in self.outlets:
            self.outlets = [*self.outlets, ROLLOUTS]
        # In Airflow 3.1 to 3.3, a teardown also starts when the update task, or the run, is marked failed.
        self.as_teardown()
        if update is not None:
            self.set_upstream(update)

    def _take_over(self, update: SageMakerGuardedUpdateOperator) -> None:
        self.update_task_id = update.task_id
        self.endpoint_name = update.endpoint_name
        # It is empty if the update creates its configuration when it runs.
        is_created = isinstance(update.endpoint_config_name, str) and not update.endpoint_config_name
        self.endpoint_config_name = None if is_created else update.endpoint_config_name
        self._model_package_arn = update.model_package_arn
        self.abort_action = update.kill_action
        self.has_switch = update.abort_switch
        self.max_describe_gap = update.max_describe_gap
        self.deferrable = update.deferrable if self.deferrable is None else self.deferrable

    def execute(self, context: Any) -> RolloutReport:
        """Abort the rollout if the update task was marked failed, wait for its end, and return the report."""
        self.check_rendered()
        task = self._update_task(context)
        # The endpoint may have been updated again since, so the report is better evidence than a new look.
        if task.report is not None and task.has_final_report:
            self._is_reported = True
            return self.end(context, task.report)
        state = self._find(context, task)
        # A task killed in a worker throws the switch itself. For a deferred one, the triggerer may be down.
        if task.marked_failed_while_deferred and self.abort_action == "abort":
            state = self._abort(context, state)
        self.push_links(context, state.alarms)
        if state.outcome is None:
            state = self.poll_once(context, state)
        if state.outcome is not None:
            return self.end(context, self.finish(context, state))
        if self.deferrable:
            self.defer_wait(context, state, every=self.waiter_delay)
        return self.end(context, self.wait_until_finished(context, state, every=self.waiter_delay))

    def end(self, context: Mapping[str, Any], report: RolloutReport) -> RolloutReport:
        """
        Push the report, send the event of the asset, and return the report.

        :raises RolloutError: if the rollout did not succeed, and the update task has not reported that.
        """
        outcome = reported_outcome(report)
        if outcome is Outcome.SUCCEEDED and report["abort_switch_thrown_at"]:
            self.warn(_TOO_LATE.format(report["endpoint_config_name"]))
        if not self._is_reported:
            self._record(context, report)
        # Only the update's own report has it already.
        approval = report["approval"] or self._approval(context)
        report = parse_report({**self.with_warnings(report), "approval": approval})
        # Before the raise below: Airflow keeps no return value of a task that fails.
        self.push_report(context, report)
        if not self._is_reported:
            count_rollout(report)
        message = outcome_message(outcome, report)
        # A rollout that timed out still runs. The error for that is retried, and no event is sent yet.
        if outcome is Outcome.TIMED_OUT or not self._may_succeed(context, outcome):
            raise ERROR_BY_OUTCOME[outcome](message, report)
        if outcome is Outcome.SUCCEEDED:
            self.log.info(message)
        else:
            self.log.warning(message)
        self._send_event(context, outcome, report)
        return report

    def _approval(self, context: Mapping[str, Any]) -> dict[str, Any] | None:
        from airflow_guardrails.operators._launch.approval import approval_before  # noqa: PLC0415 - not in every DAG file

        dag = self.get_dag()
        if dag is None or not dag.has_task(self.update_task_id):
            return None
        return approval_before(dag.get_task(self.update_task_id), context, warn=self.warn)

    def _record(self, context: Mapping[str, Any], report: RolloutReport) -> None:
        from airflow_guardrails.operators._launch.intent_store import owner_in  # noqa: PLC0415 - not in every DAG file
        from airflow_guardrails.operators._versions.recording import record_outcome  # noqa: PLC0415

        owner = owner_in(context, report["endpoint_name"], task_id=self.update_task_id)
        record_outcome(self, context, report, owner=owner, package_arn=self._package_arn(context))

    def _package_arn(self, context: Any) -> str | None:
        """Return the version of the model registry that the update deploys; None for another target."""
        try:
            # Not a field that Airflow renders: this task runs also if the task that makes the ARN has failed.
            arn = self.render_template(self._model_package_arn, context)
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the rollout is reported
            self.warn(f"The outcome was not written to the model package: its ARN is not known ({error})")
            return None
        return arn if isinstance(arn, str) else None

    def _may_succeed(self, context: Mapping[str, Any], outcome: Outcome) -> bool:
        """Whether the rollout succeeded, or the update task has already reported that it did not."""
        if outcome is Outcome.SUCCEEDED:
            return True
        task = self._update_task(context)
        reported = task.report["outcome"] if task.report else None
        return task.state == FAILED or reported == outcome.value

    def _send_event(self, context: Mapping[str, Any], outcome: Outcome, report: RolloutReport) -> None:
        try:
            events = context["outlet_events"][ROLLOUTS]
            events.add(rollout_asset(report["endpoint_name"], outcome.value), extra=report)
        except Exception as error:  # noqa: BLE001 - the report is pushed already, so the task may go on
            self.log.warning("No asset event was sent for the outcome (%s: %s)", type(error).__name__, error)

    # What Airflow knows about the update task.

    def _update_task(self, context: Mapping[str, Any]) -> UpdateTask:
        task_instance = context["ti"]
        report = self._read_from_airflow(partial(self._pull, task_instance, REPORT_KEY))
        return UpdateTask(
            state=self._read_from_airflow(partial(self._state, task_instance)),
            mark=self._read_from_airflow(partial(self._pull, task_instance, TRY_KEY)),
            report=parse_report(report) if isinstance(report, Mapping) and report else None,
        )

    def _read_from_airflow(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, AWS still shows the outcome
            self.warn(
                f"Airflow did not return the state of task {self.update_task_id} "
                f"({type(error).__name__}: {error})"
            )
            return None

    def _state(self, task_instance: Any) -> str | None:
        query = {**task_states_query(task_instance), "task_ids": [self.update_task_id]}
        return single_state(task_instance.get_task_states(**query), task_instance.run_id)

    def _pull(self, task_instance: Any, key: str) -> Any:
        return task_instance.xcom_pull(
            task_ids=self.update_task_id, key=key, map_indexes=task_instance.map_index
        )

    # What AWS knows about its rollout.

    def _find(self, context: Mapping[str, Any], task: UpdateTask) -> RolloutState:
        """
        Return the state of the rollout that the update task started.

        :raises AirflowSkipException: if there is none.
        :raises RolloutUnwatched: if the task waited for one, but nothing shows how that ended.
        """
        state = self._with_retries(context, partial(self._find_once, context, task))
        if state is not None:
            return state
        if task.was_deferred:
            reason = _NO_END.format(self.update_task_id, self.endpoint_name)
            raise self._unwatched(context, Unwatchable(reason, task.report or {}))
        raise AirflowSkipException(_NO_ROLLOUT.format(self.update_task_id, self.endpoint_name))

    def _find_once(self, context: Mapping[str, Any], task: UpdateTask) -> RolloutState | None:
        from airflow_guardrails.operators._conclude.rollout import RolloutFinder  # noqa: PLC0415 - not in every DAG file
        from airflow_guardrails.operators._launch.intent_store import owner_in  # noqa: PLC0415

        finder = RolloutFinder(
            self.hook,
            self.endpoint_name,
            owner=owner_in(context, self.endpoint_name, task_id=self.update_task_id),
            target=self.endpoint_config_name,
            has_switch=self.has_switch,
            task=task,
            log=self.log,
            describe_later=self._describe_later,
        )
        return finder.find(self.hook.describe_endpoint(self.endpoint_name))

    def _describe_later(self) -> EndpointLook:
        self.sleep(self.waiter_delay)
        return self.hook.describe_endpoint(self.endpoint_name)

    def _with_retries(self, context: Mapping[str, Any], call: Callable[[], _Result]) -> _Result:
        """Repeat *call* for an hour while AWS does not respond; any other error ends the task."""
        give_up = self.monotonic() + _RETRY_SECONDS
        while True:
            try:
                with self.public_errors():
                    return call()
            except (ClientError, BotoCoreError) as error:
                if not is_passing(error) or self.monotonic() >= give_up:
                    raise self._unwatched(context, Unwatchable(named_text(error), {})) from None
                self.log.info("No response from AWS (%s); trying again", text_for_people(error))
            self.sleep(self.waiter_delay)

    # The abort.

    def _abort(self, context: Mapping[str, Any], state: RolloutState) -> RolloutState:
        """Throw the rollout's switch, if the update is in flight and its task is still marked failed."""
        refusal = state.why_not_abort if state.outcome is None else "it has ended"
        if refusal is not None or state.switch is None:
            why_not = _NOT_ABORTED.format(self.update_task_id, refusal)
            self.log.warning(why_not)
            in_flight = isinstance(state.last_look, Endpoint) and state.last_look.changing
            return state.with_warning(why_not) if in_flight else state
        give_up = self.monotonic() + _RETRY_SECONDS
        # Asked again before each attempt: if somebody has cleared the task, its new try continues the update.
        while self._update_task(context).marked_failed_while_deferred:
            try:
                self.hook.set_abort_switch(state.switch, THROWN)
            except (ClientError, BotoCoreError) as error:
                text = text_for_people(error)
                if not is_passing(error) or self.monotonic() >= give_up:
                    # Only a warning, because the end of the rollout is still to be reported.
                    return state.with_warning(_NOT_ABORTED.format(self.update_task_id, text))
                self.log.warning("The abort switch could not be thrown (%s); trying again", text)
                self.sleep(_THROW_RETRY_PAUSE_SECONDS)
                continue
            self.log.warning(
                "Task %s was marked failed: the abort switch of its rollout is thrown; %s",
                self.update_task_id,
                when_an_abort_acts(state.last_look, state.rollout.guardrails),
            )
            # The alarm uses the maximum of a period, so a reset within the same period has no effect.
            self.sleep(PERIOD_SECONDS)
            return state.after_abort()
        self.log.warning("Task %s is no longer marked failed: no abort", self.update_task_id)
        return state


def _check_update(update: Any) -> None:
    if not isinstance(update, SageMakerGuardedUpdateOperator):
        raise InvalidArgument(
            "update must be a SageMakerGuardedUpdateOperator that is not mapped by expand "
            f"(got {shown(update)}); for a mapped one, give update_task_id and the names, and expand this "
            "task in the same way"
        )
