"""
Compares captured files with this package.

Arguments: the folder of the files, the kind of answers (see ``join_files.py``), and the folder for temporary
files.
"""

from __future__ import annotations

import sys
from pathlib import Path

from join_figures import print_figures

from airflow_guardrails.captured.comparing import compare_files
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule

BY_PATHS = PredictionRule(label="predictions[*].label", score="predictions[*].score")


def compare(production: list[Path], shadow: list[Path]) -> dict[str, float]:
    """Return the results that the other contenders compute, too; whole documents have no scores."""
    kind, workdir = sys.argv[2:]
    rule = BY_PATHS if kind == "scores" else DEFAULT_RULE
    summary = compare_files(production, shadow, rule, workdir=Path(workdir)).summary()
    results = {"pairs": summary["pairs"], "disagreements": summary["disagreements"]}
    if kind == "scores":
        difference = summary["score_difference"]
        results |= {"mean": difference["mean"], "median": difference["quantiles"]["0.5"]}
    return results


if __name__ == "__main__":
    print_figures("this package", compare)
