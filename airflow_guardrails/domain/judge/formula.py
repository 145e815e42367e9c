"""How the differences of both sides come from the values of a rule, in single or merged minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import sqrt
from statistics import median

from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.rules import MetricRule

# The mean of few skewed requests is mostly lower than that of many. From 100 requests a minute on, or with at
# most twice as many on the other side, that no longer matters.
_MANY_REQUESTS, _MAX_REQUEST_RATIO = 100, 2

# A minute that is further from the median of it and its neighbours is moved there, in standard deviations.
_MAX_DEVIATIONS = 4.0

# Median size of a normal value, in standard deviations.
_MEDIAN_SIZE = 0.6745


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """
    How a difference is computed from both sides.

    :param sign: 1 if an increase is worse, else -1.
    :param limit: the ratio, or the difference, at the margin.
    :param relative: whether the margin is a percentage.
    :param in_percent: whether the differences are percentages of each minute. Of values below 0 there are
        none; their differences are divided by production's mean, later.
    :param least_scale: the least unit of plain differences.
    """

    sign: int
    limit: float
    relative: bool
    in_percent: bool
    least_scale: float

    @classmethod
    def of(cls, rule: MetricRule, pairs: Pairs) -> Formula:
        """Return the formula of *rule*; *pairs* say whether there are values below 0."""
        sign = 1 if rule.worse_is_more else -1
        allowed = sign * rule.allowed
        is_positive = min(min(side, default=0.0) for side in (pairs.control, pairs.candidate)) >= 0
        return cls(
            sign=sign,
            limit=1 + allowed if rule.relative else allowed,
            relative=rule.relative,
            in_percent=rule.relative and is_positive,
            least_scale=0.0 if rule.relative else rule.allowed,
        )

    def differences(self, control: Sequence[float], candidate: Sequence[float], scale: float) -> list[float]:
        """Return the differences of both sides, whose values are in units of *scale*."""
        sign, limit, rows = self.sign, self.limit, zip(candidate, control, strict=True)
        if self.in_percent:
            return [sign * difference(one, limit * other) for one, other in rows]
        if self.relative:
            return [sign * (one - limit * other) for one, other in rows]
        limit /= scale or 1.0
        return [sign * (one - other - limit) for one, other in rows]


@dataclass(frozen=True, slots=True)
class MergedMinutes:
    """
    The minutes of a test: a pair each, or several pairs merged into one.

    :param bounds: index of the first pair of each minute, and of the first that is in none.
    """

    pairs: Pairs
    bounds: Sequence[int]

    @classmethod
    def of(cls, pairs: Pairs, *, by_production: bool) -> MergedMinutes:
        """
        Merge minutes if the side of which few requests look like harm has few.

        That is production if *by_production*. Few are under 100 requests a minute, and under half of the
        other side's. Minutes are merged until that side has 100.
        """
        requests = pairs.control_requests, pairs.candidate_requests
        few, many = requests if by_production else requests[::-1]
        if sum(few) >= _MANY_REQUESTS * len(pairs) or _MAX_REQUEST_RATIO * sum(few) >= sum(many):
            return cls(pairs, range(len(pairs) + 1))
        return cls(pairs, _bounds(few))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def largest(self, first: int, last: int | None = None) -> float:
        """Return the size of the largest value from minute *first* to before *last*; default: to the end."""
        begin, end = self.bounds[first], None if last is None else self.bounds[last]
        pairs = self.pairs
        return max(map(abs, (*pairs.control[begin:end], *pairs.candidate[begin:end])), default=0.0)

    def means(self, first: int, last: int, scale: float) -> tuple[list[float], list[float]]:
        """Return the means of both sides from minute *first* to before *last*, in units of *scale*."""
        pairs, bounds, unit = self.pairs, self.bounds[first : last + 1], scale or 1.0
        begin, end = bounds[0], bounds[-1]
        sides = []
        for values, requests in (
            (pairs.control, pairs.control_requests),
            (pairs.candidate, pairs.candidate_requests),
        ):
            side = [value / unit for value in values[begin:end]]
            if not isinstance(bounds, range):
                groups = [(one - begin, other - begin) for one, other in pairwise(bounds)]
                side = [
                    _weighted_mean(side[one:other], requests[begin:end][one:other]) for one, other in groups
                ]
            sides.append(side)
        return sides[0], sides[1]


def _weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def _bounds(requests: Sequence[float]) -> list[int]:
    """Return the bounds of minutes with enough requests each; what is left at the end is in none."""
    bounds, count = [0], 0.0
    for pair, more in enumerate(requests, 1):
        count += more
        if count >= _MANY_REQUESTS:
            bounds.append(pair)
            count = 0.0
    return bounds


def difference(one: float, other: float) -> float:
    """Return the difference divided by the mean of both; 0 if both are 0."""
    total = one + other
    return 2 * (one - other) / total if total > 0 else 0.0


def clipped(values: Sequence[float], *, before: float | None = None) -> list[float]:
    """
    Move outliers to four standard deviations from the median of the minute and its neighbours.

    The standard deviation is that of successive differences, so a change of the mean does not raise it. The
    newest minute has no later neighbour yet, so it may be moved again.

    :param before: the value before the first.
    """
    steps = [abs(later - earlier) for earlier, later in pairwise(values) if later != earlier]
    if len(values) < 3 or not steps:  # noqa: PLR2004 - a minute and two neighbours
        return list(values)
    reach = _MAX_DEVIATIONS * median(steps) / (_MEDIAN_SIZE * sqrt(2))
    around = [*values] if before is None else [before, *values]
    begin, last = len(around) - len(values), len(around) - 3
    moved = []
    for minute, value in enumerate(values, begin):
        first = min(max(minute - 1, 0), last)
        middle = sorted(around[first : first + 3])[1]
        moved.append(min(max(value, middle - reach), middle + reach))
    return moved


def variation(
    values: Sequence[float], control: Sequence[float], candidate: Sequence[float], *, in_percent: bool
) -> float:
    """
    Return the squares of the differences, divided by the sum of those of both sides.

    All are taken about two means, before and after the minute at which that leaves least of the differences:
    harm that begins is no variation.
    """
    if len(values) < 2:  # noqa: PLR2004 - one value does not vary
        return 1.0
    sides = [_relative(side) if in_percent else side for side in (control, candidate)]
    own = _squares_about_two_means(values)
    cut = min(range(1, len(values)), key=own.__getitem__)
    both = sum(_squares_about_two_means(side)[cut] for side in sides)
    return own[cut] / both if both > 0 else 1.0


def _relative(side: Sequence[float]) -> list[float]:
    mean = sum(side) / len(side)
    return [difference(value, mean) for value in side]


def _squares_about_two_means(values: Sequence[float]) -> list[float]:
    """Return for each cut the squares about the mean before it and the mean from it on."""
    middle = sum(values) / len(values)
    centred = [value - middle for value in values]
    sums = list(accumulate(centred, initial=0.0))
    squares = sum(value * value for value in centred)
    count, whole = len(values), sums[-1]
    return [squares] + [
        max(squares - sums[cut] ** 2 / cut - (whole - sums[cut]) ** 2 / (count - cut), 0.0)
        for cut in range(1, count)
    ]
