"""One API server for all tests of the page, under a path prefix, as many installations have one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_guardrails.demo.processes import Processes
from airflow_guardrails.demo.production import isolated_environment

sys.path.insert(0, str(Path(__file__).parent))

from tests.e2e.ui.server import Server, start_server


@pytest.fixture(scope="session")
def running_server(tmp_path_factory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("logs"), isolated_environment()) as processes:
        yield start_server(processes, tmp_path_factory.mktemp("airflow"), prefix="/airflow")


@pytest.fixture
def server(running_server) -> Server:
    """The server, without anything that another test has put there."""
    running_server.clear()
    return running_server
