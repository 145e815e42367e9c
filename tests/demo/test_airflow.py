"""The demo's client of Airflow's REST API, which repeats requests when the server is busy."""

from __future__ import annotations

import json
import os
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airflow_guardrails.demo import airflow
from airflow_guardrails.demo.airflow import Airflow
from airflow_guardrails.demo.processes import Processes


@pytest.fixture
def server(monkeypatch):
    """An API server that answers with the status and body in *script*, one for each request."""
    monkeypatch.setattr(airflow, "_PAUSES", (0, 0, 0))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.script, server.asked = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(server, tmp_path):
    processes = Processes(tmp_path, dict(os.environ))
    client = Airflow(processes, home=tmp_path, dags=Path("example_dags"), env={})
    client.url = f"http://127.0.0.1:{server.server_port}"
    return client


class Scripted(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Authorization"]))
        status, body = self.server.script.pop(0)
        answer = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


TASKS = {"task_instances": [{"task_id": "train", "state": "success"}]}


def test_a_token_is_fetched_when_needed_and_reused(server, client):
    server.script += [(401, {}), (200, {"access_token": "abc"}), (200, TASKS), (200, TASKS)]
    assert client.task_states("d", "r") == client.task_states("d", "r") == {"train": "success"}
    assert [path for path, _ in server.asked].count("/auth/token") == 1
    assert server.asked[-1][1] == "Bearer abc"


def test_a_request_is_repeated_after_a_server_error(server, client):
    server.script += [(500, {}), (503, {}), (200, TASKS)]
    assert client.task_states("d", "r") == {"train": "success"}


def test_after_several_server_errors_the_error_is_raised(server, client):
    server.script += [(500, {})] * 4
    with pytest.raises(urllib.error.HTTPError):
        client.task_states("d", "r")
    assert server.script == []


def test_a_missing_xcom_is_none_without_retries(server, client):
    server.script += [(404, {})]
    assert client.xcom("d", "r", "t", "rollout_report") is None


def test_the_error_of_a_task_is_the_last_one_in_its_log(server, client):
    cause = {"exc_type": "ClientError", "exc_value": "no"}
    error = {"exc_type": "EndpointRolledBack", "exc_value": "it serves v1 again"}
    lines = ["plain text", {"event": "hello"}, {"event": "Task failed", "error_detail": [cause, error]}]
    server.script += [(200, {"content": lines}), (200, {"content": lines[:2]})]
    assert client.error("d", "r", "t") == "EndpointRolledBack: it serves v1 again"
    assert client.error("d", "r", "t") == ""


def test_the_error_of_a_task_may_be_logged_without_its_traceback(server, client):
    line = {"event": "ROLLED BACK: alarm errors; v1 serves", "error": "EndpointRolledBack", "level": "error"}
    server.script += [(200, {"content": [{"event": "hello"}, line]})]
    assert client.error("d", "r", "t") == "EndpointRolledBack: ROLLED BACK: alarm errors; v1 serves"
