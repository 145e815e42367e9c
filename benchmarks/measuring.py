"""Measures both kinds of triggers at the same time, from the start of the waits to their events."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from contender import Contender

MB = 1024 * 1024
NAMES = ("theirs", "ours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """
    Numbers of waits and durations of a run, in seconds.

    :param interval: seconds between looks.
    :param window: length of the measurement in the steady state.
    :param times: factor of our default ``max_describe_gap``; smaller in a quick run.
    """

    hundred: int = 100
    thousand: int = 1000
    connections: int = 50
    ours_per_connection: int = 20
    theirs_per_connection: int = 2
    interval: float = 30
    window: float = 60
    minute: float = 60
    times: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    The measured figures of one contender.

    :param cpu_to_start: CPU seconds for the start, in addition to those of the steady state.
    :param memory_per_wait: MB.
    :param pause_at_start: longest pause of the event loop in milliseconds.
    :param delays: seconds from the end of each rollout to its event.
    """

    calls_per_minute: float
    cpu_to_start: float
    cpu_per_minute: float
    memory_per_wait: float
    pause_at_start: float
    pause_later: float
    delays: tuple[float, ...]


def waits(count: int, scale: Scale, *, repeats: int = 1) -> dict[str, Figures]:
    """
    Measure *count* waits of both kinds from start to end; the ends are spread over four intervals.

    :param repeats: processes of each kind; the figures are their medians.
    """
    with ExitStack() as stack:
        runs = [
            (Contender(name, count, interval=scale.interval, stack=stack), repeat)
            for repeat in range(repeats)
            for name in NAMES
        ]
        contenders = [contender for contender, _ in runs]
        window = _from_start_to_steady(contenders, scale)
        for contender, repeat in runs:
            if count == 1:
                contender.end_after_look(scale.interval * (repeat + 0.5) / repeats)
            else:
                contender.end(within=4 * scale.interval)
        figures = [
            _figures(contender, *window[contender], delays=contender.delays()) for contender in contenders
        ]
    return {name: _median(figures[index::2]) for index, name in enumerate(NAMES)}


def _from_start_to_steady(contenders: Sequence[Contender], scale: Scale) -> dict[Contender, tuple[Any, Any]]:
    """Start the contenders one by one; return their figures before and after the measured window."""
    for contender in contenders:
        contender.start()
    time.sleep(scale.interval)
    before = {contender: contender.read() for contender in contenders}
    time.sleep(scale.window)
    return {contender: (before[contender], contender.read()) for contender in contenders}


def _figures(contender: Contender, before: Any, after: Any, *, delays: tuple[float, ...]) -> Figures:
    per_second = (after["cpu"] - before["cpu"]) / (after["at"] - before["at"])
    starting = before["at"] - contender.before["at"]
    return Figures(
        calls_per_minute=per_minute("calls", before, after),
        cpu_to_start=before["cpu"] - contender.before["cpu"] - per_second * starting,
        cpu_per_minute=per_second * 60,
        memory_per_wait=(after["memory"] - contender.before["memory"]) / MB / contender.waits,
        pause_at_start=contender.started["pause"] * 1000,
        pause_later=contender.ended["pause"] * 1000,
        delays=delays,
    )


def per_minute(name: str, before: Any, after: Any) -> float:
    """Return the increase of a figure between two readings, per minute."""
    return float((after[name] - before[name]) / (after["at"] - before["at"]) * 60)


def _median(figures: Sequence[Figures]) -> Figures:
    """Return the median of each figure, and all delays."""

    def median(of: Callable[[Figures], float]) -> float:
        return statistics.median(map(of, figures))

    return Figures(
        calls_per_minute=median(lambda each: each.calls_per_minute),
        cpu_to_start=median(lambda each: each.cpu_to_start),
        cpu_per_minute=median(lambda each: each.cpu_per_minute),
        memory_per_wait=median(lambda each: each.memory_per_wait),
        pause_at_start=median(lambda each: each.pause_at_start),
        pause_later=median(lambda each: each.pause_later),
        delays=tuple(delay for each in figures for delay in each.delays),
    )
