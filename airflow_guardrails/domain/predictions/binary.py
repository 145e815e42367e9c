"""Reads binary answers: text in gzip, and arrays of numbers in NumPy's format (.npy)."""

from __future__ import annotations

import ast
import gzip
import io
import math
import struct
import zlib
from typing import Any

_GZIP = b"\x1f\x8b"
_NPY = b"\x93NUMPY"

MAX_UNZIPPED = 64 * 2**20  # bytes; the largest answer of a real-time endpoint has less
MAX_ELEMENTS = 8 * 2**20  # a list of so many numbers takes about 256 MiB
_MAX_HEADER = 10_000  # bytes, as in NumPy
_MAX_DIMENSIONS = 32

# NumPy's type without its byte order -> the character of the struct module.
_TYPES = {
    "b1": "?", "f2": "e", "f4": "f", "f8": "d",
    "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
}  # fmt: skip
# Version of the format -> struct of the header's length.
_HEADER_LENGTH = {1: "<H", 2: "<I", 3: "<I"}
_BROKEN_HEADER = (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError, struct.error)


class NotAnArray(ValueError):
    """The data is not an array of numbers that can be read."""


def unzipped(data: bytes) -> bytes:
    """Return *data* without gzip; as it is if it is not gzip, is damaged, or is larger than 64 MiB."""
    if not data.startswith(_GZIP):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(MAX_UNZIPPED + 1)
    except (OSError, EOFError, zlib.error):
        return data
    return content if len(content) <= MAX_UNZIPPED else data


def read_array(data: bytes) -> Any:
    """
    Return an array in NumPy's format as nested lists of numbers and booleans (0 dimensions: the number).

    :raises NotAnArray: if it is anything else: another type such as objects or text, an incomplete file, or
        more than 8,388,608 elements.
    """
    if not data.startswith(_NPY):
        raise NotAnArray("no array in NumPy's format")
    try:
        descr, fortran_order, shape, start = _header(data)
        order, kind = descr[0], _TYPES[descr[1:]]
    except _BROKEN_HEADER as error:
        raise NotAnArray(f"the header cannot be read: {error!r}") from None
    # A dimension of 0 counts as 1: an array of (1000000, 0) has a million empty rows.
    if math.prod(max(length, 1) for length in shape) > MAX_ELEMENTS:
        raise NotAnArray("too many elements")
    layout = struct.Struct(f"{'>' if order == '>' else '<'}{math.prod(shape)}{kind}")
    if layout.size != len(data) - start:
        raise NotAnArray("the size is not that of the shape")
    return _nested(layout.unpack_from(data, start), shape, fortran_order=fortran_order)


def _header(data: bytes) -> tuple[str, bool, tuple[int, ...], int]:
    """Return type, whether the first axis varies fastest, shape, and where the elements start."""
    length_format = _HEADER_LENGTH[data[len(_NPY)] if len(data) > len(_NPY) else 0]
    start = len(_NPY) + 2
    (length,) = struct.unpack_from(length_format, data, start)
    start += struct.calcsize(length_format)
    if length > min(_MAX_HEADER, len(data) - start):
        raise ValueError("the header is too long")
    header = ast.literal_eval(data[start : start + length].decode().strip())
    descr, fortran_order, shape = header["descr"], header["fortran_order"], header["shape"]
    if type(descr) is not str or type(fortran_order) is not bool or type(shape) is not tuple:
        raise ValueError("the header has other types")
    # Only types of one byte have no byte order.
    if descr[:1] not in {"<", ">", "|"} or (descr[0] == "|" and descr[-1] != "1"):
        raise ValueError("no byte order")
    if len(shape) > _MAX_DIMENSIONS or not all(type(each) is int and each >= 0 for each in shape):
        raise ValueError("the shape is not a list of lengths")
    return descr, fortran_order, shape, start + length


def _nested(elements: tuple[Any, ...], shape: tuple[int, ...], *, fortran_order: bool) -> Any:
    # Distance of two neighbours on each axis.
    strides = [math.prod(shape[:axis] if fortran_order else shape[axis + 1 :]) for axis in range(len(shape))]

    def build(axis: int, start: int) -> Any:
        if axis == len(shape):
            return elements[start]
        stride, length = strides[axis], shape[axis]
        if axis == len(shape) - 1:
            return list(elements[start : start + stride * length : stride or 1])
        return [build(axis + 1, start + stride * number) for number in range(length)]

    return build(0, 0)
