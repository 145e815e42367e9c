"""Counts the pairs of the view ``joined``: in SQL where it has read both answers, otherwise in Python."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from airflow_guardrails.captured.database import Database
from airflow_guardrails.captured.loading import DISTANCE, AnswersInFiles
from airflow_guardrails.captured.sql import fetched, side_of_row
from airflow_guardrails.domain.predictions.agreement import AnswerComparison, Disagreement
from airflow_guardrails.domain.predictions.parsing import answer_reader, same_whole
from airflow_guardrails.domain.predictions.records import (
    BOUNDARY_WIDTH,
    HOUR,
    MAX_CHARACTERS,
    JoinKey,
    Record,
    Rows,
    boundary,
    keep_nearest,
    side_of,
    to_json,
)
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.scores import LARGEST_BIN, SMALLEST, Scores
from airflow_guardrails.domain.predictions.shapes import shape_of
from airflow_guardrails.domain.predictions.tally import (
    DISAGREEING_ROWS,
    MAX_EXAMPLES,
    NOT_CARRIED,
    PAIRS,
    ROWS,
    Tally,
    UnjoinedReason,
    disagreements_key,
    joined_by_key,
    side_key,
    truncated,
    unjoined_key,
)

_BATCH = 500
# Bytes of pairs that wait for a second reading of their answers: at most, and of a pair without its answers.
_MOST_DOUBTFUL, _DOUBTFUL_BYTES = 32 * 2**20, 2048

# A difference that SQL can sum exactly; smaller ones are left to Python.
_LEAST_DIFFERENCE = 1e-200
# Pairs of which SQL has read both answers: numbers and labels, or whole answers that are equal.
_SETTLED = f"""(
    p_is_read AND s_is_read AND (p_digest = s_digest OR p_digest IS NULL AND s_digest IS NULL)
    AND (p_score IS NULL OR p_score = s_score OR abs(s_score - p_score) > {_LEAST_DIFFERENCE!r})
)"""


class _Row(NamedTuple):
    """What Python needs of a record."""

    shadow: bool
    place: int
    is_long: bool
    time: int
    inference_id: str
    event_id: str
    input_digest: str | None
    is_read: bool
    label: str | None
    score: float | None
    is_base64: bool
    content_type: str | None
    input_rows: int | None
    answer: str | None
    sent: str | None
    answered: str | None

    @property
    def body(self) -> str | bytes:
        """The answer as text, or as bytes if it is no text."""
        assert self.answer is not None
        return base64.b64decode(self.answer) if self.is_base64 else self.answer


class PairCounter:
    """
    Counts pairs by *rule* in a tally, and collects the records that wait for the next hour.

    :param with_payloads: whether examples show the beginning of inputs and answers.
    """

    def __init__(
        self, database: Database, rule: PredictionRule, answers: AnswersInFiles, *, with_payloads: bool
    ) -> None:
        self._database = database
        self._answers = answers
        self._rule = rule
        self._with_payloads = with_payloads
        self._read = answer_reader(rule)
        self.tally = Tally(rule)

    def count(self) -> None:
        """Count all pairs."""
        self._database.execute(
            f"CREATE VIEW settled AS SELECT *, {self._kind()} AS kind FROM joined WHERE {_SETTLED}"
        )
        self._count_settled()
        self._add_scores()
        self._add_labels()
        self._add_examples()
        self._count_in_python()

    def carried(self) -> tuple[str, ...]:
        """Return the unmatched records that may have their pair in another hour, and count the others."""
        counts = self.tally.counts
        rows = self._database.execute(
            f"""
            SELECT shadow, count(*), count(*) FILTER ({DISTANCE} <= {BOUNDARY_WIDTH})
            FROM records SEMI JOIN unmatched ON records.rowid = unmatched.row GROUP BY shadow
            """
        ).fetchall()
        kept, _ = keep_nearest(self._nearest_to_an_end())
        carried = Counter(side_of(text) for text in kept)
        for shadow, number, number_near in rows:
            side = side_of_row(shadow)
            counts[unjoined_key(side, UnjoinedReason.ONLY)] += number - carried[side]
            counts[side_key(side, NOT_CARRIED)] += number_near - carried[side]
        return kept

    def _nearest_to_an_end(self) -> Iterator[str]:
        """Yield the nearest records to each end of an hour as JSON: a few more than are kept."""
        cursor = self._database.execute(
            f"""
            SELECT {DISTANCE} AS distance, {_columns("records")}
            FROM records SEMI JOIN unmatched ON records.rowid = unmatched.row
            WHERE {DISTANCE} <= {BOUNDARY_WIDTH}
            ORDER BY shadow, time // {HOUR}, (time + {HOUR // 2}) // {HOUR}, distance
            """
        )
        group, reached, furthest = None, 0, 0
        for far, *fields in fetched(cursor, batch=_BATCH):
            row = _Row(*fields)
            if group != (row.shadow, row.time // HOUR, boundary(row.time)):
                group, reached, furthest = (row.shadow, row.time // HOUR, boundary(row.time)), 0, 0
            # Of equal distances, all are needed: the text decides.
            if reached >= MAX_CHARACTERS and far > furthest:
                continue
            row = self._with_answer(row)
            if text := to_json(side_of_row(row.shadow), self._record(row, self._rows(row))):
                reached, furthest = reached + len(text), far
                yield text

    def times(self) -> tuple[int | None, int | None]:
        """Return the times of the first and the last record."""
        row = self._database.execute(
            "SELECT min(time), max(time) FROM records WHERE fault IS NULL"
        ).fetchone()
        assert row is not None
        return row

    def _kind(self) -> str:
        """Return the SQL for the kind of a disagreement; NULL if the answers agree."""
        absolute, relative = self._rule.tolerances
        is_close = (
            f"abs(s_score - p_score) <= {absolute!r}::DOUBLE "
            f"OR abs(s_score - p_score) <= {relative!r}::DOUBLE * abs(p_score)"
        )
        if not self._rule.has_tolerance:
            # Two whole numbers must be equal.
            is_close = (
                f"CASE WHEN p_score = trunc(p_score) AND s_score = trunc(s_score) THEN p_score = s_score "
                f"ELSE {is_close} END"
            )
        labels = f"WHEN p_label <> s_label THEN '{Disagreement.LABEL.value}'"
        scores = f"WHEN NOT ({is_close}) THEN '{Disagreement.SCORE.value}'"
        return f"CASE {labels} {scores if self._rule.judges_scores else ''} END"

    def _count_settled(self) -> None:
        counts = self.tally.counts
        rows = self._database.execute("SELECT key, kind, count(*) FROM settled GROUP BY key, kind").fetchall()
        for key, kind, number in rows:
            counts[joined_by_key(JoinKey(key))] += number
            counts[PAIRS] += number
            counts[ROWS] += number
            if kind is not None:
                counts[disagreements_key(Disagreement(kind))] += number
                counts[DISAGREEING_ROWS] += number

    def _add_scores(self) -> None:
        """
        Sum the differences of scores exactly.

        A difference is a whole number of 53 bits times a power of two. Those of one power are summed as whole
        numbers. The bin is that of ``Scores``: 16 between each power of two and the next.
        """
        exponent = "floor(log2(size))::INTEGER"
        rows = self._database.execute(
            f"""
            SELECT exponent, sign(difference)::INTEGER * bin AS bin, count(*),
                sum((size * pow(2.0, 53 - exponent))::HUGEINT * sign(difference)::INTEGER),
                min(difference), max(difference)
            FROM (
                SELECT difference, size, exponent, CASE WHEN size < {SMALLEST!r} THEN 0
                    ELSE least({LARGEST_BIN}, 1 + (exponent - log2({SMALLEST!r})::INTEGER) * 16
                        + floor(size * pow(2.0, -exponent) * 16)::INTEGER - 16) END AS bin
                FROM (
                    SELECT difference, abs(difference) AS size,
                        CASE WHEN difference = 0 THEN 0 ELSE {exponent} END AS exponent
                    FROM (SELECT s_score - p_score AS difference FROM settled WHERE p_score IS NOT NULL)
                )
            ) GROUP BY ALL
            """
        ).fetchall()
        if not rows:
            return
        bins: dict[int, int] = {}
        total = Fraction(0)
        for exponent_, bin_, number, mantissas, *_ in rows:
            bins[bin_] = bins.get(bin_, 0) + number
            total += Fraction(mantissas) * Fraction(2) ** (exponent_ - 53)
        self.tally.add_scores(
            Scores(
                count=sum(bins.values()),
                total=total,
                least=min(row[-2] for row in rows) + 0.0,
                most=max(row[-1] for row in rows) + 0.0,
                bins=bins,
            )
        )

    def _add_labels(self) -> None:
        if self._rule.label is None:
            return
        cursor = self._database.execute("SELECT p_label, s_label, count(*) FROM settled GROUP BY ALL")
        for production, shadow, number in fetched(cursor, batch=_BATCH):
            self.tally.count_labels(production, shadow, number)

    def _add_examples(self) -> None:
        """Add the worst disagreements: of those that are as bad as the twentieth, the earliest."""
        rank = f"kind = '{Disagreement.LABEL.value}' DESC, coalesce(abs(s_score - p_score), 0.0) DESC"
        rows = self._database.execute(
            f"""
            SELECT kind, coalesce(abs(s_score - p_score), 0.0), {_columns("p")}, {_columns("s")}
            FROM (
                SELECT * FROM settled WHERE kind IS NOT NULL
                QUALIFY rank() OVER (ORDER BY {rank}) <= {MAX_EXAMPLES}
            )
            JOIN records p ON p.rowid = p_row JOIN records s ON s.rowid = s_row
            ORDER BY {rank}, p.time, p.inference_id, p.event_id, s.time, s.inference_id, s.event_id
            LIMIT {MAX_EXAMPLES}
            """
        ).fetchall()
        for kind, size, *fields in rows:
            result = AnswerComparison(Disagreement(kind), 1, 1, size, [])
            production, shadow = (self._record(row, None) for row in _two_rows(fields))
            self.tally.add_example(result, production, shadow)

    def _count_in_python(self) -> None:
        cursor = self._database.execute(
            f"""
            SELECT key, {_columns("p")}, {_columns("s")}
            FROM joined JOIN records p ON p.rowid = p_row JOIN records s ON s.rowid = s_row
            WHERE NOT coalesce({_SETTLED}, false)
            """
        )
        doubtful: list[tuple[JoinKey, _Row, _Row]] = []
        size = 0
        for key, *fields in fetched(cursor, batch=_BATCH):
            one, other = map(self._with_answer, _two_rows(fields))
            if not self._is_doubtful(one, other):
                self._count_pair(JoinKey(key), one, other)
                continue
            doubtful.append((JoinKey(key), one, other))
            size += _DOUBTFUL_BYTES + len(one.answer or "") + len(other.answer or "")
            if size >= _MOST_DOUBTFUL:
                self._count_doubtful(doubtful)
                doubtful, size = [], 0
        self._count_doubtful(doubtful)

    def _is_doubtful(self, one: _Row, other: _Row) -> bool:
        """Whether the answers seem to differ, and only one of them was read by SQL, by a path."""
        by_path = isinstance(self._rule.label, str) or isinstance(self._rule.score, str)
        if not by_path or one.is_read is other.is_read:
            return False
        return not self.tally.agree(self._rows(one), self._rows(other))

    def _count_doubtful(self, pairs: list[tuple[JoinKey, _Row, _Row]]) -> None:
        """Count pairs after Python has read both answers."""
        for shadow in (False, True):
            rows = [row for _, *both in pairs for row in both if row.is_read and row.shadow is shadow]
            self._answers.find(shadow=shadow, places=sorted(row.place for row in rows))
        for key, one, other in pairs:
            self._count_pair(key, self._for_python(one), self._for_python(other))

    def _for_python(self, row: _Row) -> _Row:
        if not row.is_read:
            return row
        return row._replace(is_read=False, is_base64=False, answer=self._answer_in_file(row))

    def _with_answer(self, row: _Row) -> _Row:
        return row._replace(answer=self._answer_in_file(row)) if row.is_long else row

    def _answer_in_file(self, row: _Row) -> str:
        return self._answers.get(shadow=row.shadow, place=row.place, event_id=row.event_id)

    def _count_pair(self, key: JoinKey, one: _Row, other: _Row) -> None:
        if self._rule.is_default and _are_surely_equal(one, other):
            self.tally.count_equal(key)
            return
        rows = self._rows(one), self._rows(other)
        if not self.tally.count_pair(key, self._record(one, rows[0]), self._record(other, rows[1])):
            for row in (one, other):
                self.tally.add_unread(shape_of(row.body, row.content_type))

    def _rows(self, row: _Row) -> Rows:
        if row.is_read and not (row.label is None and row.score is None):
            return [(row.label, row.score, None)]
        return self._read(row.body, row.input_rows)

    def _record(self, row: _Row, rows: Rows) -> Record:
        payloads = (truncated(row.sent or ""), truncated(row.answered or "")) if self._with_payloads else None
        return Record(row.time, row.inference_id, row.event_id, row.input_digest or "", rows, payloads)


_COLUMNS = _Row._fields


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{column}" for column in _COLUMNS)


def _two_rows(fields: list[Any]) -> tuple[_Row, _Row]:
    return _Row(*fields[: len(_COLUMNS)]), _Row(*fields[len(_COLUMNS) :])


def _are_surely_equal(one: _Row, other: _Row) -> bool:
    """Say whether both are the same JSON object, for example with its names in another order."""
    answers = one.answer, other.answer
    if one.is_base64 or other.is_base64 or not all(answer and answer[0] == "{" for answer in answers):
        return False
    return same_whole(str(one.answer), str(other.answer))
