"""
Joins the records of both sides with bounded memory: by inference id, then by event id, then by input and
time.

Each stage sorts its records into buckets, so that all candidates for a record are in the same bucket. Records
that it cannot join go to the next stage. Records are joined only within the same *cell* of time (for example
an hour), so that hours can be joined one by one.
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
from airflow_guardrails.domain.predictions.tally import Tally, UnjoinedReason, unjoined_key

_SidedRecord: TypeAlias = "tuple[Side, Record]"

_PAIR = 2


def pair_nearest(
    chain: Sequence[_SidedRecord], *, within: int
) -> tuple[list[tuple[Record, Record]], list[_SidedRecord]]:
    """
    Pair records of the same input by the nearest time; return the pairs and the records that are left.

    Two records that both have an inference id are of different requests, or they would be joined already. So
    shadow records without an id are paired first, with any record of production. Then the others are paired
    with production's remaining records without an id. Of equal distances, the earlier one is used.

    :param within: largest difference of the times of a pair, in microseconds.
    """
    if len(chain) == _PAIR:
        return _pair_two(chain, within=within)
    chain = sorted(chain, key=_order)
    with_id = [each for each in chain if _is_shadow_with_id(each)]
    pairs, left = _pair_all([each for each in chain if not _is_shadow_with_id(each)], within=within)
    # This is the usual case: all clients send an id, or none does.
    if not with_id:
        return pairs, left
    candidates = [each for each in left if each[0] is Side.PRODUCTION and not each[1][1]]
    others = [each for each in left if each[0] is Side.SHADOW or each[1][1]]
    more, rest = _pair_all(sorted([*candidates, *with_id], key=_order), within=within)
    return pairs + more, others + rest


def _pair_two(
    chain: Sequence[_SidedRecord], *, within: int
) -> tuple[list[tuple[Record, Record]], list[_SidedRecord]]:
    by_side = dict(chain)
    if len(by_side) == _PAIR:
        production, shadow = by_side[Side.PRODUCTION], by_side[Side.SHADOW]
        # Two different inference ids are two different requests.
        if abs(production[0] - shadow[0]) <= within and not (production[1] and shadow[1]):
            return [(production, shadow)], []
    return [], list(chain)


def _pair_all(
    line: Sequence[_SidedRecord], *, within: int
) -> tuple[list[tuple[Record, Record]], list[_SidedRecord]]:
    """
    Pair the two nearest records of different sides, remove them, and repeat; O(n log n).

    The nearest two are always neighbours in time: a record between them would be nearer to one of them. So
    only neighbours are compared.
    """
    after = list(range(1, len(line) + 1))
    before = list(range(-1, len(line) - 1))
    unpaired = [True] * len(line)
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
        if not (unpaired[left] and unpaired[right]):
            continue
        unpaired[left] = unpaired[right] = False
        by_side = dict((line[left], line[right]))
        pairs.append((by_side[Side.PRODUCTION], by_side[Side.SHADOW]))
        # What was left and right of the pair are neighbours now.
        outer_left, outer_right = before[left], after[right]
        if outer_left >= 0:
            after[outer_left] = outer_right
        if outer_right < len(line):
            before[outer_right] = outer_left
        for each in candidate(outer_left, outer_right):
            heapq.heappush(heap, each)
    return pairs, [each for each, is_left in zip(line, unpaired, strict=True) if is_left]


def _is_shadow_with_id(sided: _SidedRecord) -> bool:
    return sided[0] is Side.SHADOW and bool(sided[1][1])


def _order(sided: _SidedRecord) -> tuple[object, ...]:
    side, record = sided
    return record[0], side.value, total_order(record)


MAX_BYTES_IN_MEMORY = 16 * 2**20
_OVERHEAD = 64  # bytes of a Python bytes object in addition to its content


class _SpillBuffer:
    """
    Records of both sides in buckets, which are read once, bucket by bucket, after all records were added.

    Records are stored in marshal's format: a fifth of their size as objects, and no work for the garbage
    collector. At most :data:`MAX_BYTES_IN_MEMORY` are in memory, the rest in a temporary file. The file has
    no name, so the operating system deletes it even if the process is killed.

    :param bucket_of: returns the bucket of a record.
    :param folder: folder of the temporary file; default: the system's.
    """

    def __init__(self, bucket_of: Callable[[Record], int], *, folder: Path | None = None) -> None:
        self._bucket_of = bucket_of
        self._folder = folder
        self._room = MAX_BYTES_IN_MEMORY
        self._in_memory: dict[Side, defaultdict[int, list[bytes]]] = {
            side: defaultdict(list) for side in Side
        }
        # (side, bucket) -> offset and size of each part in the file.
        self._in_file: defaultdict[tuple[Side, int], list[tuple[int, int]]] = defaultdict(list)
        self._file: Any = None

    def close(self) -> None:
        """Delete the temporary file, if there is one."""
        if self._file is not None:
            self._file.close()

    def adder(self, side: Side) -> Callable[[Record], None]:
        """Return a function that adds a record of *side*."""
        buckets, bucket_of, dumps = self._in_memory[side], self._bucket_of, marshal.dumps

        def add(record: Record) -> None:
            data = dumps(record)
            buckets[bucket_of(record)].append(data)
            self._room -= len(data) + _OVERHEAD
            if self._room <= 0:
                self._write_file()

        return add

    def take_all(self) -> Iterator[tuple[int, list[Record], list[Record]]]:
        """Yield each bucket in ascending order with the records of production and of shadow, unordered."""
        in_memory = [bucket for buckets in self._in_memory.values() for bucket in buckets]
        for bucket in sorted({*in_memory, *(bucket for _, bucket in self._in_file)}):
            yield bucket, self._take(Side.PRODUCTION, bucket), self._take(Side.SHADOW, bucket)

    def _take(self, side: Side, bucket: int) -> list[Record]:
        records = self._in_memory[side].pop(bucket, [])
        for offset, size in self._in_file.pop((side, bucket), ()):
            self._file.seek(offset)
            # Safe to load: this process wrote it, to a file that no other process can open.
            records += marshal.loads(self._file.read(size))  # noqa: S302
        return list(map(marshal.loads, records))

    def _write_file(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - open until close()
        for side, buckets in self._in_memory.items():
            for bucket, records in buckets.items():
                offset = self._file.tell()
                self._in_file[side, bucket].append((offset, self._file.write(marshal.dumps(records))))
            buckets.clear()
        self._room = MAX_BYTES_IN_MEMORY


BUCKETS = 128
_TIME_SLICE = 15 * SECOND
# Records of one input without a pause between them are paired in parts of this size, to bound memory.
_MAX_CHAIN = 100_000

_CellOf: TypeAlias = "Callable[[int], int]"
_OnUnmatched: TypeAlias = "Callable[[Side, Record], None]"
_Firsts: TypeAlias = "dict[tuple[int, object], Record]"

# Position of the id in a record.
_ID_AT = {JoinKey.INFERENCE_ID: 1, JoinKey.EVENT_ID: 2}


class Join:
    """
    Joins the records that are added, once, and counts the pairs in *tally*.

    Of records with the same id, side and cell, the earliest is joined; the others are counted as duplicates.

    :param within: for the join by input: largest difference of the times of a pair, in microseconds.
    :param cell: returns the cell of a time; records of different cells are not joined.
    :param on_unmatched: called with the side and the record for each record without a pair.
    :param folder: folder of temporary files; default: the system's.
    """

    def __init__(
        self,
        tally: Tally,
        *,
        within: int,
        cell: _CellOf,
        on_unmatched: _OnUnmatched,
        folder: Path | None = None,
    ) -> None:
        self._tally, self._within, self._cell, self._on_unmatched = tally, within, cell, on_unmatched
        # hash() of a str differs between processes; only equality within this process matters here.
        self._by_inference_id = _SpillBuffer(lambda record: hash(record[1]) % BUCKETS, folder=folder)
        self._by_event_id = _SpillBuffer(lambda record: hash(record[2]) % BUCKETS, folder=folder)
        self._by_time = _SpillBuffer(lambda record: record[0] // _TIME_SLICE, folder=folder)

    def close(self) -> None:
        """Delete the temporary files."""
        for spill in (self._by_inference_id, self._by_event_id, self._by_time):
            spill.close()

    def adder(self, side: Side) -> Callable[[Record], None]:
        """Return a function that adds a record of *side*."""
        by_inference_id, by_event_id = self._by_inference_id.adder(side), self._after_inference_id(side)

        def add(record: Record) -> None:
            (by_inference_id if record[1] else by_event_id)(record)

        return add

    def run(self) -> None:
        """Join all records that were added; may be called once."""
        self._join_by_id(self._by_inference_id, JoinKey.INFERENCE_ID, next_stage=self._after_inference_id)
        self._join_by_id(self._by_event_id, JoinKey.EVENT_ID, next_stage=self._after_event_id)
        for chain in self._chains():
            pairs, left = pair_nearest(chain, within=self._within)
            self._tally.count_pairs(JoinKey.INPUT, pairs)
            for side, record in left:
                self._on_unmatched(side, record)

    def _after_inference_id(self, side: Side) -> Callable[[Record], None]:
        by_event_id, after_event_id = self._by_event_id.adder(side), self._after_event_id(side)

        def add(record: Record) -> None:
            (by_event_id if record[2] else after_event_id)(record)

        return add

    def _after_event_id(self, side: Side) -> Callable[[Record], None]:
        by_time = self._by_time.adder(side)

        def add(record: Record) -> None:
            # Without a captured input there is nothing left to join by.
            if record[3]:
                by_time(record)
            else:
                self._on_unmatched(side, record)

        return add

    def _join_by_id(
        self, spill: _SpillBuffer, key: JoinKey, *, next_stage: Callable[[Side], Callable[[Record], None]]
    ) -> None:
        for _, *records in spill.take_all():
            firsts = [
                self._firsts(side, each, at=_ID_AT[key]) for side, each in zip(Side, records, strict=True)
            ]
            production, shadow = firsts
            common = production.keys() & shadow.keys()
            self._tally.count_pairs(key, ((production[each], shadow[each]) for each in common))
            for side, first in zip(Side, firsts, strict=True):
                add = next_stage(side)
                for each in first.keys() - common:
                    add(first[each])

    def _firsts(self, side: Side, records: list[Record], *, at: int) -> _Firsts:
        """Return the earliest record for each cell and id, and count the others as duplicates."""
        cell = self._cell
        firsts: _Firsts = {}
        for record in records:
            key = (cell(record[0]), record[at])
            first = firsts.setdefault(key, record)
            if first is not record:
                firsts[key] = min(first, record, key=total_order)
        self._tally.counts[unjoined_key(side, UnjoinedReason.DUPLICATE)] += len(records) - len(firsts)
        return firsts

    def _chains(self) -> Iterator[list[_SidedRecord]]:
        """
        Yield the records of one input and cell that follow each other without a pause longer than *within*.

        A record of a chain cannot be paired with one outside of it.
        """
        open_: dict[bytes, list[_SidedRecord]] = {}
        for bucket, production, shadow in self._by_time.take_all():
            # Chains that ended before this slice are complete, so they can be released.
            yield from self._ended(open_, before=bucket * _TIME_SLICE)
            for side, record in _in_order(production, shadow):
                chain = open_.get(record[3])
                if chain is not None and self._continues(chain, record):
                    chain.append((side, record))
                    continue
                if chain is not None:
                    yield chain
                open_[record[3]] = [(side, record)]
        yield from open_.values()

    def _continues(self, chain: list[_SidedRecord], record: Record) -> bool:
        last = chain[-1][1][0]
        near = record[0] - last <= self._within
        return near and len(chain) < _MAX_CHAIN and self._cell(last) == self._cell(record[0])

    def _ended(self, open_: dict[bytes, list[_SidedRecord]], *, before: int) -> Iterator[list[_SidedRecord]]:
        for digest in [each for each, chain in open_.items() if before - chain[-1][1][0] > self._within]:
            yield open_.pop(digest)


def _in_order(production: list[Record], shadow: list[Record]) -> list[_SidedRecord]:
    sided = [
        (side, each) for side, records in zip(Side, (production, shadow), strict=True) for each in records
    ]
    # Of equal times, side and ids decide, so that the order of the input does not matter.
    return sorted(sided, key=lambda each: (each[1][0], each[0].value, *each[1][1:4]))
