"""
Compares the predictions in captured data with this package, pandas, Polars and plain SQL of DuckDB.

All read the same files, each in its own process, one after the other. The peers are installed into a
temporary environment, and do only the join by one id. This package also counts records without a pair and
duplicates, keeps the worst examples, and returns a result that can be merged with those of other hours.

There are three jobs: a label and a score by paths (1,000,000 pairs); whole documents of 1 kB, of which 2 %
differ (200,000 pairs); and the same, with the keys of shadow's documents in another order. The peers do only
the first. With --large, this package alone does the first job for 20,000,000 pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from table import Row, at_least, below, more_than_part, print_rows

HERE = Path(__file__).parent
PAIRS, QUICK, LARGE = 1_000_000, 100_000, 20_000_000
DOCUMENTS, QUICK_DOCUMENTS = 200_000, 50_000

JOBS = {
    "scores": "a label and a score by paths",
    "documents": "whole documents of 1 kB, 2 % differ",
    "reordered": "the same, and shadow's keys are in another order",
}
# The least pairs a second of CPU for each job.
WANTED = {"scores": 200_000, "documents": 60_000, "reordered": 15_000}
# The part of each peer's pairs a second of CPU that is wanted. DuckDB's plain SQL does much less.
PEERS = {"pandas": more_than_part(1), "polars": more_than_part(1), "duckdb": more_than_part(3)}
PEAK, LARGE_PEAK = below(400), below(1536)
TEMPORARY_BYTES_PER_PAIR = 600

SPEED, MEMORY = "pairs a second of CPU", "peak memory, MiB"
SAMPLE_SECONDS = 0.2
BLOCK_BYTES = 512  # of st_blocks, on any file system
# What join_files.py writes: bytes for each pair, and every 50th document differs.
FILE_BYTES_PER_PAIR = 1100
DIFFERING_EVERY = 50
# Our quantiles come from a histogram: its relative resolution, and its smallest bin.
RESOLUTION, SMALLEST = 1 / 32, 2**-30

Figures = dict[str, Any]


def main() -> int:
    """Print the tables; return 1 if a figure is not as wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--pairs", type=int, help="pairs of the first job; of the others at most 200,000")
    size.add_argument(
        "--quick", action="store_true", help=f"{QUICK:,} pairs, and {QUICK_DOCUMENTS:,} documents"
    )
    parser.add_argument("--large", action="store_true", help=f"only the first job, {LARGE:,} pairs")
    arguments = parser.parse_args()
    pairs = arguments.pairs or (QUICK if arguments.quick else LARGE if arguments.large else PAIRS)
    documents = min(pairs, QUICK_DOCUMENTS if arguments.quick else DOCUMENTS)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        if arguments.large:
            return int(not large(home, pairs))
        met = [
            scores(home, pairs),
            whole_documents(home, "documents", documents),
            whole_documents(home, "reordered", documents),
        ]
    return int(not all(met))


def scores(home: Path, pairs: int) -> bool:
    """Compare labels and scores with all contenders; return whether the figures are as wanted."""
    python = _with_peers(home / "venv")
    with _captures(home, "scores", pairs) as folder:
        peers = {peer: _run(python, peer, folder, "scores") for peer in PEERS}
        ours = _run(sys.executable, "ours", folder, "scores")
    for theirs in peers.values():
        _check_the_same(theirs, ours)
    met = [_print_alone("scores", ours)]
    for peer, wanted in PEERS.items():
        theirs = peers[peer]
        rows = [
            Row("pairs a second", pairs / theirs["seconds"], pairs / ours["seconds"]),
            Row(SPEED, pairs / theirs["cpu"], pairs / ours["cpu"], wanted),
            Row(MEMORY, theirs["peak"], ours["peak"]),
        ]
        met.append(print_rows(f"the same job; theirs is {theirs['name']}", rows))
    return all(met)


def whole_documents(home: Path, job: str, pairs: int) -> bool:
    """Compare whole documents with this package alone; return whether the figures are as wanted."""
    with _captures(home, job, pairs) as folder:
        ours = _run(sys.executable, "ours", folder, job)
    _check("pairs", pairs, ours["pairs"])
    _check("disagreements", -(-pairs // DIFFERING_EVERY), ours["disagreements"])
    return _print_alone(job, ours)


def large(home: Path, pairs: int) -> bool:
    """Compare labels and scores of very many pairs; return whether memory and disk space are as wanted."""
    _check_disk_space(home, pairs)
    with _captures(home, "scores", pairs) as folder:
        ours = _run(sys.executable, "ours", folder, "scores")
    _check("pairs", pairs, ours["pairs"])
    rows = [
        Row.alone("pairs a second", pairs / ours["seconds"]),
        Row.alone(SPEED, pairs / ours["cpu"]),
        Row.alone(MEMORY, ours["peak"], LARGE_PEAK),
        Row.alone(
            "temporary space, bytes a pair", ours["temporary"] / pairs, below(TEMPORARY_BYTES_PER_PAIR)
        ),
    ]
    return print_rows(f"{pairs:,} pairs: {JOBS['scores']}", rows)


def _check_disk_space(home: Path, pairs: int) -> None:
    needed = pairs * (FILE_BYTES_PER_PAIR + TEMPORARY_BYTES_PER_PAIR) / 2**30
    free = shutil.disk_usage(home).free / 2**30
    if free < needed:
        raise SystemExit(
            f"Too little disk space: {needed:.1f} GiB needed > {free:.1f} GiB free in {home.parent}."
            " Set TMPDIR to a folder with more space, or compare fewer --pairs."
        )


def _with_peers(folder: Path) -> str:
    """Create an environment with the peers, and return the path of its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603 - our own
    python = str(folder / "bin" / "python")
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEERS]
    subprocess.run(command, check=True)  # noqa: S603 - our own
    return python


@contextmanager
def _captures(home: Path, job: str, pairs: int) -> Iterator[Path]:
    """Yield a folder with the files of *job*, and delete it afterwards."""
    with tempfile.TemporaryDirectory(dir=home) as name:
        start = time.perf_counter()
        # In another process: a child's peak memory starts with what its parent had.
        command = [sys.executable, str(HERE / "join_files.py"), name, job, str(pairs)]
        subprocess.run(command, check=True)  # noqa: S603 - our own code
        paths = [*Path(name).iterdir()]
        size = sum(path.stat().st_size for path in paths) / 2**20
        seconds = time.perf_counter() - start
        print(f"\n{job}: {len(paths)} files, {size:,.0f} MiB, made in {seconds:.0f} s", flush=True)
        yield Path(name)


def _run(python: str, contender: str, folder: Path, job: str) -> Figures:
    """Run a contender; return its figures, and the most disk space of its temporary files in bytes."""
    temporary = 0
    with tempfile.TemporaryDirectory(dir=folder) as workdir:
        command = [python, str(HERE / f"join_{contender}.py"), str(folder), job, workdir]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own code
            while True:
                try:
                    printed, _ = process.communicate(timeout=SAMPLE_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    temporary = max(temporary, _disk_space(Path(workdir)))
    if process.returncode:
        raise SystemExit(f"join_{contender}.py failed with exit code {process.returncode}")
    figures: Figures = {**json.loads(printed), "temporary": temporary}
    print(
        "{name}: {pairs:,} pairs, {seconds:.1f} s, {cpu:.1f} s of CPU, {peak:.0f} MiB".format(**figures),
        flush=True,
    )
    return figures


def _disk_space(folder: Path) -> int:
    """Return the bytes that the files below *folder* use on the disk; files may disappear meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_blocks * BLOCK_BYTES
    return total


def _print_alone(job: str, ours: Figures) -> bool:
    pairs = ours["pairs"]
    rows = [
        Row.alone(SPEED, pairs / ours["cpu"], at_least(WANTED[job])),
        Row.alone(MEMORY, ours["peak"], PEAK if job == "scores" else None),
    ]
    return print_rows(f"{pairs:,} pairs: {JOBS[job]}", rows)


def _check_the_same(theirs: Figures, ours: Figures) -> None:
    """Stop if a contender has another result; sums are rounded by the peers, and exact here."""
    _check("pairs", theirs["pairs"], ours["pairs"])
    _check("disagreements", theirs["disagreements"], ours["disagreements"])
    _check("mean", theirs["mean"], ours["mean"], within=1e-12)
    resolution = max(SMALLEST, 2 * RESOLUTION * abs(theirs["median"]))
    _check("median", theirs["median"], ours["median"], within=resolution)


def _check(name: str, expected: float, ours: float, *, within: float = 0) -> None:
    if abs(expected - ours) > within:
        raise SystemExit(f"{name}: expected {expected}, ours {ours}")


if __name__ == "__main__":
    sys.exit(main())
