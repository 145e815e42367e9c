"""Operations that take simulated time: generators of waits, driven by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime

from airflow_guardrails.simulator.engine.clock import Clock, Timer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """
    A wait within the steps of an operation.

    :param seconds: simulated seconds.
    :param watched: whether alarms are checked during the wait.
    :param final: whether the operation can no longer be rolled back.
    """

    seconds: float
    watched: bool = False
    final: bool = False


class Rollback(Exception):
    """
    Thrown into the steps of an update that must not continue.

    :param reason: the FailureReason, if there is one.
    :param ends_in: final status of the endpoint; ``Failed`` if there is nothing to return to.
    """

    def __init__(self, reason: str | None, *, ends_in: str = "InService") -> None:
        super().__init__(reason)
        self.reason = reason
        self.ends_in = ends_in


log = logging.getLogger(__name__)

Steps = Generator[Wait, None, None]


def _never() -> Rollback | None:
    return None


class RunningSteps:
    """
    The steps of one operation while they run.

    During a watched wait, *check* is called every *check_interval()* seconds, also at the first and the last
    moment. A rollback that it returns is thrown into the steps.

    :param changed: called after each step, so that it sees every state.
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
        self._end_after: float | None = None

    def start(self) -> None:
        """Run the first step."""
        self._move(lambda: next(self._steps))

    def set_deadline(self, seconds: float, rollback: Callable[[], Rollback]) -> None:
        """Roll back if the steps still run after that many seconds."""
        self._timers.append(self._clock.after(seconds, lambda: self.interrupt(rollback())))

    def end_after(self, seconds: float, action: Callable[[], None]) -> None:
        """
        Cancel the steps that many seconds after their start and call *action*, which sets the result.

        0 is at once. If the steps are over before, a warning in the log says so.

        :raises ValueError: if more time than that has passed.
        """
        passed = (self._clock.now() - self.started_at).total_seconds()
        if 0 < seconds < passed:
            raise ValueError(
                f"after_seconds must be at least {passed:g} (got {seconds:g}): so long has the update run"
            )

        def end() -> None:
            self._end_after = None
            self.cancel()
            action()

        self._end_after = seconds
        self._timers.append(self._clock.after(seconds - passed, end))

    def interrupt(self, rollback: Rollback) -> None:
        """Throw a rollback into the steps, unless their present wait is final."""
        if self._wait is not None and not self._wait.final:
            self._move(lambda: self._steps.throw(rollback))

    def cancel(self) -> None:
        """Stop the steps. The state stays as it is."""
        self._finish()
        self._steps.close()

    def _move(self, step: Callable[[], Wait]) -> None:
        try:
            self._wait = step()
        except StopIteration:
            self._finish()
        # Before the wait begins: a wait of 0 seconds moves on at once and would hide this state.
        self._changed()
        if self._wait is not None:
            self._wait_for(self._wait, self._wait.seconds)

    def _wait_for(self, wait: Wait, left: float) -> None:
        # An interruption has replaced this wait; its timer may still be due.
        if self._wait is not wait:
            return
        if wait.watched and (rollback := self._check()):
            self.interrupt(rollback)
        elif left <= 0:
            self._move(lambda: next(self._steps))
        else:
            # At least a second, because an interval of 0 would never let time pass.
            pause = min(left, max(self._check_interval(), 1.0)) if wait.watched else left
            self._timers.append(self._clock.after(pause, lambda: self._wait_for(wait, left - pause)))

    def _finish(self) -> None:
        if self._end_after is not None:
            ran = (self._clock.now() - self.started_at).total_seconds()
            log.warning(
                "A scripted end at %g s was not used: the update was over after %g s", self._end_after, ran
            )
            self._end_after = None
        self.finished, self._wait = True, None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
