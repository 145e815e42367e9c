"""Conclude a rollout behind the task that updates the endpoint: see to its abort, and tell how it ended."""

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
from airflow_guardrails.domain.rollout.messages import outcome_message, when_an_abort_acts
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport, parse_report, reported_outcome
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import PERIOD_SECONDS, THROWN
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook
from airflow_guardrails.exceptions import ERROR_BY_OUTCOME, InvalidArgument
from airflow_guardrails.hooks._cancellation import FAILED, TRY_KEY, single_state, task_states_query
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators._conclude.update_task import UpdateTask
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.tasks.rollout import OnKill, OnRollback, RolloutTask
from airflow_guardrails.tasks.validation import check_choice, check_flag, check_seconds
from airflow_guardrails.triggers._base import REPORT_KEY

Result = TypeVar("Result")

# How long AWS is asked again before anything is known of the rollout, and for a throw of the switch. Seconds.
PATIENCE = 3600.0
THROW_AGAIN_AFTER = 5.0

_OF_THE_CONNECTION = ("aws_conn_id", "region_name", "verify", "botocore_config")
_NOTHING = (
    "There is no rollout to conclude: nothing tells that task {} has asked for an update of endpoint {}"
)
_UNTOLD = "task {} has waited for an update of endpoint {}, and nothing tells how that ended"
_NOT_THROWN = "Task {} was marked failed, but its rollout is not aborted: {}"
_TOO_LATE = "The abort came too late: the endpoint serves {}. Update it back if it must not serve that"


class SageMakerConcludeRolloutOperator(RolloutTask):
    """
    Conclude the rollout of a guarded update: abort it if its task was marked failed, and tell how it ended.

    A teardown task behind the update, in one line::

        SageMakerConcludeRolloutOperator(task_id="conclude", update=update)

    It runs in a worker as soon as the update's task is over, however it ended. If somebody has marked that
    task, or its run, failed while it was deferred, the abort switch of its rollout is thrown; that works
    also while no triggerer runs. Nothing else aborts: no failure, time-out, clear or mark of success. Then it
    waits for the true end. The report is the return value and XCom ``rollout_report``. Where the update's
    task has told how its rollout ended, its report is taken over. Without any rollout this task is skipped.

    As a teardown, this task leaves the state of the DAG run to the others. It fails where the rollout did not
    succeed and the update's task has not failed for it, for example with ``wait_for_completion=False``.

    The outcome goes as an asset event to :func:`~airflow_guardrails.assets.rollout_asset`, with the report as
    its extra. An event is sent only where this task succeeds, as Airflow does it.

    :param update: the task that updates the endpoint, in the same DAG and not mapped by ``expand``. This task
        sets itself behind it, and takes over names, connection, *on_kill*, *waiter_delay* and *deferrable*.
    :param update_task_id: id of that task, where *update* is not given; both have the same map index. Set
        this task behind it yourself. (templated)
    :param endpoint_name: name of the endpoint, where *update* is not given. (templated)
    :param endpoint_config_name: name of the configuration that the update is to bring into service, where
        *update* is not given; default: what the update's report or its abort switch says. (templated)
    :param on_kill: whether to ``"abort"`` the rollout if the update's task was marked failed, or ``"leave"``
        it alone; default: ``"abort"``.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two looks at the endpoint; default: 30.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
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
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#dfe3ee"
    on_rollback: OnRollback = "return"

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
            # The update's own arguments go before default_args, and what is given here before both.
            kwargs = {**{name: getattr(update, name) for name in _OF_THE_CONNECTION}, **kwargs}
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
        if ROLLOUTS not in self.outlets:
            self.outlets = [*self.outlets, ROLLOUTS]
        self.as_teardown()
        if update is not None:
            self.set_upstream(update)

    def _take_over(self, update: SageMakerGuardedUpdateOperator) -> None:
        self.update_task_id = update.task_id
        self.endpoint_name = update.endpoint_name
        # It is empty where the update makes its configuration when it runs.
        makes_it = isinstance(update.endpoint_config_name, str) and not update.endpoint_config_name
        self.endpoint_config_name = None if makes_it else update.endpoint_config_name
        self.abort_action = update.kill_action
        self.has_switch = update.abort_switch
        self.max_describe_gap = update.max_describe_gap
        self.deferrable = update.deferrable if self.deferrable is None else self.deferrable

    def execute(self, context: Any) -> RolloutReport:
        self.check_rendered()
        task = self._update_task(context)
        if task.report is not None and task.has_reported:
            return self.end(context, task.report)
        watch = self._find(context, task)
        if task.marked_failed_while_deferred and self.abort_action == "abort":
            watch = self._abort(context, watch)
        self.push_links(context, watch.alarms)
        if watch.outcome is None:
            watch = self.observe(context, watch)
        if watch.outcome is not None:
            return self.end(context, self.conclude(context, watch))
        if self.deferrable:
            self.defer_watch(context, watch, every=self.waiter_delay)
        return self.end(context, self.follow(context, watch, every=self.waiter_delay))

    def end(self, context: Mapping[str, Any], report: RolloutReport) -> RolloutReport:
        outcome = reported_outcome(report)
        if outcome is Outcome.SUCCEEDED and report["abort_switch_thrown_at"]:
            self.warn(_TOO_LATE.format(report["endpoint_config_name"]))
        report = parse_report(self.with_warnings(report))
        self.push(context, REPORT_KEY, report)
        sentence = outcome_message(outcome, report)
        if outcome is Outcome.TIMED_OUT or not self._is_told(context, outcome):
            raise ERROR_BY_OUTCOME[outcome](sentence, report)
        if outcome is Outcome.SUCCEEDED:
            self.log.info(sentence)
        else:
            self.log.warning(sentence)
        self._emit(context, outcome, report)
        return report

    def _is_told(self, context: Mapping[str, Any], outcome: Outcome) -> bool:
        """Whether this task may succeed: with a success, or where the update's task says that it was none."""
        if outcome is Outcome.SUCCEEDED:
            return True
        task = self._update_task(context)
        reported = task.report["outcome"] if task.report else None
        return task.state == FAILED or reported == outcome.value

    def _emit(self, context: Mapping[str, Any], outcome: Outcome, report: RolloutReport) -> None:
        """Send the outcome's asset event; where that cannot be done, nothing else depends on it."""
        try:
            events = context["outlet_events"][ROLLOUTS]
            events.add(rollout_asset(report["endpoint_name"], outcome.value), extra=report)
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the report is there
            self.log.warning("No asset event of the outcome was sent (%s: %s)", type(error).__name__, error)

    # What Airflow knows of the update's task.

    def _update_task(self, context: Mapping[str, Any]) -> UpdateTask:
        task_instance = context["ti"]
        report = self._asked(partial(self._pull, task_instance, REPORT_KEY))
        return UpdateTask(
            state=self._asked(partial(self._state, task_instance)),
            mark=self._asked(partial(self._pull, task_instance, TRY_KEY)),
            report=parse_report(report) if isinstance(report, Mapping) and report else None,
        )

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, AWS still tells how it ended
            self.warn(
                f"Airflow did not tell how task {self.update_task_id} is ({type(error).__name__}: {error})"
            )
            return None

    def _state(self, task_instance: Any) -> str | None:
        query = {**task_states_query(task_instance), "task_ids": [self.update_task_id]}
        return single_state(task_instance.get_task_states(**query), task_instance.run_id)

    def _pull(self, task_instance: Any, key: str) -> Any:
        return task_instance.xcom_pull(
            task_ids=self.update_task_id, key=key, map_indexes=task_instance.map_index
        )

    # What AWS knows of its rollout.

    def _find(self, context: Mapping[str, Any], task: UpdateTask) -> RolloutState:
        """
        :raises AirflowSkipException: if there is no rollout of that task.
        """
        watch = self._patiently(context, partial(self._found, context, task))
        if watch is not None:
            return watch
        if task.has_waited:
            untold = _UNTOLD.format(self.update_task_id, self.endpoint_name)
            raise self._unwatched(context, Unwatchable(untold, task.report or {}))
        raise AirflowSkipException(_NOTHING.format(self.update_task_id, self.endpoint_name))

    def _found(self, context: Mapping[str, Any], task: UpdateTask) -> RolloutState | None:
        from airflow_guardrails.operators._conclude.rollout import OwnRollout  # noqa: PLC0415 - not in every DAG file
        from airflow_guardrails.operators._launch.intent_store import owner_in  # noqa: PLC0415

        rollout = OwnRollout(
            self.hook,
            self.endpoint_name,
            owner=owner_in(context, self.endpoint_name, task_id=self.update_task_id),
            target=self.endpoint_config_name,
            has_switch=self.has_switch,
            task=task,
            log=self.log,
            look_again=self._look_again,
        )
        return rollout.find(self.hook.describe_endpoint(self.endpoint_name))

    def _look_again(self) -> EndpointLook:
        self.sleep(self.waiter_delay)
        return self.hook.describe_endpoint(self.endpoint_name)

    def _patiently(self, context: Mapping[str, Any], call: Callable[[], Result]) -> Result:
        """Call until AWS answers, for an hour; an error that will not go away ends the task by its name."""
        give_up = self.monotonic() + PATIENCE
        while True:
            try:
                with self.public_errors():
                    return call()
            except (ClientError, BotoCoreError) as error:
                if not is_passing(error) or self.monotonic() >= give_up:
                    raise self._unwatched(context, Unwatchable(named_text(error), {})) from None
                self.log.info("AWS does not answer (%s); asking again", text_for_people(error))
            self.sleep(self.waiter_delay)

    # The abort.

    def _abort(self, context: Mapping[str, Any], watch: RolloutState) -> RolloutState:
        """Throw the switch of this very rollout, if it is in flight, and the mark is still there."""
        refusal = watch.why_not_abort if watch.outcome is None else "it has ended"
        if refusal is not None or watch.switch is None:
            why_not = _NOT_THROWN.format(self.update_task_id, refusal)
            self.log.warning(why_not)
            in_flight = isinstance(watch.last_look, Endpoint) and watch.last_look.changing
            return watch.with_warning(why_not) if in_flight else watch
        give_up = self.monotonic() + PATIENCE
        while self._update_task(context).marked_failed_while_deferred:
            try:
                self.hook.set_abort_switch(watch.switch, THROWN)
            except (ClientError, BotoCoreError) as error:
                if not is_passing(error) or self.monotonic() >= give_up:
                    return watch.with_warning(_NOT_THROWN.format(self.update_task_id, text_for_people(error)))
                self.log.warning(
                    "The abort switch could not be thrown (%s); trying again", text_for_people(error)
                )
                self.sleep(THROW_AGAIN_AFTER)
                continue
            self.log.warning(
                "Task %s was marked failed: the abort switch of its rollout is thrown; %s",
                self.update_task_id,
                when_an_abort_acts(watch.last_look, watch.rollout.guardrails),
            )
            # The alarm takes the highest value of a period, so a reset within the same one would have no
            # effect.
            self.sleep(PERIOD_SECONDS)
            return watch.after_abort()
        self.log.warning("Task %s is marked failed no more: nothing is aborted", self.update_task_id)
        return watch


def _check_update(update: Any) -> None:
    if not isinstance(update, SageMakerGuardedUpdateOperator):
        raise InvalidArgument(
            "update must be a SageMakerGuardedUpdateOperator that is not mapped by expand "
            f"(got {shown(update)}); for a mapped one, give update_task_id and the names, and expand this "
            "task in the same way"
        )
