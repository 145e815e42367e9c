"""Captured records at random: of all forms, in each other's way, and some that are none."""

from __future__ import annotations

import base64
import json
import random
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.predictions.rule import PredictionRule

# Answers as models give them, and some that no rule can read.
OBJECTS = [
    {"predictions": [{"label": "stay", "score": 0.25}]},
    {"predictions": [{"label": "churn", "score": 0.75}]},
    {"predictions": [{"label": "stay", "score": 0.2500000001}]},
    {"predictions": [{"score": 1, "label": 1}]},
    {"predictions": [{"score": 1.0, "label": "1"}]},
    {"predictions": [{"score": "0.5", "label": "1.0"}]},
    {"predictions": [{"score": 9876543210, "label": True}]},
    {"predictions": [{"score": 9876543212, "label": "true"}]},
    {"predictions": [{"score": 2**60, "label": None}]},
    {"predictions": [{"score": 2**60 + 1, "label": "null"}]},
    {"predictions": [{"score": float("nan"), "label": "nan"}]},
    {"predictions": [{"score": True, "label": [1, "a"]}]},
    {"predictions": [{"label": "stay", "score": 0.25}, {"label": "churn", "score": 0.5}]},
    {"predictions": [{"label": "stay", "score": 0.25}, None]},
    {"predictions": []},
    {"predictions": [{"label": "ja\u2028nein", "score": -0.0}]},
    {"predictions": [{"label": 'with "quotes"', "score": 1e-300}]},
    {"predictions": [{"label": "x" * 60, "score": 1e300}]},
    {"note": "predictions", "predictions": [{"label": "label", "score": 5}]},
    {"error": "no model"},
    {"b": 2, "a": {"id": 1234567890, "x": 0.1}},
    {"a": {"x": 0.1 + 1e-17, "id": 1234567890}, "b": 2.0},
    {"a": {"x": 0.1, "id": 1234567892}, "b": "2"},
]
TEXTS = [
    *(json.dumps(each) for each in OBJECTS),
    json.dumps(OBJECTS[0], indent=2),
    "\ufeff" + json.dumps(OBJECTS[0]),
    json.dumps(OBJECTS[0]) + "\n" + json.dumps(OBJECTS[1]) + "\n",
    *("1", "1.0", '"1"', "true", "null", "NaN", "stay", " stay\n", "stay,0.25", "churn,0.75\n", "1.0,0.5"),
    *("0.1,0.2,0.3", "0.1\n0.2\n0.3\n", "[0.1, 0.2, 0.3]", '"two\nlines",1', 'a "b" c,2', "7\u20288,1"),
    *("-5,1e3", "007", "+1", "9007199254740993", "9007199254740992", "1e400", "0.30000000000000004", "0.3"),
    *("inf", "-", "{", "[", "word one", "Wörter", "a,b\nc,d", "\t", "a\rb", "1_000", "x" * 100, "{a", "{}"),
]
RULES = [
    PredictionRule(),
    PredictionRule(absolute_tolerance=0.5),
    PredictionRule(label="predictions[*].label"),
    PredictionRule(label="predictions[*].label", score="predictions[*].score"),
    PredictionRule(label="predictions[0].label", score="predictions[0].score", absolute_tolerance=0.1),
    PredictionRule(score="predictions[*].score", relative_tolerance=0.1),
    PredictionRule(score="$.a.x"),
    PredictionRule(score="[*]"),
    PredictionRule(label=0),
    PredictionRule(score=0),
    PredictionRule(label=0, score=1, within=timedelta(seconds=2)),
]


def one_line(chance: random.Random, side: str) -> bytes:
    """A line of captured data, or what could be taken for one."""
    record = one_record(chance, side)
    if chance.random() < 0.1:
        spoil(chance, record)
    written = json.dumps(record, ensure_ascii=chance.random() < 0.5).encode()
    return chance.choices(
        [written, b"", b" \r", written[:-9], b"\xff\xfe", b"[]", b"7", written + written, b"null"],
        [200, 2, 2, 1, 1, 1, 1, 1, 1],
    )[0]


def one_record(chance: random.Random, side: str) -> dict[str, Any]:
    number = chance.randrange(60)
    at = chance.choice([number, number, 3600 - number / 4, 3600 + number / 8, 1800 + chance.random() * 20])
    # A time that no other record has, so that nothing depends on how equal ones are ordered.
    metadata = {"inferenceTime": moment(at + chance.random() / 1000)}
    if chance.random() < 0.5:
        metadata["inferenceId"] = f"i{chance.randrange(20)}"
    if chance.random() < 0.6:
        # An event of its own, or one that both sides know.
        metadata["eventId"] = chance.choice([f"e{number}", f"{side}{chance.random()}"])
    data = {}
    if chance.random() < 0.9:
        sent = "\n".join(f"{chance.randrange(4)},5" for _ in range(chance.choice([1, 1, 3])))
        data["endpointInput"] = {"data": sent, "encoding": chance.choice(["CSV", "JSON"])}
    if chance.random() < 0.95:
        data["endpointOutput"] = output_of(chance)
    return {"captureData": data, "eventMetadata": metadata, "eventVersion": chance.choice("0000001")}


def output_of(chance: random.Random) -> dict[str, str]:
    output = {"observedContentType": "text/html", "mode": "OUTPUT", "data": chance.choice(TEXTS)}
    if chance.random() < 0.8:
        return {**output, "encoding": "JSON"}
    data = output["data"].encode() if chance.random() < 0.7 else chance.choice([b"\x93\xff", b"\xff" * 9])
    return {**output, "data": base64.b64encode(data).decode(), "encoding": "BASE64"}


def spoil(chance: random.Random, record: dict[str, Any]) -> None:
    output = record["captureData"].get("endpointOutput", {})
    times = ["yesterday", "2026-03-02T10:00:59", "", "2026-03-02"]
    chance.choice(
        [
            lambda: record.pop("eventVersion"),
            lambda: record["eventMetadata"].update(inferenceTime=chance.choice(times)),
            lambda: output.update(encoding="PICKLE"),
            lambda: output.update(data="@@", encoding="BASE64"),
            lambda: record.pop(chance.choice(["eventMetadata", "captureData"])),
        ]
    )()


def moment(seconds: float) -> str:
    whole, part = divmod(round(seconds * 1e6), 10**6)
    return f"2026-03-02T{10 + whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{part:06}Z"


def random_lines(seed: int) -> list[list[bytes]]:
    """The lines of production and of shadow; a few, or some hundreds."""
    chance = random.Random(seed)
    return [[one_line(chance, side) for _ in range(chance.choice([3, 300]))] for side in "ps"]
