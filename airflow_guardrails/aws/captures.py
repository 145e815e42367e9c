"""Captured data on the wire: where it lies in S3, and its lines as values."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
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
_MOST_MINUTES = 4096

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
        if line and not line.isspace():
            yield parse_capture(line, with_input=with_inputs)


def parse_capture(line: bytes | str, *, with_input: bool = False) -> Captured | None:
    """
    Read one line of captured data, whatever else it may say; ``None`` if it is no captured request.

    A request needs its time. Ids, input and output may be missing.
    """
    try:
        content, _ = _parse_json(line.decode() if isinstance(line, bytes) else line)
        metadata, data = content["eventMetadata"], content["captureData"]
        sent = (data.get("endpointInput") or {}).get("data")
        form, output = _output(data.get("endpointOutput") or {})
        return Captured(
            _microseconds(metadata["inferenceTime"]),
            _text(metadata.get("inferenceId")),
            _text(metadata.get("eventId")),
            _digest(sent) if isinstance(sent, str) and sent else b"",
            form,
            output,
            sent if with_input and isinstance(sent, str) else "",
        )
    except _BROKEN:
        return None


def _output(written: Mapping[str, Any]) -> tuple[Form, str | bytes | None]:
    data, content_type = written.get("data"), written.get("observedContentType")
    if not isinstance(data, str):
        return Form.TEXT, None
    encoding = written.get("encoding")
    if encoding == "JSON":
        return (_form(content_type) if _is_json_lines(content_type) else Form.JSON), data
    if encoding == "CSV":
        return Form.CSV, data
    if encoding == "BASE64":
        return _decoded(base64.b64decode(data, validate=True), content_type)
    raise ValueError(f"unknown encoding {encoding!r}")


def _decoded(data: bytes, content_type: object) -> tuple[Form, str | bytes]:
    try:
        return _form(content_type), data.decode()
    except UnicodeDecodeError:
        return Form.BYTES, data


def _form(content_type: object) -> Form:
    if _is_json_lines(content_type):
        return Form.JSON_LINES
    word = str(content_type or "").lower()
    if "json" in word:
        return Form.JSON
    return Form.CSV if "csv" in word else Form.TEXT


def _is_json_lines(content_type: object) -> bool:
    word = str(content_type or "").lower()
    return "jsonlines" in word or "ndjson" in word or "json-lines" in word or "x-jsonl" in word


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).digest()


_minutes: dict[str, int] = {}


def _microseconds(text: str) -> int:
    """A time such as ``2026-03-02T10:00:59Z``, with or without fractions, as microseconds since 1970."""
    if text[-1] != "Z":
        return _since_1970(datetime.fromisoformat(text))
    minute = text[:17]
    at = _minutes.get(minute)
    if at is None:
        at = _since_1970(datetime.fromisoformat(minute + "00+00:00"))
        # Records of an hour share sixty of these.
        if len(_minutes) >= _MOST_MINUTES:
            _minutes.clear()
        _minutes[minute] = at
    seconds, _, fraction = text[17:-1].partition(".")
    at += int(seconds) * SECOND
    return at + int(fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")) if fraction else at


def _since_1970(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds
