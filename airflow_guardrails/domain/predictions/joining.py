"""
Records of both sides joined, with bounded memory: by inference id, then by event id, then by input and time.

Each stage sorts what it gets into buckets that hold all candidates of a record, and hands what it cannot join
to the next stage. Records meet only within one *cell* of time, so that hours can be joined one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
        self._by_id = {
            (key, side): Spill(folder) for key in (JoinKey.INFERENCE_ID, JoinKey.EVENT_ID) for side in Side
        }
        self._by_time = Spill(folder)

    def close(self) -> None:
        for spill in (*self._by_id.values(), self._by_time):
            spill.close()

    def add(self, side: Side, record: Record, weight: int = 1) -> None:
        """Take a *record*, which takes as much memory as *weight* small ones."""
        if record[1]:
            bucket = hash((self._cell(record[0]), record[1])) % BUCKETS
            self._by_id[JoinKey.INFERENCE_ID, side].add(bucket, record, weight)
        else:
            self._to_event_id(side, record, weight)

    def run(self) -> None:
        self._join_by_id(JoinKey.INFERENCE_ID, at=1, onwards=self._to_event_id)
        self._join_by_id(JoinKey.EVENT_ID, at=2, onwards=self._to_time)
        self._join_by_input()

    def _to_event_id(self, side: Side, record: Record, weight: int = 1) -> None:
        if record[2]:
            bucket = hash((self._cell(record[0]), record[2])) % BUCKETS
            self._by_id[JoinKey.EVENT_ID, side].add(bucket, record, weight)
        else:
            self._to_time(side, record, weight)

    def _to_time(self, side: Side, record: Record, weight: int = 1) -> None:
        if record[3]:
            self._by_time.add(record[0] // SLICE, (side is Side.SHADOW, record), weight)
        else:
            self._lose(side, record)

    def _join_by_id(self, key: JoinKey, *, at: int, onwards: Lose) -> None:
        spills = [self._by_id[key, side] for side in (Side.PRODUCTION, Side.SHADOW)]
        for bucket in {each for spill in spills for each in spill.buckets()}:
            production, shadow = (
                self._firsts(side, spill.take(bucket), at=at)
                for side, spill in zip(Side, spills, strict=True)
            )
            common = production.keys() & shadow.keys()
            self._tally.count_pairs(key, ((production[each], shadow[each]) for each in common))
            for side, records in ((Side.PRODUCTION, production), (Side.SHADOW, shadow)):
                for each in records.keys() - common:
                    onwards(side, records[each])

    def _firsts(self, side: Side, records: Iterator[Record], *, at: int) -> dict[tuple[int, object], Record]:
        firsts: dict[tuple[int, object], Record] = {}
        cell, dropped = self._cell, 0
        for record in records:
            key = (cell(record[0]), record[at])
            first = firsts.setdefault(key, record)
            if first is not record:
                dropped += 1
                firsts[key] = min(first, record, key=total_order)
        self._tally.counts[lost(side, Lost.DUPLICATE)] += dropped
        return firsts

    def _join_by_input(self) -> None:
        for chain in self._chains():
            pairs, left = pair_nearest(chain, within=self._within)
            self._tally.count_pairs(JoinKey.INPUT, pairs)
            for side, record in left:
                self._lose(side, record)

    def _chains(self) -> Iterator[list[Sided]]:
        """Records of one input and cell with no pause longer than *within*: none pairs with any outside."""
        open_: dict[bytes, list[Sided]] = {}
        for bucket in self._by_time.buckets():
            yield from self._closed(open_, before=bucket * SLICE)
            for side, record in _in_order(self._by_time.take(bucket)):
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


def _in_order(marked: Iterable[tuple[bool, Record]]) -> list[Sided]:
    ordered = sorted(marked, key=lambda each: (each[1][0], each[0], *each[1][1:4]))
    return [(Side.SHADOW if is_shadow else Side.PRODUCTION, record) for is_shadow, record in ordered]
