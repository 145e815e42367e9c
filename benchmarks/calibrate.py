"""
False alarms and time to detection of two judges, on the same simulated series.

Run: ``python benchmarks/calibrate.py`` (40 minutes on two cores; ``--runs 50`` for a quick run, ``--only
errors`` for the rows with this text in their names, ``--processes 1`` on a shared machine, ``--write`` to
update the table in ``docs/judge.md``). Our judge looks every minute. Kayenta's looks eleven times at a
growing window, and once at the end. Rows in which our judge fails or passes significantly more of the
unharmed candidates than alpha are marked. Exits with 1 if there is one whose limit is not known.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from multiprocessing.pool import Pool
from pathlib import Path
from random import Random
from statistics import median_low
from textwrap import fill

from calibration.bounds import at_least
from calibration.judging import ALPHA, Course, course, kayenta, kayentas_looks, our_looks, ours
from calibration.row import Row
from calibration.rows import ROWS

PAGE = Path(__file__).parents[1] / "docs" / "judge.md"
BEGIN, END = "<!-- calibration: begin -->", "<!-- calibration: end -->"
AN_HOUR = 60
WIDTH = 128
BROKEN_ROWS = "Alpha is exceeded in these rows:"
NEW = "The same without a history of production before the trial:"
HEAD = (
    "| series | candidate | ours, every minute: Fail | Pass | Kayenta, 11 looks: Fail | Pass "
    "| Kayenta, 1 look: Fail |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
BROKEN = "**> alpha**"
QUICKER = "(quicker)"

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
        failed, passed = failed_in(self.ours), passed_in(self.ours)
        cells = [
            self.row.name,
            self.name or "unharmed",
            f"{failed} {BROKEN}" if self.fails_too_often else failed,
            f"{passed} {BROKEN}" if self.passes_too_often else passed,
            f"{failed_in(self.kayenta)} {QUICKER}" if self.is_later else failed_in(self.kayenta),
            passed_in(self.kayenta),
            failed_in(self.once),
        ]
        return f"| {' | '.join(cells)} |"

    @property
    def fails_too_often(self) -> bool:
        """Whether significantly more than alpha of the unharmed failed."""
        return self.name is None and exceeds(failures(self.ours), len(self.ours), ALPHA)

    @property
    def passes_too_often(self) -> bool:
        """Whether significantly more than alpha of the unharmed passed, although that is wrong."""
        passed = sum(one.passed is not None for one in self.ours)
        return self.name is None and not self.row.passes and exceeds(passed, len(self.ours), ALPHA)

    @property
    def is_broken(self) -> bool:
        """Whether alpha is exceeded, significantly."""
        return self.fails_too_often or self.passes_too_often

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
    """Print a line for each candidate of each row; return 1 if our judge breaks its alpha unexpectedly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        default=400,
        help="runs of each unharmed candidate; the others have a quarter (%(default)s)",
    )
    parser.add_argument("--only", default="", help="part of the rows' names")
    parser.add_argument("--processes", type=int, help="default: one for each core")
    parser.add_argument("--write", action="store_true", help="into docs/judge.md")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("--write needs all rows, so it is not possible with --only")
    lines = []
    with Pool(options.processes) as pool:
        for number, row in enumerate(ROWS):
            if options.only in row.name:
                for line in lines_of(row, number, pool, options.runs):
                    lines.append(line)
                    print(line, flush=True)
    print(f"\n{compared_with_kayenta(lines)}")
    if options.write:
        write(lines, options.runs)
    broken = [line.row for line in lines if line.is_broken]
    for row in broken:
        print(f"more than {ALPHA:.0%} wrong: {row.name}{f': {row.limit}' if row.limit else ''}")
    return int(any(row.limit is None for row in broken))


def lines_of(row: Row, number: int, pool: Pool, runs: int) -> Iterator[Line]:
    """
    Yield the line of the unharmed candidate of *row*, and of each harmed one.

    :param number: index of the row: its makers cannot be sent to another process.
    """
    for name in (None, *row.harmed):
        seeds = range(runs_of(row, name, runs))
        results = pool.map(partial(one_run, number, name), seeds, chunksize=5)
        line = Line(row, name, *zip(*results, strict=True))
        if line.is_open:
            more = range(len(seeds), MORE * len(seeds))
            again = pool.map(partial(kayentas_run, number), more, chunksize=20)
            line = replace(line, kayenta=(*line.kayenta, *again))
        yield line


def runs_of(row: Row, name: str | None, runs: int) -> int:
    """Return the number of runs of a line: a share that is compared with alpha has to be known best."""
    if row.runs is not None:
        return min(row.runs, runs)
    many = runs if name is None else runs // 4
    return max(many if row.minutes <= AN_HOUR else many // 4, 1)


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


def failed_in(courses: Sequence[Course]) -> str:
    """Return the share of runs that failed, and their median minute, as a cell of the table."""
    return share_and_minute([one.failed for one in courses])


def passed_in(courses: Sequence[Course]) -> str:
    """Return the share of runs that passed before they failed, and their median minute, likewise."""
    return share_and_minute([one.passed for one in courses])


def share_and_minute(found: Sequence[int | None]) -> str:
    """Return the share of the runs that have a minute, and the median of these minutes."""
    minutes = [minute for minute in found if minute is not None]
    share = f"{len(minutes) / len(found):.1%}"
    return f"{share}, minute {median_low(minutes)}" if minutes else share


def compared_with_kayenta(lines: Sequence[Line]) -> str:
    """Return the sentences that compare both judges in the rows where Kayenta's keeps its alpha."""
    kept = {line.row.name for line in lines if line.name is None and line.is_kept_by_kayenta}
    rows = {line.row.name for line in lines}
    harmed = [line for line in lines if line.name is not None]
    fair = [line for line in harmed if line.row.name in kept]
    later = [
        f"{line.row.name}, {line.name} ({middle(line.ours):g} to {middle(line.kayenta):g})"
        for line in fair
        if line.is_later
    ]
    others = sum(line.is_later for line in harmed) - len(later)
    return (
        f"Kayenta's judge keeps its alpha of {KAYENTAS_ALPHA:.0%} at eleven looks in {len(kept)} of "
        f"{len(rows)} rows. These have {len(fair)} harmed candidates. The median minute of detection of "
        f"this judge is later than that of Kayenta's for {len(later)} of them"
        f"{': ' if later else ''}{'; '.join(later)}. In the other rows it is later for {others} of "
        f"{len(harmed) - len(fair)}."
    )


def write(lines: Sequence[Line], runs: int) -> None:
    """Replace the table in ``docs/judge.md``."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    known = "\n".join((HEAD, *(str(line) for line in lines if line.row.known)))
    unknown = "\n".join((HEAD, *(str(line) for line in lines if not line.row.known)))
    runs_made = (
        f"Each line has {runs} runs, or a quarter of that for a harmed candidate; a quarter of both if a "
        f"trial lasts 6 h; fewer if they hardly depend on chance; and {MORE} times as many of Kayenta's "
        "judge if these do not show whether it keeps its alpha."
    )
    broken = [
        f"- {line.row.name}{f': {line.row.limit}' if line.row.limit else ''}"
        for line in lines
        if line.is_broken
    ]
    limits = "\n".join((BROKEN_ROWS, "", *broken, "", "")) if broken else ""
    summary = fill(f"{runs_made} {compared_with_kayenta(lines)}", width=WIDTH)
    text = f"{summary}\n\n{known}\n\n{limits}{NEW}\n\n{unknown}"
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
