"""The base of all tasks that wait: in a worker or deferred, and what a kill does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import get_current_context

from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.rollout.outcome import TimeoutAction
from airflow_guardrails.exceptions import AccessDenied, ReportedError, TaskKilled, UnexpectedAnswer
from airflow_guardrails.hooks._cancellation import SLICE_SECONDS, TRY_KEY, KillableSleep, try_mark
from airflow_guardrails.tasks.aws_task import AwsTask

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_guardrails.domain.effects import LogMessage, PublishReport

    # Imported when the task runs: parsing a DAG file must stay cheap.
    from airflow_guardrails.domain.rollout.process import WaitPolicy
    from airflow_guardrails.hooks._effects import Process, Result


# The method name that Airflow resumes a task with if the trigger failed or the deferral timed out, and the
# reason that it gives for a time-out.
AIRFLOW_ENDED_IT = "__fail__"
DEFERRAL_TIMED_OUT = "Trigger timeout"


class WaitingTask(AwsTask):
    """
    Base of the tasks that wait for a rollout or a shadow test.

    Whoever marks such a task failed wants the rollout or test stopped. In a worker
    :class:`~airflow_guardrails.hooks._cancellation.KillableSleep` stops it, from :meth:`_stop_if_killed` on;
    before that, :meth:`refuse_if_killed` keeps the task from starting anything. A deferred task pushes XCom
    ``rollout_try``: it tells the trigger, and the task that concludes the rollout, which try was deferred.
    """

    # The XCom key of the report, and the error that ends the task if the wait cannot continue.
    report_key: ClassVar[str]
    unwatched_error: ClassVar[type[ReportedError]]
    unwatched_text: ClassVar[str]

    kill_action: str = "leave"
    _kill: KillableSleep | None = None

    @property
    def killed(self) -> bool:
        """Whether Airflow has asked this worker to end the task, for whatever reason."""
        return self._kill is not None and self._kill.killed

    def on_kill(self) -> None:
        """Note that Airflow wants this worker to end; the wait acts on it within half a second."""
        # Only a flag: Airflow calls this in a signal handler, where a call to AWS is not safe.
        self._killing.killed = True

    def refuse_if_killed(self) -> None:
        """
        Raise if the task was killed; called right before it changes anything in AWS.

        :raises TaskKilled: if the task was killed.
        """
        if self.killed:
            raise TaskKilled("Task was killed before it changed anything in AWS")

    def sleep_unless_killed(self, seconds: float) -> None:
        """
        Sleep before the task has changed anything in AWS.

        :param seconds: how long to sleep.
        :raises TaskKilled: within half a second of a kill.
        """
        while seconds > 0:
            self.refuse_if_killed()
            self.sleep(min(SLICE_SECONDS, seconds))
            seconds -= SLICE_SECONDS
        self.refuse_if_killed()

    def defer(self, **kwargs: Any) -> NoReturn:
        """Defer the task, and note in XCom ``rollout_try`` that this try was deferred."""
        # The last chance in this worker: the trigger learns nothing of a kill that came before it existed.
        self._killing.stop_if_marked_failed()
        # Before the deferral: the trigger may be cancelled as soon as it runs, and then reads this XCom.
        self._mark_try(_current_context(), deferred=True)
        super().defer(**kwargs)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after a deferral; Airflow calls it when the trigger fired, failed or timed out."""
        # First of all: if the task fails from here on, that is not a request to stop anything.
        self._mark_try(context, deferred=False)
        if next_method != AIRFLOW_ENDED_IT:
            return super().resume_execution(next_method, next_kwargs, context)
        kwargs = next_kwargs or {}
        if traceback := kwargs.get("traceback"):
            self.log.error("Trigger failed:\n%s", "\n".join(traceback))
        error = kwargs.get("error", "Unknown")
        reason = f"Airflow ended the wait: {getattr(error, 'value', error)}"
        timed_out = error == DEFERRAL_TIMED_OUT
        with self.public_errors():
            return self.ended_by_airflow(context, reason, timed_out=timed_out)

    def ended_by_airflow(self, context: Mapping[str, Any], reason: str, *, timed_out: bool) -> Any:
        """
        End a deferred task whose trigger did not send an event.

        :param reason: what Airflow says about it.
        :param timed_out: True if the deferral timed out, because no triggerer ran; False if the trigger
            failed.
        """
        raise NotImplementedError

    @property
    def _killing(self) -> KillableSleep:
        if self._kill is None:
            self._kill = KillableSleep(self.log)
        return self._kill

    def _stop_if_killed(self, context: Mapping[str, Any], stop: Callable[[], None]) -> None:
        """From now on, call *stop* if somebody marks this task failed; at once if that happened already."""
        self._killing.set_stop(stop, task_instance=context.get("ti"))

    def _mark_try(self, context: Mapping[str, Any], *, deferred: bool) -> None:
        """Push XCom ``rollout_try``. Without it, marking a deferred task failed stops nothing."""
        task_instance = context.get("ti")
        if task_instance is None:
            return
        try:
            task_instance.xcom_push(key=TRY_KEY, value=try_mark(task_instance.try_number, deferred=deferred))
        except Exception as error:  # noqa: BLE001 - a convenience must not end what waits
            self.log.warning(
                "XCom %s could not be written: marking this task failed may not stop the update or test "
                "(%s: %s)",
                TRY_KEY,
                type(error).__name__,
                error,
            )

    def wait_policy(self, *, every: float, on_timeout: str = "fail") -> WaitPolicy:
        """
        Return how to wait.

        :param every: seconds between two looks.
        :param on_timeout: ``"abort"`` throws the abort switch at the deadline.
        """
        from airflow_guardrails.domain.rollout.process import WaitPolicy  # noqa: PLC0415 - not in DAG files

        return WaitPolicy(
            every=every,
            monotonic=self.monotonic,
            began_at=datetime.now(timezone.utc),
            on_timeout=TimeoutAction(on_timeout),
        )

    def _sleep(self, seconds: float) -> None:
        self._killing.sleep(seconds, self.sleep)

    @property
    def _run_process(self) -> Callable[[Process[Result]], Result]:
        """The function that runs a process to its end with this task's hook, sleep and log."""
        from airflow_guardrails.hooks._effects import run_effects  # noqa: PLC0415 - not in DAG files

        return partial(
            run_effects, hook=self.hook, sleep=self._sleep, log=self._say, publish=self._publish_progress
        )

    @contextmanager
    def _ends_if_unwatchable(self, context: Mapping[str, Any]) -> Iterator[None]:
        """End the task with the report so far if a process within cannot continue."""
        try:
            yield
        except Unwatchable as error:
            # Without the cause, because Airflow logs a traceback for each error of a chain.
            raise self._unwatched(context, error) from None

    def _unwatched(self, context: Mapping[str, Any], error: Unwatchable) -> ReportedError:
        """Push the report so far, and return the error that ends the task."""
        if error.report:
            self.push(context, self.report_key, self.with_warnings(error.report))
        if error.denied:
            return AccessDenied(self.denied_text(error.denied, error.reason), error.report)
        return self.unwatched_error(f"{self.unwatched_text}: {error.reason}", error.report)

    def pull(self, context: Mapping[str, Any], key: str) -> Any:
        """Return an XCom that this try pushed; None if there is none or it cannot be read."""
        task_instance: Any = context.get("ti")
        try:
            return task_instance.xcom_pull(
                task_ids=self.task_id, key=key, map_indexes=task_instance.map_index
            )
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises
            self.warn(f"XCom {key} could not be read ({type(error).__name__}: {error})")
            return None

    def _say(self, message: LogMessage) -> None:
        self.log.info(message.sentence)
        self._publish_progress(message)

    def _publish_progress(self, effect: LogMessage | PublishReport) -> None:
        """Push the report so far as XCom, for the UI. A failure changes nothing else."""
        task_instance = _current_context().get("ti")
        if task_instance is None or not self.do_xcom_push:
            return
        try:
            task_instance.xcom_push(key=self.report_key, value=dict(effect.report))
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the wait must go on
            self.log.debug("XCom %s could not be pushed: %s", self.report_key, error)


def is_retry(context: Mapping[str, Any]) -> bool:
    """Return whether an earlier try of this task instance may have run; Airflow counts on after a clear."""
    return (getattr(context.get("ti"), "try_number", None) or 1) > 1


def _current_context() -> Mapping[str, Any]:
    """Return the running task's context; an empty one outside of Airflow."""
    try:
        context: Mapping[str, Any] = get_current_context()
    except RuntimeError:
        return {}
    return context


def report_of(event: Any, *, unwatched: Callable[[Unwatchable], Exception]) -> dict[str, Any]:
    """
    Return the report in the trigger's event.

    :param unwatched: makes the error to raise if the trigger could not wait until the end.
    :raises UnexpectedAnswer: if the event is not from a trigger of this package.
    """
    if not isinstance(event, Mapping) or not (event.get("report") or event.get("error")):
        raise UnexpectedAnswer(f"the trigger's event must have a report or an error (got {event!r})")
    report: dict[str, Any] = event.get("report") or {}
    if event.get("error"):
        raise unwatched(Unwatchable(event["error"], report, denied=event.get("denied")))
    return report
