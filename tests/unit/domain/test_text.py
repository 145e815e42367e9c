"""Durations, counts and shares in words; texts of others on one line and without secrets."""

from __future__ import annotations

from datetime import timedelta
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.domain.text import (
    count_in_words,
    duration_in_words,
    masked,
    one_line,
    safe_text,
    share_in_words,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (3605, "1 h 5 s"),
        (5400, "1 h 30 min"),
        (100_000, "27 h 46 min 40 s"),
    ],
)
def test_a_duration_names_the_units_it_needs(seconds, words):
    assert duration_in_words(timedelta(seconds=seconds)) == words


def test_one_is_singular():
    assert [count_in_words(number, "alarm") for number in (0, 1, 2)] == ["0 alarms", "1 alarm", "2 alarms"]


def test_a_share_is_a_percentage_or_a_number_of_instances():
    assert share_in_words(25, None) == "25 % of the fleet"
    assert share_in_words(None, 1) == "1 instance"


# Texts of others.


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Threshold Crossed: 1 > 0.05", "Threshold Crossed: 1 > 0.05"),
        ("first\nsecond\r\nthird\vfourth\ffifth", "first second third fourth fifth"),
        ("first\u2028second\u2029third\x85fourth", "first second third fourth"),
        ("  wide \t\t gap\u00a0 ", "wide gap"),
        ("\x1b[31mRed\x1b[0m alarm", "Red alarm"),
        ("\x1b]0;a window's title\x07after", "after"),
        ("\x9b2Jcleared", "cleared"),
        ("bell\x07 null\x00 escape\x1b end", "bell null escape end"),
        ("to\u202eedoc\u202c be", "toedoc be"),
        ("half \ud800 of a pair", "half \ufffd of a pair"),
        ("Größe 3 µs, 名前, 👩‍🔬", "Größe 3 µs, 名前, 👩‍🔬"),
        ("", ""),
    ],
)
def test_a_text_is_one_line_without_control_characters(text, line):
    assert one_line(text) == line


@given(st.text())
def test_no_text_keeps_a_control_character_or_cannot_be_encoded(text):
    line = one_line(text)

    assert not {category(character) for character in line} & {"Cc", "Zl", "Zp", "Cs"}
    assert line.encode() is not None
    assert one_line(line) == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:secret@host/path", "https://***@host/path"),
        ('"https://user:secret@host:8443/"', '"https://***@host:8443/"'),
        ("https://user@host", "https://***@host"),
        ("https://us%40er:se%2Fcret@host", "https://***@host"),
        ("https://user:se@cret@host", "https://***@host"),
        ("https://user:se/cret@host/", "https://***@host/"),
        ("https://user:se#cr?et@host/", "https://***@host/"),
        ("socks5h://user:secret@proxy:1080", "socks5h://***@proxy:1080"),
        ("postgresql+psycopg2://user:secret@db/x", "postgresql+psycopg2://***@db/x"),
        ("//user:secret@host/path", "//***@host/path"),
        ("at http://a:secret@b and http://c:secret@d", "at http://***@b and http://***@d"),
        ("u=https%3A%2F%2Fuser%3Asecret%40host%2Fpath", "u=https%3A%2F%2F***@host%2Fpath"),
        ("u=https%253a%252f%252fuser%253asecret%2540host", "u=https%253a%252f%252f***@host"),
        ("?X-Amz-Signature=secret&x=1", "?X-Amz-Signature=***&x=1"),
        ("?a=b&X-Amz-Security-Token=secret", "?a=b&X-Amz-Security-Token=***"),
        ("?AWSAccessKeyId=secret&Signature=secret&Expires=1", "?AWSAccessKeyId=***&Signature=***&Expires=1"),
        ("X-Amz-Credential%3Dsecret%2F2026&", "X-Amz-Credential%3D***&"),
        ("aws_secret_access_key=hidden", "aws_secret_access_key=***"),
    ],
)
def test_credentials_in_urls_are_masked(text, shown):
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8443/a@b",
        "https://host/path?to=me@example.com",
        "arn:aws:sts::123456789012:assumed-role/Deploy/me@example.com",
        "mail me@example.com: errors > 0.05",
        "s3://bucket/key",
        "User is not authorized to perform: sagemaker:UpdateEndpoint on resource: arn:aws:sagemaker:*",
    ],
)
def test_what_holds_no_credentials_is_left_as_it_is(text):
    assert masked(text) == text


def test_a_long_text_takes_no_long_time():
    for text in ("a" * 200_000, "a:" * 100_000, "//" * 20_000, "a%3A" * 50_000, "https://" * 2_000):
        assert safe_text(text)


@pytest.mark.parametrize("other", [None, 5, ["text"], b"text"])
def test_what_is_no_text_is_empty(other):
    assert safe_text(other) == ""
