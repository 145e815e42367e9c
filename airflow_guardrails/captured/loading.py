"""Loads captured files into the table ``records``, and counts the lines that are no captured record."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow_guardrails.captured.answers import reading_sql
from airflow_guardrails.captured.database import Database, literal
from airflow_guardrails.captured.files import CapturedFile
from airflow_guardrails.captured.sql import side_of_row
from airflow_guardrails.domain.predictions.comparison import Part
from airflow_guardrails.domain.predictions.records import BOUNDARY_WIDTH, HOUR, Side
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.tally import (
    MAX_PAYLOAD_LENGTH,
    OTHER_VERSION,
    RECORDS,
    LineFault,
    UnjoinedReason,
    fault_key,
    side_key,
    unjoined_key,
)
from airflow_guardrails.exceptions import UnexpectedAnswer

# So many unreadable lines of a side are looked at for their reasons; further ones are taken for the same.
_LOOKED_AT = 100_000

_COLUMNS = {
    "captureData": (
        "STRUCT(endpointInput STRUCT(data VARCHAR, encoding VARCHAR), "
        "endpointOutput STRUCT(data VARCHAR, encoding VARCHAR, observedContentType VARCHAR))"
    ),
    "eventMetadata": "STRUCT(inferenceId VARCHAR, eventId VARCHAR, inferenceTime VARCHAR)",
    "eventVersion": "VARCHAR",
}
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)"

# How far a time is from the nearest end of an hour.
DISTANCE = f"abs(time - (time + {HOUR // 2}) // {HOUR} * {HOUR})"

# DuckDB reads 2,048 rows of a table at once, so answers that are longer than this are not in the table.
_LONG = 32 * 1024

# A fault that only the line itself can tell.
_LINE = "line"

_TABLE = """
CREATE TABLE records (
    shadow BOOLEAN,
    time BIGINT,                 -- microseconds since 1970; NULL if it is no record
    fault VARCHAR,               -- why it is none
    inference_id VARCHAR,        -- '' if there is none
    event_id VARCHAR,
    id_key UBIGINT,              -- hash of the inference id and the hour; NULL if there is no id
    input UBIGINT,               -- hash of the input; NULL if it was not captured
    input_digest VARCHAR,        -- the same in every version of DuckDB, for records near an end of the hour
    is_read BOOLEAN,             -- read by SQL; if false, by Python; NULL without an answer
    label VARCHAR,
    score DOUBLE,
    digest UBIGINT,              -- equal digests are equal answers of one row without a number
    answer VARCHAR,              -- where Python may need it; base64 if it is no text
    answer_key UBIGINT,          -- hash of it, to sort by
    place BIGINT,                -- number of the record in its files
    is_long BOOLEAN,             -- whether the answer is left in its file
    is_base64 BOOLEAN,
    content_type VARCHAR,
    input_rows INTEGER,          -- lines of the input
    other_version BOOLEAN,
    sent VARCHAR,                -- beginnings, if they are to be shown
    answered VARCHAR
)
"""


class AnswersInFiles:
    """Finds answers that are not in the table ``records`` in the captured files."""

    def __init__(self, files: Mapping[Side, Sequence[CapturedFile]]) -> None:
        self._files = files
        self._places: dict[tuple[bool, int], tuple[Path, int]] = {}

    def find(self, *, shadow: bool, places: Iterable[int]) -> None:
        """
        Find the lines of records.

        :param places: their numbers, from 1, in ascending order.
        """
        for place, path, start, _ in _lines_at(self._files[side_of_row(shadow)], places):
            self._places[shadow, place] = path, start

    def get(self, *, shadow: bool, place: int, event_id: str) -> str:
        """
        Return the answer of a record as text, in base64 if it is no text.

        :raises UnexpectedAnswer: if the line is of another event.
        """
        path, start = self._places[shadow, place]
        with path.open("rb") as lines:
            lines.seek(start)
            record = json.loads(lines.readline())
        # DuckDB 1.5 counts some truncated lines and the next one as a single line.
        if (record.get("eventMetadata", {}).get("eventId") or "") != event_id:
            raise UnexpectedAnswer(
                "A captured answer cannot be found in its file after a truncated line: install DuckDB 2"
            )
        output = record["captureData"]["endpointOutput"]
        data: str = output["data"]
        if output["encoding"] == "BASE64":
            with suppress(UnicodeDecodeError):
                return base64.b64decode(data).decode()
        return data


def load(
    database: Database,
    files: Mapping[Side, Sequence[CapturedFile]],
    rule: PredictionRule,
    answers: AnswersInFiles,
    *,
    part: Part,
    with_payloads: bool,
) -> Counter[str]:
    """Create the table ``records`` and return the counts of records and faults of each side."""
    database.execute(_TABLE)
    counts: Counter[str] = Counter()
    for side, captured in files.items():
        if captured:
            query = _query(captured, rule, part)
            paths = [[str(file.path.resolve()) for file in captured]]
            database.execute(_insert(query, side, with_payloads=with_payloads), paths)
            found = database.execute(
                "SELECT place FROM records WHERE shadow = ? AND is_long AND fault IS NULL ORDER BY place",
                [side is Side.SHADOW],
            ).fetchall()
            answers.find(shadow=side is Side.SHADOW, places=[place for (place,) in found])
        if part.number == 1:
            too_long = sum(file.too_long for file in captured)
            _count_fault(counts, side, LineFault.TOO_LONG, too_long)
            counts[side_key(side, RECORDS)] += too_long
        counts += _counted(database, side, captured)
    return counts


def _query(captured: Sequence[CapturedFile], rule: PredictionRule, part: Part) -> str:
    """Return the query that reads the files."""
    reading = reading_sql(rule)
    # An expression with an alias of the same SELECT is computed once for each use; a subselect is not.
    levels: list[dict[str, str]] = [
        {
            "no_data": "captureData IS NULL",
            "no_metadata": "eventMetadata IS NULL",
            "written": "eventMetadata.inferenceTime",
            "inference_id": "coalesce(eventMetadata.inferenceId, '')",
            "event_id": "coalesce(eventMetadata.eventId, '')",
            "sent": "captureData.endpointInput.data",
            "sent_encoding": "captureData.endpointInput.encoding",
            "raw": "captureData.endpointOutput.data",
            "encoding": "captureData.endpointOutput.encoding",
            "content_type": "captureData.endpointOutput.observedContentType",
            "other_version": "coalesce(eventVersion <> '0', true)",
        },
        {
            # The usual form first, because a regular expression takes longer.
            "time": "CASE WHEN (written LIKE '____-__-__T__:__:__Z' OR"
            f" regexp_full_match(written, '{_TIME}'))"
            # Python's times end with the years 1 and 9999, in UTC.
            " AND left(written, 4) BETWEEN '0002' AND '9998'"
            " THEN epoch_us(TRY_CAST(written AS TIMESTAMPTZ)) END",
            "input": "CASE WHEN sent <> '' THEN hash(sent) END",
            "data": "CASE WHEN encoding = 'BASE64' THEN try(from_base64(raw)) END",
        },
        {
            "body": "CASE WHEN encoding = 'BASE64' THEN try(decode(data)) ELSE raw END",
            "id_key": f"CASE WHEN inference_id <> '' THEN hash(inference_id, time // {HOUR}) END",
            "input_digest": f"CASE WHEN sent <> '' AND {DISTANCE} <= {BOUNDARY_WIDTH} THEN md5(sent) END",
        },
        *reading.prepared,
        {"label": reading.label, "score": reading.score},
        {"digest": reading.digest},
        {
            "fault": f"""
                CASE
                    WHEN no_data AND no_metadata THEN '{_LINE}'
                    WHEN no_data OR no_metadata THEN '{LineFault.NOT_A_RECORD.value}'
                    WHEN time IS NULL THEN '{LineFault.TIME.value}'
                    WHEN raw IS NULL OR encoding IN ('CSV', 'JSON') OR data IS NOT NULL THEN NULL
                    ELSE '{LineFault.ENCODING.value}'
                END
            """,
            "is_read": f"CASE WHEN raw <> '' THEN coalesce({reading.is_read}, false) END",
            "answer": f"CASE WHEN NOT coalesce({reading.is_read}, false) OR digest IS NOT NULL"
            " THEN coalesce(body, raw) END",
        },
        {"is_long": f"coalesce(strlen(answer) > {_LONG}, false)"},
    ]
    query = f"SELECT *, row_number() OVER () AS place FROM {_read(captured)}"
    for number, level in enumerate(levels):
        columns = ", ".join(f"{expression} AS {name}" for name, expression in level.items())
        query = f"SELECT {'*' if number else 'place'}, {columns} FROM ({query})"
        if number == 0:
            query += f" WHERE {_is_in(part)}"
    return query


def _insert(query: str, side: Side, *, with_payloads: bool) -> str:
    lines = "len(list_filter(string_split(sent, chr(10)), lambda line: trim(line, E' \\t\\r') <> ''))"
    input_rows = f"""
        CASE WHEN answer IS NOT NULL AND sent_encoding NOT IN ('BASE64', 'JSON')
            AND left(sent, 1) NOT IN ('{{', '[') THEN {lines} END
    """
    shown = f"left(sent, {MAX_PAYLOAD_LENGTH}), left(coalesce(body, raw), {MAX_PAYLOAD_LENGTH})"
    return f"""
        INSERT INTO records
        SELECT {side is Side.SHADOW}, time, fault, inference_id, event_id, id_key, input, input_digest,
            CASE WHEN fault IS NULL THEN is_read END, label, score, digest,
            CASE WHEN NOT is_long THEN answer END, hash(answer), place, is_long, body IS NULL,
            CASE WHEN answer IS NOT NULL THEN content_type END,
            {input_rows}, other_version, {shown if with_payloads else "NULL, NULL"}
        FROM ({query})
    """


def _is_in(part: Part) -> str:
    if part.of == 1:
        return "true"
    # The hash is the same in every version and process.
    by_hash = f"md5_number_lower(inference_id) % {part.of} = {part.number - 1}"
    return f"CASE WHEN inference_id = '' THEN {part.number == 1} ELSE {by_hash} END"


def _read(captured: Sequence[CapturedFile]) -> str:
    columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in _COLUMNS.items())
    longest = max(file.longest for file in captured)
    # Without records=true, some answers silently become NULL. With it, a bad line is a row of NULLs.
    return (
        "read_json(?, format = 'newline_delimited', records = true, ignore_errors = true, "
        # A folder such as date=2026 is no column.
        "hive_partitioning = false, "
        f"compression = 'uncompressed', maximum_object_size = {longest}, columns = {{{columns}}})"
    )


def _counted(database: Database, side: Side, captured: Sequence[CapturedFile]) -> Counter[str]:
    counts: Counter[str] = Counter()
    rows = database.execute(
        """
        SELECT fault, count(*), count(*) FILTER (fault IS NULL AND is_read IS NULL),
            count(*) FILTER (fault IS NULL AND other_version)
        FROM records WHERE shadow = ? GROUP BY fault
        """,
        [side is Side.SHADOW],
    ).fetchall()
    for fault, number, without_output, other_version in rows:
        counts[side_key(side, RECORDS)] += number
        counts[unjoined_key(side, UnjoinedReason.NO_OUTPUT)] += without_output
        counts[side_key(side, OTHER_VERSION)] += other_version
        if fault == _LINE:
            for each, lines in _line_faults(database, side, captured, number).items():
                _count_fault(counts, side, each, lines)
        elif fault is not None:
            _count_fault(counts, side, LineFault(fault), number)
    return counts


def _count_fault(counts: Counter[str], side: Side, fault: LineFault, number: int) -> None:
    counts[fault_key(side, fault)] += number
    counts[unjoined_key(side, UnjoinedReason.BROKEN)] += number


def _line_faults(
    database: Database, side: Side, captured: Sequence[CapturedFile], number: int
) -> Counter[LineFault]:
    """Look at the lines themselves: DuckDB does not say why it cannot read one."""
    found = database.execute(
        f"SELECT place FROM records WHERE shadow = ? AND fault = '{_LINE}' ORDER BY place LIMIT {_LOOKED_AT}",
        [side is Side.SHADOW],
    ).fetchall()
    places = [place for (place,) in found]
    faults = Counter(fault_of(line) for *_, line in _lines_at(captured, places))
    # Of many lines, not all were looked at.
    if rest := number - faults.total():
        faults[faults.most_common(1)[0][0] if faults else LineFault.NOT_JSON] += rest
    return faults


def _lines_at(
    captured: Sequence[CapturedFile], places: Iterable[int]
) -> Iterator[tuple[int, Path, int, bytes]]:
    """
    Yield lines of the files, each with its place, its file, and where it starts in the file.

    :param places: numbers of the lines, from 1 in the first file, in ascending order.
    """
    wanted = iter(places)
    next_one = next(wanted, None)
    number = 0
    for file in captured:
        start = 0
        with file.path.open("rb") as lines:
            for line in lines:
                if next_one is None:
                    return
                # DuckDB skips blank lines, too.
                number += bool(line.strip(b" \t\r\n"))
                if number == next_one:
                    yield number, file.path, start, line
                    next_one = next(wanted, None)
                start += len(line)


def fault_of(line: bytes) -> LineFault:
    """Return why a line is no captured record."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return LineFault.NOT_UNICODE
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return LineFault.NOT_JSON
    if not isinstance(value, dict) or not {"captureData", "eventMetadata"} & value.keys():
        return LineFault.NOT_A_RECORD
    # Python reads half of a character; DuckDB does not.
    return LineFault.NOT_UNICODE if "\\ud" in text.lower() else LineFault.NOT_A_RECORD
