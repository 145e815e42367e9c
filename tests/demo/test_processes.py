"""All processes of the demo end with it, also if it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import psutil
import pytest

from airflow_guardrails.demo.processes import DemoError, Processes
from airflow_guardrails.demo.reaper import members

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# It ignores SIGTERM and has a child.
STUBBORN = [
    sys.executable,
    "-c",
    textwrap.dedent(
        """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("ready", flush=True)
        time.sleep(600)
        """
    ),
]


@pytest.fixture
def processes(tmp_path):
    with Processes(tmp_path / "logs", dict(os.environ)) as running:
        yield running


def test_leaving_the_block_ends_everything(tmp_path):
    with Processes(tmp_path / "logs", dict(os.environ)) as running:
        running.start("first", SLEEP)
        running.start("second", SLEEP)
        sessions = set(running.pids)
        assert len(members(sessions)) == 2
    assert members(sessions) == []


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(tmp_path):
    log = tmp_path / "logs" / "stubborn.log"
    with Processes(tmp_path / "logs", dict(os.environ)) as running:
        running.start("stubborn", STUBBORN)
        sessions = set(running.pids)
        while "ready" not in log.read_text():
            running.check()
        assert len(members(sessions)) == 2
    assert members(sessions) == []


def test_killing_the_demo_leaves_nothing_behind(tmp_path):
    demo = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                f"""
                import os, pathlib, time
                from airflow_guardrails.demo.processes import Processes
                with Processes(pathlib.Path({str(tmp_path)!r}), dict(os.environ)) as running:
                    running.start("child", {SLEEP!r})
                    print(running.pids[0], flush=True)
                    time.sleep(600)
                """
            ),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    child = psutil.Process(int(demo.stdout.readline()))
    demo.kill()
    demo.wait()
    child.wait(timeout=60)


def test_the_error_names_a_program_that_ended_and_shows_its_last_lines(processes):
    processes.start("scheduler", [sys.executable, "-c", "print('no such database'); raise SystemExit(3)"])
    os.waitid(os.P_PID, processes.pids[0], os.WEXITED | os.WNOWAIT)
    with pytest.raises(
        DemoError, match=r"(?s)scheduler ended unexpectedly \(exit code 3\).*no such database"
    ):
        processes.check()


def test_a_step_that_fails_stops_the_demo_with_its_last_lines(processes):
    with pytest.raises(DemoError, match=r"(?s)migrate failed \(exit code 1\).*disk full"):
        processes.run("migrate", [sys.executable, "-c", "raise SystemExit('disk full')"], env={}, timeout=60)


def test_a_step_that_takes_too_long_stops_the_demo(processes):
    with pytest.raises(DemoError, match="migrate did not end within 0 s"):
        processes.run("migrate", SLEEP, env={}, timeout=0.1)


def test_a_killed_process_dies_with_its_children_and_may_be_started_again(tmp_path, processes):
    processes.start("stubborn", STUBBORN)
    sessions = set(processes.pids)
    while "ready" not in (tmp_path / "logs" / "stubborn.log").read_text():
        processes.check()
    processes.kill("stubborn")
    assert members(sessions) == []
    processes.check()
    processes.start("stubborn", SLEEP)
    assert len(members(set(processes.pids))) == 1
