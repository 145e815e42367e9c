"""Captured data on the wire: where it lies in S3, and its lines as values."""

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
# real-time endpoint"). Whether an experiment puts its name before the endpoint's is not documented.
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
    "jsonl": Form.JSON_LINES,
    "ndjson": Form.JSON_LINES,
    "json": Form.JSON,
    "csv": Form.CSV,
}

_parse_json = json.JSONDecoder().raw_decode
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureKey:
    """What the key of an S3 object says: whose requests it holds, and of which hour (UTC)."""

    endpoint_name: str
    variant_name: str
    hour: datetime


def parse_capture_key(key: str) -> CaptureKey | None:
    """Read the *key* of an S3 object; ``None`` if it holds no captured data."""
    if (found := _KEY.search(key)) is None:
        return None
    try:
        hour = datetime.strptime(found["hour"], _HOUR).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return CaptureKey(endpoint_name=found["endpoint"], variant_name=found["variant"], hour=hour)


def capture_keys(keys: Iterable[str], wanted: CaptureKey) -> list[str]:
    """Those of *keys* that hold the requests of a variant and hour, in their order."""
    return [key for key in keys if parse_capture_key(key) == wanted]


def capture_prefix(destination_prefix: str, wanted: CaptureKey, *, experiment_name: str | None = None) -> str:
    """
    The prefix under which the objects of a variant and hour lie, below *destination_prefix*.

    With *experiment_name*, as if an experiment put its name before the endpoint's.
    """
    hour = wanted.hour.astimezone(timezone.utc).strftime(_HOUR)
    levels = [destination_prefix.strip("/"), experiment_name, wanted.endpoint_name, wanted.variant_name, hour]
    return "/".join(level for level in levels if level) + "/"


def captured(lines: Iterable[bytes | str], *, with_inputs: bool = False) -> Iterator[Captured | None]:
    """
    Read *lines* of captured data; blank ones are left out, and ``None`` stands for one that cannot be read.

    :param with_inputs: keep the text of inputs too, for examples that show them
    """
    for line in lines:
        if content := line.strip():
            yield parse_capture(content, with_input=with_inputs)


def parse_capture(line: bytes | str, *, with_input: bool = False) -> Captured | None:
    """
    Read one line of captured data, whatever else it may say; ``None`` if it is no captured request.

    A request needs its time. Ids, input and output may be missing.
    """
    try:
        text = line.decode() if isinstance(line, bytes) else line
        content, end = _parse_json(text)
        metadata, data = content["eventMetadata"], content["captureData"]
        sent = (data.get("endpointInput") or _NOTHING).get("data")
        form, output = _output(data.get("endpointOutput") or _NOTHING)
        if end != len(text):
            return None  # something follows, and it may be a request too
        inference_id, event_id = metadata.get("inferenceId"), metadata.get("eventId")
        return Captured(
            _microseconds(metadata["inferenceTime"]),
            inference_id if type(inference_id) is str else "",
            event_id if type(event_id) is str else "",
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
    """What text is written in; ``None`` for what is BASE64."""
    if encoding == "BASE64":
        return None
    if encoding == "CSV":
        return Form.CSV
    if encoding == "JSON":
        return Form.JSON_LINES if _said_form(content_type) is Form.JSON_LINES else Form.JSON
    raise ValueError(f"unknown encoding {encoding!r}")


def _decoded(data: bytes, content_type: str | None) -> tuple[Form, str | bytes]:
    try:
        return _said_form(content_type), data.decode()
    except UnicodeDecodeError:
        return Form.BYTES, data


def _said_form(content_type: str | None) -> Form:
    said = (content_type or "").lower()
    return next((form for word, form in _FORM_BY_WORD.items() if word in said), Form.TEXT)


_seconds: dict[str, int] = {}


def _microseconds(text: str) -> int:
    """A time such as ``2026-03-02T10:00:59Z``, with or without fractions, as microseconds since 1970."""
    at = _seconds.get(text)
    if at is not None:
        return at
    if text[-1] != "Z":
        return _since_1970(datetime.fromisoformat(text))
    second, _, fraction = text[:-1].partition(".")
    if fraction:
        digits = fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
        return _microseconds(f"{second}Z") + int(digits)
    # An hour has 3600 of these, and a million requests may share them.
    if len(_seconds) >= _MOST_SECONDS:
        _seconds.clear()
    at = _seconds[text] = _since_1970(datetime.fromisoformat(f"{second}+00:00"))
    return at


def _since_1970(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds
