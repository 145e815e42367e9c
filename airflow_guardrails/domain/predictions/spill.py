"""More records than memory should hold, in buckets: some in memory, the others in a file without a name."""

from __future__ import annotations

import marshal
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from airflow_guardrails.domain.predictions.records import Record, Side

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
