"""The compared answers of some hours: counts, differences and examples, which can be merged exactly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.arguments import shown
from airflow_guardrails.domain.errors import GuardrailsValueError, InvalidComparison
from airflow_guardrails.domain.predictions import agreement, records, scores
from airflow_guardrails.domain.predictions.agreement import Disagreement
from airflow_guardrails.domain.predictions.joining import join
from airflow_guardrails.domain.predictions.records import JoinKey, Side, boundary, keep_nearest, parse_records
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule
from airflow_guardrails.domain.predictions.scores import Scores
from airflow_guardrails.domain.predictions.tally import (
    DISAGREEING_ROWS,
    INCOMPARABLE,
    NOT_CARRIED,
    OTHER_VERSION,
    PAIRS,
    RECORDS,
    REUSED_IDS,
    ROWS,
    Example,
    LineFault,
    Tally,
    UnjoinedReason,
    disagreements_key,
    fault_key,
    first_shapes,
    iso_time,
    joined_by_key,
    side_key,
    unjoined_key,
    worst,
)

_MAX_PARTS = 1000
_PART = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class Part:
    """
    A part of an hour, by the hash of the inference id; requests without one are in the first.

    :param number: from 1 to *of*.
    :param of: number of parts, up to 1,000.
    """

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Part:
        """
        Read a part such as "2/8", the second of eight.

        :raises GuardrailsValueError: if it is no such text.
        """
        found = _PART.fullmatch(text) if isinstance(text, str) else None
        part = cls(*map(int, found.groups())) if found else None
        if part is None or not part.number <= part.of <= _MAX_PARTS:
            raise GuardrailsValueError(
                f'part must be like "2/8", the second of eight parts, of at most {_MAX_PARTS:,} '
                f"(got {shown(text)})",
                field="part",
            )
        return part


def microseconds(duration: timedelta) -> int:
    """Return *duration* in microseconds."""
    return duration // timedelta(microseconds=1)


def _join_boundary_records(texts: Iterable[str], rule: PredictionRule) -> Tally:
    """Join records (as JSON) that are near the same end of an hour, and count those without a pair."""
    tally = Tally(rule)
    joined = join(parse_records(texts), within=microseconds(rule.within), cell=boundary)
    for key, production, shadow in joined.pairs:
        tally.count_pair(key, production, shadow)
    for side, _ in joined.unmatched:
        tally.counts[unjoined_key(side, UnjoinedReason.ONLY)] += 1
    for side in Side:
        # Reused ids were counted in the hours of their records.
        tally.counts[unjoined_key(side, UnjoinedReason.DUPLICATE)] += joined.duplicates[side]
    return tally


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
        "unreadable_lines": {
            side.value: {fault.value: count(fault_key(side, fault)) for fault in LineFault} for side in Side
        },
        "unread_answers": list(comparison.unread),
        "not_carried": {side.value: count(side_key(side, NOT_CARRIED)) for side in Side},
        "reused_inference_ids": {side.value: count(side_key(side, REUSED_IDS)) for side in Side},
        "other_versions": {side.value: count(side_key(side, OTHER_VERSION)) for side in Side},
        "first_at": None if comparison.first_at is None else iso_time(comparison.first_at),
        "last_at": None if comparison.last_at is None else iso_time(comparison.last_at),
        "rule": comparison.rule.as_dict(),
        "engines": list(comparison.engines),
    }


_SCHEMA_VERSION = 2


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
    :param unread: how answers look that the rule could not read: without values, at most three.
    :param parts: what was compared: the digest of the captured files, and which part of them.
    :param engines: names and versions of the programs that joined the records.
    :param first_at: time of the first record in microseconds since 1970, UTC; ``None`` without records.
    :param last_at: time of the last record, likewise.
    """

    rule: PredictionRule = DEFAULT_RULE
    counts: Mapping[str, int] = field(default_factory=dict)
    scores: Scores = field(default_factory=Scores)
    table: agreement.ConfusionTable = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    edges: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
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
        **more: Any,
    ) -> Comparison:
        """Build the result from the counts of *tally*; counts of 0 are left out."""
        return cls(
            rule=rule,
            # Zeros are left out, so that equal results are equal whatever was looked up.
            counts={name: number for name, number in tally.counts.items() if number},
            scores=tally.scores,
            table=tally.table,
            examples=tally.examples,
            unread=tally.unread,
            **more,
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
            "unread": list(self.unread),
            "parts": list(self.parts),
            "engines": list(self.engines),
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
            unread=tuple(data["unread"]),
            parts=tuple(data["parts"]),
            engines=tuple(data["engines"]),
            first_at=data["first_at"],
            last_at=data["last_at"],
        )


def merge(comparisons: Iterable[Comparison]) -> Comparison:
    """
    Merge comparisons of different hours, or parts; the result does not depend on their order or grouping.

    :raises InvalidComparison: if *comparisons* is empty, they were made by different rules, or the same
        captured files were compared twice.
    """
    merged = list(comparisons)
    if not merged:
        raise InvalidComparison("merge needs at least one comparison (got none)")
    # Counts by different rules have different meanings, so they cannot be added.
    for one in merged:
        if one.rule != merged[0].rule:
            raise InvalidComparison(
                "merged comparisons must have the same rule "
                f"(got {merged[0].rule} and {one.rule}): compare the hours again by one of them"
            )
    parts = tuple(sorted(part for one in merged for part in one.parts))
    _check_parts(parts)
    counts: Counter[str] = Counter()
    for one in merged:
        counts.update(one.counts)
    # Of the parts of an hour together, more may be near its end than are kept.
    edges, dropped = keep_nearest(text for one in merged for text in one.edges)
    for side, number in dropped.items():
        counts[unjoined_key(side, UnjoinedReason.ONLY)] += number
        counts[side_key(side, NOT_CARRIED)] += number
    return replace(
        merged[0],
        counts=dict(counts),
        scores=scores.merge_scores(one.scores for one in merged),
        table=agreement.merge_tables(one.table for one in merged),
        examples=worst(example for one in merged for example in one.examples),
        edges=edges,
        unread=first_shapes(shape for one in merged for shape in one.unread),
        parts=parts,
        engines=tuple(sorted({engine for one in merged for engine in one.engines})),
        first_at=min((one.first_at for one in merged if one.first_at is not None), default=None),
        last_at=max((one.last_at for one in merged if one.last_at is not None), default=None),
    )


def _check_parts(names: Sequence[str]) -> None:
    cuts: dict[str, str] = {}
    seen: set[str] = set()
    for name in names:
        files, _, part = name.partition(" ")
        cut = cuts.setdefault(files, part.partition("/")[2])
        if name in seen or cut != part.partition("/")[2]:
            others = [other.partition(" ")[2] for other in names if other.startswith(f"{files} ")]
            raise InvalidComparison(
                "merged comparisons must have different captured files, or different parts of them "
                f"(got parts {', '.join(others)} of the same files): merge each part once"
            )
        seen.add(name)
