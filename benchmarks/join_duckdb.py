"""
Compares captured files with plain SQL of DuckDB, which reads only the needed fields.

This package uses DuckDB, too. The ratio of the two is the cost of what this package does in addition: it
counts duplicates and records without a pair, keeps the worst examples, and returns a result that can be
merged.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
from join_figures import print_figures

ANSWERS = """
    SELECT id, answer[1] AS label, answer[2]::DOUBLE AS score
    FROM (
        SELECT
            eventMetadata.inferenceId AS id,
            json_extract_string(
                captureData.endpointOutput.data, ['$.predictions[0].label', '$.predictions[0].score']
            ) AS answer
        FROM read_json(
            {paths},
            format = 'newline_delimited',
            columns = {{
                captureData: 'STRUCT(endpointOutput STRUCT(data VARCHAR))',
                eventMetadata: 'STRUCT(inferenceId VARCHAR)'
            }}
        )
    )
"""
QUERY = f"""
    SELECT
        count(*) AS pairs,
        count_if(production.label <> shadow.label) AS disagreements,
        avg(shadow.score - production.score) AS mean,
        median(shadow.score - production.score) AS median
    FROM ({ANSWERS.format(paths="$production")}) AS production
    JOIN ({ANSWERS.format(paths="$shadow")}) AS shadow USING (id)
"""


def compare(production: list[Path], shadow: list[Path]) -> dict[str, float]:
    """Join production and shadow and return the same results as ``join_ours.py``."""
    paths = {"production": [*map(str, production)], "shadow": [*map(str, shadow)]}
    result = duckdb.execute(QUERY, paths)
    names = [column[0] for column in result.description]
    return dict(zip(names, result.fetchall()[0], strict=True))


if __name__ == "__main__":
    print_figures(f"DuckDB {duckdb.__version__}, plain SQL", compare)
