"""Captured data as it lies in S3."""

from __future__ import annotations

import base64
import json
import tracemalloc
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.aws.captures import (
    CaptureKey,
    capture_keys,
    capture_prefix,
    captured,
    parse_capture,
    parse_capture_key,
)
from airflow_guardrails.domain.predictions import joining
from airflow_guardrails.domain.predictions.records import SECOND, Form
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.operators._judging.captures import compare_captures

TEN = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)
WANTED = CaptureKey(endpoint_name="churn", variant_name="shadow", hour=TEN)


def line(output="0.5", *, encoding="CSV", content_type="text/csv", at="2026-03-02T10:00:59Z", **metadata):
    """A record as the developer guide shows it ("Capture data from real-time endpoint")."""
    data = {
        "endpointInput": {
            "observedContentType": "text/csv",
            "mode": "INPUT",
            "data": "132,25,113",
            "encoding": "CSV",
        },
        "endpointOutput": {
            "observedContentType": content_type,
            "mode": "OUTPUT",
            "data": output,
            "encoding": encoding,
        },
    }
    return json.dumps(
        {
            "captureData": data,
            "eventMetadata": {"eventId": "e1", "inferenceTime": at, **metadata},
            "eventVersion": "0",
        }
    )


@pytest.mark.parametrize("before", ["", "captures/", "captures/my-experiment/"])
def test_a_key_has_variant_and_hour_below_any_prefix(before):
    key = f"{before}churn/shadow/2026/03/02/10/59-00-123-abc.jsonl"
    assert parse_capture_key(key) == WANTED


@pytest.mark.parametrize(
    "key",
    [
        "churn/shadow/2026/03/02/10/",
        "churn/shadow/2026/03/02/10/a.json",
        "churn/shadow/2026/13/02/10/a.jsonl",
        "churn/shadow/2026/03/02/a.jsonl",
        "shadow/2026/03/02/10/a.jsonl",
        "churn/shadow/2026/03/02/10/deeper/a.jsonl",
    ],
)
def test_other_keys_hold_no_captured_data(key):
    assert parse_capture_key(key) is None


def test_keys_of_other_variants_hours_and_endpoints_are_left_out():
    mine = "x/churn/shadow/2026/03/02/10/a.jsonl"
    others = [
        "x/churn/shadow-2/2026/03/02/10/a.jsonl",
        "x/churn/shadow/2026/03/02/11/a.jsonl",
        "x/old-churn/shadow/2026/03/02/10/a.jsonl",
        "x/churn/production/2026/03/02/10/a.jsonl",
    ]
    assert capture_keys([*others, mine], WANTED) == [mine]


@pytest.mark.parametrize(
    ("destination", "experiment"), [("", None), ("/captures/", None), ("captures", "trial")]
)
def test_the_prefix_of_an_hour_is_that_of_its_keys(destination, experiment):
    prefix = capture_prefix(destination, WANTED, experiment_name=experiment)
    assert parse_capture_key(f"{prefix}a.jsonl") == WANTED
    assert not prefix.startswith("/")


def test_the_prefix_of_an_hour_is_in_utc():
    berlin = timezone(timedelta(hours=1))
    there = CaptureKey(endpoint_name="churn", variant_name="shadow", hour=TEN.astimezone(berlin))
    assert capture_prefix("", there) == capture_prefix("", WANTED) == "churn/shadow/2026/03/02/10/"


def test_a_line_is_read_whatever_else_it_says():
    found = parse_capture(line(inferenceId="i1", invocationSource="ShadowExperiment"))
    assert (found.at, found.inference_id, found.event_id) == (
        (int(TEN.timestamp()) + 59) * SECOND,
        "i1",
        "e1",
    )
    assert (found.form, found.output) == (Form.CSV, "0.5")
    assert found.input_digest
    assert found.input == ""


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-03-02T10:00:59Z", 59_000_000),
        ("2026-03-02T10:00:59.5Z", 59_500_000),
        ("2026-03-02T10:00:59.123456789Z", 59_123_456),
        ("2026-03-02T11:00:59+01:00", 59_000_000),
        ("2026-03-02T10:00:59.250000+00:00", 59_250_000),
    ],
)
def test_times_are_read_to_the_microsecond(text, micros):
    assert parse_capture(line(at=text)).at - int(TEN.timestamp()) * SECOND == micros


@pytest.mark.parametrize(
    ("encoding", "content_type", "output", "form", "read"),
    [
        ("CSV", "text/csv; charset=utf-8", "1,2", Form.CSV, "1,2"),
        ("JSON", "application/json", "[1]", Form.JSON, "[1]"),
        ("JSON", "application/jsonlines", "1\n2", Form.JSON_LINES, "1\n2"),
        ("BASE64", "application/json", base64.b64encode(b"[1]").decode(), Form.JSON, "[1]"),
        ("BASE64", "text/csv", base64.b64encode(b"1").decode(), Form.CSV, "1"),
        ("BASE64", None, base64.b64encode(b"yes").decode(), Form.TEXT, "yes"),
        ("BASE64", "application/x-npy", base64.b64encode(b"\x93\xff").decode(), Form.BYTES, b"\x93\xff"),
    ],
)
def test_answers_are_decoded(encoding, content_type, output, form, read):
    found = parse_capture(line(output, encoding=encoding, content_type=content_type))
    assert (found.form, found.output) == (form, read)


def test_parts_that_were_not_captured_are_not_there():
    content = json.loads(line())
    content["captureData"] = {}
    found = parse_capture(json.dumps(content))
    assert (found.input_digest, found.output, found.inference_id) == (b"", None, "")


@pytest.mark.parametrize(
    "broken",
    [
        line()[:-20],
        line() + line(),
        b"\xff\xfe",
        "[]",
        "7",
        '{"captureData": {}}',
        line(at="yesterday"),
        line(at="2026-03-02T10:00:59"),
        line(at=5),
        line("@@", encoding="BASE64"),
        line(encoding="PICKLE"),
        line({"y": 1}),
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_captured_request_is_counted_and_not_fatal(broken):
    assert list(captured([broken, line()])) == [None, parse_capture(line())]


def test_blank_lines_are_nothing():
    assert list(captured(["\n", "", b"  \r\n"])) == []


def test_lines_of_both_variants_are_compared():
    production = [line("0.5\n", inferenceId="i1"), line("0.25\n", inferenceId="i2"), "broken"]
    shadow = [line("0.25\n", inferenceId="i2").encode() + b"\r\n", line("0.75\n", inferenceId="i1").encode()]
    rule = PredictionRule(score=0, absolute_tolerance=0.1)
    summary = compare_captures(production, shadow, rule).summary()
    assert (summary["pairs"], summary["disagreements"]) == (2, 1)
    assert summary["unjoined"]["production"]["broken"] == 1


def test_inputs_are_shown_only_when_payloads_are_asked_for():
    lines = [line("1")], [line("2")]
    assert "132,25" not in json.dumps(compare_captures(*lines).as_dict())
    (example,) = compare_captures(*lines, with_payloads=True).examples
    assert example["payloads"] == {"input": "132,25,113", "production": "1", "shadow": "2"}


def test_memory_does_not_grow_with_what_is_compared(monkeypatch):
    """Fifteen megabytes go through the room of half a one."""
    monkeypatch.setattr(joining, "MAX_BYTES_IN_MEMORY", 500_000)
    answer = json.dumps({"score": 1, "note": "x" * 2000})
    pairs, template = 3000, line(answer, encoding="JSON", inferenceId="i?")
    size = 2 * pairs * len(template)

    def lines():
        return (template.replace("i?", f"i{number}") for number in range(pairs))

    rule = PredictionRule(score="score")
    tracemalloc.start()
    try:
        comparison = compare_captures(lines(), lines(), rule)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (comparison.pairs, comparison.disagreements) == (pairs, 0)
    assert peak < size / 8
