"""Responses that a browser may keep, but has to ask about each time: ETag and 304."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi import HTTPException, Request, Response, status
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_MEDIA_TYPES = {"js": "text/javascript", "css": "text/css", "html": "text/html"}
_FILE_NAME = re.compile(r"[a-z][a-z0-9-]*\.(?P<type>js|css|html)")


class SafeHeaders:
    """Middleware that puts the same headers on every response, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def file_response(request: Request, name: str) -> Response:
    """
    Return a file of the page.

    :raises HTTPException: 404 if there is none of this name.
    """
    known = _FILE_NAME.fullmatch(name)
    path = files("airflow_guardrails.plugins._web") / "static" / name
    if known is None or not path.is_file():
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Not found")
    content = path.read_bytes()
    return _response(request, content, of=content, media_type=_MEDIA_TYPES[known["type"]])


def json_response(request: Request, document: Mapping[str, Any], *, now: str) -> Response:
    """Return *document*, with the key ``now``, which does not count for the ETag."""
    return _response(
        request,
        _json({"now": now, **document}),
        of=_json(document),
        media_type="application/json",
    )


def _response(request: Request, content: bytes, *, of: bytes, media_type: str) -> Response:
    etag = f'"{hashlib.sha256(of).hexdigest()[:32]}"'
    # A proxy that compresses makes the ETag weak.
    known = re.findall(r'"[^"]*"', request.headers.get("If-None-Match", ""))
    if etag in known:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
    return Response(content, media_type=media_type, headers={"ETag": etag})


def _json(document: Any) -> bytes:
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        # JSON has no NaN, but databases without a type for JSON keep it.
        return json.dumps(_finite(document), separators=(",", ":"), allow_nan=False).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
