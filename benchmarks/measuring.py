"""Measure waits of both kinds beside each other, from their start to their events."""

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
    """How many waits there are, and how long things take, in seconds."""

    hundred: int = 100
    thousand: int = 1000
    connections: int = 50
    ours_per_connection: int = 20
    theirs_per_connection: int = 2
    beat: float = 30
    window: float = 60
    minute: float = 60
    times: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one contender was measured to need."""

    calls_per_minute: float
    cpu_to_start: float
    cpu_per_minute: float
    memory_per_wait: float
    pause_at_start: float
    pause_later: float
    news: tuple[float, ...]


def waits(count: int, scale: Scale, *, repeats: int = 1) -> dict[str, Figures]:
    """Measure *count* waits from their start to their ends, which are spread over four beats."""
    with ExitStack() as stack:
        runs = [
            (Contender(name, count, beat=scale.beat, stack=stack), repeat)
            for repeat in range(repeats)
            for name in NAMES
        ]
        contenders = [contender for contender, _ in runs]
        window = _from_start_to_steady(contenders, scale)
        for contender, repeat in runs:
            if count == 1:
                contender.end_after_look(scale.beat * (repeat + 0.5) / repeats)
            else:
                contender.end(within=4 * scale.beat)
        figures = [_figures(contender, *window[contender], news=contender.news()) for contender in contenders]
    return {name: _median(figures[index::2]) for index, name in enumerate(NAMES)}


def _from_start_to_steady(contenders: Sequence[Contender], scale: Scale) -> dict[Contender, tuple[Any, Any]]:
    """Start them one after the other, and read them at both ends of the steady state."""
    for contender in contenders:
        contender.start()
    time.sleep(scale.beat)
    before = {contender: contender.read() for contender in contenders}
    time.sleep(scale.window)
    return {contender: (before[contender], contender.read()) for contender in contenders}


def _figures(contender: Contender, before: Any, after: Any, *, news: tuple[float, ...]) -> Figures:
    per_second = (after["cpu"] - before["cpu"]) / (after["at"] - before["at"])
    starting = before["at"] - contender.before["at"]
    return Figures(
        calls_per_minute=per_minute("calls", before, after),
        cpu_to_start=before["cpu"] - contender.before["cpu"] - per_second * starting,
        cpu_per_minute=per_second * 60,
        memory_per_wait=(after["memory"] - contender.before["memory"]) / MB / contender.waits,
        pause_at_start=contender.started["pause"] * 1000,
        pause_later=contender.ended["pause"] * 1000,
        news=news,
    )


def per_minute(what: str, before: Any, after: Any) -> float:
    return float((after[what] - before[what]) / (after["at"] - before["at"]) * 60)


def _median(figures: Sequence[Figures]) -> Figures:
    """Take the median of each figure; news are put together."""

    def median(of: Callable[[Figures], float]) -> float:
        return statistics.median(map(of, figures))

    return Figures(
        calls_per_minute=median(lambda each: each.calls_per_minute),
        cpu_to_start=median(lambda each: each.cpu_to_start),
        cpu_per_minute=median(lambda each: each.cpu_per_minute),
        memory_per_wait=median(lambda each: each.memory_per_wait),
        pause_at_start=median(lambda each: each.pause_at_start),
        pause_later=median(lambda each: each.pause_later),
        news=tuple(late for each in figures for late in each.news),
    )
