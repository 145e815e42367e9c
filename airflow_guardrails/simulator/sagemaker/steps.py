"""Something that takes time, written as a generator of waits and driven by the simulated clock."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime

from airflow_guardrails.simulator.engine.clock import Clock, Timer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A pause in simulated *seconds*; *watched*: the alarms are looked at, *final*: it cannot be undone."""

    seconds: float
    watched: bool = False
    final: bool = False


class Rollback(Exception):
    """Thrown into an update that must not go on; *ends_in* is Failed where there is no way back."""

    def __init__(self, reason: str | None, *, ends_in: str = "InService") -> None:
        super().__init__(reason)
        self.reason = reason
        self.ends_in = ends_in


Steps = Generator[Wait, None, None]


def _never() -> Rollback | None:
    return None


class RunningSteps:
    """
    Steps under way.

    Every *look_every()* seconds of a watched wait, its first and last moment included, *check* says whether to
    undo them. *changed* is called after each step, and so sees every state that can be seen.
    """

    def __init__(
        self,
        clock: Clock,
        steps: Steps,
        *,
        changed: Callable[[], None],
        check: Callable[[], Rollback | None] = _never,
        check_interval: Callable[[], float] = lambda: 10.0,
    ) -> None:
        self.started_at: datetime = clock.now()
        self.finished = False
        self._clock = clock
        self._steps = steps
        self._changed = changed
        self._check = check
        self._check_interval = check_interval
        self._wait: Wait | None = None
        self._timers: list[Timer] = []

    def start(self) -> None:
        self._move(lambda: next(self._steps))

    def set_deadline(self, seconds: float, rollback: Callable[[], Rollback]) -> None:
        self._timers.append(self._clock.after(seconds, lambda: self.interrupt(rollback())))

    def end_after(self, seconds: float, action: Callable[[], None]) -> None:
        """Cut the flight short that long after its start and let *action* say what is left."""

        def cut() -> None:
            if not self.finished:
                self.cancel()
                action()

        passed = (self._clock.now() - self.started_at).total_seconds()
        self._timers.append(self._clock.after(max(seconds - passed, 0), cut))

    def interrupt(self, rollback: Rollback) -> None:
        if self._wait is not None and not self._wait.final:
            self._move(lambda: self._steps.throw(rollback))

    def cancel(self) -> None:
        self._finish()
        self._steps.close()

    def _move(self, step: Callable[[], Wait]) -> None:
        try:
            self._wait = step()
        except StopIteration:
            self._finish()
        self._changed()
        if self._wait is not None:
            self._wait_for(self._wait, self._wait.seconds)

    def _wait_for(self, wait: Wait, left: float) -> None:
        if self._wait is not wait:
            return
        if wait.watched and (rollback := self._check()):
            self.interrupt(rollback)
        elif left <= 0:
            self._move(lambda: next(self._steps))
        else:
            pause = min(left, max(self._check_interval(), 1.0)) if wait.watched else left
            self._timers.append(self._clock.after(pause, lambda: self._wait_for(wait, left - pause)))

    def _finish(self) -> None:
        self.finished, self._wait = True, None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
