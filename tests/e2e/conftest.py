"""A PostgreSQL of the tests' own, from the machine's package; where there is none, that is said loudly."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_guardrails.demo.processes import Processes, free_port
from airflow_guardrails.demo.production import isolated_environment

START_SECONDS = 60
# What is in it need not outlive the machine's next crash.
CARELESS = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
MISSING = pytest.StashKey[str]()


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("logs"), isolated_environment()) as processes:
        yield processes


@pytest.fixture(scope="module")
def postgresql(processes, request) -> Iterator[str]:
    """The URL of an empty database."""
    if reason := why_not():
        request.config.stash[MISSING] = reason
        pytest.skip(reason)
    # Not below pytest's own folder, into which no other user may look.
    with tempfile.TemporaryDirectory(prefix="airflow-guardrails-postgresql-") as folder:
        yield start(processes, Path(folder))
        processes.kill("postgresql")


def pytest_terminal_summary(terminalreporter, config) -> None:
    if reason := config.stash.get(MISSING, None):
        terminalreporter.section("NOT TESTED: a real Airflow on PostgreSQL, and kills", red=True, bold=True)
        terminalreporter.write_line(reason, red=True, bold=True)


def why_not() -> str | None:
    """Why there can be no database; None if there can."""
    if binaries() is None:
        return "PostgreSQL is not installed: apt-get install postgresql, or put its initdb into PATH"
    if os.getuid() == 0 and not shutil.which("setpriv"):
        return "PostgreSQL does not run as root, and there is no setpriv to become somebody else"
    absent = [name for name in ("psycopg2", "asyncpg") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(absent)} cannot be imported: make e2e installs what it takes" if absent else None


def binaries() -> Path | None:
    """Where PostgreSQL's programs are; Debian keeps them out of PATH, one folder for each version."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in versions), key=lambda path: float(path.parts[-2]), default=None)


def start(processes: Processes, folder: Path) -> str:
    programs, data, port, password = binaries(), folder / "data", free_port(), secrets.token_hex(16)
    assert programs is not None
    (folder / "password").write_text(password)
    become = _owner_of(folder)
    secret = ("--auth=scram-sha-256", f"--pwfile={folder / 'password'}")
    initdb = [*become, str(programs / "initdb"), f"--pgdata={data}", "--username=airflow", "--no-sync"]
    processes.run("initdb", [*initdb, *secret], env={}, timeout=START_SECONDS)
    listen = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(port))
    server = [*become, str(programs / "postgres"), "-D", str(data), *listen, *CARELESS]
    processes.start("postgresql", server)
    _wait(processes, [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)])
    return f"postgresql+psycopg2://airflow:{password}@127.0.0.1:{port}/postgres"


def _owner_of(folder: Path) -> list[str]:
    """Hand *folder* to whom the server may run as; what a command must begin with to be his."""
    if os.getuid():
        return []
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]


def _wait(processes: Processes, ready: list[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(ready, capture_output=True, check=False).returncode:
        processes.check()
        assert time.monotonic() < deadline, processes.last_lines("postgresql")
        time.sleep(0.1)
