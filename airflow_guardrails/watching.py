"""What the tasks that wait have in common: they drive steps, may be killed meanwhile, and read an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_guardrails.connected import ConnectedTask
from airflow_guardrails.exceptions import UnexpectedAnswer
from airflow_guardrails.killing import Kill

if TYPE_CHECKING:
    # How to follow something is imported by the task that does: a DAG file need not pay for it.
    from airflow_guardrails.domain.follow import Following, Say
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

    def following(self, *, every: float, on_timeout: str = "fail") -> Following:
        from airflow_guardrails.domain.follow import Following  # noqa: PLC0415 - not in DAG files

        return Following(
            every=every,
            monotonic=self.monotonic,
            began_at=datetime.now(timezone.utc),
            on_timeout=on_timeout,
        )

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


def report_of(event: Any, *, unwatched: Callable[[str, Mapping[str, Any]], Exception]) -> dict[str, Any]:
    """
    Read the trigger's event.

    :param unwatched: makes the error where the watch could not go on, of the reason and the report so far.
    :raises UnexpectedAnswer: if the event is not one of ours.
    """
    if not isinstance(event, Mapping) or not (event.get("report") or event.get("error")):
        raise UnexpectedAnswer(f"the trigger's event must have a report or an error (got {event!r})")
    report: dict[str, Any] = event.get("report") or {}
    if event.get("error"):
        raise unwatched(event["error"], report)
    return report
