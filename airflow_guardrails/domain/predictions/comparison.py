"""The result of comparing some hours, which can be put together with that of other hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.predictions import classes, edges, scores
from airflow_guardrails.domain.predictions.agreement import Disagreement
from airflow_guardrails.domain.predictions.counts import PAIRS, disagreements
from airflow_guardrails.domain.predictions.errors import InvalidComparison
from airflow_guardrails.domain.predictions.examples import Example, worst
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule
from airflow_guardrails.domain.predictions.scores import Scores
from airflow_guardrails.domain.predictions.settling import join_edges
from airflow_guardrails.domain.predictions.summary import summarize
from airflow_guardrails.domain.predictions.tally import Tally

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
    cells: classes.Cells = field(default_factory=dict)
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
            due = before is None or edges.boundary_of(text) < before
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
            "classes": classes.as_dict(self.cells),
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
            cells=classes.from_dict(written["classes"]),
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
        cells=classes.together(part.cells for part in parts),
        examples=worst(example for part in parts for example in part.examples),
        edges=tuple(sorted(text for part in parts for text in part.edges)),
        first_at=min((part.first_at for part in parts if part.first_at is not None), default=None),
        last_at=max((part.last_at for part in parts if part.last_at is not None), default=None),
    )
