"""One connection for several calls."""

import contextlib
import socket
from http.client import HTTPConnection

import pytest

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation

LIST_ENDPOINTS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/sagemaker/aws4_request",
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "SageMaker.ListEndpoints",
}


@pytest.fixture
def connection(simulator):
    port = int(simulator.url.rpartition(":")[2])
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        yield connection


def list_endpoints(connection, **headers):
    connection.request("POST", "/", b"{}", {**LIST_ENDPOINTS, **headers})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_calls_share_a_connection(connection):
    assert list_endpoints(connection) == (200, b'{"Endpoints": []}')
    used = connection.sock

    assert list_endpoints(connection) == (200, b'{"Endpoints": []}')
    assert connection.sock is used


def test_a_client_may_ask_to_close_it(connection):
    assert list_endpoints(connection, Connection="close")[0] == 200
    # http.client drops its socket when the server announces the end.
    assert connection.sock is None


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}]
)
def test_the_unread_body_of_a_refused_call_is_not_taken_for_a_call(connection, headers):
    assert list_endpoints(connection, **headers)[0] == 403
    assert connection.sock is None


def test_a_body_in_chunks_ends_the_connection(connection):
    connection.request("POST", "/", iter([b"{", b"}"]), LIST_ENDPOINTS, encode_chunked=True)
    assert connection.getresponse().read() == b'{"Endpoints": []}'
    assert connection.sock is None


def test_two_calls_that_arrive_together_are_both_answered(simulator):
    call = "\r\n".join(
        ["POST / HTTP/1.1", "Host: localhost:{port}", *(f"{k}: {v}" for k, v in LIST_ENDPOINTS.items())]
    )
    port = int(simulator.url.rpartition(":")[2])
    call = f"{call.format(port=port)}\r\nContent-Length: 2\r\n\r\n{{}}"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        raw.sendall((call + call).encode())
        raw.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))

    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b'{"Endpoints": []}') == 2


def test_an_answer_to_head_has_no_body(connection):
    connection.request("HEAD", "/", headers=LIST_ENDPOINTS)
    assert connection.getresponse().read() == b""
    assert list_endpoints(connection)[0] == 200


def test_a_lost_answer_ends_the_connection(simulator, connection):
    list_endpoints(connection)
    simulator.client.fault("ListEndpoints", kind="lose")

    with pytest.raises(ConnectionError):
        list_endpoints(connection)
    connection.close()
    assert list_endpoints(connection)[0] == 200


def test_a_stopped_simulator_answers_no_further_call_on_an_old_connection():
    with serve(Simulation(clock=Clock())) as simulator:
        port = int(simulator.url.rpartition(":")[2])
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        assert list_endpoints(connection)[0] == 200

    with contextlib.closing(connection), pytest.raises(ConnectionError):
        list_endpoints(connection)
