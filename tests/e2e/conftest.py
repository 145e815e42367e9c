"""A PostgreSQL of the tests' own, from the machine's package; where there is none, that is said loudly."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_guardrails.demo.processes import Processes
from airflow_guardrails.demo.production import isolated_environment
from tests.support.postgresql import start, why_not

MISSING = pytest.StashKey[str]()
NOT_TESTED = pytest.StashKey[list[str]]()


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
    if clients := config.stash.get(NOT_TESTED, None):
        terminalreporter.section("NOT TESTED: clients that could not be installed", red=True, bold=True)
        for reason in clients:
            terminalreporter.write_line(reason, red=True, bold=True)
