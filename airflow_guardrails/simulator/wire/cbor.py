"""
Smithy RPC v2 CBOR, the protocol in which several SDKs speak to CloudWatch, in terms of JSON.

moto knows CloudWatch's JSON protocol. So a request in CBOR becomes one in JSON, and its response CBOR again.
https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import botocore.session
import cbor2
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_PATH = re.compile(r"^/service/(?P<service>[^/]+)/operation/(?P<operation>\w+)$")
_PROTOCOL = "rpc-v2-cbor"


class UnreadableCbor(ValueError):
    """The body of a request is not CBOR."""


def cbor_operation(environ: WSGIEnvironment) -> str | None:
    """Return the operation that a request calls in CBOR; None if it speaks another protocol."""
    called = _PATH.match(environ["PATH_INFO"])
    if called is None or environ.get("HTTP_SMITHY_PROTOCOL") != _PROTOCOL:
        return None
    return called["operation"]


def request_as_json(environ: WSGIEnvironment, body: bytes) -> bytes:
    """
    Turn a request in CBOR into one in JSON; return its body.

    :raises UnreadableCbor: if *body* is not CBOR.
    """
    called = _PATH.match(environ["PATH_INFO"])
    assert called
    try:
        if environ.pop("HTTP_CONTENT_ENCODING", None) == "gzip":
            body = gzip.decompress(body)
        given = cbor2.loads(body) if body else {}
        text = json.dumps(given, default=_as_json).encode()
    except (cbor2.CBORDecodeError, OSError, EOFError, zlib.error, TypeError, ValueError) as error:
        raise UnreadableCbor(f"The body is no CBOR: {error}") from error
    environ["PATH_INFO"] = environ["RAW_URI"] = environ["REQUEST_URI"] = "/"
    environ["CONTENT_TYPE"] = "application/x-amz-json-1.0"
    environ["HTTP_X_AMZ_TARGET"] = f"{called['service']}.{called['operation']}"
    environ["wsgi.input"] = BytesIO(text)
    environ["CONTENT_LENGTH"] = str(len(text))
    return text


def response_as_cbor(response: Response, operation: str) -> Response:
    """Turn the JSON response of CloudWatch's *operation* into one in CBOR."""
    text = response.get_data()
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        # A failure of the simulator is plain text.
        answer = {"__type": "InternalFailure", "message": text.decode(errors="replace").strip()}
    if response.status_code < 400:  # noqa: PLR2004 - HTTP
        answer = _with_types(_output_shape(operation), answer)
    made = Response(
        cbor2.dumps(answer, datetime_as_timestamp=True),
        status=response.status_code,
        content_type="application/cbor",
    )
    for name, value in response.headers.items():
        if name.lower() not in {"content-type", "content-length"}:
            made.headers.add(name, value)
    made.headers["smithy-protocol"] = _PROTOCOL
    return made


def unreadable(error: UnreadableCbor) -> Response:
    """Return the answer to a request that is not CBOR."""
    body = cbor2.dumps({"__type": "SerializationException", "message": str(error)})
    return Response(body, status=400, content_type="application/cbor", headers={"smithy-protocol": _PROTOCOL})


def _as_json(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} has no place in a request to CloudWatch")


@cache
def _output_shape(operation: str) -> Any:
    return botocore.session.Session().get_service_model("cloudwatch").operation_model(operation).output_shape


def _with_types(shape: Any, value: Any) -> Any:
    """Return *value* with its timestamps and doubles as such; JSON has numbers, possibly integers."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return {name: _with_types(shape.members.get(name), member) for name, member in value.items()}
    if shape.type_name == "list":
        return [_with_types(shape.member, item) for item in value]
    if shape.type_name == "timestamp" and isinstance(value, int | float):
        return datetime.fromtimestamp(value, timezone.utc)
    if shape.type_name in {"float", "double"}:
        return float(value)
    return value
