"""
How often two judges raise a false alarm, and how soon they find harm, on the same made-up series.

Run: ``python benchmarks/calibrate.py`` (about ten minutes; ``--runs 50`` for a first look, ``--only errors``
for some rows, ``--write`` to bring the table of ``docs/judge.md`` up to date). Ours looks every minute,
Kayenta's eleven times over a growing window, and once at the end. Exits with 1 where ours fails or passes
more of the unharmed than alpha, beyond chance, in a row where it promises not to.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from random import Random
from statistics import median

from calibration.bounds import at_least
from calibration.judging import ALPHA, Course, course, kayenta, kayentas_looks, our_looks, ours
from calibration.rows import ROWS, Row

PAGE = Path(__file__).parents[1] / "docs" / "judge.md"
BEGIN, END = "<!-- calibration: begin -->", "<!-- calibration: end -->"
AN_HOUR = 60
HEAD = (
    "| series | candidate | ours, every minute | ours, ever Pass | Kayenta, 11 looks | Kayenta, 1 look |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="runs of each line (%(default)s)")
    parser.add_argument("--only", default="", help="part of the rows' names")
    parser.add_argument("--write", action="store_true", help="into docs/judge.md")
    options = parser.parse_args()
    lines, broken = [], []
    with Pool() as pool:
        for number, row in enumerate(ROWS):
            if options.only not in row.name:
                continue
            seeds = range(options.runs if row.minutes <= AN_HOUR else options.runs // 4)
            for name in (None, *row.harmed):
                runs = pool.map(partial(one_run, number, name), seeds, chunksize=5)
                lines.append(line(row, name, runs))
                print(lines[-1], flush=True)
                if name is None and row.holds and exceeds([ours_ for ours_, _, _ in runs]):
                    broken.append(row.name)
    if options.write:
        write(lines, options.runs)
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


def exceeds(courses: Sequence[Course]) -> bool:
    """Say whether more than alpha failed, or passed, beyond what chance explains in 99 of 100 runs."""
    failed = sum(one.failed is not None for one in courses)
    passed = sum(one.passed is not None for one in courses)
    return at_least(max(failed, passed), len(courses), alpha=0.01) > ALPHA


def line(row: Row, name: str | None, runs: Sequence[tuple[Course, Course, Course]]) -> str:
    columns = list(zip(*runs, strict=True))
    what = "unharmed" if name is None else name
    passed = sum(one.passed is not None for one in columns[0]) / len(runs)
    title = row.name if row.holds else f"{row.name} (alpha does **not** hold)"
    cells = [title, what, found(columns[0]), f"{passed:.1%}", found(columns[1]), found(columns[2])]
    return f"| {' | '.join(cells)} |"


def found(courses: Sequence[Course]) -> str:
    """The part that failed, and the median minute at which it did."""
    minutes = [one.failed for one in courses if one.failed is not None]
    share = f"{len(minutes) / len(courses):.1%}"
    return f"{share}, minute {median(minutes):.0f}" if minutes else share


def write(lines: Sequence[str], runs: int) -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join((HEAD, *lines))
    told = f"{runs} runs of each line, a quarter of that where a trial lasts 6 h."
    PAGE.write_text(f"{before}{BEGIN}\n{told}\n\n{table}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
