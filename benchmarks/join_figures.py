"""Prints the results of a process and the resources that it used, as one line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable

# ru_maxrss is in kilobytes, on macOS in bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


def print_figures(work: Callable[[], dict[str, float]]) -> None:
    """Run *work* and print its results, with seconds, CPU seconds and the process's peak memory in MiB."""
    start, cpu = time.perf_counter(), time.process_time()
    results = work()
    needed = {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT / 2**20,
    }
    print(json.dumps({**results, **needed}))
