"""The result of comparing some hours, which can be put together with that of other hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_guardrails.domain.errors import GuardrailsValueError, InvalidComparison
from airflow_guardrails.domain.predictions import agreement, records, scores
from airflow_guardrails.domain.predictions.agreement import Disagreement
from airflow_guardrails.domain.predictions.joining import Join
from airflow_guardrails.domain.predictions.parsing import answer_reader
from airflow_guardrails.domain.predictions.records import (
    HOUR,
    Captured,
    Edges,
    JoinKey,
    Record,
    Side,
    boundary,
    read,
)
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule
from airflow_guardrails.domain.predictions.scores import Scores
from airflow_guardrails.domain.predictions.tally import (
    DISAGREEING_ROWS,
    INCOMPARABLE,
    NOT_CARRIED,
    PAIRS,
    RECORDS,
    ROWS,
    Example,
    Lost,
    Tally,
    cut,
    disagreements,
    iso,
    joined_by,
    lost,
    of_side,
    worst,
)


def join_edges(texts: Iterable[str], rule: PredictionRule) -> Tally:
    """Join the records of *texts* that lie near the same end of an hour, and count what is left."""
    tally = Tally(rule)

    def lose(side: Side, _: Record) -> None:
        tally.counts[lost(side, Lost.ONLY)] += 1

    with closing(Join(tally, within=microseconds(rule.within), cell=boundary, lose=lose)) as join:
        add = {side: join.adder(side) for side in Side}
        for side, record in read(texts):
            add[side](record)
        join.run()
    return tally


def microseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1_000_000)


def compare(
    production: Iterable[Captured | None],
    shadow: Iterable[Captured | None],
    rule: PredictionRule = DEFAULT_RULE,
    *,
    workdir: Path | None = None,
    with_payloads: bool = False,
) -> Comparison:
    """
    Join production's captured requests with shadow's and compare their answers by *rule*.

    Production's are read first, then shadow's, each once and in any order; ``None`` is a line that is no
    captured request. Hours are joined one by one, so the result of many is that of each, merged.

    :param workdir: a folder for temporary files (the system's own if not given), which take about 150 bytes a
        record and the size of its answer
    :param with_payloads: show the beginning of inputs and answers in the examples
    """
    tally = Tally(rule)

    def count_lost(side: Side, near_end: bool) -> None:
        tally.counts[lost(side, Lost.ONLY)] += 1
        tally.counts[of_side(side, NOT_CARRIED)] += near_end

    edges = Edges(count_lost)
    within = microseconds(rule.within)
    with closing(Join(tally, within=within, cell=_hour, lose=edges.offer, folder=workdir)) as join:
        intake = _Intake(tally, rule, with_payloads=with_payloads)
        intake.take(production, Side.PRODUCTION, join.adder(Side.PRODUCTION))
        intake.take(shadow, Side.SHADOW, join.adder(Side.SHADOW))
        join.run()
    return Comparison.from_tally(
        tally, rule=rule, edges=edges.kept(), first_at=intake.first_at, last_at=intake.last_at
    )


class _Intake:
    """Reads answers, counts what has none, and remembers the first and the last time."""

    def __init__(self, tally: Tally, rule: PredictionRule, *, with_payloads: bool) -> None:
        self._counts = tally.counts
        self._read = answer_reader(rule)
        self._with_payloads = with_payloads
        self.first_at: int | None = None
        self.last_at: int | None = None

    def take(self, stream: Iterable[Captured | None], side: Side, add: Callable[[Record], None]) -> None:
        read, with_payloads = self._read, self._with_payloads
        records = broken = no_output = 0
        first, last = self.first_at, self.last_at
        for captured in stream:
            records += 1
            if captured is None:
                broken += 1
                continue
            at, inference_id, event_id, digest, form, output, sent = captured
            if first is None or at < first:
                first = at
            if last is None or at > last:
                last = at
            if not output:
                no_output += 1
                continue
            shown = (cut(sent), cut(str(output))) if with_payloads else None
            add((at, inference_id, event_id, digest, read(form, output), shown))
        self.first_at, self.last_at = first, last
        self._counts[of_side(side, RECORDS)] += records
        self._counts[lost(side, Lost.BROKEN)] += broken
        self._counts[lost(side, Lost.NO_OUTPUT)] += no_output


def _hour(at: int) -> int:
    return at // HOUR


def summarize(comparison: Comparison) -> dict[str, Any]:
    """
    Counts of pairs and of what is in none, differences of scores, the table of classes, the worst examples.

    What is not known is null: a rate without pairs, a table without labels.
    """
    counts, pairs = comparison.counts, comparison.pairs

    def count(name: str) -> int:
        return counts.get(name, 0)

    return {
        "pairs": pairs,
        "disagreements": comparison.disagreements,
        "disagreement_rate": comparison.disagreements / pairs if pairs else None,
        "disagreements_by_kind": {kind.value: count(disagreements(kind)) for kind in Disagreement},
        "rows": count(ROWS),
        "disagreeing_rows": count(DISAGREEING_ROWS),
        "score_difference": comparison.scores.summary(),
        "scores_not_finite": comparison.scores.not_finite,
        "classes": agreement.as_dict(comparison.cells) if comparison.cells else None,
        "examples": list(comparison.examples),
        "joined_by": {key.value: count(joined_by(key)) for key in JoinKey},
        "incomparable": count(INCOMPARABLE),
        "records": {side.value: count(of_side(side, RECORDS)) for side in Side},
        "unjoined": {
            side.value: {reason.value: count(lost(side, reason)) for reason in Lost} for side in Side
        },
        "not_carried": {side.value: count(of_side(side, NOT_CARRIED)) for side in Side},
        "first_at": None if comparison.first_at is None else iso(comparison.first_at),
        "last_at": None if comparison.last_at is None else iso(comparison.last_at),
        "rule": comparison.rule.as_dict(),
    }


SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    How the answers of both variants to the same requests compare, over some hours.

    An hour's is small enough for XCom: below 100 kB, whatever was captured. *edges* are its records near the
    ends of the hour that found no other; ``merge`` keeps them, ``settled`` joins them, and no count includes
    them before. *first_at* and *last_at* are microseconds since 1970, UTC.
    """

    rule: PredictionRule = DEFAULT_RULE
    counts: Mapping[str, int] = field(default_factory=dict)
    scores: Scores = field(default_factory=Scores)
    cells: agreement.Cells = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    edges: tuple[str, ...] = ()
    first_at: int | None = None
    last_at: int | None = None

    @property
    def pairs(self) -> int:
        return self.counts.get(PAIRS, 0)

    @property
    def disagreements(self) -> int:
        """Pairs whose answers disagree in one row at least."""
        return sum(self.counts.get(disagreements(kind), 0) for kind in Disagreement)

    def summary(self) -> dict[str, Any]:
        """
        What there is to tell, with the edges joined: plain JSON, without payloads unless they were asked for.
        """
        return summarize(self.settled())

    def settled(self, *, before: datetime | None = None) -> Comparison:
        """
        Join the edges and count what is left of them, so that all counts are complete.

        Hours next to those of an edge that is settled cannot be joined with it any more. With *before*, only
        edges at ends of hours earlier than that are settled, so that a running total stays small.
        """
        settled: list[str] = []
        kept: list[str] = []
        for text in self.edges:
            due = before is None or records.boundary_of(text) < before
            (settled if due else kept).append(text)
        joined = Comparison.from_tally(join_edges(settled, self.rule), rule=self.rule)
        return merge([replace(self, edges=tuple(kept)), joined])

    @classmethod
    def from_tally(
        cls,
        tally: Tally,
        *,
        rule: PredictionRule,
        edges: tuple[str, ...] = (),
        first_at: int | None = None,
        last_at: int | None = None,
    ) -> Comparison:
        return cls(
            rule=rule,
            counts={name: number for name, number in tally.counts.items() if number},
            scores=tally.scores,
            cells=tally.cells,
            examples=tally.examples,
            edges=edges,
            first_at=first_at,
            last_at=last_at,
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "rule": self.rule.as_dict(),
            "counts": {name: self.counts[name] for name in sorted(self.counts)},
            "scores": self.scores.as_dict(),
            "classes": agreement.as_dict(self.cells),
            "examples": list(self.examples),
            "edges": list(self.edges),
            "first_at": self.first_at,
            "last_at": self.last_at,
        }

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Comparison:
        """
        Read a comparison as *as_dict* writes it.

        :raises InvalidComparison: if it is none, or of another version
        """
        version = written.get("schema_version") if isinstance(written, Mapping) else None
        if version != SCHEMA_VERSION:
            raise InvalidComparison(
                f"a comparison must have schema_version {SCHEMA_VERSION} (got {version!r}): compare the hour "
                "again"
            )
        try:
            return cls._read(written)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, GuardrailsValueError):
                raise
            reason = f"{type(error).__name__}: {error}"
            raise InvalidComparison(f"a comparison must be as this version writes it ({reason})") from error

    @classmethod
    def _read(cls, written: Mapping[str, Any]) -> Comparison:
        return cls(
            rule=PredictionRule.from_dict(written["rule"]),
            counts=dict(written["counts"]),
            scores=Scores.from_dict(written["scores"]),
            cells=agreement.from_dict(written["classes"]),
            examples=tuple(written["examples"]),
            edges=tuple(written["edges"]),
            first_at=written["first_at"],
            last_at=written["last_at"],
        )


def merge(comparisons: Iterable[Comparison]) -> Comparison:
    """
    Put comparisons of different hours together, exactly, in any order and grouping.

    :raises InvalidComparison: if there is none, or they were made by different rules
    """
    parts = list(comparisons)
    if not parts:
        raise InvalidComparison("merge needs at least one comparison (got none)")
    for part in parts:
        if part.rule != parts[0].rule:
            raise InvalidComparison(
                "comparisons that are put together must have one rule "
                f"(got {parts[0].rule} and {part.rule}): compare the hours again by one of them"
            )
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    return replace(
        parts[0],
        counts=dict(counts),
        scores=scores.together(part.scores for part in parts),
        cells=agreement.together(part.cells for part in parts),
        examples=worst(example for part in parts for example in part.examples),
        edges=tuple(sorted(text for part in parts for text in part.edges)),
        first_at=min((part.first_at for part in parts if part.first_at is not None), default=None),
        last_at=max((part.last_at for part in parts if part.last_at is not None), default=None),
    )
