"""More records than memory should hold, in buckets: some in memory, the others in a file without a name."""

from __future__ import annotations

import marshal
import tempfile
from collections import defaultdict
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

# Some tens of megabytes as Python objects.
MOST_IN_MEMORY = 32_768


class Spill:
    """
    Buckets of plain tuples, which are read once, bucket by bucket, after all were added.

    At most *most_in_memory* of them are in memory while they are added; the others are in a temporary file in
    *folder*, which has no name and is gone when the process is, however it ends.
    """

    def __init__(self, folder: Path | None = None, *, most_in_memory: int | None = None) -> None:
        self._folder = folder
        self._most = most_in_memory or MOST_IN_MEMORY
        self._room = self._most
        self._waiting: defaultdict[Any, list[Any]] = defaultdict(list)
        self._written: defaultdict[Any, list[tuple[int, int]]] = defaultdict(list)
        self._file: Any = None

    def close(self) -> None:
        self._waiting.clear()
        if self._file is not None:
            self._file.close()

    def add(self, bucket: Hashable, record: Any, weight: int = 1) -> None:
        """Keep *record*, a tuple of what marshal writes; it takes as much memory as *weight* small ones."""
        self._waiting[bucket].append(record)
        self._room -= weight
        if self._room <= 0:
            self._write()

    def buckets(self) -> list[Any]:
        return sorted({*self._waiting, *self._written})

    def take(self, bucket: Hashable) -> Iterator[Any]:
        """All records of *bucket*, in no order that means anything."""
        for offset, size in self._written.pop(bucket, ()):
            self._file.seek(offset)
            # Our own bytes, from a file that nobody else can open.
            yield from marshal.loads(self._file.read(size))  # noqa: S302
        yield from self._waiting.pop(bucket, ())

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - it lives as long as this
        write, tell = self._file.write, self._file.tell
        for bucket, records in self._waiting.items():
            offset = tell()
            self._written[bucket].append((offset, write(marshal.dumps(records))))
        self._waiting.clear()
        self._room = self._most
