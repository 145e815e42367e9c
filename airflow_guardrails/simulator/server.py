"""Serving a simulation on a local port, in threads of this process."""

from __future__ import annotations

import secrets
import socket
from threading import Thread
from typing import TYPE_CHECKING, Any

from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.http import http_date
from werkzeug.serving import BaseWSGIServer, make_server

from airflow_guardrails.simulator.application import Application
from airflow_guardrails.simulator.client import SimulatorClient
from airflow_guardrails.simulator.simulation import Simulation
from airflow_guardrails.simulator.wire.binding import FAULT

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_guardrails.simulator.faults import Fault

_TICK_SECONDS = 0.05


class RunningSimulator:
    """A simulation served at :attr:`url` until :meth:`stop`, or the end of the ``with`` block."""

    def __init__(
        self, simulation: Simulation, server: BaseWSGIServer, application: Application, token: str
    ) -> None:
        self.simulation = simulation
        self.token = token
        self.url = f"http://127.0.0.1:{server.port}"
        self.client = SimulatorClient(self.url, token)
        self._server = server
        self._application = application
        self._threads = [
            Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="simulator", daemon=True
            ),
            Thread(target=self._keep_time, name="simulator-clock", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and end every model process; calling it twice is harmless."""
        if self._application.stopping.is_set():
            return
        self._application.stopping.set()
        with self.simulation.clock.lock:
            self.simulation.faults.clear()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        self.simulation.close()

    def _keep_time(self) -> None:
        # Timers must run although nobody asks: traffic flows and alarms are judged without any request.
        while not self._application.stopping.wait(_TICK_SECONDS):
            self.simulation.catch_up()


def serve(simulation: Simulation, *, port: int = 0, token: str | None = None) -> RunningSimulator:
    """
    Serve *simulation* on 127.0.0.1, on a free port unless one is given.

    moto keeps its state per process, so serving begins with emptying it, and a process serves one simulation
    at a time.

    :raises OSError: when the port is taken.
    """
    BackendDict.reset()
    token = token or secrets.token_urlsafe(24)
    application = Application(simulation, token=token, port=lambda: server.port)
    with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
        # Given a socket instead of a port, werkzeug does not exit the process when the port is taken.
        server = make_server(
            "127.0.0.1",
            port,
            application,
            threaded=True,
            request_handler=_handler_of(simulation),
            fd=listening.fileno(),
        )
    return RunningSimulator(simulation, server, application, token)


def _handler_of(simulation: Simulation) -> type[MotoRequestHandler]:
    class Handler(MotoRequestHandler):  # type: ignore[misc]  # moto has no types for mypy here
        """Answers with one Date header, in simulated time, unless a fault says otherwise."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return http_date(timestamp if timestamp is not None else simulation.clock.now())

        def send_header(self, keyword: str, value: str) -> None:
            # A request that cannot be read is answered before there is an environ.
            fault: Fault | None = getattr(self, "environ", {}).get(FAULT)
            values = fault.dates(value) if fault and keyword == "Date" else [value]
            for each in values:
                super().send_header(keyword, each)

        def log_request(self, *_: Any) -> None:
            """Say nothing: a demo polls every second."""

    return Handler
