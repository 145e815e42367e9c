"""
What a look of the judge costs: CPU, memory, and the pause of the event loop of a triggerer.

Run: ``python benchmarks/judge.py`` (some minutes; ``--quick`` for less than one). The same series are judged
by this judge and by Kayenta's (``kayenta.py``). The candidate is at its margin, so no look decides anything.
Each look has one minute more than the look before, as in a trial. The first look of a process has no sums of
earlier minutes, as after a restart of the triggerer; the others have those that were kept. The pause is
measured twice: while the loop judges by itself, and while it waits for the thread in which a trigger judges
(``hooks/_effects.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from random import Random
from typing import Any

from calibration.judging import Judge, evidence_at, kayenta, ours
from calibration.row import COPIES, Row
from calibration.series import Trial, autoregressive, errors, latencies

from airflow_guardrails.domain.effects import Compute
from airflow_guardrails.domain.judge import Evidence
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.hooks._effects import run_effects_async

KB = 1024
DAY = 1440
LENGTHS = {60: "1 h", 480: "8 h", 2 * DAY: "2 d"}
RULES = 1, 10, 50
LOOKS = 6
TICK = 0.001

# Kayenta's judge sorts the differences of all pairs of minutes: after 2 d, eight millions for each rule.
MOST_PAIRS = 10_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule, and a maker of series in which the candidate is at the margin."""

    name: str
    rule: MetricRule
    make: Callable[[Random, int], Trial]


KINDS = (
    Kind(
        "means",
        MetricRule("Latency", namespace="Churn", margin="10%"),
        latencies(autoregressive(0.6), COPIES, effect=0.1),
    ),
    Kind(
        "counts, margin in percent",
        MetricRule("Failures", namespace="Churn", stat="Sum", margin="50%"),
        errors(0.02, 0.03, COPIES),
    ),
    Kind(
        "counts, margin in points",
        MetricRule("Failures", namespace="Churn", stat="Sum", margin=0.005),
        errors(0.02, 0.025, COPIES),
    ),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """
    CPU of a look in seconds, and by how much the looks raised the memory of the process in MiB.

    :param cpu: of a look after one new minute, the median.
    :param first: of the first look.
    """

    cpu: float
    first: float
    memory: float


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 8 h and 10 rules")
    quick = parser.parse_args().quick
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; longest pause of an idle loop: {idle():.0f} ms")
    print(
        "| rules | trial | number | CPU of a look after one new minute, ms: Kayenta | this judge | ratio "
        "| this judge's first look | memory, MiB: Kayenta | this judge "
        "| pause of the event loop, ms: inline | in the thread |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for kind in KINDS:
        for minutes, length in list(LENGTHS.items())[: 2 if quick else None]:
            for count in RULES[: 2 if quick else None]:
                cells = row_of(looks_of(kind, minutes, count))
                print(f"| {kind.name} | {length} | {count} | {' | '.join(cells)} |", flush=True)
    return 0


def looks_of(kind: Kind, minutes: int, count: int) -> list[Evidence]:
    """Return the evidence of :data:`LOOKS` looks up to *minutes*, with *count* rules."""
    trials = {
        replace(kind.rule, metric=f"{kind.rule.metric}{number}"): kind.make(Random(number), minutes)  # noqa: S311 - a simulation
        for number in range(count)
    }
    row = Row("", lambda _, __: trials)
    return [evidence_at(row, trials, at) for at in range(minutes - LOOKS + 1, minutes + 1)]


def row_of(looks: Sequence[Evidence]) -> Iterator[str]:
    """Measure the looks, each figure in a process of its own, and yield the cells of a row."""
    few = fewer_rules(looks)
    times = len(looks[-1].metrics) / len(few[-1].metrics)
    theirs, mine = apart(partial(cost, kayenta, few)), apart(partial(cost, ours, looks))
    about = "about " if times > 1 else ""
    yield f"{about}{shown(theirs.cpu * times * 1000)}"
    yield shown(mine.cpu * 1000)
    yield f"{about}{shown(mine.cpu / theirs.cpu / times)}"
    yield shown(mine.first * 1000)
    yield shown(theirs.memory)
    yield shown(mine.memory)
    yield shown(apart(partial(pause, looks, judge_inline)) * 1000)
    yield shown(apart(partial(pause, looks, judge_in_thread)) * 1000)


def fewer_rules(looks: Sequence[Evidence]) -> list[Evidence]:
    """Return the looks with as many rules as Kayenta's judge can judge in seconds; its time is linear."""
    minutes = looks[-1].minutes_run
    most = max(MOST_PAIRS // minutes**2, 1)
    return [replace(look, metrics=dict(list(look.metrics.items())[:most])) for look in looks]


def apart(measure: Callable[[], Any]) -> Any:
    """Return what *measure* returns in a process of its own, which has all that this one has built."""
    receiver, sender = get_context("fork").Pipe(duplex=False)
    process = get_context("fork").Process(target=lambda: sender.send(measure()))
    process.start()
    sender.close()
    figure = receiver.recv()
    process.join()
    return figure


def cost(judge: Judge, looks: Sequence[Evidence]) -> Cost:
    """Return the cost of *looks*."""
    gc.collect()
    before, times = peak(), []
    for look in looks:
        start = time.process_time()
        judge(look, tuple(look.metrics))
        times.append(time.process_time() - start)
    return Cost(statistics.median(times[1:]), times[0], peak() - before)


def peak() -> float:
    """Return the largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB


def pause(looks: Sequence[Evidence], judge_look: Callable[[Evidence], Any]) -> float:
    """Return the longest pause of a loop while *judge_look* judges, in seconds; the median of *looks*."""

    async def all_of_them() -> list[float]:
        return [await longest_pause(partial(judge_look, look)) for look in looks]

    return statistics.median(asyncio.run(all_of_them()))


async def longest_pause(work: Callable[[], Any]) -> float:
    """Return the longest time, beyond that of its timer, for which the loop did not come back to a timer."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            longest = max(longest, time.perf_counter() - before - TICK)

    gc.collect()
    gc.freeze()
    watcher = asyncio.ensure_future(watch())
    await asyncio.sleep(10 * TICK)
    await work()
    await asyncio.sleep(10 * TICK)
    watcher.cancel()
    return longest


async def judge_inline(look: Evidence) -> None:
    """Judge on the event loop."""
    ours(look, tuple(look.metrics))


async def judge_in_thread(look: Evidence) -> None:
    """Judge as a trigger does."""

    def process() -> Any:
        return (yield Compute(ours, (look, tuple(look.metrics))))

    await run_effects_async(process(), calls=None, sleep=asyncio.sleep, log=no_log)  # type: ignore[arg-type]


async def no_log(_: object) -> None:
    """Log nothing."""


def idle() -> float:
    """Return the longest pause of an event loop without work within a second, in milliseconds."""
    return asyncio.run(longest_pause(partial(asyncio.sleep, 1))) * 1000


def shown(value: float) -> str:
    """Return *value* with about three digits."""
    digits = next((digits for limit, digits in ((100, 0), (10, 1), (1, 2)) if value >= limit), 3)
    return f"{value:,.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
