"""Runs one contender on the files of a folder, and prints its results and resources as one line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

# ru_maxrss is in kilobytes, on macOS in bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


def print_figures(name: str, compare: Callable[[list[Path], list[Path]], dict[str, float]]) -> None:
    """
    Call *compare* with the files of production and shadow and print its results.

    Added are wall seconds, CPU seconds (user and system, all threads), both without imports, and the peak
    memory of the process in MiB. The first argument of the command line is the folder of the files.
    """
    folder = Path(sys.argv[1])
    production, shadow = (sorted(folder.glob(f"{side}-*.jsonl")) for side in ("production", "shadow"))
    start, cpu = time.perf_counter(), time.process_time()
    results = compare(production, shadow)
    needed = {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT / 2**20,
    }
    print(json.dumps({"name": name, **results, **needed}))
