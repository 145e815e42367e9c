"""
What the metrics of ten busy endpoints take in the simulator, beside every value by itself.

    python benchmarks/simulator_memory.py [--hours 35] [--endpoints 10] [--per-minute 71]

The peer is the same store without compaction: each value takes 16 bytes for 15 days.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Sequence

from airflow_guardrails.simulator.cloudwatch import metrics as store_module
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.serving import request_metrics
from airflow_guardrails.simulator.serving.containers import Answer
from airflow_guardrails.simulator.serving.profiles import Fleet

_MEBIBYTE = 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the growth of both, each in a process of its own, and their ratio."""
    options = _parser().parse_args(arguments)
    if options.only:
        print(_grown(options))
        return
    taken = {name: _measure(name, options) for name in ("compact", "raw")}
    hours = options.hours * options.endpoints
    print(
        f"{options.endpoints} endpoints, {options.hours} simulated hours, "
        f"{options.per_minute} requests a minute each"
    )
    print(f"{'store':<10} {'grown by':>10} {'an endpoint and hour':>22} {'ratio':>7}")
    for name, size in taken.items():
        each, ratio = size / hours * 1024, size / taken["raw"]
        print(f"{name:<10} {size:>6.1f} MiB {each:>18.0f} KiB {ratio:>7.2f}")


def _measure(name: str, options: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--only", name, "--hours", str(options.hours)]
    command += ["--endpoints", str(options.endpoints), "--per-minute", str(options.per_minute)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this file
    return float(done.stdout)


def _grown(options: argparse.Namespace) -> float:
    """Return by how many MiB this process grows while the metrics are recorded."""
    if options.only == "raw":
        store_module._Series.compact = lambda _: None  # type: ignore[method-assign] # noqa: SLF001 - the peer
    clock, rng = Clock(), random.Random(1)  # noqa: S311 - no secret
    store = store_module.MetricStore(clock)
    fleets = [
        Fleet(endpoint_name=f"churn-{number}", variant_name="main", endpoint_config_name="churn-v1")
        for number in range(options.endpoints)
    ]
    before = _resident()
    for _ in range(options.hours * 60):
        for fleet in fleets:
            answers = [
                Answer(status=200, body=b"0", content_type="text/csv", seconds=rng.lognormvariate(-4, 0.5))
                for _ in range(options.per_minute)
            ]
            request_metrics.record(store, fleet, answers, instances=4, at=clock.now(), rng=rng)
        clock.advance(60)
    return _resident() - before


def _resident() -> float:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - not a path of ours
        return int(file.read().split()[1]) * 4096 / _MEBIBYTE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=35)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--per-minute", type=int, default=71, help="requests of each endpoint")
    parser.add_argument("--only", choices=("compact", "raw"), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
