"""Errors of the simulator itself, in the protocol of the request, so that clients show their text."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def not_implemented(environ: WSGIEnvironment, text: str) -> Response:
    """Return the answer to a request that is not simulated."""
    return _failure(environ, HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", text)


def internal_failure(environ: WSGIEnvironment, error: Exception) -> Response:
    """Return the answer to a request that met a bug of the simulator, or a library that does not fit."""
    text = f"see the simulator's log: {type(error).__name__}: {error}"
    return _failure(environ, HTTPStatus.INTERNAL_SERVER_ERROR, "InternalFailure", text)


def _failure(environ: WSGIEnvironment, status: HTTPStatus, code: str, text: str) -> Response:
    content_type = environ.get("CONTENT_TYPE", "")
    if "json" in content_type:
        body = json.dumps({"__type": code, "message": text})
        return Response(body, status=status, content_type=content_type)
    if "form" in content_type:
        error = f"<Error><Code>{code}</Code><Message>{escape(text)}</Message></Error>"
        return Response(
            f"<ErrorResponse>{error}</ErrorResponse>", status=status, content_type="application/xml"
        )
    return Response(f"{code}: {text}\n", status=status, content_type="text/plain")
