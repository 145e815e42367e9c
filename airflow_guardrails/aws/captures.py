"""Data capture: the keys of its objects in S3, and their lines as values."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from airflow_guardrails.domain.predictions.records import SECOND, Captured, Form

# s3://<destination>/{endpoint}/{variant}/yyyy/mm/dd/hh/*.jsonl, in UTC (developer guide, "Capture data from
# real-time endpoint"). AWS does not document whether an experiment puts its name before the endpoint's.
_KEY = re.compile(
    r"(?:^|/)(?P<endpoint>[^/]+)/(?P<variant>[^/]+)"
    r"/(?P<hour>[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2})/[^/]+\.jsonl$"
)
_HOUR = "%Y/%m/%d/%H"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND_DIGITS = 6
_MOST_SECONDS = 8192

_NOTHING: Mapping[str, Any] = {}
# The first word that a content type contains.
_FORM_BY_WORD = {
    # Before "json", which is a part of "jsonl" and of "ndjson".
    "jsonl": Form.JSON_LINES,
    "ndjson": Form.JSON_LINES,
    "json": Form.JSON,
    "csv": Form.CSV,
}

_parse_json = json.JSONDecoder().raw_decode
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureKey:
    """The parts of an S3 key: whose requests the object has, and of which hour (UTC)."""

    endpoint_name: str
    variant_name: str
    hour: datetime


def parse_capture_key(key: str) -> CaptureKey | None:
    """Return the parts of an S3 *key*; None if the object has no captured data."""
    if (found := _KEY.search(key)) is None:
        return None
    try:
        hour = datetime.strptime(found["hour"], _HOUR).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return CaptureKey(endpoint_name=found["endpoint"], variant_name=found["variant"], hour=hour)


def capture_keys(keys: Iterable[str], wanted: CaptureKey) -> list[str]:
    """Return those of *keys* that have the requests of the variant and hour, in the same order."""
    return [key for key in keys if parse_capture_key(key) == wanted]


def capture_prefix(destination_prefix: str, wanted: CaptureKey, *, experiment_name: str | None = None) -> str:
    """
    Return the S3 prefix of the objects of a variant and hour.

    :param experiment_name: returns the prefix for the case that an experiment puts its name in front.
    """
    hour = wanted.hour.astimezone(timezone.utc).strftime(_HOUR)
    levels = [destination_prefix.strip("/"), experiment_name, wanted.endpoint_name, wanted.variant_name, hour]
    return "/".join(level for level in levels if level) + "/"


def captured(lines: Iterable[bytes | str], *, with_inputs: bool = False) -> Iterator[Captured | None]:
    """
    Yield the request of each line, or None if the line cannot be read. Blank lines are left out.

    :param with_inputs: keep the text of inputs, for examples in a report.
    """
    for line in lines:
        if content := line.strip():
            yield parse_capture(content, with_input=with_inputs)


def parse_capture(line: bytes | str, *, with_input: bool = False) -> Captured | None:
    """
    Return the request in a line of captured data; None if it cannot be read.

    A request needs its time. IDs, input and output may be missing.
    """
    try:
        text = line.decode() if isinstance(line, bytes) else line
        content, end = _parse_json(text)
        metadata, data = content["eventMetadata"], content["captureData"]
        sent = (data.get("endpointInput") or _NOTHING).get("data")
        form, output = _output(data.get("endpointOutput") or _NOTHING)
        if end != len(text):
            return None  # more text follows, which may be another request
        inference_id, event_id = metadata.get("inferenceId"), metadata.get("eventId")
        return Captured(
            _microseconds(metadata["inferenceTime"]),
            inference_id if type(inference_id) is str else "",
            event_id if type(event_id) is str else "",
            # Inputs are only compared with each other, so a hash of 12 bytes takes their place in memory.
            blake2b(sent.encode("utf-8", "surrogatepass"), digest_size=12).digest() if sent else b"",
            form,
            output,
            sent if sent and with_input else "",
        )
    except _BROKEN:
        return None


def _output(written: Mapping[str, Any]) -> tuple[Form, str | bytes | None]:
    data: str | None = written.get("data")
    if data is None:
        return Form.TEXT, None
    if type(data) is not str:
        raise TypeError("data is always text")
    form = _form_of(written.get("encoding"), written.get("observedContentType"))
    if form is None:
        return _decoded(base64.b64decode(data, validate=True), written.get("observedContentType"))
    return form, data


@lru_cache(maxsize=256)
def _form_of(encoding: str, content_type: str | None) -> Form | None:
    """Return the form of a text; None for BASE64."""
    if encoding == "BASE64":
        return None
    if encoding == "CSV":
        return Form.CSV
    if encoding == "JSON":
        return Form.JSON_LINES if _form_of_type(content_type) is Form.JSON_LINES else Form.JSON
    raise ValueError(f"unknown encoding {encoding!r}")


def _decoded(data: bytes, content_type: str | None) -> tuple[Form, str | bytes]:
    try:
        return _form_of_type(content_type), data.decode()
    except UnicodeDecodeError:
        return Form.BYTES, data


def _form_of_type(content_type: str | None) -> Form:
    lower_case = (content_type or "").lower()
    return next((form for word, form in _FORM_BY_WORD.items() if word in lower_case), Form.TEXT)


_seconds: dict[str, int] = {}


def _microseconds(text: str) -> int:
    """Return a time such as ``2026-03-02T10:00:59Z`` or ``...59.25Z`` in microseconds since 1970."""
    at = _seconds.get(text)
    if at is not None:
        return at
    if text[-1] != "Z":
        return _since_1970(datetime.fromisoformat(text))
    second, _, fraction = text[:-1].partition(".")
    if fraction:
        digits = fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
        return _microseconds(f"{second}Z") + int(digits)
    # Cached: a million requests may share the 3600 seconds of an hour.
    if len(_seconds) >= _MOST_SECONDS:
        _seconds.clear()
    at = _seconds[text] = _since_1970(datetime.fromisoformat(f"{second}+00:00"))
    return at


def _since_1970(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds
