"""``python -m airflow_guardrails.simulator`` as a process."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from importlib.metadata import version

import boto3
import joblib
import pytest

from airflow_guardrails.simulator import server
from airflow_guardrails.simulator.__main__ import main, write_secret
from airflow_guardrails.simulator.client import SimulatorClient, SimulatorError

ROLE = "arn:aws:iam::123456789012:role/churn"


class OwnPid:
    """A model that answers its process id."""

    def __reduce__(self):
        return eval, ("type('M', (), {'predict': lambda self, rows: [__import__('os').getpid()]})()",)


class Program:
    """The running command, after its line READY."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "airflow_guardrails.simulator", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.said = ""
        while "READY" not in self.said:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            self.said += line
        self.url = self.said.split()[-1]

    def aws(self, service: str):
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        return self.process.wait(60), self.process.communicate()[1]


@pytest.fixture
def start():
    started: list[Program] = []

    def program(*arguments: str, **environment: str) -> Program:
        started.append(Program(*arguments, **environment))
        return started[-1]

    yield program
    for one in started:
        one.process.kill()
        one.process.communicate()


def serve_a_model(program: Program, client: SimulatorClient) -> int:
    """Return the process of a model."""
    joblib_file, packed = io.BytesIO(), io.BytesIO()
    joblib.dump(OwnPid(), joblib_file)
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("model.joblib")
        member.size = len(joblib_file.getvalue())
        archive.addfile(member, io.BytesIO(joblib_file.getvalue()))
    s3, sagemaker = program.aws("s3"), program.aws("sagemaker")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="m", Body=packed.getvalue())
    container = {"Image": "registry/sklearn:1", "ModelDataUrl": "s3://models/m"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "m",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName="m", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="m", EndpointConfigName="m")
    client.clock.advance(minutes=6)
    body = program.aws("sagemaker-runtime").invoke_endpoint(
        EndpointName="m", Body="1", ContentType="text/csv"
    )
    return int(body["Body"].read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.proof
def test_whichever_way_it_ends_no_model_is_left_running_and_no_folder_behind(start, number, tmp_path):
    program = start(AIRFLOW_GUARDRAILS_SIMULATOR_TOKEN="of-the-test", TMPDIR=str(tmp_path))
    worker = serve_a_model(program, SimulatorClient(program.url, "of-the-test"))
    assert running(worker)
    assert list(tmp_path.iterdir())

    code, errors = program.end(number)

    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert errors == ""
    deadline = time.monotonic() + 60
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running(worker)
    assert not list(tmp_path.iterdir())


def test_it_says_how_to_use_it_and_how_fast_its_time_passes(start):
    program = start("--speed", "60", "--start", "2026-03-02T10:00")

    assert f"export AWS_ENDPOINT_URL={program.url} " in program.said
    assert "2026-03-02 10:0" in program.said
    assert "60 times as fast as real time" in program.said
    token = program.said.partition("Token:")[2].split()[0]
    assert SimulatorClient(program.url, token).speed == 60


def test_a_token_file_is_for_its_owner_only_and_the_token_is_not_printed(start, tmp_path):
    token_file = tmp_path / "token"
    program = start("--token-file", str(token_file))

    token = token_file.read_text()

    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert token not in program.said
    assert SimulatorClient(program.url, token).speed == 0
    with pytest.raises(SimulatorError):
        _ = SimulatorClient(program.url, "").speed


def test_a_token_file_that_others_could_read_is_replaced(tmp_path):
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)

    write_secret(path, "new")

    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)


def test_a_taken_port_is_said_in_a_line(simulator):
    taken = run("--port", simulator.url.rpartition(":")[2])

    assert (taken.returncode, "Cannot listen on port" in taken.stderr) == (1, True)
    assert "Traceback" not in taken.stderr


def test_a_server_that_cannot_answer_says_why_instead_of_ready(monkeypatch, capsys):
    """A library of the server whose version does not fit fails like this in each request."""

    def unfit(environ):
        raise TypeError("get_input_stream() got an unexpected keyword argument")

    monkeypatch.setattr(server, "get_input_stream", unfit)

    code = in_this_process("--port", "0")

    printed = capsys.readouterr()
    assert (code, "READY" in printed.out) == (1, False)
    assert "The simulator cannot answer: ListEndpoints was answered with HTTP 500" in printed.err
    assert "TypeError: get_input_stream() got an unexpected keyword argument" in printed.err
    assert f"werkzeug {version('werkzeug')}" in printed.err


def test_the_call_at_the_start_is_not_counted(simulator):
    simulator.check()

    assert not simulator.simulation.calls


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--speed", "-1"), "must be a number, 0 or more (got -1)"),
        (("--speed", "fast"), "must be a number, 0 or more (got fast)"),
        (("--speed", "nan"), "must be a number, 0 or more (got nan)"),
        (("--speed", "inf"), "must be a number, 0 or more (got inf)"),
        (("--start", "noon"), "must be a time in ISO 8601, like 2026-03-02T10:00 (got noon)"),
    ],
)
def test_a_wrong_argument_is_said_in_a_line_before_anything_is_served(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def in_this_process(*arguments: str) -> int:
    """Run the command, and leave the handlers of signals as they were."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return main(arguments)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run(*arguments: str):
    command = [sys.executable, "-m", "airflow_guardrails.simulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def running(pid: int) -> bool:
    # An orphan is reaped by init, which may be slow or absent in a container: a zombie runs no more.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in {"", "Z"}
