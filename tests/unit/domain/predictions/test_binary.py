"""Which binary answers are read."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.domain.predictions import binary
from airflow_guardrails.domain.predictions.binary import NotAnArray, read_array, unzipped

NUMBERS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


def npy(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), version=version)
    return file.getvalue()


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (3, 2, 4), (1, 1, 1), (0,), (0, 3), (3, 0), (2, 0, 3)])
def test_arrays_are_read_as_numpy_reads_them(kind, byte_order, order, shape):
    values = np.arange(-5, np.prod(shape, dtype=int) - 5)
    array = np.asarray(values.astype(byte_order + kind).reshape(shape), order=order)
    assert repr(read_array(npy(array))) == repr(array.tolist())


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_read(version):
    assert read_array(npy([1.5, 2.5], version)) == [1.5, 2.5]


def test_the_largest_whole_numbers_are_exact():
    assert read_array(npy(np.array([2**64 - 1], "u8"))) == [2**64 - 1]


def header(text, data=b"", *, version=1, length=None):
    text = text.encode()
    length = len(text) if length is None else length
    return (
        b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(2 if version == 1 else 4, "little") + text + data
    )


VALID = "{'descr': '<i1', 'fortran_order': False, 'shape': (2,), }"


def test_a_minimal_header_is_read():
    assert read_array(header(VALID, b"\1\2")) == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPX\x01\x00",
        header(VALID, b"\1"),
        header(VALID, b"\1\2\3"),
        header(VALID, b"\1\2", version=4),
        header(VALID, b"\1\2", length=60),
        header(VALID + " " * 10_000, b"\1\2"),
        header("[]", b"\1\2"),
        header("{}", b"\1\2"),
        header("{'descr': ", b"\1\2"),
        header("__import__('os')", b"\1\2"),
        header("(" * 9_000, b"\1\2"),
        header("\\", b"\1\2"),
        header(VALID.replace("'<i1'", "None"), b"\1\2"),
        header(VALID.replace("'<i1'", "''"), b"\1\2"),
        header(VALID.replace("<i1", "=i1"), b"\1\2"),
        header(VALID.replace("<i1", "|i2"), b"\1\2\3\4"),
        header(VALID.replace("False", "0"), b"\1\2"),
        header(VALID.replace("(2,)", "2"), b"\1\2"),
        header(VALID.replace("(2,)", "(-2, -1)"), b"\1\2"),
        header(VALID.replace("(2,)", "(2.0,)"), b"\1\2"),
        header(VALID.replace("(2,)", "(2, True)"), b"\1\2"),
        header(VALID.replace("(2,)", f"(2, {'1, ' * 32})"), b"\1\2"),
        header(VALID.replace("(2,)", "(10**9, 0)")),
        header(VALID.replace("(2,)", "(1000000000, 0)")),
        header(VALID.replace("(2,)", f"({10**30},)")),
        npy(np.array(["text"])),
        npy(np.array([b"text"])),
        npy(np.array([1 + 2j])),
        npy(np.array(["2026-03-02"], "M8[s]")),
        npy(np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])),
        npy(np.array([{"a": 1}, None], object)),
    ],
)
def test_whatever_is_not_an_array_of_numbers_is_refused(data):
    with pytest.raises(NotAnArray):
        read_array(data)


def test_the_number_of_elements_is_limited(monkeypatch):
    monkeypatch.setattr(binary, "MAX_ELEMENTS", 6)
    assert len(read_array(npy(np.zeros(6)))) == 6
    for shape in (7, (7, 0)):
        with pytest.raises(NotAnArray, match="too many"):
            read_array(npy(np.zeros(shape)))


@given(st.binary(max_size=60), st.integers(1, 3))
def test_damaged_arrays_raise_only_one_error(data, version):
    with pytest.raises(NotAnArray):
        read_array(b"\x93NUMPY" + bytes([version, 0]) + data)


def test_gzip_is_taken_off_once():
    once = gzip.compress(b"yes", mtime=0)
    assert unzipped(once) == b"yes"
    assert unzipped(gzip.compress(once, mtime=0)) == once
    assert unzipped(once + once + b"\0" * 8) == b"yesyes"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"yes",
        b"\x1f",
        b"\x1f\x8b",
        gzip.compress(b"yes", mtime=0)[:-1],
        gzip.compress(b"yes", mtime=0) + b"rest",
    ],
)
def test_whatever_is_not_gzip_stays_as_it_is(data):
    assert unzipped(data) is data


def test_a_damaged_byte_is_noticed():
    data = bytearray(gzip.compress(b"yes" * 10, mtime=0))
    data[-5] ^= 1  # in the check sum
    assert unzipped(bytes(data)) == data


def test_the_size_of_the_content_is_limited(monkeypatch):
    monkeypatch.setattr(binary, "MAX_UNZIPPED", 1000)
    fits, bomb = gzip.compress(b"a" * 1000, mtime=0), gzip.compress(b"a" * 1001, mtime=0)
    assert unzipped(fits) == b"a" * 1000
    assert unzipped(bomb) is bomb
