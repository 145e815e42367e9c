"""
How often two judges raise a false alarm, and how soon they find harm, on the same made-up series.

Run: ``python benchmarks/calibrate.py`` (half an hour or more; ``--runs 50`` for a first look, ``--only
errors`` for some rows, ``--write`` to bring the table of ``docs/judge.md`` up to date). Ours looks every
minute, Kayenta's eleven times over a growing window, and once at the end. Exits with 1 where ours fails or
passes more of the unharmed than alpha, beyond chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from multiprocessing import Pool
from pathlib import Path
from random import Random
from statistics import median_low
from textwrap import fill

from calibration.bounds import at_least
from calibration.judging import ALPHA, Course, course, kayenta, kayentas_looks, our_looks, ours
from calibration.rows import ROWS, Row

PAGE = Path(__file__).parents[1] / "docs" / "judge.md"
BEGIN, END = "<!-- calibration: begin -->", "<!-- calibration: end -->"
AN_HOUR = 60
WIDTH = 128
NEW = "The same where nothing is known of what production did before the trial:"
HEAD = (
    "| series | candidate | ours, every minute | ours, ever Pass | Kayenta, 11 looks | Kayenta, 1 look |\n"
    "| --- | --- | --- | --- | --- | --- |"
)

# Of its interval of 98 % one end fails.
KAYENTAS_ALPHA = 0.01

# So many times the runs are made where it is not clear whether Kayenta's judge keeps it.
MORE = 10


@dataclass(frozen=True, slots=True)
class ListedStatus:
    """What came of one candidate of a row; *name* is ``None`` for the unharmed."""

    row: Row
    name: str | None
    ours: tuple[Course, ...]
    kayenta: tuple[Course, ...]
    once: tuple[Course, ...]

    def __str__(self) -> str:
        passed = sum(one.passed is not None for one in self.ours) / len(self.ours)
        cells = [self.row.name, self.name or "unharmed", found(self.ours), f"{passed:.1%}"]
        return f"| {' | '.join([*cells, found(self.kayenta), found(self.once)])} |"

    @property
    def is_broken(self) -> bool:
        """Whether more of the unharmed than alpha failed, or passed where that is wrong."""
        passed = 0 if self.row.passes else sum(one.passed is not None for one in self.ours)
        return self.name is None and (
            exceeds(failures(self.ours), len(self.ours), ALPHA) or exceeds(passed, len(self.ours), ALPHA)
        )

    @property
    def is_later(self) -> bool:
        """Whether half of the harmed are found later than by Kayenta's judge at its eleven looks."""
        return self.name is not None and middle(self.ours) > middle(self.kayenta)

    @property
    def is_kept_by_kayenta(self) -> bool:
        return not exceeds(failures(self.kayenta), len(self.kayenta), KAYENTAS_ALPHA)

    @property
    def is_open(self) -> bool:
        """Whether Kayenta's judge fails more of the unharmed than its alpha, but by no more than chance."""
        failed, runs = failures(self.kayenta), len(self.kayenta)
        return self.name is None and failed > KAYENTAS_ALPHA * runs and self.is_kept_by_kayenta


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="runs of each line (%(default)s)")
    parser.add_argument("--only", default="", help="part of the rows' names")
    parser.add_argument("--write", action="store_true", help="into docs/judge.md")
    options = parser.parse_args()
    lines = []
    with Pool() as pool:
        for number, row in enumerate(ROWS):
            if options.only not in row.name:
                continue
            seeds = range(options.runs if row.minutes <= AN_HOUR else options.runs // 4)
            for name in (None, *row.harmed):
                runs = pool.map(partial(one_run, number, name), seeds, chunksize=5)
                line = ListedStatus(row, name, *zip(*runs, strict=True))
                if line.is_open:
                    more = range(len(seeds), MORE * len(seeds))
                    again = pool.map(partial(kayentas_run, number), more, chunksize=20)
                    line = replace(line, kayenta=(*line.kayenta, *again))
                lines.append(line)
                print(line, flush=True)
    print(f"\n{beside_kayentas(lines)}")
    if options.write:
        write(lines, options.runs)
    broken = [line.row.name for line in lines if line.is_broken]
    if broken:
        print(f"more than {ALPHA:.0%} wrong: {', '.join(broken)}")
    return int(bool(broken))


def one_run(number: int, name: str | None, seed: int) -> tuple[Course, Course, Course]:
    row = ROWS[number]
    make = row.unharmed if name is None else row.harmed[name]
    trials = make(Random(seed), row.minutes)  # noqa: S311 - a simulation
    return (
        course(ours, row, trials, our_looks(row)),
        course(kayenta, row, trials, kayentas_looks(row)),
        course(kayenta, row, trials, [row.minutes]),
    )


def kayentas_run(number: int, seed: int) -> Course:
    row = ROWS[number]
    trials = row.unharmed(Random(seed), row.minutes)  # noqa: S311 - a simulation
    return course(kayenta, row, trials, kayentas_looks(row))


def failures(courses: Sequence[Course]) -> int:
    return sum(one.failed is not None for one in courses)


def exceeds(wrong: int, runs: int, alpha: float) -> bool:
    """Say whether so many are more than *alpha*, beyond what chance explains in 99 of 100 runs."""
    return at_least(wrong, runs, alpha=0.01) > alpha


def middle(courses: Sequence[Course]) -> float:
    """Give the minute by which half of all runs have failed."""
    return median_low([inf if one.failed is None else one.failed for one in courses])


def found(courses: Sequence[Course]) -> str:
    """The part that failed, and the median minute at which it did."""
    minutes = [one.failed for one in courses if one.failed is not None]
    share = f"{len(minutes) / len(courses):.1%}"
    return f"{share}, minute {median_low(minutes)}" if minutes else share


def beside_kayentas(lines: Sequence[ListedStatus]) -> str:
    """Say who is quicker where Kayenta's judge keeps its alpha."""
    kept = {line.row.name for line in lines if line.name is None and line.is_kept_by_kayenta}
    harmed = [line for line in lines if line.name is not None and line.row.name in kept]
    later = [
        f"{line.row.name}, {line.name} ({middle(line.ours):g} to {middle(line.kayenta):g})"
        for line in harmed
        if line.is_later
    ]
    rows = {line.row.name for line in lines}
    return (
        f"Kayenta's judge keeps its alpha of {KAYENTAS_ALPHA:.0%} at eleven looks in {len(kept)} of "
        f"{len(rows)} rows. They have {len(harmed)} harmed candidates, and half of the runs are "
        f"found by ours no later than by Kayenta's in all but {len(later)}"
        f"{': ' if later else ''}{'; '.join(later)}."
    )


def write(lines: Sequence[ListedStatus], runs: int) -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    known = "\n".join((HEAD, *(str(line) for line in lines if line.row.known)))
    unknown = "\n".join((HEAD, *(str(line) for line in lines if not line.row.known)))
    told = (
        f"{runs} runs of each line, a quarter of that where a trial lasts 6 h, and {MORE} times as many of "
        "Kayenta's judge where these do not show whether it keeps its alpha."
    )
    told = fill(f"{told} {beside_kayentas(lines)}", width=WIDTH)
    text = f"{told}\n\n{known}\n\n{NEW}\n\n{unknown}"
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
