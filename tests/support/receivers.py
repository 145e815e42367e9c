"""Servers on local ports that keep what notifiers send them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from airflow_guardrails.demo.processes import free_port


@contextmanager
def mail_server(patch: pytest.MonkeyPatch) -> Iterator[list[EmailMessage]]:
    """Run a mail server, to which Airflow's connection smtp_default leads; yields the mails that arrived."""
    mails: list[Any] = []

    class Handler:
        async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
            mails.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 OK"

    port = free_port()
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        extra = {"disable_tls": True, "disable_ssl": True}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
        patch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        yield mails
    finally:
        controller.stop()


@contextmanager
def slack(patch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Run a webhook like Slack's, to which slack_default leads; yields the messages that arrived."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        connection = {
            "conn_type": "slackwebhook",
            "host": f"http://127.0.0.1:{server.server_port}",
            "password": "T00000000/B00000000/XXXXXXXX",
        }
        patch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", json.dumps(connection))
        yield messages
    finally:
        server.shutdown()
        server.server_close()
