"""
The cost of parsing a DAG file with this package, compared with Airflow's amazon provider.

Run: ``python benchmarks/imports.py``. Each figure is the median of several new interpreters that have already
imported Airflow's SDK, as the DAG processor has. The two packages take turns, so that other load on the
machine affects both. Exits with 1 if this package needs more CPU time or memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OURS, THEIRS = "airflow-guardrails", "amazon provider"

IMPORTS = {
    OURS: "from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator",
    THEIRS: "from airflow.providers.amazon.aws.operators.sagemaker import SageMakerEndpointOperator",
}

OPERATORS = {
    OURS: """\
from datetime import timedelta
from airflow_guardrails.strategies import Canary
with DAG("deploy", schedule=None):
    SageMakerGuardedUpdateOperator(
        task_id="update", endpoint_name="churn", endpoint_config_name="churn-{{ ds_nodash }}",
        strategy=Canary(percent=25, bake=timedelta(minutes=10)), alarms=["errors"], deferrable=True,
    )
""",
    THEIRS: """\
with DAG("deploy", schedule=None):
    SageMakerEndpointOperator(
        task_id="update", operation="update", deferrable=True,
        config={"EndpointName": "churn", "EndpointConfigName": "churn-{{ ds_nodash }}"},
    )
""",
}

FILES = {
    "import of the operator": IMPORTS,
    "DAG file of one task": {name: f"{IMPORTS[name]}\n{OPERATORS[name]}" for name in IMPORTS},
}

MEASURE = """
import json, resource, sys, time
from airflow.sdk import DAG
source = compile(sys.argv[1], "dag.py", "exec")
memory, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
exec(source, {"DAG": DAG})
cpu = time.process_time() - cpu
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
print(json.dumps([cpu, memory / (1024 if sys.platform == "linux" else 1024 * 1024)]))
"""


def main() -> int:
    """Print the table; return 1 if this package needs more than the amazon provider."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="interpreters for each figure (%(default)s)")
    runs = parser.parse_args().runs
    worst = 0.0
    print(f"{'':24}{'CPU ms':>10}{'ratio':>8}{'memory MB':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as home:
        for title, sources in FILES.items():
            figures = measure(sources, runs=runs, home=Path(home))
            print(title)
            for name, (cpu, memory) in figures.items():
                ratios = cpu / figures[THEIRS][0], memory / figures[THEIRS][1]
                print(f"  {name:22}{cpu * 1000:10.0f}{ratios[0]:8.2f}{memory:12.1f}{ratios[1]:8.2f}")
                worst = max(worst, *ratios)
    return int(worst > 1)


def measure(sources: dict[str, str], *, runs: int, home: Path) -> dict[str, tuple[float, float]]:
    """Return the median CPU seconds and megabytes of each source; the first run only fills the caches."""
    runs_of: dict[str, list[list[float]]] = {name: [] for name in sources}
    for _ in range(runs + 1):
        for name, source in sources.items():
            runs_of[name].append(once(source, home))
    return {
        name: (statistics.median(cpu), statistics.median(memory))
        for name, (cpu, memory) in ((name, zip(*all_[1:], strict=True)) for name, all_ in runs_of.items())
    }


def once(source: str, home: Path) -> list[float]:
    """Run *source* in a new interpreter; return its CPU seconds and additional megabytes."""
    answer = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", MEASURE, source],
        env={**os.environ, "AIRFLOW_HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    figures: list[float] = json.loads(answer.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    sys.exit(main())
