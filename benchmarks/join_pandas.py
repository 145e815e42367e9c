"""
Compare the files of a folder with pandas, and tell what it took.

It is what one writes for an inference-id merge, and lean: of each line, only the three fields that are
compared become columns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from join_files import files_of
from join_telling import tell


def rows(folder: Path, side: str) -> Iterator[tuple[str, str, float]]:
    for path in files_of(folder, side):
        with path.open("rb") as file:
            for line in file:
                record = json.loads(line)
                (answer,) = json.loads(record["captureData"]["endpointOutput"]["data"])["predictions"]
                yield record["eventMetadata"]["inferenceId"], answer["label"], answer["score"]


def compare(folder: Path) -> dict[str, float]:
    production, shadow = (
        pd.DataFrame.from_records(rows(folder, side), columns=["inference_id", "label", "score"])
        for side in ("production", "shadow")
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
    tell(lambda: compare(Path(sys.argv[1])))
