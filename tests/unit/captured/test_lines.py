"""Which lines are captured records, what is read of them, and why others are none."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc

import pytest

from airflow_guardrails.captured import files
from airflow_guardrails.captured.comparing import compare_captures
from airflow_guardrails.captured.files import write_captured
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.tally import LineFault
from airflow_guardrails.exceptions import UnexpectedAnswer


def line(output="0.5", *, encoding="CSV", content_type="text/csv", at="2026-03-02T10:00:59Z", **metadata):
    """A record as the developer guide shows it ("Capture data from real-time endpoint")."""

    def part(mode, data, encoding, content_type):
        return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}

    data = {
        "endpointInput": part("INPUT", "132,25,113", "CSV", "text/csv"),
        "endpointOutput": part("OUTPUT", output, encoding, content_type),
    }
    return json.dumps(
        {
            "captureData": data,
            "eventMetadata": {"eventId": "e1", "inferenceTime": at, **metadata},
            "eventVersion": "0",
        }
    )


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-03-02T10:00:59Z", "2026-03-02T10:00:59+00:00"),
        ("2026-03-02T10:00:59.5Z", "2026-03-02T10:00:59.500000+00:00"),
        ("2026-03-02T10:00:59.123456789Z", "2026-03-02T10:00:59.123456+00:00"),
        ("2026-03-02T11:00:59+01:00", "2026-03-02T10:00:59+00:00"),
        ("2026-03-02T10:00:59.250000+00:00", "2026-03-02T10:00:59.250000+00:00"),
        ("1969-12-31T23:59:59.25Z", "1969-12-31T23:59:59.250000+00:00"),
    ],
)
def test_times_are_read_to_the_microsecond(text, read):
    assert compare_captures([line(at=text)], []).summary()["first_at"] == read


def test_what_else_a_record_says_changes_nothing():
    more = {"customAttributes": ["a=1"], "invocationSource": "ShadowExperiment", "inferenceId": "i1"}
    comparison = compare_captures([line(**more)], [line(inferenceId="i1")])
    assert (comparison.pairs, comparison.disagreements) == (1, 0)


def test_parts_that_were_not_captured_are_not_there():
    content = json.loads(line())
    content["captureData"] = {}
    assert compare_captures([json.dumps(content)], []).counts["production.no_output"] == 1


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (line()[:-20], LineFault.NOT_JSON),
        (line() + line(), LineFault.NOT_JSON),
        ('{"a":' * 100_000 + "1", LineFault.NOT_JSON),
        (b"\xff\xfe", LineFault.NOT_UNICODE),
        (line("\ud800"), LineFault.NOT_UNICODE),
        ("[]", LineFault.NOT_A_RECORD),
        ("7", LineFault.NOT_A_RECORD),
        ('{"captureData": {}}', LineFault.NOT_A_RECORD),
        (line(at="yesterday"), LineFault.TIME),
        (line(at="2026-03-02T10:00:59"), LineFault.TIME),
        (line(at="2026-03-02"), LineFault.TIME),
        (line(at=5), LineFault.TIME),
        (line(at="0000-01-01T00:00:00Z"), LineFault.TIME),
        (line(at="9999-12-31T23:59:59-14:00"), LineFault.TIME),
        (line("@@", encoding="BASE64"), LineFault.ENCODING),
        (line(encoding="PICKLE"), LineFault.ENCODING),
    ],
)
def test_a_line_that_is_no_captured_request_is_counted_with_its_reason(broken, fault):
    summary = compare_captures([line(), broken, line(eventId="e2")], [line()]).summary()
    assert summary["records"]["production"] == 3
    assert summary["pairs"] == 1
    assert summary["unjoined"]["production"]["broken"] == 1
    faults = summary["unreadable_lines"]["production"]
    assert {name: number for name, number in faults.items() if number} == {fault.value: 1}


def test_the_reasons_of_many_unreadable_lines_are_counted():
    lines = [line(eventId=f"e{number}") for number in range(100)]
    lines[10:10] = ["broken"] * 5
    lines[50:50] = [b"\xff"] * 7
    lines[70:70] = ["", "  "]
    faults = compare_captures(lines, []).summary()["unreadable_lines"]["production"]
    assert (faults["not_json"], faults["not_unicode"]) == (5, 7)


def test_blank_lines_are_nothing():
    assert compare_captures(["\n", "", b"  \r\n"], []).counts == {}


def test_another_version_is_read_and_said():
    content = {**json.loads(line()), "eventVersion": "1"}
    summary = compare_captures([json.dumps(content)], [line()]).summary()
    assert (summary["pairs"], summary["other_versions"]) == (1, {"production": 1, "shadow": 0})


def test_lines_of_both_variants_are_compared():
    production = [line("0.5\n", inferenceId="i1"), line("0.25\n", inferenceId="i2"), "broken"]
    shadow = [line("0.25\n", inferenceId="i2").encode() + b"\r\n", line("0.75\n", inferenceId="i1").encode()]
    rule = PredictionRule(score=0, absolute_tolerance=0.1)
    summary = compare_captures(production, shadow, rule).summary()
    assert (summary["pairs"], summary["disagreements"]) == (2, 1)


# Neither content type nor base64 makes a difference: the content decides.
WRITTEN = {
    "as it is": lambda body: {"output": body.decode(), "encoding": "JSON"},
    "as CSV": lambda body: {"output": body.decode(), "encoding": "CSV"},
    "in base64": lambda body: {"output": base64_of(body), "encoding": "BASE64"},
    "as HTML": lambda body: {
        "output": base64_of(body),
        "encoding": "BASE64",
        "content_type": "text/html; charset=utf-8",
    },
    "without a type": lambda body: {"output": base64_of(body), "encoding": "BASE64", "content_type": None},
    "as bytes": lambda body: {
        "output": base64_of(body),
        "encoding": "BASE64",
        "content_type": "application/octet-stream",
    },
    "compressed": lambda body: {"output": base64_of(gzip.compress(body, mtime=0)), "encoding": "BASE64"},
}
ANSWERS = {
    "an object": (b'{"label": "a", "score": 0.5}', b'{"score": 0.9, "label": "b"}', {"label", "score"}),
    "lines of JSON": (b'{"label": "a"}\n{"label": "b"}', b'{"label": "a"}\n{"label": "c"}', {"label"}),
    "a number": (b"0.5\n", b"0.9\n", {0}),
    "a line of cells": (b"a,0.5", b"b,0.5", {0, 1}),
    "lines of cells": (b"a,1\nb,2\n", b"a,1\nb,3\n", {0, 1}),
}
RULES = {
    "the whole": (PredictionRule(), {"label", "score", 0, 1}),
    "a label": (PredictionRule(label="label"), {"label"}),
    "a label and a score": (PredictionRule(label="label", score="score", absolute_tolerance=0.1), {"score"}),
    "a cell": (PredictionRule(score=0, absolute_tolerance=0.1), {0}),
    "two cells": (PredictionRule(label=0, score=1, absolute_tolerance=0.1), {1}),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("by", RULES)
def test_an_answer_is_read_however_it_was_written(answer, by):
    rule, reads = RULES[by]
    same, other, has = ANSWERS[answer]
    ways = [
        (f"{way} {number}", writing(body), body is same)
        for way, writing in WRITTEN.items()
        for number, body in enumerate((same, other))
    ]
    production = [line(**WRITTEN["as it is"](same), inferenceId=name) for name, *_ in ways]
    shadow = [line(**parts, inferenceId=name) for name, parts, _ in ways]
    comparison = compare_captures(production, shadow, rule)
    is_read = bool(has & reads) and not (rule.score == 0 and answer in {"a line of cells", "lines of cells"})
    assert comparison.counts.get("incomparable", 0) == (0 if is_read else len(ways))
    if is_read:
        assert comparison.disagreements == sum(not is_same for *_, is_same in ways)


def test_a_line_longer_than_any_record_can_be_is_left_out(monkeypatch):
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 3 * 2**20)
    long, short = line("x" * 4 * 2**20, eventId="e2"), line("x" * 2 * 2**20, eventId="e3")
    summary = compare_captures([line(), long, short, long, line(eventId="e4")], [line(), short]).summary()
    assert summary["unreadable_lines"]["production"]["too_long"] == 2
    assert summary["records"]["production"] == 5
    assert summary["pairs"] == 2


@pytest.mark.parametrize("size", [1, 7, 2**20, 2**24])
def test_files_are_written_whole_whatever_the_chunks(tmp_path, size, monkeypatch):
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 2 * 2**20)
    lines = [b"a" * 10, b"b" * 3 * 2**20, b"", b"c" * 2**20, b"d" * 5 * 2**20]
    data = b"\n".join(lines)
    if size < 100:
        lines, data = lines[:1] * 3, b"\n".join(lines[:1] * 3)
    written = write_captured(tmp_path / "a", (data[at : at + size] for at in range(0, len(data), size)))
    kept = [each for each in lines if len(each) < 2 * 2**20]
    assert written.path.read_bytes().rstrip(b"\n") == b"\n".join(kept).rstrip(b"\n")
    assert written.too_long == len(lines) - len(kept)
    assert written.longest >= max(map(len, kept))


def test_compressed_files_are_decompressed_in_parts(tmp_path):
    content = b"x\n" * 10**6
    packed = gzip.compress(content[:999], mtime=0) + gzip.compress(content[999:], mtime=0)
    for size in (1, 100, len(packed)):
        write_captured(tmp_path / "a", (packed[at : at + size] for at in range(0, len(packed), size)))
        assert (tmp_path / "a").read_bytes() == content


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:99] + b"x" * 50 + data[150:]])
def test_a_damaged_compressed_file_is_an_error(tmp_path, damage):
    packed = gzip.compress("\n".join(map(str, range(1000))).encode(), mtime=0)
    with pytest.raises(UnexpectedAnswer, match="not valid gzip"):
        write_captured(tmp_path / "a", [damage(packed)])


def test_inputs_are_shown_only_when_payloads_are_asked_for():
    lines = [line("1")], [line("2")]
    assert "132,25" not in json.dumps(compare_captures(*lines).as_dict())
    (example,) = compare_captures(*lines, with_payloads=True).examples
    assert example["payloads"] == {"input": "132,25,113", "production": "1", "shadow": "2"}


def test_memory_does_not_grow_with_what_is_compared():
    """What Python holds at a time is a part of twelve megabytes of records that it reads itself."""
    answer = json.dumps({"score": 1, "note": ["x" * 2000]}, indent=1)
    pairs, template = 3000, line(answer, encoding="JSON", inferenceId="i?")
    size = 2 * pairs * len(template)

    def lines():
        return (template.replace("i?", f"i{number}") for number in range(pairs))

    tracemalloc.start()
    try:
        comparison = compare_captures(lines(), lines(), PredictionRule(score="[*]"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert comparison.counts["incomparable"] == pairs
    assert peak < size / 2
