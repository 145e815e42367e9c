"""``python -m airflow_guardrails.demo``: needs no AWS, no account and no configuration."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airflow_guardrails.demo.airflow import locked_home
from airflow_guardrails.demo.expectations import differences
from airflow_guardrails.demo.processes import DemoError, Processes
from airflow_guardrails.demo.production import isolated_environment
from airflow_guardrails.demo.scenario import (
    WIDTH,
    DemoResults,
    DemoRun,
    DemoSetup,
    Scenario,
    report_text,
    set_up,
    verdict_text,
)

_INTRODUCTION = """\
Three DAGs retrain a model, evaluate it and update a live endpoint: a canary of a quarter of the fleet,
watched by two alarms, then the rest. One tries the model in the shadow of the live one before and has it
judged, one compares both fleets while the canary bakes. Five runs, on a real Airflow; AWS is simulated.
"""
_ROOT = Path(__file__).parents[2]
_Say = Callable[[str], None]


def _main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    _handle_signals()
    # On two busy cores threads that wait for each other by spinning take a hundred times as long.
    os.environ["OMP_NUM_THREADS"] = "1"
    print(_INTRODUCTION, flush=True)
    say = _timed_printer()
    try:
        with locked_home(options.home), Processes(options.home / "logs", isolated_environment()) as processes:
            fine = _run_demo(processes, options, say)
    except DemoError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.")
        return 130
    left = processes.left_running()
    say(f"left running: {', '.join(left)}" if left else "nothing is left running")
    return 0 if fine and not left else 1


def _handle_signals() -> None:
    # A shell starts what runs in its background deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))


def _run_demo(processes: Processes, options: argparse.Namespace, say: _Say) -> bool:
    setup = set_up(processes, home=options.home, dags=options.dags, speed=options.speed, say=say)
    results = Scenario(setup.airflow, setup.production, setup.models, say).run_all()
    wrong = differences(results)
    if options.summary:
        _write_summary(options.summary, results, wrong, processes)
    _print_reports(results)
    _print_verdict(wrong)
    if options.ui:
        _keep_running(setup, results, processes)
    return not wrong


def _print_reports(results: DemoResults) -> None:
    _print_run("The good model", results.good)
    _print_run("The bad model", results.bad)
    _print_run("The wrong model", results.wrong)
    _print_run("The slow model", results.slow)
    _print_run("The model that nobody asked", results.no_traffic)
    answers = results.answers
    print("\nThe endpoint afterwards, asked through InvokeEndpoint")
    print(f"  serving   {results.no_traffic.serving}")
    print(
        f"  answers   as the good model's in {answers.like_old_model} of {answers.rows} cases where they differ"
    )
    print(f"  gaps      a row with a measurement missing is answered: {answers.on_incomplete_row}")


def _print_run(title: str, run: DemoRun) -> None:
    print(f"\n{title} ({run.candidate}): run of {run.dag_id} {run.state}")
    print(f"  offline   accuracy {run.accuracy:.3f} on held-out rows, those with gaps left out")
    if run.verdict:
        print(verdict_text(run.verdict))
    print(f"  live      {run.requests} requests went to the new fleet, {run.failed_requests} of them failed")
    if run.report:
        print(report_text(run.report))
    if run.error:
        print("  the task  " + textwrap.fill(run.error, WIDTH - 12).replace("\n", "\n" + " " * 12))


def _print_verdict(wrong: Sequence[str]) -> None:
    if wrong:
        print("\nNOT as it should be:")
        print("\n".join(f"  {line}" for line in wrong))
    else:
        print("\nAs it should be: the good model serves; the bad one, the slow one and the one that nobody")
        print("asked were rolled back; no client ever got an answer of the wrong one.")


def _keep_running(setup: DemoSetup, results: DemoResults, processes: Processes) -> None:
    print(f"\nLook around at {setup.airflow.url} (no password); the task that tells how it ended:")
    print(f"  good  {results.good.task_url}")
    print(f"  bad   {results.bad.task_url}")
    print(f"  wrong {results.wrong.task_url}")
    print(f"  slow  {results.slow.task_url}")
    print(f"The simulated AWS listens at {setup.cloud.url}. Ctrl-C ends everything.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            processes.check()
            time.sleep(1)


def _write_summary(path: Path, results: DemoResults, wrong: Sequence[str], processes: Processes) -> None:
    summary: dict[str, Any] = asdict(results) | {"differences": wrong, "sessions": processes.pids}
    path.write_text(json.dumps(summary, indent=2))


def _timed_printer() -> _Say:
    began = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - began:3.0f} s] {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m airflow_guardrails.demo", description=__doc__)
    parser.add_argument("--ui", action="store_true", help="stay up after the runs, until Ctrl-C")
    parser.add_argument("--summary", type=Path, help="write what happened there, as JSON")
    parser.add_argument(
        "--home", type=Path, default=Path(".demo"), help="folder for everything; emptied first (%(default)s)"
    )
    parser.add_argument("--dags", type=Path, default=_ROOT / "example_dags", help="where the DAG is")
    parser.add_argument(
        "--speed", type=_positive, default=60.0, help="simulated seconds in a second (%(default)g)"
    )
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"must be more than 0 (got {text})")
    return number


if __name__ == "__main__":
    sys.exit(_main())
