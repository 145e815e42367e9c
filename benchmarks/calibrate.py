"""
False alarms and time to detection of two judges, on the same simulated series.

Run: ``python benchmarks/calibrate.py`` (half an hour or more; ``--runs 50`` for a quick run, ``--only
errors`` for some rows, ``--write`` to update the table in ``docs/judge.md``). Our judge looks every minute.
Kayenta's looks eleven times at a growing window, and once at the end. Exits with 1 if our judge fails or
passes significantly more of the unharmed candidates than alpha.
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
NEW = "The same without a history of production before the trial:"
HEAD = (
    "| series | candidate | ours, every minute | ours, ever Pass | Kayenta, 11 looks | Kayenta, 1 look |\n"
    "| --- | --- | --- | --- | --- | --- |"
)

# Its interval has a confidence of 98 %, and only one of the two ends can fail.
KAYENTAS_ALPHA = 0.01

# Factor for the number of runs where fewer do not show whether Kayenta's judge keeps its alpha.
MORE = 10


@dataclass(frozen=True, slots=True)
class Line:
    """The results for one candidate of a row; *name* is ``None`` for the unharmed one."""

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
        """Whether significantly more than alpha of the unharmed failed, or passed although that is wrong."""
        passed = 0 if self.row.passes else sum(one.passed is not None for one in self.ours)
        return self.name is None and (
            exceeds(failures(self.ours), len(self.ours), ALPHA) or exceeds(passed, len(self.ours), ALPHA)
        )

    @property
    def is_later(self) -> bool:
        """Whether our median minute of detection is later than that of Kayenta's judge at eleven looks."""
        return self.name is not None and middle(self.ours) > middle(self.kayenta)

    @property
    def is_kept_by_kayenta(self) -> bool:
        """Whether Kayenta's judge does not fail significantly more than its alpha at eleven looks."""
        return not exceeds(failures(self.kayenta), len(self.kayenta), KAYENTAS_ALPHA)

    @property
    def is_open(self) -> bool:
        """Whether Kayenta's judge fails more of the unharmed than its alpha, but not significantly."""
        failed, runs = failures(self.kayenta), len(self.kayenta)
        return self.name is None and failed > KAYENTAS_ALPHA * runs and self.is_kept_by_kayenta


def main() -> int:
    """Print a line for each candidate of each row; return 1 if our judge breaks its alpha."""
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
                line = Line(row, name, *zip(*runs, strict=True))
                if line.is_open:
                    more = range(len(seeds), MORE * len(seeds))
                    again = pool.map(partial(kayentas_run, number), more, chunksize=20)
                    line = replace(line, kayenta=(*line.kayenta, *again))
                lines.append(line)
                print(line, flush=True)
    print(f"\n{compared_with_kayenta(lines)}")
    if options.write:
        write(lines, options.runs)
    broken = [line.row.name for line in lines if line.is_broken]
    if broken:
        print(f"more than {ALPHA:.0%} wrong: {', '.join(broken)}")
    return int(bool(broken))


def one_run(number: int, name: str | None, seed: int) -> tuple[Course, Course, Course]:
    """Return one run of our judge, of Kayenta's at eleven looks, and of Kayenta's at one look."""
    row = ROWS[number]
    make = row.unharmed if name is None else row.harmed[name]
    trials = make(Random(seed), row.minutes)  # noqa: S311 - a simulation
    return (
        course(ours, row, trials, our_looks(row)),
        course(kayenta, row, trials, kayentas_looks(row)),
        course(kayenta, row, trials, [row.minutes]),
    )


def kayentas_run(number: int, seed: int) -> Course:
    """Return one run of Kayenta's judge at eleven looks, for the unharmed candidate."""
    row = ROWS[number]
    trials = row.unharmed(Random(seed), row.minutes)  # noqa: S311 - a simulation
    return course(kayenta, row, trials, kayentas_looks(row))


def failures(courses: Sequence[Course]) -> int:
    """Return the number of runs that failed."""
    return sum(one.failed is not None for one in courses)


def exceeds(wrong: int, runs: int, alpha: float) -> bool:
    """Say whether *wrong* of *runs* is significantly more than *alpha*, at a level of 1 %."""
    return at_least(wrong, runs, alpha=0.01) > alpha


def middle(courses: Sequence[Course]) -> float:
    """Return the median minute of the first Fail; ``inf`` if fewer than half of the runs failed."""
    return median_low([inf if one.failed is None else one.failed for one in courses])


def found(courses: Sequence[Course]) -> str:
    """Return the share of runs that failed, and their median minute, as a cell of the table."""
    minutes = [one.failed for one in courses if one.failed is not None]
    share = f"{len(minutes) / len(courses):.1%}"
    return f"{share}, minute {median_low(minutes)}" if minutes else share


def compared_with_kayenta(lines: Sequence[Line]) -> str:
    """Return the sentences that compare both judges in the rows where Kayenta's keeps its alpha."""
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
        f"{len(rows)} rows. These have {len(harmed)} harmed candidates. The median minute of detection of "
        f"this judge is later than that of Kayenta's for {len(later)} of them"
        f"{': ' if later else ''}{'; '.join(later)}."
    )


def write(lines: Sequence[Line], runs: int) -> None:
    """Replace the table in ``docs/judge.md``."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    known = "\n".join((HEAD, *(str(line) for line in lines if line.row.known)))
    unknown = "\n".join((HEAD, *(str(line) for line in lines if not line.row.known)))
    runs_made = (
        f"Each line has {runs} runs, a quarter of that if a trial lasts 6 h, and {MORE} times as many of "
        "Kayenta's judge if these do not show whether it keeps its alpha."
    )
    summary = fill(f"{runs_made} {compared_with_kayenta(lines)}", width=WIDTH)
    text = f"{summary}\n\n{known}\n\n{NEW}\n\n{unknown}"
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
