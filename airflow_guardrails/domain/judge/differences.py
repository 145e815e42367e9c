"""The differences of both sides, minute by minute, as the test of means needs them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.formula import Formula, MergedMinutes, clipped, variation
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.settled import PlainSums, Settled, settled_of
from airflow_guardrails.domain.judge.statistics.harm import (
    AUTOREGRESSIVE,
    STRUCTURES,
    Sums,
    is_without_slow_waves,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """
    The differences of candidate and production in each minute.

    :param values: above 0 if the candidate is beyond the margin. Percentages are
        2 (x - r c) / (x + r c): about the logarithm of the ratio to the margin, and from -2 to 2. Other
        differences are in units of the largest value, or of the margin if it is larger. Settled minutes are
        left out.
    :param earlier: sums of the differences of settled minutes.
    :param variation: squares of the differences, divided by those of both sides: 1 if they vary
        independently, near 0 if what varies is common to both. If minutes are settled, nothing depends on it,
        and it is 1.
    :param minutes: what they were computed from.
    :param settled: sums of the settled minutes, in units of *scale*.
    :param scale: the largest value, or the margin if it is larger.
    """

    values: tuple[float, ...]
    earlier: Sums | None
    variation: float
    formula: Formula
    minutes: MergedMinutes
    settled: Settled | None
    scale: float

    def __len__(self) -> int:
        return len(self.minutes)

    @property
    def limit(self) -> float:
        """The ratio, or the difference, at the margin."""
        return self.formula.limit

    def first_pair(self, minute: int) -> int:
        """Return the index of the first pair of *minute*; several pairs may be merged into one minute."""
        return self.minutes.bounds[minute]

    def value_at(self, mean: float) -> float:
        """Return the ratio, or the difference, at which the differences have that *mean*."""
        if not self.formula.in_percent:
            return self.limit + mean * self._unit
        signed = self.formula.sign * mean
        if abs(signed) >= 2:  # noqa: PLR2004 - the largest difference there is
            return inf if signed > 0 else 0.0
        return self.limit * (2 + signed) / (2 - signed)

    def mean_at(self, value: float) -> float:
        """Return the mean of the differences at a ratio, or a difference: the inverse of :meth:`value_at`."""
        if not self.formula.in_percent:
            return (value - self.limit) / self._unit
        signed = 2.0 if value == inf else 2 * (value - self.limit) / (value + self.limit)
        return self.formula.sign * signed

    @property
    def _unit(self) -> float:
        return self.formula.sign * (1.0 if self.formula.relative else self.scale or 1.0)

    def measured_since(self, onset: int) -> float:
        """Return the candidate's plain mean divided by production's, or minus it, from minute *onset* on."""
        settled = self.settled
        if settled is None or onset >= settled.sums.count:
            return self._measured(self._plain_sums(self.first_pair(onset)))
        newest = self._plain_sums(self.first_pair(settled.sums.count))
        return self._measured(settled.plain_since(onset).plus(newest))

    def measured_in_last(self, pairs: int) -> float:
        """Return the same of the newest *pairs*."""
        return self._measured(self._plain_sums(max(len(self.minutes.pairs) - pairs, 0)))

    def _plain_sums(self, first: int) -> PlainSums:
        return PlainSums.of(self.minutes.pairs, first, len(self.minutes.pairs), scale=self.scale)

    def _measured(self, sums: PlainSums) -> float:
        if not self.formula.relative:
            # Divided first, so that the sum of the largest numbers does not overflow.
            candidate, control = sums.candidate / sums.weight, sums.control / sums.weight
            return candidate * (self.scale or 1.0) - control * (self.scale or 1.0)
        if sums.control > 0:
            return sums.candidate / sums.control
        return inf if sums.candidate > 0 else 1.0


def differences_of(rule: MetricRule, pairs: Pairs) -> Differences:
    """
    Return the differences of *pairs*.

    Few requests can be taken for harm on the side whose smaller values look like it: production if an
    increase is worse. If that side has under 100 requests a minute, and under half of the other's, minutes
    are merged until it has 100.
    """
    formula, minutes = Formula.of(rule, pairs), MergedMinutes.of(pairs, by_production=rule.worse_is_more)
    structures = AUTOREGRESSIVE if is_without_slow_waves(pairs.history) else STRUCTURES
    settled, count = settled_of(formula, minutes, structures), len(minutes)
    first = settled.sums.count if settled else 0
    scale = max(formula.least_scale, minutes.largest(first), settled.scale if settled else 0.0)
    settled = settled and settled.in_units_of(scale, formula)
    control, candidate = minutes.means(first, count, scale)
    values = formula.differences(control, candidate, scale)
    values = clipped(values, before=settled.newest if settled else None)
    earlier = settled.sums if settled else None
    if formula.relative and not formula.in_percent and values:
        # A ratio of values below 0 has no meaning in a single minute, only in the mean.
        mean = (sum(control) + (settled.control if settled else 0.0)) / count
        values = [value / mean for value in values]
        earlier = earlier.times(1 / mean) if earlier else None
    return Differences(
        values=tuple(values),
        earlier=earlier,
        variation=1.0 if settled else variation(values, control, candidate, in_percent=formula.in_percent),
        formula=formula,
        minutes=minutes,
        settled=settled,
        scale=scale,
    )
