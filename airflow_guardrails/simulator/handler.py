"""The handler of HTTP connections: it keeps them open, and dates its answers in simulated time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.http import http_date

from airflow_guardrails.simulator.wire.binding import FAULT

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from airflow_guardrails.simulator.engine.faults import Fault
    from airflow_guardrails.simulator.world import Simulation

BODY_IS_READ = "airflow_guardrails.simulator.body_is_read"
"""Key of a request's environ that the application sets when it has read the whole body."""

_WITHOUT_BODY = frozenset({204, 304})


class IdleConnections:
    """Connections that wait for their next request."""

    def __init__(self) -> None:
        self._sockets: set[socket.socket] = set()
        self._is_closed = False

    def add(self, connection: socket.socket) -> bool:
        """Add a connection; return whether it may wait for another request."""
        self._sockets.add(connection)
        return not self._is_closed

    def remove(self, connection: socket.socket) -> None:
        """Remove a connection, which has a request or is closed."""
        self._sockets.discard(connection)

    def close(self) -> None:
        """End all connections that wait. Those with a request end after their answer."""
        self._is_closed = True
        for connection in list(self._sockets):
            # The client may have closed it already.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def handler_of(simulation: Simulation, idle: IdleConnections) -> type[MotoRequestHandler]:
    """Return the class that handles the connections to *simulation*."""
    return type("BoundHandler", (Handler,), {"simulation": simulation, "idle": idle})


class Handler(MotoRequestHandler):  # type: ignore[misc]  # moto has no types for mypy here
    """
    Answers with one Date header, in simulated time, unless a fault says otherwise.

    werkzeug's handler closes each connection after one request. The new connection and thread of the next
    one take as long as its answer. The subclass of :func:`handler_of` sets *simulation* and *idle*.
    """

    simulation: Simulation
    idle: IdleConnections
    protocol_version = "HTTP/1.1"
    # An answer is sent at once: two parts would wait for the client's acknowledgement of the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            super().handle()
        finally:
            self.idle.remove(self.connection)

    def run_wsgi(self) -> None:
        self.idle.remove(self.connection)
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        self.environ = self.make_environ()
        try:
            self._answer(*_called(self.server.app, self.environ))
        except (ConnectionError, TimeoutError) as error:
            self.close_connection = True
            self.connection_dropped(error, self.environ)

    def _answer(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        names = {name.lower() for name, _ in headers}
        if "content-length" not in names and int(code) not in _WITHOUT_BODY:
            self.send_header("Content-Length", str(len(body)))
        # An unread body would be taken for the next request.
        is_read = self.environ.get(BODY_IS_READ) and "Transfer-Encoding" not in self.headers
        if self.close_connection or not is_read or not self.idle.add(self.connection):
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return http_date(timestamp if timestamp is not None else self.simulation.clock.now())

    def send_header(self, keyword: str, value: str) -> None:
        # An unreadable request is answered before there is an environ.
        fault: Fault | None = getattr(self, "environ", {}).get(FAULT)
        values = fault.dates(value) if fault and keyword == "Date" else [value]
        for each in values:
            super().send_header(keyword, each)

    def log_request(self, *_: Any) -> None:
        """Do not log requests: a demo polls every second."""


def _called(
    application: Callable[..., Any], environ: WSGIEnvironment
) -> tuple[str, list[tuple[str, str]], bytes]:
    """Call a WSGI application; return status, headers and body."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        started[:] = [status, headers]

    parts = application(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        # As WSGI wants it.
        if hasattr(parts, "close"):
            parts.close()
    status, headers = started
    return status, headers, body
