"""Notify people of the outcomes of a rollout that they want to know."""

from __future__ import annotations

import asyncio
import copy
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseNotifier

from airflow_guardrails.domain.arguments import shown
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport, parse_report, reported_outcome
from airflow_guardrails.domain.text import error_in_words, safe_text
from airflow_guardrails.exceptions import GuardrailsError, InvalidArgument, PreflightFailed, RolloutError
from airflow_guardrails.triggers._keys import REPORT_KEY

# The task failed, and no report says how the rollout ended.
UNKNOWN = "Unknown"
_NAMES = (*(outcome.value for outcome in Outcome), UNKNOWN)
_BAD_NEWS = tuple(name for name in _NAMES if name != Outcome.SUCCEEDED.value)

_END_OF_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
_LOST = "Outcome unknown: the worker of {} was lost. Look at the endpoint, and see the log of the task."
_LOST_AFTER_REPORT = "The worker of {} was lost after it had reported {}."


class RolloutNotifier(BaseNotifier):
    """
    Call another notifier, but only for some outcomes of a rollout.

    It is a callback of a task that ends with a rollout report: the guarded update, the rollout sensor, or the
    task that concludes a rollout::

        SageMakerGuardedUpdateOperator(
            task_id="update",
            on_failure_callback=RolloutNotifier(
                SmtpNotifier(to="ml@example.com", subject="{{ rollout_summary }}"),
                on=["RolledBack", "Unknown"],
            ),
            ...,
        )

    The templates of the other notifier can use three more variables:

    - ``rollout_outcome``: a name as in *on*;
    - ``rollout_summary``: one sentence with the outcome, without credentials;
    - ``rollout_report``: the rollout report. Without a report, all of its values are empty.

    Airflow calls nothing if somebody marks the task failed, or if its process is killed. The callbacks of a
    concluding task are called in these cases, too.

    It can be used as *on_failure_callback*, *on_success_callback*, *on_retry_callback* and
    *on_skipped_callback*. A task that succeeds or is skipped without a report calls nobody.

    :param notifier: the notifier that is called, or a function that takes the context. Each call uses a copy
        of the notifier, so its templates are rendered anew.
    :param on: the outcomes for which it is called: ``Succeeded``, ``RolledBack``, ``RollbackFailed``,
        ``Failed``, ``Superseded``, ``NotStarted``, ``TimedOut``, or ``Unknown`` if the task failed and no
        report says how the rollout ended, for example if its worker was lost, or before an update; default:
        all but ``Succeeded``.
    :raises InvalidArgument: if *on* has another name, or *notifier* cannot be called.
    """

    def __init__(
        self,
        notifier: BaseNotifier | Callable[[Any], Any],
        on: Sequence[str] = _BAD_NEWS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_notifier(notifier)
        self.notifier = notifier
        self.on = _checked_names(on)

    def notify(self, context: Any) -> None:
        """Call the notifier if the outcome of the task's rollout is one of *on*."""
        if (news := self._find_news(context)) is not None:
            self._fresh_notifier()({**context, **news.variables})

    async def async_notify(self, context: Any) -> None:
        """Do the same in an event loop. A notifier without ``async_notify`` is called in a thread."""
        news = await asyncio.to_thread(self._find_news, context)
        if news is None:
            return
        notifier, context = self._fresh_notifier(), {**context, **news.variables}
        if (
            isinstance(notifier, BaseNotifier)
            and type(notifier).async_notify is not BaseNotifier.async_notify
        ):
            notifier.context = context
            await notifier
        else:
            await asyncio.to_thread(notifier, context)

    def _fresh_notifier(self) -> Any:
        # A notifier replaces its templates by what they rendered to, and the DAG processor may call it again
        # for another task instance.
        return copy.copy(self.notifier) if isinstance(self.notifier, BaseNotifier) else self.notifier

    def _find_news(self, context: Mapping[str, Any]) -> _News | None:
        news = _read_news(context, self._report(context))
        if news is None or news.outcome not in self.on:
            return None
        self.log.info("Rollout outcome %s: calling %s", news.outcome, _name_of(self.notifier))
        return news

    def _report(self, context: Mapping[str, Any]) -> RolloutReport:
        """Return the report in the error of the task, else XCom ``rollout_report``, else an empty report."""
        error = context.get("exception")
        # Errors of shadow tests have reports, too, but of another kind.
        if isinstance(error, RolloutError | PreflightFailed) and error.report:
            return parse_report(error.report)
        task_instance: Any = context.get("ti")
        try:
            report = task_instance.xcom_pull(
                task_ids=task_instance.task_id, key=REPORT_KEY, map_indexes=task_instance.map_index
            )
        except Exception as failure:  # noqa: BLE001 - whatever Airflow raises, people must be notified
            self.log.warning("XCom %s could not be read (%s)", REPORT_KEY, error_in_words(failure))
            report = None
        return parse_report(report if isinstance(report, Mapping) else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """What there is to say of a task that has ended."""

    outcome: str
    summary: str
    report: RolloutReport

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "rollout_outcome": self.outcome,
            "rollout_summary": self.summary,
            "rollout_report": self.report,
        }


def _read_news(context: Mapping[str, Any], report: RolloutReport) -> _News | None:
    error = context.get("exception")
    # A worker sets the key for every end of a task. Without it, this is the DAG processor, which runs
    # callbacks only for tasks whose worker was lost.
    failed = "exception" not in context or not isinstance(error, AirflowSkipException | None)
    try:
        outcome = reported_outcome(report)
    except ValueError:  # none, or one of a later release
        outcome = None
    # The rollout has ended well, but its report does not say why the task failed.
    if failed and outcome is Outcome.SUCCEEDED:
        outcome = None
    if outcome is not None:
        return _News(outcome=outcome.value, summary=safe_text(report["summary"]), report=report)
    if not failed:
        return None
    return _News(outcome=UNKNOWN, summary=_unknown_summary(context, report), report=report)


def _unknown_summary(context: Mapping[str, Any], report: RolloutReport) -> str:
    error = context.get("exception")
    if error is None:
        reported = safe_text(report["outcome"])
        task = _task_in_words(context.get("ti"))
        return _LOST_AFTER_REPORT.format(task, reported) if reported else _LOST.format(task)
    # The errors of other packages may say nothing without their name, for example KeyError.
    if isinstance(error, BaseException) and not isinstance(error, GuardrailsError):
        return error_in_words(error)
    return _first_sentence(str(error))


def _task_in_words(task_instance: Any) -> str:
    dag_id, task_id, run_id = (getattr(task_instance, name, "?") for name in ("dag_id", "task_id", "run_id"))
    return f"task {task_id} (DAG {dag_id}, run {run_id})"


def _first_sentence(text: str) -> str:
    return _END_OF_SENTENCE.split(safe_text(text), maxsplit=1)[0]


def _check_notifier(notifier: object) -> None:
    if isinstance(notifier, type) or not callable(notifier):
        raise InvalidArgument(
            f"notifier must be a notifier, or a function that takes the context (got {shown(notifier)})"
        )
    # Calling one would do nothing, because Airflow does not await the callbacks of tasks.
    if inspect.iscoroutinefunction(notifier) or inspect.isgeneratorfunction(notifier):
        raise InvalidArgument(
            f"notifier must be a plain function, not async and not a generator (got {shown(notifier)})"
        )


def _checked_names(on: object) -> tuple[str, ...]:
    if isinstance(on, str) or not isinstance(on, Sequence | set | frozenset) or not on:
        raise InvalidArgument(f"on must be a list of outcomes, and not be empty (got {shown(on)})")
    # Outcome is a str enum; its text depends on the version of Python.
    names = [name.value if isinstance(name, Outcome) else name for name in on]
    for name in names:
        if name not in _NAMES:
            raise InvalidArgument(f"on must name outcomes of {', '.join(_NAMES)} (got {shown(name)})")
    return tuple(names)


def _name_of(notifier: Any) -> str:
    return getattr(notifier, "__name__", type(notifier).__name__)
