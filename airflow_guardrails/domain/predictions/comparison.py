"""Compares the captured answers of some hours; the results of several hours can be merged."""

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
    BoundaryRecords,
    Captured,
    JoinKey,
    Record,
    Side,
    boundary,
    parse_records,
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
    Tally,
    UnjoinedReason,
    disagreements_key,
    iso_time,
    joined_by_key,
    side_key,
    truncated,
    unjoined_key,
    worst,
)


def _join_boundary_records(texts: Iterable[str], rule: PredictionRule) -> Tally:
    """Join records (as JSON) that are near the same end of an hour, and count those without a pair."""
    tally = Tally(rule)

    def on_unmatched(side: Side, _: Record) -> None:
        tally.counts[unjoined_key(side, UnjoinedReason.ONLY)] += 1

    with closing(
        Join(tally, within=_microseconds(rule.within), cell=boundary, on_unmatched=on_unmatched)
    ) as join:
        add = {side: join.adder(side) for side in Side}
        for side, record in parse_records(texts):
            add[side](record)
        join.run()
    return tally


def _microseconds(duration: timedelta) -> int:
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
    Join the captured requests of production and shadow, and compare their answers by *rule*.

    Each iterable is read once, production first. Their order does not matter. Hours are joined one by one, so
    the result for several hours is the same as the merged results of each hour.

    :param production: captured requests; ``None`` for a line that is not a captured request.
    :param shadow: the same of the shadow variant.
    :param workdir: folder for temporary files, default: the system's. They take about 150 bytes for each
        record, and the size of its answer.
    :param with_payloads: add the beginning of inputs and answers to the examples.
    """
    tally = Tally(rule)

    def count_dropped(side: Side, near_end: bool) -> None:
        tally.counts[unjoined_key(side, UnjoinedReason.ONLY)] += 1
        tally.counts[side_key(side, NOT_CARRIED)] += near_end

    edges = BoundaryRecords(count_dropped)
    within = _microseconds(rule.within)
    # closing() deletes the temporary files even if a record cannot be parsed.
    with closing(Join(tally, within=within, cell=_hour, on_unmatched=edges.add, folder=workdir)) as join:
        reader = _CaptureReader(tally, rule, with_payloads=with_payloads)
        reader.read(production, Side.PRODUCTION, join.adder(Side.PRODUCTION))
        reader.read(shadow, Side.SHADOW, join.adder(Side.SHADOW))
        join.run()
    return Comparison.from_tally(
        tally, rule=rule, edges=edges.kept(), first_at=reader.first_at, last_at=reader.last_at
    )


class _CaptureReader:
    """Parses the answers, counts records without one, and notes the first and the last time."""

    def __init__(self, tally: Tally, rule: PredictionRule, *, with_payloads: bool) -> None:
        self._counts = tally.counts
        self._parse = answer_reader(rule)
        self._with_payloads = with_payloads
        self.first_at: int | None = None
        self.last_at: int | None = None

    def read(self, stream: Iterable[Captured | None], side: Side, add: Callable[[Record], None]) -> None:
        """Call *add* with each record that has an answer."""
        # Local names are faster; this loop runs once for each captured request.
        parse, with_payloads = self._parse, self._with_payloads
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
            payloads = (truncated(sent), truncated(str(output))) if with_payloads else None
            add((at, inference_id, event_id, digest, parse(form, output), payloads))
        self.first_at, self.last_at = first, last
        self._counts[side_key(side, RECORDS)] += records
        self._counts[unjoined_key(side, UnjoinedReason.BROKEN)] += broken
        self._counts[unjoined_key(side, UnjoinedReason.NO_OUTPUT)] += no_output


def _hour(at: int) -> int:
    return at // HOUR


def _summarize(comparison: Comparison) -> dict[str, Any]:
    """
    Return the summary as JSON: counts, differences of scores, the table of labels and the worst examples.

    A rate without pairs and a table without labels are null.
    """
    counts, pairs = comparison.counts, comparison.pairs

    def count(name: str) -> int:
        return counts.get(name, 0)

    return {
        "pairs": pairs,
        "disagreements": comparison.disagreements,
        "disagreement_rate": comparison.disagreements / pairs if pairs else None,
        "disagreements_by_kind": {kind.value: count(disagreements_key(kind)) for kind in Disagreement},
        "rows": count(ROWS),
        "disagreeing_rows": count(DISAGREEING_ROWS),
        "score_difference": comparison.scores.summary(),
        "scores_not_finite": comparison.scores.not_finite,
        "classes": agreement.table_as_dict(comparison.table) if comparison.table else None,
        "examples": list(comparison.examples),
        "joined_by": {key.value: count(joined_by_key(key)) for key in JoinKey},
        "incomparable": count(INCOMPARABLE),
        "records": {side.value: count(side_key(side, RECORDS)) for side in Side},
        "unjoined": {
            side.value: {reason.value: count(unjoined_key(side, reason)) for reason in UnjoinedReason}
            for side in Side
        },
        "not_carried": {side.value: count(side_key(side, NOT_CARRIED)) for side in Side},
        "first_at": None if comparison.first_at is None else iso_time(comparison.first_at),
        "last_at": None if comparison.last_at is None else iso_time(comparison.last_at),
        "rule": comparison.rule.as_dict(),
    }


_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    The result of comparing the answers of both variants over some hours.

    The result of one hour is small enough for XCom: below 100 kB, whatever was captured.

    :param counts: key (from ``tally``) -> number.
    :param table: table of labels; empty if the rule has no label.
    :param examples: the worst disagreements.
    :param edges: records near the ends of an hour that have no pair yet, as JSON. :func:`merge` keeps them,
        :meth:`settled` joins them; until then they are in no count.
    :param first_at: time of the first record in microseconds since 1970, UTC; ``None`` without records.
    :param last_at: time of the last record, likewise.
    """

    rule: PredictionRule = DEFAULT_RULE
    counts: Mapping[str, int] = field(default_factory=dict)
    scores: Scores = field(default_factory=Scores)
    table: agreement.ConfusionTable = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    edges: tuple[str, ...] = ()
    first_at: int | None = None
    last_at: int | None = None

    @property
    def pairs(self) -> int:
        """Number of requests whose two answers were compared."""
        return self.counts.get(PAIRS, 0)

    @property
    def disagreements(self) -> int:
        """Number of pairs whose answers disagree in at least one row."""
        return sum(self.counts.get(disagreements_key(kind), 0) for kind in Disagreement)

    def summary(self) -> dict[str, Any]:
        """Return the result as JSON for people, with :attr:`edges` joined; payloads only if requested."""
        return _summarize(self.settled())

    def settled(self, *, before: datetime | None = None) -> Comparison:
        """
        Join the records in :attr:`edges` and count those without a pair, so that all counts are complete.

        After that, these records cannot be joined with those of a neighbouring hour any more.

        :param before: only records at ends of hours before this time; the others stay in :attr:`edges`. So a
            running total over many hours stays small.
        """
        settled: list[str] = []
        kept: list[str] = []
        for text in self.edges:
            due = before is None or records.boundary_of(text) < before
            (settled if due else kept).append(text)
        joined = Comparison.from_tally(_join_boundary_records(settled, self.rule), rule=self.rule)
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
        """Build the result from the counts of *tally*; counts of 0 are left out."""
        return cls(
            rule=rule,
            # Zeros are left out, so that equal results are equal whatever was looked up.
            counts={name: number for name, number in tally.counts.items() if number},
            scores=tally.scores,
            table=tally.table,
            examples=tally.examples,
            edges=edges,
            first_at=first_at,
            last_at=last_at,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON that :meth:`from_dict` can read, for XCom."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "rule": self.rule.as_dict(),
            "counts": {name: self.counts[name] for name in sorted(self.counts)},
            "scores": self.scores.as_dict(),
            "classes": agreement.table_as_dict(self.table),
            "examples": list(self.examples),
            "edges": list(self.edges),
            "first_at": self.first_at,
            "last_at": self.last_at,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Comparison:
        """
        Read a comparison as :meth:`as_dict` writes it.

        :raises InvalidComparison: if *data* is not a comparison, or of another version.
        """
        version = data.get("schema_version") if isinstance(data, Mapping) else None
        if version != _SCHEMA_VERSION:
            raise InvalidComparison(
                f"a comparison must have schema_version {_SCHEMA_VERSION} (got {version!r}): "
                "compare the hour again"
            )
        try:
            return cls._parse(data)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            # The rule inside has its own error, which names the field.
            if isinstance(error, GuardrailsValueError):
                raise
            reason = f"{type(error).__name__}: {error}"
            raise InvalidComparison(f"a comparison must be as this version writes it ({reason})") from error

    @classmethod
    def _parse(cls, data: Mapping[str, Any]) -> Comparison:
        return cls(
            rule=PredictionRule.from_dict(data["rule"]),
            counts=dict(data["counts"]),
            scores=Scores.from_dict(data["scores"]),
            table=agreement.table_from_dict(data["classes"]),
            examples=tuple(data["examples"]),
            edges=tuple(data["edges"]),
            first_at=data["first_at"],
            last_at=data["last_at"],
        )


def merge(comparisons: Iterable[Comparison]) -> Comparison:
    """
    Merge comparisons of different hours; the result does not depend on their order or grouping.

    :raises InvalidComparison: if *comparisons* is empty, or they were made by different rules.
    """
    parts = list(comparisons)
    if not parts:
        raise InvalidComparison("merge needs at least one comparison (got none)")
    # Counts by different rules have different meanings, so they cannot be added.
    for part in parts:
        if part.rule != parts[0].rule:
            raise InvalidComparison(
                "merged comparisons must have the same rule "
                f"(got {parts[0].rule} and {part.rule}): compare the hours again by one of them"
            )
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    return replace(
        parts[0],
        counts=dict(counts),
        scores=scores.merge_scores(part.scores for part in parts),
        table=agreement.merge_tables(part.table for part in parts),
        examples=worst(example for part in parts for example in part.examples),
        edges=tuple(sorted(text for part in parts for text in part.edges)),
        first_at=min((part.first_at for part in parts if part.first_at is not None), default=None),
        last_at=max((part.last_at for part in parts if part.last_at is not None), default=None),
    )
