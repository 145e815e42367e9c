"""What is counted while pairs are found, and turned into parts of a comparison now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from airflow_guardrails.domain.predictions import classes
from airflow_guardrails.domain.predictions.agreement import Comparer, Disagreement, Verdicts
from airflow_guardrails.domain.predictions.counts import (
    DISAGREEING_ROWS,
    INCOMPARABLE,
    PAIRS,
    ROWS,
    disagreements,
    joined_by,
)
from airflow_guardrails.domain.predictions.examples import (
    MOST_EXAMPLES,
    Example,
    example_of,
    rank,
    rank_of,
    worst,
)
from airflow_guardrails.domain.predictions.records import JoinKey, Record
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.scores import Scores, scores_of, together

# So many differences, labels or examples are put together at a time.
BATCH = 8192


class Tally:
    """Counts of pairs that were found, in any order."""

    def __init__(self, rule: PredictionRule) -> None:
        self.counts: Counter[str] = Counter()
        self._compare = Comparer(rule).compare
        self._labelled = rule.label is not None
        self._differences: list[float] = []
        self._not_finite = 0
        self._scores = Scores()
        self._cells: Counter[tuple[str | None, str | None]] = Counter()
        self._examples: list[Example] = []
        # Better than the worst MOST_EXAMPLES known: not worth being made an example of.
        self._bar: tuple[int, float] | None = None

    def count_pairs(self, key: JoinKey, pairs: Iterable[tuple[Record, Record]]) -> None:
        """Compare the answers of each pair, production's record first."""
        joined = compared = rows = 0
        for production, shadow in pairs:
            joined += 1
            verdicts = self._compare(production[4], shadow[4])
            if verdicts is None:
                continue
            compared += 1
            rows += verdicts.rows
            self._measure(verdicts)
            if verdicts.kind is not None:
                self._disagreement(verdicts, production, shadow)
            if self._labelled and verdicts.rows:
                self._count_labels(production, shadow)
        for name, number in ((PAIRS, compared), (ROWS, rows), (INCOMPARABLE, joined - compared)):
            self.counts[name] += number
        self.counts[joined_by(key)] += joined

    @property
    def scores(self) -> Scores:
        self._settle_differences()
        return self._scores

    @property
    def cells(self) -> classes.Cells:
        return classes.bounded(self._cells)

    @property
    def examples(self) -> tuple[Example, ...]:
        return worst(self._examples)

    def _measure(self, verdicts: Verdicts) -> None:
        self._differences += verdicts.differences
        self._not_finite += verdicts.not_finite
        if len(self._differences) >= BATCH:
            self._settle_differences()

    def _count_labels(self, production: Record, shadow: Record) -> None:
        for (label, *_), (other, *_) in zip(production[4] or (), shadow[4] or (), strict=True):
            self._cells[label, other] += 1
        if len(self._cells) >= BATCH:
            self._cells = Counter(classes.bounded(self._cells))

    def _disagreement(self, verdicts: Verdicts, production: Record, shadow: Record) -> None:
        self.counts[disagreements(Disagreement(verdicts.kind))] += 1
        self.counts[DISAGREEING_ROWS] += verdicts.disagreeing_rows
        if self._bar is not None and rank(verdicts) > self._bar:
            return
        self._examples.append(example_of(verdicts, production, shadow))
        if len(self._examples) >= 10 * MOST_EXAMPLES:
            self._examples = list(worst(self._examples))
            self._bar = rank_of(self._examples[-1])

    def _settle_differences(self) -> None:
        found = scores_of(self._differences, not_finite=self._not_finite)
        self._scores = together([self._scores, found])
        self._differences, self._not_finite = [], 0
