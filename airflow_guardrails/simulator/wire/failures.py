"""Errors of the simulator itself, in the protocol of the request, so that clients show their text."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def failure(environ: WSGIEnvironment, status: HTTPStatus, text: str) -> Response:
    """
    Return the answer to a request that the simulator does not carry out.

    :param status: NOT_IMPLEMENTED, or INTERNAL_SERVER_ERROR for a failure of the simulator.
    """
    code = "NotImplemented" if status is HTTPStatus.NOT_IMPLEMENTED else "InternalFailure"
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
