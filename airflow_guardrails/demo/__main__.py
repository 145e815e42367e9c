"""``python -m airflow_guardrails.demo``: no AWS account and no configuration is needed."""

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
from airflow_guardrails.demo.browser import list_page, open_in_browser
from airflow_guardrails.demo.expectations import differences
from airflow_guardrails.demo.processes import DemoError, Processes
from airflow_guardrails.demo.production import isolated_environment
from airflow_guardrails.demo.scenario import DemoResults, DemoRun, DemoSetup, Scenario, set_up
from airflow_guardrails.demo.texts import WIDTH, report_text, verdict_text

_INTRODUCTION = """\
Three DAGs train a model, evaluate it and update a live endpoint: first a canary with a quarter of the fleet,
with two guards, then the rest. One DAG runs a shadow test before the update and judges it. Another one
compares both fleets while the canary bakes. There are five runs. Airflow is real, AWS is simulated.
"""
# A link to example_dags in the repository, a folder in a wheel.
_DAGS = Path(__file__).parent / "dags"
_Say = Callable[[str], None]


def _main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 if everything was as expected."""
    options = _parser().parse_args(arguments)
    _handle_signals()
    # OpenMP threads wait by spinning. With fewer cores than threads, training takes a hundred times as long.
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
        print("\nStopped; no process is left running.")
        return 130
    left = processes.left_running()
    say(f"still running: {', '.join(left)}" if left else "no process is left running")
    return 0 if fine and not left else 1


def _handle_signals() -> None:
    # A shell lets its background jobs ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))


def _run_demo(processes: Processes, options: argparse.Namespace, say: _Say) -> bool:
    setup = set_up(processes, home=options.home, dags=options.dags, speed=options.speed, say=say)
    page = list_page(setup.airflow.url)
    say(f"Watch it live: {page} (no login)")
    open_in_browser(page)
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
    _print_run("The model without traffic", results.no_traffic)
    answers = results.answers
    print("\nThe endpoint at the end, called with InvokeEndpoint")
    print(f"  serving   {results.no_traffic.serving}")
    print(
        f"  answers   {answers.like_old_model} of {answers.rows} like the good model's, not the wrong model's"
    )
    print(f"  gaps      answer to a row with a missing measurement: {answers.on_incomplete_row}")


def _print_run(title: str, run: DemoRun) -> None:
    print(f"\n{title} ({run.candidate}): run of {run.dag_id}, {run.state}")
    print(f"  offline   accuracy {run.accuracy:.3f} on held-out rows without missing measurements")
    if run.verdict:
        print(verdict_text(run.verdict))
    print(f"  live      {run.requests} requests to the new fleet, {run.failed_requests} of them failed")
    if run.report:
        print(report_text(run.report))
    if run.error:
        print("  error     " + textwrap.fill(run.error, WIDTH - 12).replace("\n", "\n" + " " * 12))


def _print_verdict(wrong: Sequence[str]) -> None:
    if wrong:
        print("\nThe demo FAILED, these results differ from what is expected:")
        print("\n".join(f"  {line}" for line in wrong))
    else:
        print("\nAll results are as expected: the good model serves. The bad model, the slow model and the")
        print("model without traffic were rolled back. No client got an answer from the wrong model.")


def _keep_running(setup: DemoSetup, results: DemoResults, processes: Processes) -> None:
    print(f"\nAirflow's UI is at {setup.airflow.url} (no login), all rollouts are at")
    print(f"{list_page(setup.airflow.url)}.")
    print("How each run ended, on the page Rollouts and at its task:")
    for name, run in (
        ("good", results.good),
        ("bad", results.bad),
        ("wrong", results.wrong),
        ("slow", results.slow),
        ("idle", results.no_traffic),
    ):
        print(f"  {name:<5} {run.page_url}")
        print(f"        {run.task_url}")
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
    parser.add_argument(
        "--ui", action="store_true", help="keep Airflow and the simulator running until Ctrl-C"
    )
    parser.add_argument("--summary", type=Path, help="file for the results, as JSON")
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(".demo"),
        help="folder for all files; it is emptied first (%(default)s)",
    )
    parser.add_argument("--dags", type=Path, default=_DAGS, help="folder with the DAGs")
    parser.add_argument(
        "--speed", type=_positive, default=60.0, help="simulated seconds for each real second (%(default)g)"
    )
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"must be more than 0 (got {text})")
    return number


if __name__ == "__main__":
    sys.exit(_main())
