"""
Compares captured files with pandas.

It is a usual merge by inference id. To save memory, only the three compared fields of each line are columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from join_figures import print_figures


def rows(paths: list[Path]) -> Iterator[tuple[str, str, float]]:
    """Yield inference id, label and score of each record."""
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                record = json.loads(line)
                (answer,) = json.loads(record["captureData"]["endpointOutput"]["data"])["predictions"]
                yield record["eventMetadata"]["inferenceId"], answer["label"], answer["score"]


def compare(*sides: list[Path]) -> dict[str, float]:
    """Merge production and shadow and return the same results as ``join_ours.py``."""
    production, shadow = (
        pd.DataFrame.from_records(rows(paths), columns=["inference_id", "label", "score"]) for paths in sides
    )
    pairs = production.merge(shadow, on="inference_id", suffixes=("", "_shadow"))
    difference = pairs["score_shadow"] - pairs["score"]
    return {
        "pairs": len(pairs),
        "disagreements": int((pairs["label"] != pairs["label_shadow"]).sum()),
        "mean": float(difference.mean()),
        "median": float(difference.median()),
    }


if __name__ == "__main__":
    print_figures(f"pandas {pd.__version__}", compare)
