"""
Clients that nobody here has written deploy to the simulator, unchanged.

Each has an environment of its own, which is made once, in a folder of the environment that runs the tests. A
client that cannot be installed is skipped, and the summary of the run says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation
from tests.e2e.conftest import NOT_TESTED

pytestmark = pytest.mark.e2e

PROGRAMS = Path(__file__).parent / "programs"
HOMES = Path(sys.prefix) / "clients"
# Simulated seconds in a real one: an update of ten minutes takes two seconds.
SPEED = 600
PYTHON_CLIENTS = {
    "aws_cli": ["awscli==1.46.3"],
    "sagemaker_sdk_v2": ["sagemaker==2.257.7"],
    "sagemaker_sdk_v3": ["sagemaker-core==2.27.0"],
    "mlflow_deployment": ["mlflow==3.17.2", "boto3"],
}
JAVASCRIPT_CLIENT = [
    f"@aws-sdk/client-{name}@^3.1100.0" for name in ("cloudwatch", "sagemaker", "sagemaker-runtime")
]


class CannotInstall(Exception):
    """A client cannot be had on this machine."""


@pytest.fixture(scope="module")
def simulator():
    with serve(Simulation(clock=Clock(speed=SPEED))) as running:
        yield running


@pytest.fixture
def run(simulator, tmp_path, request):
    """Run a program against the simulator; return the JSON in its last line."""

    def run_program(command: list[str]):
        done = subprocess.run(
            command,
            env=_environment(simulator.url, tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    return run_program


def _environment(url: str, home: Path) -> dict[str, str]:
    # Without the settings of the user, who may have an AWS account.
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _installed(request, name: str, install) -> Path:
    """Return the folder of a client, installed on the first call; skip loudly if it cannot be."""
    home = HOMES / name
    if (home / "installed").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    try:
        home.mkdir(parents=True)
        install(home)
    except (CannotInstall, OSError, subprocess.SubprocessError) as error:
        detail = (getattr(error, "stderr", None) or "").strip().splitlines()[-1:]
        reason = f"{name}: {error} {' '.join(detail)}".strip()
        request.config.stash.setdefault(NOT_TESTED, []).append(reason)
        pytest.skip(reason)
    (home / "installed").touch()
    return home


def _install_python(packages: list[str]):
    def install(home: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", home], check=True, capture_output=True, text=True)
        pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", *packages]
        uv = Path(sys.prefix) / "bin" / "uv"
        quick = [uv, "pip", "install", "--quiet", "--python", home / "bin" / "python", *packages]
        subprocess.run(quick if uv.exists() else pip, check=True, capture_output=True, text=True, timeout=600)

    return install


def _install_javascript(home: Path) -> None:
    npm = shutil.which("npm") or _npm_of_debian()
    (home / "package.json").write_text('{"private": true, "type": "module"}')
    command = [npm, "install", "--loglevel=error", "--no-audit", "--no-fund", *JAVASCRIPT_CLIENT]
    subprocess.run(command, cwd=home, check=True, capture_output=True, text=True, timeout=600)


def _npm_of_debian() -> str:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise CannotInstall("npm is missing, and only root on Debian can install it here")
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "nodejs", "npm"]):
        subprocess.run(["apt-get", "-qq", *command], check=True, capture_output=True, text=True, timeout=600)
    return shutil.which("npm") or "npm"


def test_the_aws_cli_updates_an_endpoint_with_a_guarded_canary(run, request):
    home = _installed(request, "aws_cli", _install_python(PYTHON_CLIENTS["aws_cli"]))

    assert run(["bash", str(PROGRAMS / "aws_cli.sh"), str(home / "bin" / "aws")]) == {
        "status": ["InService", "cli-v2"],
        "alarm": "OK",
        "answer": "0",
        "rolled_back": ["InService", "cli-v2"],
    }


def test_the_sagemaker_sdk_version_2_deploys_a_model_and_asks_it(run, request):
    home = _installed(request, "sagemaker_sdk_v2", _install_python(PYTHON_CLIENTS["sagemaker_sdk_v2"]))

    assert run([str(home / "bin" / "python"), str(PROGRAMS / "sagemaker_sdk_v2.py")]) == {
        "answer": "42.0",
        "status": "InService",
        "instances": 3,
    }


def test_the_sagemaker_sdk_version_3_updates_an_endpoint(run, request):
    home = _installed(request, "sagemaker_sdk_v3", _install_python(PYTHON_CLIENTS["sagemaker_sdk_v3"]))

    assert run([str(home / "bin" / "python"), str(PROGRAMS / "sagemaker_sdk_v3.py")]) == {
        "answer": "0",
        "status": "InService",
        "config": "sdk-v3-2",
    }


def test_mlflow_deploys_its_own_model_layout_and_asks_it(run, request):
    home = _installed(request, "mlflow_deployment", _install_python(PYTHON_CLIENTS["mlflow_deployment"]))

    result = run([str(home / "bin" / "python"), str(PROGRAMS / "mlflow_deployment.py")])

    assert result["statuses"] == ["InService", "InService"]
    assert result["prediction"] == pytest.approx(6.0)


def test_the_javascript_sdk_speaks_cbor_and_json(run, request):
    home = _installed(request, "javascript", _install_javascript)
    # Node looks for modules beside the program.
    program = shutil.copy(PROGRAMS / "javascript.mjs", home)

    assert run(["node", str(program)]) == {
        "status": "InService",
        "config": "js-v2",
        "answer": "0",
        "alarm": "OK",
        "sameOverJson": True,
        "protocol": "rpc-v2-cbor",
        "missing": "ResourceNotFound",
    }
