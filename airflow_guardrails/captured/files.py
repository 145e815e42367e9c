"""Writes captured data to files that DuckDB can read: plain text, no line too long."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_guardrails.captured.database import MIB
from airflow_guardrails.exceptions import UnexpectedAnswer

# InvokeEndpoint takes 25 MB and returns 25 MB; as base64 in one line, that is 67 MB.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
MAX_LINE_BYTES = 72 * MIB
_CHUNK = MIB
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31


@dataclass(frozen=True, slots=True)
class CapturedFile:
    """
    A file of captured records.

    :param too_long: number of lines that were left out because they are longer than 72 MiB.
    :param longest: length of the longest line, or more.
    """

    path: Path
    too_long: int = 0
    longest: int = _CHUNK


def write_captured(path: Path, chunks: Iterable[bytes]) -> CapturedFile:
    """
    Write *chunks* to a file, decompressed if they are gzip, without lines that are too long.

    It takes a time proportional to the number of bytes, and the memory of a chunk.

    :raises UnexpectedAnswer: if they begin as gzip and are not valid.
    """
    too_long = longest = 0
    start = 0  # where the last line starts in the file
    length = 0  # of the last line so far; more than the limit while it is skipped
    with path.open("wb") as file:
        for chunk in _pieces(_decompressed(chunks)):
            end = chunk.rfind(b"\n") + 1
            first = chunk.find(b"\n") + 1
            length += first or len(chunk)
            if length > MAX_LINE_BYTES:
                # Nothing of this line may stay.
                file.seek(start)
                file.truncate()
                too_long += bool(first)
                chunk = chunk[first:] if first else b""  # noqa: PLW2901 - the rest of it
            else:
                longest = max(longest, length)
            file.write(chunk)
            if end:
                length = len(chunk) - (chunk.rfind(b"\n") + 1)
                start = file.tell() - length
        too_long += length > MAX_LINE_BYTES
    return CapturedFile(path, too_long, max(longest, _CHUNK))


def captured_file(path: Path) -> CapturedFile:
    """Describe a file that is already there, in plain text."""
    longest = length = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            first = chunk.find(b"\n") + 1
            length += first or len(chunk)
            longest = max(longest, length)
            if first:
                length = len(chunk) - (chunk.rfind(b"\n") + 1)
    return CapturedFile(path, longest=max(longest, _CHUNK))


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut what is larger than a chunk: within one, every line is short."""
    for chunk in chunks:
        for at in range(0, len(chunk), _CHUNK):
            yield chunk[at : at + _CHUNK]


def _decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip, whatever the name of the object; several members may follow each other."""
    chunks = iter(chunks)
    head = b""
    while len(head) < len(_GZIP_MAGIC) and (chunk := next(chunks, b"")):
        head += chunk
    if not head.startswith(_GZIP_MAGIC):
        yield head
        yield from chunks
        return
    decompress = zlib.decompressobj(_GZIP_WINDOW)
    is_started = False
    for chunk in _chained(head, chunks):
        rest = chunk
        while rest:
            try:
                yield decompress.decompress(rest, _CHUNK)
            except zlib.error as error:
                raise UnexpectedAnswer(f"A captured file is not valid gzip: {error}") from error
            is_started, rest = True, decompress.unconsumed_tail
            if decompress.eof:
                is_started, rest = False, decompress.unused_data
                decompress = zlib.decompressobj(_GZIP_WINDOW)
    if is_started:
        raise UnexpectedAnswer("A captured file is not valid gzip: it ends too early")


def _chained(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from chunks
