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

from airflow_guardrails.demo.airflow import claimed
from airflow_guardrails.demo.processes import DemoError, Processes
from airflow_guardrails.demo.production import sheltered
from airflow_guardrails.demo.promises import differences
from airflow_guardrails.demo.story import WIDTH, Act, Ending, Scene, Story, readable, set_up, verdict_in_words

INTRODUCTION = """\
Three DAGs retrain a model, evaluate it and update a live endpoint: a canary of a quarter of the fleet,
watched by two alarms, then the rest. One tries the model in the shadow of the live one before and has it
judged, one compares both fleets while the canary bakes. Five runs, on a real Airflow; AWS is simulated.
"""
ROOT = Path(__file__).parents[2]
Say = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    _end_in_order()
    # On two busy cores threads that wait for each other by spinning take a hundred times as long.
    os.environ["OMP_NUM_THREADS"] = "1"
    print(INTRODUCTION, flush=True)
    say = _narrator()
    try:
        with claimed(options.home), Processes(options.home / "logs", sheltered()) as processes:
            fine = _perform(processes, options, say)
    except DemoError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.")
        return 130
    left = processes.left_running()
    say(f"left running: {', '.join(left)}" if left else "nothing is left running")
    return 0 if fine and not left else 1


def _end_in_order() -> None:
    # A shell starts what runs in its background deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))


def _perform(processes: Processes, options: argparse.Namespace, say: Say) -> bool:
    scene = set_up(processes, home=options.home, dags=options.dags, speed=options.speed, say=say)
    ending = Story(scene.airflow, scene.production, scene.models, say).tell()
    wrong = differences(ending)
    if options.summary:
        _write_summary(options.summary, ending, wrong, processes)
    _print_reports(ending)
    _print_verdict(wrong)
    if options.ui:
        _stay(scene, ending, processes)
    return not wrong


def _print_reports(ending: Ending) -> None:
    _print_act("The good model", ending.good)
    _print_act("The bad model", ending.bad)
    _print_act("The wrong model", ending.wrong)
    _print_act("The slow model", ending.slow)
    _print_act("The model that nobody asked", ending.unasked)
    answers = ending.answers
    print("\nThe endpoint afterwards, asked through InvokeEndpoint")
    print(f"  serving   {ending.unasked.serving}")
    print(
        f"  answers   as the good model's in {answers.as_old_model} of {answers.rows} cases where they differ"
    )
    print(f"  gaps      a row with a measurement missing is answered: {answers.to_incomplete_row}")


def _print_act(title: str, act: Act) -> None:
    print(f"\n{title} ({act.candidate}): run of {act.dag_id} {act.state}")
    print(f"  offline   accuracy {act.accuracy:.3f} on held-out rows, those with gaps left out")
    if act.verdict:
        print(verdict_in_words(act.verdict))
    print(f"  live      {act.requests} requests went to the new fleet, {act.failed_requests} of them failed")
    if act.report:
        print(readable(act.report))
    if act.error:
        print("  the task  " + textwrap.fill(act.error, WIDTH - 12).replace("\n", "\n" + " " * 12))


def _print_verdict(wrong: Sequence[str]) -> None:
    if wrong:
        print("\nNOT as it should be:")
        print("\n".join(f"  {line}" for line in wrong))
    else:
        print("\nAs it should be: the good model serves; the bad one, the slow one and the one that nobody")
        print("asked were rolled back; no client ever got an answer of the wrong one.")


def _stay(scene: Scene, ending: Ending, processes: Processes) -> None:
    print(f"\nLook around at {scene.airflow.url} (no password); the task that tells how it ended:")
    print(f"  good  {ending.good.page}")
    print(f"  bad   {ending.bad.page}")
    print(f"  wrong {ending.wrong.page}")
    print(f"  slow  {ending.slow.page}")
    print(f"The simulated AWS listens at {scene.cloud.url}. Ctrl-C ends everything.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            processes.check()
            time.sleep(1)


def _write_summary(path: Path, ending: Ending, wrong: Sequence[str], processes: Processes) -> None:
    summary: dict[str, Any] = asdict(ending) | {"differences": wrong, "sessions": processes.pids}
    path.write_text(json.dumps(summary, indent=2))


def _narrator() -> Say:
    began = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - began:3.0f} s] {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m airflow_guardrails.demo", description=__doc__)
    parser.add_argument("--ui", action="store_true", help="stay up after the runs, until Ctrl-C")
    parser.add_argument("--summary", type=Path, help="write what happened there, as JSON")
    parser.add_argument(
        "--home", type=Path, default=Path(".demo"), help="folder for everything; emptied first (%(default)s)"
    )
    parser.add_argument("--dags", type=Path, default=ROOT / "example_dags", help="where the DAG is")
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
    sys.exit(main())
