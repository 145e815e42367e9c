"""
Joins the table ``records``: by inference id, then by event id, then by input and time.

The rules are those of ``domain.predictions.joining``. Each step makes a table with the joined records of both
sides in one row; what has no pair has NULL on the other side and goes to the next step. The view ``joined``
has the rows of all steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from airflow_guardrails.captured.database import Database
from airflow_guardrails.captured.sql import fetched, side_of_row
from airflow_guardrails.domain.predictions.joining import Link, pair_nearest
from airflow_guardrails.domain.predictions.records import HOUR, JoinKey
from airflow_guardrails.domain.predictions.tally import (
    REUSED_IDS,
    UnjoinedReason,
    side_key,
    unjoined_key,
)

_BATCH = 10_000
# Records of one input without a pause between them are paired in parts of this size, to bound memory.
_MAX_CHAIN = 100_000

# What the comparison needs of a record.
_NEEDED = ("is_read", "label", "score", "digest")
_COLUMNS = "rowid AS row, is_read, label, score, digest"
_BOTH = ", ".join(f"{side}.{column} AS {side}_{column}" for column in ("row", *_NEEDED) for side in "ps")

# Keys are hashes of 64 bits, which are smaller than texts: among 20 million records of each side, that two
# different ones meet has a probability of 0.00002.
_EVENT_KEY = f"hash(event_id, time // {HOUR})"

# The order in which the first of several records is chosen; it does not depend on the order of the files.
_ORDER_OF_TIME = "event_id, inference_id, records.input, label, score, answer_key"
_ORDER = f"time, {_ORDER_OF_TIME}"


def join(database: Database, *, within: int) -> Counter[str]:
    """
    Create the view ``joined`` and the table ``unmatched``; return the counts of duplicates and reused ids.

    :param within: largest difference of the times of a pair that is joined by its input, in microseconds.
    """
    return _Join(database, within).run()


class _Join:
    def __init__(self, database: Database, within: int) -> None:
        self._database = database
        self._within = within
        self.counts: Counter[str] = Counter()

    def run(self) -> Counter[str]:
        database = self._database
        database.execute("CREATE TABLE duplicates (row BIGINT)")
        self._find_reused_ids()
        by_id = f"id_key IS NOT NULL AND {_not_in('duplicates')} AND {_not_in('reused')}"
        self._join_by(JoinKey.INFERENCE_ID, "id_key", by_id)
        database.execute(
            f"""
            CREATE TABLE left_1 AS
            SELECT rowid AS row FROM records WHERE is_read IS NOT NULL AND inference_id = ''
            UNION ALL SELECT row FROM reused
            UNION ALL {_unpaired(JoinKey.INFERENCE_ID)}
            """
        )
        self._drop_duplicate_events()
        by_event = f"event_id <> '' AND rowid IN (SELECT row FROM left_1) AND {_not_in('duplicates')}"
        self._join_by(JoinKey.EVENT_ID, _EVENT_KEY, by_event)
        database.execute(
            f"""
            CREATE TABLE left_2 AS
            SELECT records.rowid AS row FROM records SEMI JOIN left_1 ON records.rowid = left_1.row
            WHERE event_id = ''
            UNION ALL {_unpaired(JoinKey.EVENT_ID)}
            """
        )
        self._join_by_input()
        steps = " UNION ALL ".join(
            f"SELECT '{key.value}' AS key, * FROM {_table(key)} WHERE p_row IS NOT NULL AND s_row IS NOT NULL"
            for key in JoinKey
        )
        database.execute(f"CREATE VIEW joined AS {steps}")
        database.execute(
            f"CREATE TABLE unmatched AS SELECT row FROM left_2 WHERE row NOT IN (SELECT p_row FROM {_INPUTS})"
            f" AND row NOT IN (SELECT s_row FROM {_INPUTS})"
        )
        self._count("duplicates", lambda side: unjoined_key(side, UnjoinedReason.DUPLICATE))
        self._count("reused", lambda side: side_key(side, REUSED_IDS))
        return self.counts

    def _find_reused_ids(self) -> None:
        """Find the records whose inference id several events have, and those that repeat an event."""
        self._database.execute(
            f"""
            CREATE TABLE several AS
            SELECT rowid AS row, shadow, time // {HOUR} AS hour, inference_id,
                CASE WHEN event_id <> '' THEN event_id ELSE concat_ws(' ', time, input) END AS event,
                row_number() OVER (PARTITION BY shadow, hour, inference_id, event ORDER BY {_ORDER}) AS number
            FROM records
            WHERE is_read IS NOT NULL AND id_key IN (
                SELECT id_key FROM records WHERE is_read IS NOT NULL AND id_key IS NOT NULL
                -- Two records are one of each side, or both of one. It takes half as long as by side.
                GROUP BY id_key HAVING count(*) > 2 OR count(*) = 2 AND sum(shadow::INTEGER) <> 1
            )
            """
        )
        self._database.execute("INSERT INTO duplicates SELECT row FROM several WHERE number > 1")
        self._database.execute(
            """
            CREATE TABLE reused AS
            SELECT row FROM several WHERE number = 1 AND (hour, inference_id) IN (
                SELECT (hour, inference_id) FROM several WHERE number = 1
                GROUP BY hour, inference_id, shadow HAVING count(*) > 1
            )
            """
        )

    def _drop_duplicate_events(self) -> None:
        """Of the records of one event, keep the first."""
        self._database.execute(
            f"""
            INSERT INTO duplicates
            SELECT row FROM (
                SELECT records.rowid AS row, row_number() OVER (
                    PARTITION BY shadow, event_id, time // {HOUR} ORDER BY {_ORDER}
                ) AS number
                FROM records SEMI JOIN left_1 ON records.rowid = left_1.row
                WHERE event_id <> '' AND {_EVENT_KEY} IN (
                    SELECT key FROM (
                        SELECT shadow, {_EVENT_KEY} AS key
                        FROM records SEMI JOIN left_1 ON records.rowid = left_1.row WHERE event_id <> ''
                    )
                    GROUP BY shadow, key HAVING count(*) > 1
                )
            ) WHERE number > 1
            """
        )

    def _join_by(self, key: JoinKey, expression: str, condition: str) -> None:
        side = (
            f"SELECT {_COLUMNS}, {expression} AS key FROM records WHERE is_read IS NOT NULL AND {condition}"
        )
        self._database.execute(
            f"""
            CREATE TABLE {_table(key)} AS
            SELECT {_BOTH}
            FROM ({side} AND NOT shadow) p FULL JOIN ({side} AND shadow) s USING (key)
            """
        )

    def _join_by_input(self) -> None:
        self._database.execute("CREATE TABLE nearest (p BIGINT, s BIGINT)")
        pairs: list[tuple[int, int]] = []
        for chain in self._chains():
            found, _ = pair_nearest(chain, within=self._within)
            pairs += found
            if len(pairs) >= _BATCH:
                self._insert(pairs)
                pairs = []
        self._insert(pairs)
        self._database.execute(
            f"""
            CREATE TABLE {_INPUTS} AS
            SELECT {_BOTH} FROM nearest
            JOIN (SELECT {_COLUMNS} FROM records) p ON p.row = nearest.p
            JOIN (SELECT {_COLUMNS} FROM records) s ON s.row = nearest.s
            """
        )

    def _insert(self, pairs: list[tuple[int, int]]) -> None:
        if pairs:
            production, shadow = zip(*pairs, strict=True)
            self._database.execute(
                "INSERT INTO nearest SELECT unnest($1), unnest($2)", [list(production), list(shadow)]
            )

    def _chains(self) -> Iterator[list[Link]]:
        """
        Yield the records of one input and hour that follow each other without a pause longer than *within*.

        A record of a chain cannot be paired with one outside of it. What has a reused inference id is only
        joined with records of the same id. Simple chains, of one record of each side, are left to SQL.
        """
        cursor = self._database.cursor()
        self._database.execute(
            f"""
            CREATE TABLE waiting AS
            SELECT records.rowid AS row, shadow, time, time // {HOUR} AS hour, input,
                CASE WHEN reused.row IS NOT NULL THEN inference_id ELSE '' END AS reused_id,
                inference_id <> '' AND reused.row IS NULL AS has_id
            FROM records SEMI JOIN left_2 ON records.rowid = left_2.row
            LEFT JOIN reused ON reused.row = records.rowid
            WHERE input IS NOT NULL
            """
        )
        self._database.execute(
            f"""
            CREATE TABLE chains AS
            SELECT hour, input, reused_id, count(*) AS number,
                first(row) FILTER (NOT shadow) AS p, first(row) FILTER (shadow) AS s,
                abs(first(time) FILTER (NOT shadow) - first(time) FILTER (shadow)) <= {self._within}
                    AND NOT bool_and(has_id) AS fits
            FROM waiting GROUP BY hour, input, reused_id
            HAVING bool_or(shadow) AND NOT bool_and(shadow)
            """
        )
        self._database.execute("INSERT INTO nearest SELECT p, s FROM chains WHERE number = 2 AND fits")
        cursor.execute(
            f"""
            SELECT w.hour, w.input, w.reused_id, w.time, w.shadow, w.has_id, w.row
            FROM waiting w JOIN chains USING (hour, input, reused_id)
            JOIN records ON records.rowid = w.row
            WHERE number > 2
            ORDER BY w.hour, w.input, w.reused_id, w.time, {_ORDER_OF_TIME}
            """
        )
        for _, rows in groupby(fetched(cursor, batch=_BATCH), key=lambda row: row[:3]):
            chain: list[Link] = []
            for place, (*_, time, shadow, has_id, row) in enumerate(rows):
                if chain and (time - chain[-1].at > self._within or len(chain) >= _MAX_CHAIN):
                    yield chain
                    chain = []
                chain.append(Link(time, side_of_row(shadow), has_id, place, row))
            yield chain

    def _count(self, table: str, key: Any) -> None:
        rows = self._database.execute(
            f"""
            SELECT shadow, count(*) FROM records SEMI JOIN {table} ON records.rowid = {table}.row
            GROUP BY shadow
            """
        ).fetchall()
        for shadow, number in rows:
            self.counts[key(side_of_row(shadow))] += number


def _table(key: JoinKey) -> str:
    return f"by_{key.value}"


_INPUTS = _table(JoinKey.INPUT)


def _unpaired(key: JoinKey) -> str:
    return f"SELECT coalesce(p_row, s_row) AS row FROM {_table(key)} WHERE p_row IS NULL OR s_row IS NULL"


def _not_in(table: str) -> str:
    return f"rowid NOT IN (SELECT row FROM {table})"
