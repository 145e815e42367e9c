"""
The cost of waiting for many rollouts in one process, compared with the amazon provider's SageMakerTrigger.

Run: ``python benchmarks/waits.py``, which takes 20 minutes; ``--quick`` takes 5, with a tenth of the waits
and of every duration.

Each trigger class has its own process with one event loop, and its own fake of SageMaker. Both wait for the
same updates and are measured at the same time; only their starts are one after the other. All updates end
well. The delay is the time from the end of the update to the trigger's event. Except for the row "stages",
our trigger looks only at endpoints that have changed (``max_describe_gap`` of nine hours).

"CPU to start" is the CPU time until one interval after the last first look, minus that of the steady state
for the same time. A pause is how much longer a task slept than requested; the monitor is off while CPU is
measured in the steady state. Imports are done before, and are excluded from garbage collection
(``gc.freeze``), which alone takes 200 ms. The ends of a row are spread over four intervals. Exits with 1 if a
figure is not as wanted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from contender import Contender
from measuring import MB, NAMES, Figures, Scale, per_minute, waits
from table import NOISE, PAUSE_NOISE_MS, Row, Wanted, at_most, below, not_worse, print_rows

QUICK = Scale(hundred=10, thousand=100, connections=5, interval=3, window=12, minute=6, times=0.1)

PROCESSES_OF_ONE = 5

PAUSE = "longest pause of the loop, ms"
DELAY = "end of the rollout to the event"


def rows_of(figures: dict[str, Figures], wanted: dict[str, Wanted]) -> list[Row]:
    """Return the rows for the figures of both contenders; *wanted* has keys such as "calls"."""

    def row(what: str, key: str, of: Callable[[Figures], float]) -> Row:
        return Row(what, of(figures["theirs"]), of(figures["ours"]), wanted.get(key))

    return [
        row("AWS calls a minute", "calls", lambda each: each.calls_per_minute),
        row("CPU to start, s", "start", lambda each: each.cpu_to_start),
        row("CPU a minute, s", "cpu", lambda each: each.cpu_per_minute),
        row("memory per wait, MB", "memory", lambda each: each.memory_per_wait),
        row("longest pause of the loop at the start, ms", "pause", lambda each: each.pause_at_start),
        row("longest pause of the loop later, ms", "pause", lambda each: each.pause_later),
        row(f"{DELAY}, median, s", "delays", lambda each: statistics.median(each.delays)),
        row(f"{DELAY}, longest, s", "delays", lambda each: max(each.delays)),
    ]


class Benchmark:
    """One method for each choice of ``--rows``: it measures, and returns a title and its rows."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self._thousand: dict[str, Figures] | None = None

    def one(self) -> tuple[str, list[Row]]:
        """Measure one wait, in five processes of each kind."""
        wanted = dict.fromkeys(("calls", "start", "cpu", "memory", "delays"), not_worse())
        wanted["pause"] = not_worse(noise=PAUSE_NOISE_MS)
        rows = rows_of(waits(1, self.scale, repeats=PROCESSES_OF_ONE), wanted)
        return f"1 wait, median of {PROCESSES_OF_ONE} processes", rows

    def hundred(self) -> tuple[str, list[Row]]:
        """Measure 100 waits."""
        return f"{self.scale.hundred} waits", rows_of(waits(self.scale.hundred, self.scale), {})

    def thousand(self) -> tuple[str, list[Row]]:
        """Measure 1,000 waits."""
        wanted = {
            "calls": at_most(50),
            "start": at_most(50),
            "memory": at_most(20),
            "pause": below(100),
            "delays": not_worse(),
        }
        return f"{self.scale.thousand:,} waits", rows_of(self._of_a_thousand(), wanted)

    def minute(self) -> tuple[str, list[Row]]:
        """Measure from the first end to the last event, if all rollouts end within one minute."""
        scale = self.scale
        with ExitStack() as stack:
            both = [Contender(name, scale.thousand, interval=scale.interval, stack=stack) for name in NAMES]
            for contender in both:
                contender.start()
            time.sleep(scale.interval)
            before = [contender.read() for contender in both]
            for contender in both:
                contender.end(within=scale.minute)
            delays = [contender.delays() for contender in both]
            after = [contender.ended for contender in both]
        calls, cpu = (
            [then[key] - now[key] for now, then in zip(before, after, strict=True)]
            for key in ("calls", "cpu")
        )
        rows = [
            Row.of("AWS calls", calls),
            Row.of("CPU, s", cpu),
            Row.of(PAUSE, [each["pause"] * 1000 for each in after], below(100)),
            Row.of(f"{DELAY}, median, s", [statistics.median(late) for late in delays], not_worse()),
            Row.of(f"{DELAY}, longest, s", [max(late) for late in delays], not_worse()),
        ]
        return f"{scale.thousand:,} rollouts that end within {scale.minute:g} s", rows

    def roles(self) -> tuple[str, list[Row]]:
        """Measure many connections that assume a role each; the figures are per wait."""
        scale = self.scale
        started: list[Any] = []
        sizes = {"theirs": scale.theirs_per_connection, "ours": scale.ours_per_connection}
        for name, each in sizes.items():
            with ExitStack() as stack:
                count = each * scale.connections
                contender = Contender(
                    name, count, interval=scale.interval, stack=stack, roles=scale.connections
                )
                contender.start()
                started.append((contender.before, contender.started, count))
        calls, cpu, memory = (
            [(after[key] - before[key]) / count for before, after, count in started]
            for key in ("calls", "cpu", "memory")
        )
        rows = [
            Row.of("AWS calls until all are started, per wait", calls),
            Row.of("CPU to start, per wait, ms", [each * 1000 for each in cpu]),
            Row.of("memory per wait, MB", [each / MB for each in memory]),
            Row.of(PAUSE, [after["pause"] * 1000 for _, after, _ in started]),
        ]
        title = (
            f"{scale.connections} connections with a role, {scale.ours_per_connection} waits each "
            f"(theirs: {scale.theirs_per_connection} each, more would need too much memory)"
        )
        return title, rows

    def stages(self) -> tuple[str, list[Row]]:
        """Measure the additional cost of looks at stages, with our default ``max_describe_gap``."""
        import arguments  # noqa: PLC0415 - it imports Airflow, whose home has to be set before

        max_gap = arguments.default_max_gap()
        if max_gap is None:
            return "looks at stages: not measured, the trigger has no max_describe_gap", []
        max_gap *= self.scale.times
        without = self._of_a_thousand()
        with ExitStack() as stack:
            ours = Contender(
                "ours", self.scale.thousand, interval=self.scale.interval, stack=stack, max_gap=max_gap
            )
            ours.start()
            time.sleep(self.scale.interval)
            before = ours.read()
            time.sleep(max_gap)
            after = ours.read()
        calls = per_minute("calls", before, after) - without["ours"].calls_per_minute
        cpu = per_minute("cpu", before, after) - without["ours"].cpu_per_minute
        rows = [
            Row("AWS calls a minute", without["theirs"].calls_per_minute, calls),
            Row("CPU a minute, s", without["theirs"].cpu_per_minute, cpu),
        ]
        title = (
            f"looks at stages alone, {self.scale.thousand:,} waits, a look every {max_gap:g} s "
            "(theirs: all its looks; it has no stages)"
        )
        return title, rows

    def _of_a_thousand(self) -> dict[str, Figures]:
        if self._thousand is None:
            self._thousand = waits(self.scale.thousand, self.scale)
        return self._thousand


ROWS = ("one", "hundred", "thousand", "minute", "roles", "stages")


def main() -> int:
    """Print the rows; return 1 if a figure is not as wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="only these")
    parser.add_argument("--quick", action="store_true", help="a tenth of the waits and of every time")
    parser.add_argument("--window", type=float, help="seconds of the steady state to measure")
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else Scale()
    if arguments.window:
        scale = replace(scale, window=arguments.window)
    if arguments.quick:
        print("Quick: a tenth of the waits and of every duration, so the same number of looks a second.")
        print("100 waits cannot meet all that is wanted of 1,000: fewer waits share the fixed costs.")
    print(f"Not worse: at most {1 + NOISE:g} of theirs, or pauses {PAUSE_NOISE_MS} ms longer;")
    print("two runs of the same code differ by that much.")
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        benchmark = Benchmark(scale)
        met = True
        for name in arguments.rows:
            title, rows = getattr(benchmark, name)()
            met &= print_rows(f"{title}; a look every {scale.interval:g} s", rows)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
