"""
Records of both sides joined, with bounded memory: by inference id, then by event id, then by input and time.

Each stage sorts what it gets into buckets that hold all candidates of a record, and hands what it cannot join
to the next stage. Records meet only within one *cell* of time, so that hours can be joined one by one.
"""

from __future__ import annotations

import heapq
import marshal
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from airflow_guardrails.domain.predictions.records import (
    SECOND,
    JoinKey,
    Record,
    Side,
    total_order,
)
from airflow_guardrails.domain.predictions.tally import Lost, Tally, lost

Sided: TypeAlias = "tuple[Side, Record]"

_PAIR = 2


def pair_nearest(chain: Sequence[Sided], *, within: int) -> tuple[list[tuple[Record, Record]], list[Sided]]:
    """
    Pair production's records with shadow's, all of one input, and say which are left.

    Records that both have an inference id are of different requests, for they were not joined by it. So
    shadow records without one are paired first, with any of production's; then the others, with what is left
    of production's without one. Of equal distances, the earlier counts first.
    """
    if len(chain) == _PAIR:
        return _pair_two(chain, within=within)
    chain = sorted(chain, key=_order)
    named = [each for each in chain if _is_shadow_with_id(each)]
    pairs, left = _pair_all([each for each in chain if not _is_shadow_with_id(each)], within=within)
    if not named:
        return pairs, left
    open_to_them = [each for each in left if each[0] is Side.PRODUCTION and not each[1][1]]
    others = [each for each in left if each[0] is Side.SHADOW or each[1][1]]
    more, rest = _pair_all(sorted([*open_to_them, *named], key=_order), within=within)
    return pairs + more, others + rest


def _pair_two(chain: Sequence[Sided], *, within: int) -> tuple[list[tuple[Record, Record]], list[Sided]]:
    by_side = dict(chain)
    if len(by_side) == _PAIR:
        production, shadow = by_side[Side.PRODUCTION], by_side[Side.SHADOW]
        if abs(production[0] - shadow[0]) <= within and not (production[1] and shadow[1]):
            return [(production, shadow)], []
    return [], list(chain)


def _pair_all(line: Sequence[Sided], *, within: int) -> tuple[list[tuple[Record, Record]], list[Sided]]:
    """
    Pair the nearest, take them out, and so on.

    On a line, the nearest two of different sides have nothing between them: whatever is between would be
    nearer to one of them. So only neighbours are looked at, in n log n.
    """
    after = list(range(1, len(line) + 1))
    before = list(range(-1, len(line) - 1))
    alive = [True] * len(line)
    pairs = []

    def candidate(left: int, right: int) -> Iterator[tuple[int, int, int]]:
        if left >= 0 and right < len(line) and line[left][0] is not line[right][0]:
            gap = line[right][1][0] - line[left][1][0]
            if gap <= within:
                yield gap, left, right

    heap = [each for left in range(len(line) - 1) for each in candidate(left, left + 1)]
    heapq.heapify(heap)
    while heap:
        _, left, right = heapq.heappop(heap)
        if not (alive[left] and alive[right]):
            continue
        alive[left] = alive[right] = False
        found = dict((line[left], line[right]))
        pairs.append((found[Side.PRODUCTION], found[Side.SHADOW]))
        outer_left, outer_right = before[left], after[right]
        if outer_left >= 0:
            after[outer_left] = outer_right
        if outer_right < len(line):
            before[outer_right] = outer_left
        for each in candidate(outer_left, outer_right):
            heapq.heappush(heap, each)
    return pairs, [each for each, is_left in zip(line, alive, strict=True) if is_left]


def _is_shadow_with_id(sided: Sided) -> bool:
    return sided[0] is Side.SHADOW and bool(sided[1][1])


def _order(sided: Sided) -> tuple[object, ...]:
    side, record = sided
    return record[0], side.value, total_order(record)


MOST_BYTES_IN_MEMORY = 16 * 2**20
_OBJECT = 64  # bytes that Python spends on bytes, beside what they hold


class Spill:
    """
    Buckets of records of both sides, which are read once, bucket by bucket, after all were added.

    *bucket_of* tells the bucket of a record. Records are held as marshal writes them: a fifth of their size
    as objects, and nothing for Python's garbage collector to walk through. At most MOST_BYTES_IN_MEMORY of
    them are in memory; the others are in a temporary file in *folder*, which has no name and is gone when the
    process is, however it ends.
    """

    def __init__(self, bucket_of: Callable[[Record], int], *, folder: Path | None = None) -> None:
        self._bucket_of = bucket_of
        self._folder = folder
        self._room = MOST_BYTES_IN_MEMORY
        self._waiting: dict[Side, defaultdict[int, list[bytes]]] = {side: defaultdict(list) for side in Side}
        self._written: defaultdict[tuple[Side, int], list[tuple[int, int]]] = defaultdict(list)
        self._file: Any = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def adder(self, side: Side) -> Callable[[Record], None]:
        """A function that adds a record of *side*."""
        waiting, bucket_of, dumps = self._waiting[side], self._bucket_of, marshal.dumps

        def add(record: Record) -> None:
            written = dumps(record)
            waiting[bucket_of(record)].append(written)
            self._room -= len(written) + _OBJECT
            if self._room <= 0:
                self._write()

        return add

    def take_all(self) -> Iterator[tuple[int, list[Record], list[Record]]]:
        """Each bucket, in order, with production's and shadow's records, whose order means nothing."""
        waiting = [bucket for buckets in self._waiting.values() for bucket in buckets]
        for bucket in sorted({*waiting, *(bucket for _, bucket in self._written)}):
            yield bucket, self._take(Side.PRODUCTION, bucket), self._take(Side.SHADOW, bucket)

    def _take(self, side: Side, bucket: int) -> list[Record]:
        written = self._waiting[side].pop(bucket, [])
        for offset, size in self._written.pop((side, bucket), ()):
            self._file.seek(offset)
            # Our own bytes, from a file that nobody else can open.
            written += marshal.loads(self._file.read(size))  # noqa: S302
        return list(map(marshal.loads, written))

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - it lives as long as this
        for side, buckets in self._waiting.items():
            for bucket, written in buckets.items():
                offset = self._file.tell()
                self._written[side, bucket].append((offset, self._file.write(marshal.dumps(written))))
            buckets.clear()
        self._room = MOST_BYTES_IN_MEMORY


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
