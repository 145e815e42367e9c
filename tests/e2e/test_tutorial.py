"""docs/tutorial.md, step by step: its commands and files, with a real Airflow and the simulator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_guardrails.demo.processes import free_port

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
BIN = Path(sys.executable).parent


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def shell(tmp_path, port):
    """Run a command of the page in its folder, with the variables of step 2."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    env = {**kept, "PWD": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}"}
    for line in re.findall(r"^\$ export (.*)$", PAGE, re.MULTILINE):
        for name, value in (pair.split("=", 1) for pair in line.split()):
            env[name] = value.replace("$PWD", str(tmp_path)).replace("5055", str(port))

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            shell=True,
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


@pytest.fixture
def simulator(tmp_path, port):
    (command,) = re.findall(r"^\$ (python -m airflow_guardrails\.simulator .*)$", PAGE, re.MULTILINE)
    process = subprocess.Popen(
        [sys.executable, *command.replace("5055", str(port)).split()[1:]], stdout=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("READY"):
            break
    yield re.search(r"^Token: +(\S+)$", "".join(lines), re.MULTILINE)[1]
    process.terminate()
    process.wait(20)


def commands(beginning: str) -> list[str]:
    return re.findall(rf"^\$ ({re.escape(beginning)}.*)$", PAGE, re.MULTILINE)


def test_the_tutorial_ends_with_a_rollout_a_rollback_and_a_refusal(shell, simulator, port, tmp_path):
    prepare, dag = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "prepare.py").write_text(prepare.replace("5055", str(port)))
    for command in (*commands("airflow db"), *commands("mkdir")):
        assert shell(command).returncode == 0, command
    (tmp_path / "airflow" / "dags" / "deploy.py").write_text(dag)
    prepared = shell(f"python prepare.py {simulator}")
    assert prepared.returncode == 0, prepared.stderr
    first, second = commands("airflow dags test")
    (ask,) = commands("python -c")

    done = shell(first)
    assert "SUCCEEDED: churn serves churn-" in done.stdout + done.stderr

    done = shell(second)
    log = done.stdout + done.stderr
    assert "ROLLED BACK: 5xx errors of the new fleet" in log
    assert shell(ask).stdout.splitlines()[-1] == "InService"

    done = shell(second)
    assert "VersionRolledBack" in done.stdout + done.stderr
