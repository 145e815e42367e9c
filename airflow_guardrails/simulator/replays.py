"""Rows sent to an endpoint over and over."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from airflow_guardrails.simulator.clock import Timer

TICK_SECONDS = 5
"""A replay sends what is due in bursts this far apart; a minute holds twelve, and begins with one."""

MOST_PER_MINUTE = 60_000


@dataclass(slots=True, kw_only=True)
class Replay:
    """One endpoint's replay; *ids* are the inference ids of its requests, None for none."""

    per_minute: float
    content_type: str
    accept: str | None
    rows: Iterator[bytes]
    ids: Iterator[str] | None = None
    sent: int = 0
    owed: float = 0.0
    timer: Timer = field(default_factory=lambda: Timer(lambda: None))

    def due(self) -> list[tuple[bytes, str | None]]:
        """What to send in this burst: bodies, each with its inference id."""
        self.owed += self.per_minute * TICK_SECONDS / 60
        whole = int(self.owed)
        self.owed -= whole
        self.sent += whole
        return [(row, next(self.ids) if self.ids else None) for row in islice(self.rows, whole)]


def endless(rows: list[bytes], *, shuffled_by: random.Random | None) -> Iterator[bytes]:
    """Round after round of *rows*, each in an order of its own unless nothing shuffles them."""
    while True:
        if shuffled_by:
            shuffled_by.shuffle(rows)
        yield from rows
