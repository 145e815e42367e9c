"""
Compares the join of captured requests with pandas: an hour of 1,000,000 pairs, joined by inference id.

Both read the same files, each in its own process, one after the other. pandas is installed into a temporary
environment. pandas does only this join, by one id and in memory. This package also counts records without a
pair, keeps the worst examples, and returns a result that can be merged with those of other hours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from join_files import FILES, make_files
from table import Row, Wanted, below, print_rows

HERE = Path(__file__).parent
MOST_MEMORY = 500
QUICK = 100_000
# Our quantiles come from a histogram: its relative resolution, and its smallest bin.
RESOLUTION, SMALLEST = 1 / 32, 2**-30


def main() -> int:
    """Print the table; return 1 if a figure is not as wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} pairs")
    arguments = parser.parse_args()
    pairs = QUICK if arguments.quick else arguments.pairs
    with tempfile.TemporaryDirectory() as home:
        python = _with_pandas(Path(home) / "venv")
        folder = Path(home) / "captures"
        folder.mkdir()
        start = time.perf_counter()
        make_files(folder, pairs)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        print(f"{2 * FILES} files, {size:,.0f} MiB, made in {time.perf_counter() - start:.0f} s", flush=True)
        theirs = _run(python, "join_pandas.py", folder)
        ours = _run(sys.executable, "join_ours.py", folder)
    _check_the_same(theirs, ours)
    rows = [
        Row("pairs a second", pairs / theirs["seconds"], pairs / ours["seconds"]),
        Row("pairs a second of CPU", pairs / theirs["cpu"], pairs / ours["cpu"]),
        Row("peak memory, MiB", theirs["peak"], ours["peak"], below(MOST_MEMORY)),
        Row("peak memory beside pandas'", theirs["peak"], ours["peak"], _less()),
    ]
    return int(not print_rows(f"{pairs:,} pairs, joined by inference id; theirs is pandas", rows))


def _less() -> Wanted:
    return Wanted("less", lambda theirs, ours: ours < theirs)


def _with_pandas(folder: Path) -> str:
    """Create an environment with pandas, and return the path of its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603 - our own
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "pandas"], check=True)  # noqa: S603 - our own
    return python


def _run(python: str, script: str, folder: Path) -> dict[str, Any]:
    command = [python, str(HERE / script), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own code
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _check_the_same(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    for name in ("pairs", "disagreements"):
        if theirs[name] != ours[name]:
            raise SystemExit(f"{name}: theirs {theirs[name]:,}, ours {ours[name]:,}")
    if abs(theirs["mean"] - ours["mean"]) > 1e-12:  # noqa: PLR2004 - pandas rounds each sum, ours is exact
        raise SystemExit(f"mean: theirs {theirs['mean']}, ours {ours['mean']}")
    if abs(theirs["median"] - ours["median"]) > max(SMALLEST, 2 * RESOLUTION * abs(theirs["median"])):
        raise SystemExit(f"median: theirs {theirs['median']}, ours {ours['median']}")


if __name__ == "__main__":
    sys.exit(main())
