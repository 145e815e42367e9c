"""Compares captured files with Polars: a lazy query for the streaming engine, with only the needed fields."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from join_figures import print_figures

RECORD = pl.Schema(
    {
        "captureData": pl.Struct({"endpointOutput": pl.Struct({"data": pl.String})}),
        "eventMetadata": pl.Struct({"inferenceId": pl.String}),
    }
)
ANSWER = pl.Struct({"predictions": pl.List(pl.Struct({"label": pl.String, "score": pl.Float64}))})


def answers(paths: list[Path]) -> pl.LazyFrame:
    """Return inference id, label and score of each record."""
    data = pl.col("captureData").struct.field("endpointOutput").struct.field("data")
    first = data.str.json_decode(ANSWER).struct.field("predictions").list.first()
    return (
        pl.scan_ndjson(paths, schema=RECORD)
        .select(pl.col("eventMetadata").struct.field("inferenceId"), first.alias("answer"))
        .unnest("answer")
    )


def compare(production: list[Path], shadow: list[Path]) -> dict[str, float]:
    """Join production and shadow and return the same results as ``join_ours.py``."""
    difference = pl.col("score_shadow") - pl.col("score")
    query = (
        answers(production)
        .join(answers(shadow), on="inferenceId", suffix="_shadow")
        .select(
            pairs=pl.len(),
            disagreements=(pl.col("label") != pl.col("label_shadow")).sum(),
            mean=difference.mean(),
            median=difference.median(),
        )
    )
    return query.collect(engine="streaming").row(0, named=True)


if __name__ == "__main__":
    print_figures(f"Polars {pl.__version__}", compare)
