"""Compares captured records in plain Python, by the rules of the docs: what the engine must agree with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import datetime, timezone
from typing import Any

from airflow_guardrails.captured.comparing import compare_captures
from airflow_guardrails.domain.predictions.comparison import Comparison, microseconds
from airflow_guardrails.domain.predictions.joining import join
from airflow_guardrails.domain.predictions.parsing import answer_reader
from airflow_guardrails.domain.predictions.records import (
    BOUNDARY_WIDTH,
    HOUR,
    SECOND,
    Record,
    Side,
    distance,
    keep_nearest,
    side_of,
    to_json,
)
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.shapes import shape_of
from airflow_guardrails.domain.predictions.tally import (
    NOT_CARRIED,
    OTHER_VERSION,
    RECORDS,
    REUSED_IDS,
    LineFault,
    Tally,
    UnjoinedReason,
    fault_key,
    side_key,
    unjoined_key,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class _Fault(Exception):
    def __init__(self, fault: LineFault) -> None:
        super().__init__(fault)
        self.fault = fault


def reference_comparison(production: list[bytes], shadow: list[bytes], rule: PredictionRule) -> Comparison:
    """Return the comparison of these lines, without what only the engine knows."""
    tally = Tally(rule)
    counts = tally.counts
    read = answer_reader(rule)
    records: list[tuple[Side, Record]] = []
    bodies: dict[int, Any] = {}
    times: list[int] = []
    for side, lines in ((Side.PRODUCTION, production), (Side.SHADOW, shadow)):
        for line in filter(bytes.strip, lines):
            counts[side_key(side, RECORDS)] += 1
            try:
                content = _content(line)
                at, body, content_type = _time(content), *_body(content)
            except _Fault as error:
                counts[unjoined_key(side, UnjoinedReason.BROKEN)] += 1
                counts[fault_key(side, error.fault)] += 1
                continue
            times.append(at)
            counts[side_key(side, OTHER_VERSION)] += content.get("eventVersion") != "0"
            if not body:
                counts[unjoined_key(side, UnjoinedReason.NO_OUTPUT)] += 1
                continue
            metadata = content["eventMetadata"]
            sent = (content["captureData"].get("endpointInput") or {}).get("data")
            record = Record(
                at,
                metadata.get("inferenceId") or "",
                metadata.get("eventId") or "",
                hashlib.md5(sent.encode()).hexdigest() if sent else "",
                read(body, _input_rows(content)),
            )
            bodies[id(record)] = body, content_type
            records.append((side, record))
    joined = join(records, within=microseconds(rule.within), cell=lambda at: at // HOUR)
    for key, one, other in joined.pairs:
        if not tally.count_pair(key, one, other):
            for record in (one, other):
                tally.add_unread(shape_of(*bodies[id(record)]))
    near = [(side, to_json(side, record)) for side, record in joined.unmatched if _is_near(record)]
    kept, _ = keep_nearest(text for _, text in near if text)
    for side in Side:
        counts[unjoined_key(side, UnjoinedReason.DUPLICATE)] += joined.duplicates[side]
        counts[side_key(side, REUSED_IDS)] += joined.reused[side]
        carried = sum(side_of(text) is side for text in kept)
        only = sum(each is side for each, _ in joined.unmatched)
        counts[unjoined_key(side, UnjoinedReason.ONLY)] += only - carried
        counts[side_key(side, NOT_CARRIED)] += sum(each is side for each, _ in near) - carried
    return Comparison.from_tally(
        tally,
        rule=rule,
        edges=kept,
        first_at=min(times, default=None),
        last_at=max(times, default=None),
    )


def assert_engine_agrees(production: list[bytes], shadow: list[bytes], rule: PredictionRule) -> None:
    expected = reference_comparison(production, shadow, rule)
    found = compare_captures(production, shadow, rule)
    engines = list(found.engines)
    assert found.as_dict() == {**expected.as_dict(), "engines": engines}
    assert found.summary() == {**expected.summary(), "engines": engines}


def _content(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line.decode())
    except UnicodeDecodeError:
        raise _Fault(LineFault.NOT_UNICODE) from None
    except ValueError:
        raise _Fault(LineFault.NOT_JSON) from None
    known = [isinstance(content, dict) and content.get(name) for name in ("captureData", "eventMetadata")]
    if not all(isinstance(part, dict) for part in known):
        raise _Fault(LineFault.NOT_A_RECORD)
    return content


def _time(content: dict[str, Any]) -> int:
    text = content["eventMetadata"].get("inferenceTime")
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        since = moment - _EPOCH
    except (ValueError, TypeError):
        raise _Fault(LineFault.TIME) from None
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def _body(content: dict[str, Any]) -> tuple[str | bytes | None, str | None]:
    output = content["captureData"].get("endpointOutput") or {}
    data, encoding = output.get("data"), output.get("encoding")
    if data is None:
        return None, None
    if encoding not in {"CSV", "JSON", "BASE64"}:
        raise _Fault(LineFault.ENCODING)
    if encoding != "BASE64":
        return data, output.get("observedContentType")
    try:
        decoded = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise _Fault(LineFault.ENCODING) from None
    try:
        return decoded.decode(), output.get("observedContentType")
    except UnicodeDecodeError:
        return decoded, output.get("observedContentType")


def _input_rows(content: dict[str, Any]) -> int | None:
    sent = content["captureData"].get("endpointInput") or {}
    text = sent.get("data")
    if text is None or sent.get("encoding") in {"BASE64", "JSON", None} or text[:1] in {"{", "["}:
        return None
    return sum(bool(line.strip(" \t\r")) for line in text.split("\n"))


def _is_near(record: Record) -> bool:
    return distance(record.at) <= BOUNDARY_WIDTH
