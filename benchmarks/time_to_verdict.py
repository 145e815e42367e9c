"""
How many minutes the judge needs for a latency: the table in ``docs/judge.md#how-long-it-takes``.

Run: ``python benchmarks/time_to_verdict.py`` (ten minutes on two cores; ``--runs 20`` for a quick run). The
series are simulated. The judge looks every minute, up to an hour.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from multiprocessing import Pool
from random import Random
from statistics import median_low

from airflow_guardrails.domain.judge import Evidence, History, Label, Series, judge
from airflow_guardrails.domain.judge.rules import MetricRule

RULE = MetricRule("ModelLatency", margin="10%")
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
MINUTES, PAST, REQUESTS = 60, 360, 1_000.0


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of latency; noise is a share of the mean.

    :param own: noise of each side by itself, from minute to minute.
    :param shared: noise of both sides together; it lasts for some minutes (autocorrelation 0.7).
    :param known: whether there is a history of six hours.
    """

    name: str
    own: float
    shared: float = 0.0
    known: bool = False


KINDS = (
    Kind("1 %", 0.01),
    Kind("2 %", 0.02),
    Kind("5 %", 0.05),
    Kind("10 %", 0.1),
    Kind("2 %, history without slow waves", 0.02, known=True),
    Kind("5 %, history without slow waves", 0.05, known=True),
    Kind("10 %, history without slow waves", 0.1, known=True),
    Kind("5 %, and both sides move together by 14 %", 0.05, shared=0.1),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A candidate.

    :param right: the label that is right.
    :param factor: of production's latency, from the minute *begin* on.
    """

    name: str
    right: Label
    factor: float
    begin: int = 0


CANDIDATES = (
    Candidate("Pass: equal", Label.PASS, 1.0),
    Candidate("Fail: 20 % slower", Label.FAIL, 1.2),
    Candidate("Fail: 30 % slower", Label.FAIL, 1.3),
    Candidate("Fail: 30 % slower from minute 20", Label.FAIL, 1.3, begin=20),
)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="runs of each cell (%(default)s)")
    runs = parser.parse_args().runs
    heads = [candidate.name for candidate in CANDIDATES]
    print("| noise |", " | ".join(heads), "|")
    print("|", " | ".join(["---"] * (len(heads) + 1)), "|")
    with Pool() as pool:
        for kind in KINDS:
            cells = [
                cell(pool.map(partial(decided_at, kind, candidate), range(runs), chunksize=4))
                for candidate in CANDIDATES
            ]
            print("|", " | ".join([kind.name, *cells]), "|", flush=True)
    return 0


def cell(decided: Sequence[int | None]) -> str:
    """Return the median minute, and the share of the runs that were decided if it is not all."""
    minutes = [minute for minute in decided if minute is not None]
    share = len(minutes) / len(decided)
    if not minutes:
        return "-"
    return f"{median_low(minutes)}" if share == 1 else f"{median_low(minutes)} ({share:.0%})"


def decided_at(kind: Kind, candidate: Candidate, seed: int) -> int | None:
    """Return after how many minutes the label is first right; ``None`` if it is not within the hour."""
    random = Random(seed)  # noqa: S311 - a simulation
    past = values(kind, random, PAST)
    old, new = both_sides(kind, candidate, random)
    for minutes in range(RULE.min_minutes, MINUTES + 1):
        evidence = Evidence(
            requests=series([REQUESTS] * minutes, [REQUESTS] * minutes),
            metrics={RULE: series(old[:minutes], new[:minutes])},
            history=History(
                requests=dict.fromkeys(moments(PAST, -PAST), REQUESTS),
                metrics={RULE: dict(zip(moments(PAST, -PAST), past, strict=True))},
            )
            if kind.known
            else History(),
        )
        # A Pass before harm begins is right too, and the analysis of an update goes on after it.
        if judge(evidence, [RULE]).label is candidate.right:
            return minutes
    return None


def both_sides(kind: Kind, candidate: Candidate, random: Random) -> tuple[list[float], list[float]]:
    """Return the latencies of production and of the candidate."""
    shared, old, new = 0.0, [], []
    for minute in range(MINUTES):
        shared = 0.7 * shared + random.gauss(0, kind.shared)
        factor = candidate.factor if minute >= candidate.begin else 1.0
        old.append(100 * (1 + shared + random.gauss(0, kind.own)))
        new.append(100 * (1 + shared + random.gauss(0, kind.own)) * factor)
    return old, new


def values(kind: Kind, random: Random, minutes: int) -> list[float]:
    """Return production's latencies in *minutes* before the trial."""
    return [100 * (1 + random.gauss(0, kind.own)) for _ in range(minutes)]


def series(control: Sequence[float], candidate: Sequence[float]) -> Series:
    """Return both sides, from the first minute of the trial on."""
    at = moments(len(control), 0)
    return Series(
        control=dict(zip(at, control, strict=True)), candidate=dict(zip(at, candidate, strict=True))
    )


def moments(minutes: int, first: int) -> list[datetime]:
    """Return *minutes* minutes, from the minute *first* of the trial on."""
    return [BEGIN + timedelta(minutes=first + minute) for minute in range(minutes)]


if __name__ == "__main__":
    sys.exit(main())
