"""
Makes the captured data of one hour: files of both variants with the same requests, in two random orders.

Arguments: the folder, the kind of answers, and the number of requests. The kinds are

- ``scores``: a label and a score; shadow's score differs a little. About 500 bytes for each request and side.
- ``documents``: JSON of 1 kB. In 2 % of the requests one number of shadow's document differs.
- ``reordered``: the same, and the keys of all objects in shadow's documents are in reverse order.

DuckDB writes the files, because a loop in Python would need half an hour for 20,000,000 requests.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

REQUESTS_PER_FILE = 125_000
DIFFERING_EVERY = 50
# So many numbers make a document of 1 kB.
NUMBERS = 44

# chance() is a number above 0, up to 1, which depends only on its arguments.
MACROS = """
    CREATE MACRO chance(request, name) AS ((hash(name || ' ' || request) >> 11) + 1) / 2.0 ** 53;
    CREATE MACRO normal(request) AS
        sqrt(-2 * ln(chance(request, 'radius'))) * cos(2 * pi() * chance(request, 'angle'));
    CREATE MACRO id_of(request, name) AS md5_number(request || name)::UHUGEINT::UUID;
    CREATE MACRO time_of(second) AS
        strftime(TIMESTAMP '2026-03-02 10:00:00' + to_seconds(second), '%Y-%m-%dT%H:%M:%SZ');
    CREATE MACRO part(content_type, mode, data, encoding) AS
        {'observedContentType': content_type, 'mode': mode, 'data': data, 'encoding': encoding};
"""
RECORDS = """
    SELECT
        {{
            'endpointInput': part('text/csv', 'INPUT', concat_ws(',', {sent}), 'CSV'),
            'endpointOutput': part('application/json', 'OUTPUT', {answer}, 'JSON')
        }} AS "captureData",
        {{
            'eventId': id_of(request, '{side}'),
            'inferenceId': id_of(request, 'inference'),
            'inferenceTime': time_of(request * 3600 // {requests})
        }} AS "eventMetadata",
        '0' AS "eventVersion"
    FROM requests
    WHERE rowid >= {first} AND rowid < {first} + {number}
"""


def make_files(folder: Path, kind: str, requests: int) -> None:
    """Write *requests* records of each side to *folder*, with up to 125,000 records in a file."""
    sent = ", ".join(f"round(chance(request, {number}), 4)" for number in range(8))
    with duckdb.connect() as connection:
        connection.execute(MACROS)
        for side in ("production", "shadow"):
            connection.execute(
                f"CREATE OR REPLACE TABLE requests AS "
                f"SELECT range AS request FROM range({requests}) ORDER BY hash('{side} ' || range)"
            )
            for first in range(0, requests, REQUESTS_PER_FILE):
                records = RECORDS.format(
                    sent=sent,
                    answer=_answer(kind, side),
                    side=side,
                    requests=requests,
                    first=first,
                    number=REQUESTS_PER_FILE,
                )
                path = folder / f"{side}-{first // REQUESTS_PER_FILE:04}.jsonl"
                connection.execute(f"COPY ({records}) TO '{path}' (FORMAT json)")


def _answer(kind: str, side: str) -> str:
    """Return the SQL of an answer's text."""
    if kind == "scores":
        return _scores(side)
    return _document(differs=side == "shadow", reverse=side == "shadow" and kind == "reordered")


def _scores(side: str) -> str:
    score = "chance(request, 'score')"
    if side == "shadow":
        score = f"greatest(0, least(1, {score} + 0.01 * normal(request)))"
    label = f"if({score} > 0.5, 'churn', 'stay')"
    # With spaces, as json.dumps writes it.
    return f"""'{{"predictions": [{{"label": "' || {label} || '", "score": ' || {score} || '}}]}}'"""


def _document(*, differs: bool, reverse: bool) -> str:
    numbers = {f"feature_{number:02}": f"round(chance(request, {number}), 4)" for number in range(NUMBERS)}
    if differs:
        numbers["feature_20"] += f" + if(request % {DIFFERING_EVERY} = 0, 1, 0)"
    prediction = {
        "label": "if(request % 2 = 0, 'churn', 'stay')",
        "score": "chance(request, 'score')",
        "features": _struct(numbers, reverse=reverse),
    }
    document = {"model": "'churn-7'", "predictions": f"[{_struct(prediction, reverse=reverse)}]"}
    return f"to_json({_struct(document, reverse=reverse)})::VARCHAR"


def _struct(fields: dict[str, str], *, reverse: bool) -> str:
    items = [f"'{name}': {value}" for name, value in fields.items()]
    return "{" + ", ".join(reversed(items) if reverse else items) + "}"


if __name__ == "__main__":
    make_files(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
