"""
Records of both sides joined, with bounded memory: by inference id, then by event id, then by input and time.

Each stage sorts what it gets into buckets that hold all candidates of a record, and hands what it cannot join
to the next stage. Records meet only within one *cell* of time, so that hours can be joined one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from airflow_guardrails.domain.predictions.counts import Lost, lost
from airflow_guardrails.domain.predictions.nearest import Sided, pair_nearest
from airflow_guardrails.domain.predictions.records import (
    SECOND,
    JoinKey,
    Record,
    Side,
    total_order,
)
from airflow_guardrails.domain.predictions.spill import Spill
from airflow_guardrails.domain.predictions.tally import Tally

BUCKETS = 128
SLICE = 15 * SECOND
# Equal inputs that follow each other without a pause are paired so many at a time.
LONGEST_CHAIN = 100_000

Cell: TypeAlias = "Callable[[int], int]"
Lose: TypeAlias = "Callable[[Side, Record], None]"
_Firsts: TypeAlias = "dict[tuple[int, object], Record]"

_ID_AT = {JoinKey.INFERENCE_ID: 1, JoinKey.EVENT_ID: 2}


class Join:
    """
    Joins what is added to it, once, into *tally*.

    *cell* tells the cell of a time; *lose* gets each record that finds no other. Of records that have the
    same id, side and cell, the earliest is joined and the others are counted as duplicates.
    """

    def __init__(
        self, tally: Tally, *, within: int, cell: Cell, lose: Lose, folder: Path | None = None
    ) -> None:
        self._tally, self._within, self._cell, self._lose = tally, within, cell, lose
        self._by_inference_id = Spill(lambda record: hash(record[1]) % BUCKETS, folder=folder)
        self._by_event_id = Spill(lambda record: hash(record[2]) % BUCKETS, folder=folder)
        self._by_time = Spill(lambda record: record[0] // SLICE, folder=folder)

    def close(self) -> None:
        for spill in (self._by_inference_id, self._by_event_id, self._by_time):
            spill.close()

    def adder(self, side: Side) -> Callable[[Record], None]:
        """A function that takes a record of *side*."""
        by_inference_id, by_event_id = self._by_inference_id.adder(side), self._after_inference_id(side)

        def add(record: Record) -> None:
            (by_inference_id if record[1] else by_event_id)(record)

        return add

    def run(self) -> None:
        self._join_by_id(self._by_inference_id, JoinKey.INFERENCE_ID, onwards=self._after_inference_id)
        self._join_by_id(self._by_event_id, JoinKey.EVENT_ID, onwards=self._after_event_id)
        for chain in self._chains():
            pairs, left = pair_nearest(chain, within=self._within)
            self._tally.count_pairs(JoinKey.INPUT, pairs)
            for side, record in left:
                self._lose(side, record)

    def _after_inference_id(self, side: Side) -> Callable[[Record], None]:
        by_event_id, after_event_id = self._by_event_id.adder(side), self._after_event_id(side)

        def add(record: Record) -> None:
            (by_event_id if record[2] else after_event_id)(record)

        return add

    def _after_event_id(self, side: Side) -> Callable[[Record], None]:
        by_time = self._by_time.adder(side)

        def add(record: Record) -> None:
            if record[3]:
                by_time(record)
            else:
                self._lose(side, record)

        return add

    def _join_by_id(
        self, spill: Spill, key: JoinKey, *, onwards: Callable[[Side], Callable[[Record], None]]
    ) -> None:
        for _, *records in spill.take_all():
            firsts = [
                self._firsts(side, each, at=_ID_AT[key]) for side, each in zip(Side, records, strict=True)
            ]
            production, shadow = firsts
            common = production.keys() & shadow.keys()
            self._tally.count_pairs(key, ((production[each], shadow[each]) for each in common))
            for side, first in zip(Side, firsts, strict=True):
                hand_on = onwards(side)
                for each in first.keys() - common:
                    hand_on(first[each])

    def _firsts(self, side: Side, records: list[Record], *, at: int) -> _Firsts:
        """The records by cell and id, the earliest of each."""
        cell = self._cell
        firsts: _Firsts = {}
        for record in records:
            key = (cell(record[0]), record[at])
            first = firsts.setdefault(key, record)
            if first is not record:
                firsts[key] = min(first, record, key=total_order)
        self._tally.counts[lost(side, Lost.DUPLICATE)] += len(records) - len(firsts)
        return firsts

    def _chains(self) -> Iterator[list[Sided]]:
        """Records of one input and cell with no pause longer than *within*: none pairs with any outside."""
        open_: dict[bytes, list[Sided]] = {}
        for bucket, production, shadow in self._by_time.take_all():
            yield from self._closed(open_, before=bucket * SLICE)
            for side, record in _in_order(production, shadow):
                chain = open_.get(record[3])
                if chain is not None and self._goes_on(chain, record):
                    chain.append((side, record))
                    continue
                if chain is not None:
                    yield chain
                open_[record[3]] = [(side, record)]
        yield from open_.values()

    def _goes_on(self, chain: list[Sided], record: Record) -> bool:
        last = chain[-1][1][0]
        near = record[0] - last <= self._within
        return near and len(chain) < LONGEST_CHAIN and self._cell(last) == self._cell(record[0])

    def _closed(self, open_: dict[bytes, list[Sided]], *, before: int) -> Iterator[list[Sided]]:
        for digest in [each for each, chain in open_.items() if before - chain[-1][1][0] > self._within]:
            yield open_.pop(digest)


def _in_order(production: list[Record], shadow: list[Record]) -> list[Sided]:
    sided = [
        (side, each) for side, records in zip(Side, (production, shadow), strict=True) for each in records
    ]
    return sorted(sided, key=lambda each: (each[1][0], each[0].value, *each[1][1:4]))
