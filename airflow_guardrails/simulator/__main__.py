"""``python -m airflow_guardrails.simulator``: serve a simulated AWS until Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_guardrails.simulator.server import RunningSimulator

_TOKEN_VARIABLE = "AIRFLOW_GUARDRAILS_SIMULATOR_TOKEN"  # noqa: S105 - its name, not a token


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    # Importing moto takes seconds, and is not needed for --help and wrong options.
    from airflow_guardrails.simulator.client import SimulatorError  # noqa: PLC0415
    from airflow_guardrails.simulator.engine.clock import Clock  # noqa: PLC0415
    from airflow_guardrails.simulator.server import serve  # noqa: PLC0415
    from airflow_guardrails.simulator.world import Simulation  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    # moto warns of errors that AWS's service models lack, such as ValidationException.
    warnings.filterwarnings("ignore", message="Exception.* does not match an error shape")
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    simulation = Simulation(clock=Clock(start=options.start, speed=options.speed), seed=options.seed)
    try:
        running = serve(simulation, port=options.port, token=os.environ.get(_TOKEN_VARIABLE))
    except OSError as error:
        print(f"Cannot listen on port {options.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    with running:
        try:
            running.check()
        except SimulatorError as error:
            print(f"The simulator cannot answer: {error}", file=sys.stderr)  # noqa: T201
            return 1
        if options.token_file:
            write_secret(options.token_file, running.token)
        print(_usage_text(running, token_file=options.token_file), flush=True)  # noqa: T201
        stop.wait()
    return 0


def _usage_text(running: RunningSimulator, *, token_file: Path | None) -> str:
    """Return the text that is printed at the start. A script can wait for its line READY."""
    speed = running.simulation.clock.speed
    pace = f"{speed:g} times as fast as real time" if speed else "only when the control API advances it"
    token = f"in {token_file}" if token_file else running.token
    return f"""\
A simulated AWS: SageMaker endpoints and CloudWatch; S3, IAM, STS, SQS and the model registry come from moto.
Simulated time is {running.simulation.clock.now():%Y-%m-%d %H:%M} UTC. It passes {pace}.

  export AWS_ENDPOINT_URL={running.url} AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any

Any AWS client works with these variables. The account is 123456789012, and each region is separate.
Control: {running.url}/_simulator/ with airflow_guardrails.simulator.client.SimulatorClient(url, token)
Token:   {token}
Ctrl-C stops the simulator and every model that it runs. Nothing is stored.
READY {running.url}"""


def write_secret(path: Path, secret: str) -> None:
    """Write a file that only its owner can read. An existing file is replaced."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m airflow_guardrails.simulator", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=5055, help="port on 127.0.0.1; 0 takes a free one (%(default)s)"
    )
    parser.add_argument(
        "--speed",
        type=_not_negative,
        default=0.0,
        help="simulated seconds for each real second; 0: only the control API moves it (%(default)s)",
    )
    parser.add_argument(
        "--start", type=_utc, help="simulated time at the start, ISO 8601, by default UTC; default now"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (%(default)s)")
    parser.add_argument(
        "--token-file",
        type=Path,
        help=f"file for the token, mode 0600, instead of printing it; {_TOKEN_VARIABLE} sets the token",
    )
    return parser


def _not_negative(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number, 0 or more (got {text})")
    return number


def _utc(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a time in ISO 8601, like 2026-03-02T10:00 (got {text})"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


if __name__ == "__main__":
    sys.exit(main())
