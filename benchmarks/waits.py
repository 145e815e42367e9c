"""
What it costs to wait for many rollouts in one process, beside the amazon provider's SageMakerTrigger.

Run: ``python benchmarks/waits.py``, which takes 20 minutes; ``--quick`` takes 5, with a tenth of the waits
and of every time.

Both triggers wait on an event loop of their own process for the same updates of a bare fake of SageMaker,
which runs in a process for each; of each row, both are measured at the same time, only their starts are one
after the other. What they import is imported before. All updates end well, and the lateness of the news is
the time from then to the trigger's event. Besides the rows for stage beats, ours is told not to look at
endpoints without news for nine hours (``max_describe_gap``).

CPU to start is what the time until a beat after the last first look costs beyond as much of the steady state.
A pause is how much longer than it asked for a task had to sleep; while CPU is measured in the steady state,
nobody looks for pauses, and what was imported before is kept from Python's garbage collection
(``gc.freeze``), whose walk through it takes 200 ms by itself. The ends of a row are spread over four beats.
Exits with 1 if something is not as wanted.
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

QUICK = Scale(hundred=10, thousand=100, connections=5, beat=3, window=12, minute=6, times=0.1)

PROCESSES_OF_ONE = 5

PAUSE = "longest pause of the loop, ms"
NEWS = "end of the rollout to the event"


def rows_of(figures: dict[str, Figures], wanted: dict[str, Wanted]) -> list[Row]:
    def row(what: str, key: str, of: Callable[[Figures], float]) -> Row:
        return Row(what, of(figures["theirs"]), of(figures["ours"]), wanted.get(key))

    return [
        row("AWS calls a minute", "calls", lambda each: each.calls_per_minute),
        row("CPU to start, s", "start", lambda each: each.cpu_to_start),
        row("CPU a minute, s", "cpu", lambda each: each.cpu_per_minute),
        row("memory per wait, MB", "memory", lambda each: each.memory_per_wait),
        row("longest pause of the loop at the start, ms", "pause", lambda each: each.pause_at_start),
        row("longest pause of the loop later, ms", "pause", lambda each: each.pause_later),
        row(f"{NEWS}, median, s", "news", lambda each: statistics.median(each.news)),
        row(f"{NEWS}, longest, s", "news", lambda each: max(each.news)),
    ]


class Benchmark:
    """The rows that can be asked for, each a method that measures and returns what to print."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self._thousand: dict[str, Figures] | None = None

    def one(self) -> tuple[str, list[Row]]:
        wanted = dict.fromkeys(("calls", "start", "cpu", "memory", "news"), not_worse())
        wanted["pause"] = not_worse(noise=PAUSE_NOISE_MS)
        rows = rows_of(waits(1, self.scale, repeats=PROCESSES_OF_ONE), wanted)
        return f"1 wait, median of {PROCESSES_OF_ONE} processes", rows

    def hundred(self) -> tuple[str, list[Row]]:
        return f"{self.scale.hundred} waits", rows_of(waits(self.scale.hundred, self.scale), {})

    def thousand(self) -> tuple[str, list[Row]]:
        wanted = {
            "calls": at_most(50),
            "start": at_most(50),
            "memory": at_most(20),
            "pause": below(100),
            "news": not_worse(),
        }
        return f"{self.scale.thousand:,} waits", rows_of(self._of_a_thousand(), wanted)

    def minute(self) -> tuple[str, list[Row]]:
        """Measure from the first end to the last event, where all rollouts end within a minute."""
        scale = self.scale
        with ExitStack() as stack:
            both = [Contender(name, scale.thousand, beat=scale.beat, stack=stack) for name in NAMES]
            for contender in both:
                contender.start()
            time.sleep(scale.beat)
            before = [contender.read() for contender in both]
            for contender in both:
                contender.end(within=scale.minute)
            news = [contender.news() for contender in both]
            after = [contender.ended for contender in both]
        calls, cpu = (
            [then[key] - now[key] for now, then in zip(before, after, strict=True)]
            for key in ("calls", "cpu")
        )
        rows = [
            Row.of("AWS calls", calls),
            Row.of("CPU, s", cpu),
            Row.of(PAUSE, [each["pause"] * 1000 for each in after], below(100)),
            Row.of(f"{NEWS}, median, s", [statistics.median(late) for late in news], not_worse()),
            Row.of(f"{NEWS}, longest, s", [max(late) for late in news], not_worse()),
        ]
        return f"{scale.thousand:,} rollouts that end within {scale.minute:g} s", rows

    def roles(self) -> tuple[str, list[Row]]:
        """Many connections, each of which assumes a role; figures are per wait."""
        scale = self.scale
        started: list[Any] = []
        sizes = {"theirs": scale.theirs_per_connection, "ours": scale.ours_per_connection}
        for name, each in sizes.items():
            with ExitStack() as stack:
                count = each * scale.connections
                contender = Contender(name, count, beat=scale.beat, stack=stack, roles=scale.connections)
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
            f"(theirs: {scale.theirs_per_connection} each, more take too much memory)"
        )
        return title, rows

    def beats(self) -> tuple[str, list[Row]]:
        """Looks at stages: what our default gap costs beyond one as long as a wait."""
        import arguments  # noqa: PLC0415 - it imports Airflow, whose home has to be set before

        gap = arguments.default_gap()
        if gap is None:
            return "stage beats: not measured, the trigger has no max_describe_gap", []
        gap *= self.scale.times
        without = self._of_a_thousand()
        with ExitStack() as stack:
            ours = Contender("ours", self.scale.thousand, beat=self.scale.beat, stack=stack, gap=gap)
            ours.start()
            time.sleep(self.scale.beat)
            before = ours.read()
            time.sleep(gap)
            after = ours.read()
        calls = per_minute("calls", before, after) - without["ours"].calls_per_minute
        cpu = per_minute("cpu", before, after) - without["ours"].cpu_per_minute
        rows = [
            Row("AWS calls a minute", without["theirs"].calls_per_minute, calls),
            Row("CPU a minute, s", without["theirs"].cpu_per_minute, cpu),
        ]
        title = (
            f"stage beats alone, {self.scale.thousand:,} waits, a look every {gap:g} s "
            "(theirs: all it does, and it knows no stages)"
        )
        return title, rows

    def _of_a_thousand(self) -> dict[str, Figures]:
        if self._thousand is None:
            self._thousand = waits(self.scale.thousand, self.scale)
        return self._thousand


ROWS = ("one", "hundred", "thousand", "minute", "roles", "beats")


def main() -> int:
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
        print("Quick: a tenth of the waits and of every time, so as many looks a second. What is wanted at")
        print("1,000 waits cannot all be met by 100: what is paid once is shared by fewer.")
    print(
        f"Not worse: at most {1 + NOISE:g} of theirs, or pauses {PAUSE_NOISE_MS} ms longer; two runs of the"
    )
    print("same differ by as much.")
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        benchmark = Benchmark(scale)
        met = True
        for name in arguments.rows:
            title, rows = getattr(benchmark, name)()
            met &= print_rows(f"{title}; a look every {scale.beat:g} s", rows)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
