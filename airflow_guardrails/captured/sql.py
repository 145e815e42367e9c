"""What the modules share that write SQL and read its results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_guardrails.captured.database import Database
from airflow_guardrails.domain.predictions.records import Side


def fetched(cursor: Database, *, batch: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a result; *batch* of them are in memory at a time."""
    while rows := cursor.fetchmany(batch):
        yield from rows


def side_of_row(shadow: bool) -> Side:
    """Return the side that column ``shadow`` stands for."""
    return Side.SHADOW if shadow else Side.PRODUCTION
