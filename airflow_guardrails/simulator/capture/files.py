"""Files of captured records: they are written to S3 some minutes after their records."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from airflow_guardrails.simulator.capture.records import uuid
from airflow_guardrails.simulator.engine.clock import Clock, Timer
from airflow_guardrails.simulator.engine.knobs import Knobs

_HOUR = timedelta(hours=1)

_Store = Callable[[str, str, bytes], None]
"""Keeps an object, given the destination's url, the key below it and the content."""


class Folder(NamedTuple):
    """Where the records of one variant go; *experiment* is the experiment that captures them, if any."""

    destination: str
    endpoint_name: str
    variant_name: str
    experiment: str | None


@dataclass(slots=True, kw_only=True)
class _File:
    started: datetime
    lines: list[str] = field(default_factory=list)
    timer: Timer


class CaptureFiles:
    """
    Keeps records in memory until their file is stored.

    A file holds at most ``capture_file_seconds``, never parts of two hours. It is stored
    ``capture_delay_seconds`` after its last second.
    """

    def __init__(self, *, clock: Clock, knobs: Knobs, rng: random.Random, store: _Store) -> None:
        self._clock = clock
        self._knobs = knobs
        self._rng = rng
        self._store = store
        self._open: dict[tuple[Folder, datetime], _File] = {}

    @property
    def waiting(self) -> int:
        """Number of records that are not stored yet."""
        return sum(len(file.lines) for file in self._open.values())

    def add(self, folder: Folder, lines: Sequence[str]) -> None:
        """Add lines of JSON, recorded now, to the open file of *folder*."""
        # The file is open until its window has passed, then it waits for the delay.
        begin, end = _window(self._clock.now(), self._knobs.capture_file_seconds)
        place = (folder, begin)
        if place not in self._open:
            due = end + timedelta(seconds=self._knobs.capture_delay_seconds)
            timer = self._clock.at(due, lambda: self._deliver(place))
            self._open[place] = _File(started=self._clock.now(), timer=timer)
        self._open[place].lines.extend(lines)

    def finish(self, endpoint_name: str, *, experiment: str | None = None) -> None:
        """Treat the open files of an endpoint, or of one *experiment* on it, as ``capture_at_end`` says."""
        if self._knobs.capture_at_end == "late":
            return
        for place in list(self._open):
            folder = place[0]
            if folder.endpoint_name == endpoint_name and experiment in {None, folder.experiment}:
                self._settle(place)

    def _settle(self, place: tuple[Folder, datetime]) -> None:
        self._open[place].timer.cancel()
        if self._knobs.capture_at_end == "lost":
            del self._open[place]
        else:
            self._deliver(place)

    def _deliver(self, place: tuple[Folder, datetime]) -> None:
        file = self._open.pop(place)
        content = "".join(f"{line}\n" for line in file.lines).encode()
        self._store(place[0].destination, self._key(place[0], file.started), content)

    def _key(self, folder: Folder, started: datetime) -> str:
        experiment = self._knobs.capture_experiment_level and folder.experiment
        levels = (*([folder.experiment] if experiment else []), folder.endpoint_name, folder.variant_name)
        name = f"{started:%M-%S}-{started.microsecond // 1000:03d}-{uuid(self._rng.getrandbits(128))}.jsonl"
        # Developer guide: {endpoint}/{variant}/yyyy/mm/dd/hh/filename.jsonl
        return f"{'/'.join(map(str, levels))}/{started:%Y/%m/%d/%H}/{name}"


def _window(now: datetime, seconds: float) -> tuple[datetime, datetime]:
    """
    Return the start and end of the file that takes records of *now*. With 0 seconds, each batch has its own
    file.
    """
    if not seconds:
        return now, now
    hour = now.replace(minute=0, second=0, microsecond=0)
    begin = hour + (now - hour) // timedelta(seconds=seconds) * timedelta(seconds=seconds)
    # The key names one hour, so a file ends with its hour.
    return begin, min(begin + timedelta(seconds=seconds), hour + _HOUR)
