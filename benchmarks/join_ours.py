"""Compares the captured files of a folder with this package, and prints the figures."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

from join_figures import print_figures
from join_files import files_of

from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.operators._judging.captures import compare_captures


def lines(folder: Path, side: str) -> Iterator[bytes]:
    """Yield the lines of all files of a side."""
    return itertools.chain.from_iterable(path.open("rb") for path in files_of(folder, side))


def compare(folder: Path) -> dict[str, float]:
    """Return the results that pandas computes, too."""
    rule = PredictionRule(label="predictions[*].label", score="predictions[*].score")
    comparison = compare_captures(lines(folder, "production"), lines(folder, "shadow"), rule, workdir=folder)
    summary = comparison.summary()
    difference = summary["score_difference"]
    return {
        "pairs": summary["pairs"],
        "disagreements": summary["disagreements"],
        "mean": difference["mean"],
        "median": difference["quantiles"]["0.5"],
    }


if __name__ == "__main__":
    print_figures(lambda: compare(Path(sys.argv[1])))
