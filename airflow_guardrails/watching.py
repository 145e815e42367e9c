"""What the tasks that wait have in common: they drive steps, may be killed meanwhile, and read an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_guardrails.connected import ConnectedTask
from airflow_guardrails.exceptions import AccessDenied, UnexpectedAnswer
from airflow_guardrails.killing import Kill

if TYPE_CHECKING:
    # How to follow something is imported by the task that does: a DAG file need not pay for it.
    from airflow_guardrails.domain.follow import Say
    from airflow_guardrails.hooks.driving import Result, Steps


class WatchingTask(ConnectedTask):
    """Base of the tasks that wait for a rollout or a shadow test."""

    _kill: Kill | None = None

    def on_kill(self) -> None:
        if self._kill is not None:
            self._kill.asked = True

    def _stop_if_killed(self, context: Mapping[str, Any], stop: Callable[[], None]) -> None:
        """Do *stop* once a person has marked this task failed while it waits."""
        self._kill = Kill(stop, task_instance=context.get("ti"), log=self.log)

    def _drive(self, steps: Steps[Result]) -> Result:
        from airflow_guardrails.hooks.driving import drive  # noqa: PLC0415

        return self.translated(lambda: drive(steps, self.hook, sleep=self._sleep, say=self._say))

    def _sleep(self, seconds: float) -> None:
        if self._kill is None:
            self.sleep(seconds)
        else:
            self._kill.sleep(seconds, self.sleep)

    def _say(self, news: Say) -> None:
        self.log.info(news.sentence)


def report_of(event: Any, *, unwatched: str) -> dict[str, Any]:
    """
    Read the trigger's event.

    :param unwatched: what is so where the watch could not go on, in words before the reason.
    :raises AccessDenied: if the watch could not go on because AWS does not allow it.
    :raises UnexpectedAnswer: if the watch could not go on, or the event is not one of ours.
    """
    if not isinstance(event, Mapping) or not (event.get("report") or event.get("error")):
        raise UnexpectedAnswer(f"the trigger's event must have a report or an error (got {event!r})")
    if action := event.get("denied"):
        raise AccessDenied(f"Access denied: {action}. {unwatched}: {event['error']}")
    if event.get("error"):
        raise UnexpectedAnswer(f"{unwatched}: {event['error']}")
    report: dict[str, Any] = event["report"]
    return report
