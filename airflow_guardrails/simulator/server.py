"""The HTTP server of a simulation, on a local port, in threads of this process."""

from __future__ import annotations

import gzip
import logging
import re
import secrets
import socket
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from functools import cache
from http import HTTPStatus
from http.client import HTTPConnection
from importlib.metadata import version
from io import BytesIO
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from botocore.model import OperationNotFoundError
from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import (
    BackendRequest,
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_input_stream

from airflow_guardrails.simulator.client import SimulatorClient, SimulatorError
from airflow_guardrails.simulator.control import Control
from airflow_guardrails.simulator.engine.event_bus import MotoEventBus
from airflow_guardrails.simulator.handler import BODY_IS_READ, IdleConnections, handler_of
from airflow_guardrails.simulator.wire.altering import alter_response
from airflow_guardrails.simulator.wire.binding import FAULT, bind
from airflow_guardrails.simulator.wire.cbor import (
    UnreadableCbor,
    cbor_operation,
    request_as_json,
    response_as_cbor,
    unreadable,
)
from airflow_guardrails.simulator.wire.failures import internal_failure, not_implemented
from airflow_guardrails.simulator.wire.instead import answer_instead_of_moto
from airflow_guardrails.simulator.wire.newer import unknown_operation
from airflow_guardrails.simulator.world import ACCOUNT_ID, Simulation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask import Flask
    from moto.core.responses import BaseResponse
    from typing_extensions import Self

    from airflow_guardrails.simulator.world import Simulation


log = logging.getLogger(__name__)

_CONTROL_PREFIX = "/_simulator/"
_OWN_SERVICES = ("sagemaker", "cloudwatch", "sagemakerruntime")
# A long poll waits for other requests, so it must not hold the lock. It reads only moto's state.
_LONG_POLLS = frozenset({"ReceiveMessage"})
_INVOCATIONS_PATH = re.compile(r"^/endpoints/[^/]+/invocations$")
_LIST_ENDPOINTS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/sagemaker/aws4_request",
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "SageMaker.ListEndpoints",
}
_QUERY_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")


class _Application:
    """
    The WSGI application: AWS's services and the control API.

    Requests are handled one at a time, under the lock of the clock. Each request first brings a running clock
    up to date. Only long polls are handled beside other requests.
    """

    def __init__(self, simulation: Simulation, *, token: str, port: Callable[[], int]) -> None:
        self.simulation = simulation
        simulation.event_bus = MotoEventBus(account_id=ACCOUNT_ID)
        self.stopping = Event()
        self._port = port
        self._control = Control(simulation, token=token)
        self._aws = _Dispatcher(self._backend_app)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            response = self._answer(environ)
        except HTTPException as error:
            return error(environ, start_response)
        except Exception as error:
            log.exception(*_what_failed(environ))
            response = internal_failure(environ, error)
        return response(environ, start_response)

    def _answer(self, environ: WSGIEnvironment) -> Response:
        refusal = _refusal_reason(environ, port=self._port())
        if refusal:
            return Response(f"{refusal}\n", status=403, content_type="text/plain")
        body = _read_body(environ)
        path = environ["PATH_INFO"]
        if path.startswith(_CONTROL_PREFIX):
            return self._control.answer(environ, path.removeprefix(_CONTROL_PREFIX), body)
        if (environ["REQUEST_METHOD"], path) == ("POST", "/moto-api/reset"):
            return self._reset()
        if path.startswith("/moto-api"):
            # The rest of moto's own control API needs no token.
            return Response("Not found\n", status=404, content_type="text/plain")
        operation = cbor_operation(environ)
        if operation:
            return self._answer_in_cbor(environ, operation, body)
        return self._answer_as_aws(environ, _operation_of(environ, body), body)

    def _answer_in_cbor(self, environ: WSGIEnvironment, operation: str, body: bytes) -> Response:
        try:
            body = request_as_json(environ, body)
        except UnreadableCbor as error:
            return unreadable(error)
        return response_as_cbor(self._answer_as_aws(environ, operation, body), operation)

    def _reset(self) -> Response:
        """Empty everything, as suites that were written for moto's server expect; it needs no token there."""
        with self.simulation.clock.lock:
            BackendDict.reset()
            self.simulation.reset()
        return Response('{"status": "ok"}', content_type="application/json")

    def _answer_as_aws(self, environ: WSGIEnvironment, operation: str, body: bytes) -> Response:
        with self.simulation.clock.lock:
            self.simulation.calls[operation] += 1
            fault = self.simulation.faults.draw(operation)
        environ[FAULT] = fault
        # Wait without the lock, so that other requests continue.
        if fault and fault.kind == "hang":
            fault.hang()
        with nullcontext() if operation in _LONG_POLLS else self.simulation.clock.lock:
            self.simulation.catch_up()
            response = answer_instead_of_moto(
                self.simulation.access, environ, operation, body
            ) or self._call_aws(environ)
        if fault and fault.changes:
            response = alter_response(response, fault.changes)
        if fault and fault.kind == "lose":
            _drop_connection(environ)
        return _without_moto_headers(response)

    def _call_aws(self, environ: WSGIEnvironment) -> Response:
        try:
            application = self._aws.get_application(environ)
            if isinstance(application, _OwnService):
                return application.answer(environ)
            app_iter, status, headers = run_wsgi_app(application, environ, buffered=True)
        except NotImplementedError as error:
            return not_implemented(environ, str(error))
        except OperationNotFoundError as error:
            return not_implemented(environ, unknown_operation(str(error)))
        except Exception as error:
            log.exception(*_what_failed(environ))
            return internal_failure(environ, error)
        return Response(app_iter, status=status, headers=headers)

    def _backend_app(self, service: Any) -> Flask | _OwnService:
        if service in _OWN_SERVICES:
            return _OwnService(bind(service, self.simulation))
        moto_app: Flask = create_backend_app(service)
        return moto_app


class _OwnService:
    """A simulated service. It is called without Flask, which takes a third of the time of a short call."""

    def __init__(self, wire: type[BaseResponse]) -> None:
        self._wire = wire

    def answer(self, environ: WSGIEnvironment) -> Response:
        """Return the response to a request."""
        request = BackendRequest(environ)
        try:
            status, headers, body = self._wire.dispatch(request, request.raw_url, dict(request.headers))
        except HTTPException as error:
            return error.get_response(environ)
        return Response(body, status=status, headers=headers)


class _Dispatcher(DomainDispatcherApplication):  # type: ignore[misc]  # moto has no types for mypy here
    """Caches the service of each host. moto would search its folders twice for each request."""

    def __init__(self, create_app: Callable[[Any], Flask | _OwnService]) -> None:
        super().__init__(create_app)
        self.get_backend_for_host = cache(super().get_backend_for_host)


def _refusal_reason(environ: WSGIEnvironment, *, port: int) -> str | None:
    """
    Return why a request is refused, or None.

    A web page in a browser on this machine can reach the port, through a host name that is rebound to
    127.0.0.1 or as a cross-site request. boto3, aiobotocore and the AWS CLI send neither a foreign Host nor
    an Origin.
    """
    host = environ.get("HTTP_HOST", "")
    own = (f"127.0.0.1:{port}", f"localhost:{port}")
    if host not in own and not host.endswith(f".localhost:{port}"):
        return f"Host must be {own[0]} or {own[1]} (got {host!r})"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin not in {f"http://{name}" for name in own}:
        return f"Origin must be this server's own, or absent (got {origin!r})"
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in {"none", "same-origin"}:
        return "requests from other web sites are refused"
    return None


def _operation_of(environ: WSGIEnvironment, body: bytes) -> str:
    """
    Return the name of the called operation, in the protocols of the simulated services; for others, method
    and path.
    """
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2]
    if _INVOCATIONS_PATH.match(environ["PATH_INFO"]):
        return "InvokeEndpoint"
    action = None
    if "form" in environ.get("CONTENT_TYPE", ""):
        is_compressed = environ.get("HTTP_CONTENT_ENCODING") == "gzip"
        action = _QUERY_ACTION.search(gzip.decompress(body) if is_compressed else body)
    return action.group(1).decode() if action else f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def _what_failed(environ: WSGIEnvironment) -> tuple[str, str, str]:
    return "Request %s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"]


def _read_body(environ: WSGIEnvironment) -> bytes:
    # Read the body before taking the lock: a slow client must not block the others.
    body = get_input_stream(environ).read()
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("wsgi.input_terminated", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ[BODY_IS_READ] = True
    return body


def _drop_connection(environ: WSGIEnvironment) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)


def _without_moto_headers(response: Response) -> Response:
    # The server adds a Date with simulated time. moto's CORS headers would let any web page read responses.
    for name in list(response.headers.keys()):
        if name.lower() in {"date", "server"} or name.lower().startswith("access-control-"):
            response.headers.remove(name)
    return response


_TICK_SECONDS = 0.05


class RunningSimulator:
    """A simulation that is served at :attr:`url` until :meth:`stop` or the end of the ``with`` block."""

    def __init__(
        self,
        simulation: Simulation,
        server: BaseWSGIServer,
        application: _Application,
        token: str,
        idle: IdleConnections,
    ) -> None:
        self.simulation = simulation
        self.token = token
        self.url = f"http://127.0.0.1:{server.port}"
        self.client = SimulatorClient(self.url, token)
        self._server = server
        self._application = application
        self._idle = idle
        self._threads = [
            Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="simulator", daemon=True
            ),
            Thread(target=self._run_clock, name="simulator-clock", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """
        Call ListEndpoints over HTTP, as a client would. The call is not counted.

        :raises SimulatorError: if the answer is an error, for example because the installed version of a
            library of the server does not fit.
        """
        with closing(HTTPConnection("127.0.0.1", self._server.port, timeout=60)) as connection:
            connection.request("POST", "/", b"{}", _LIST_ENDPOINTS)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace").strip()
        with self.simulation.clock.lock:
            self.simulation.calls.clear()
        if answer.status != HTTPStatus.OK:
            installed = ", ".join(f"{name} {version(name)}" for name in ("moto", "flask", "werkzeug"))
            raise SimulatorError(
                f"ListEndpoints was answered with HTTP {answer.status}: {text}. "
                f"Do these versions fit together: {installed}?"
            )

    def stop(self) -> None:
        """Close the port and end every model process. It may be called twice."""
        if self._application.stopping.is_set():
            return
        self._application.stopping.set()
        with self.simulation.clock.lock:
            self.simulation.faults.clear()
        self._server.shutdown()
        self._server.server_close()
        self._idle.close()
        for thread in self._threads:
            thread.join()
        self.simulation.close()

    def _run_clock(self) -> None:
        # Timers must also run without requests: traffic and alarms do not depend on them.
        while not self._application.stopping.wait(_TICK_SECONDS):
            self.simulation.catch_up()


def serve(simulation: Simulation, *, port: int = 0, token: str | None = None) -> RunningSimulator:
    """
    Serve *simulation* on 127.0.0.1, on a free port if *port* is 0.

    moto keeps its state per process. So serving first resets that state, and a process serves one simulation
    at a time.

    :param token: token of the control API; None makes a random one.
    :raises OSError: if the port is taken.
    """
    BackendDict.reset()
    token = token or secrets.token_urlsafe(24)
    application = _Application(simulation, token=token, port=lambda: server.port)
    idle = IdleConnections()
    with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
        # With a socket instead of a port, werkzeug does not exit the process if the port is taken.
        server = make_server(
            "127.0.0.1",
            port,
            application,
            threaded=True,
            request_handler=handler_of(simulation, idle),
            fd=listening.fileno(),
        )
    return RunningSimulator(simulation, server, application, token, idle)
