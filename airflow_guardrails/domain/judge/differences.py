"""The differences of both sides, minute by minute, as the test of means needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf, sqrt
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
class Differences:
    """
    The differences of candidate and production in each minute.

    :param values: above 0 if the candidate is beyond the margin. Percentages are
        2 (x - r c) / (x + r c): about the logarithm of the ratio to the margin, and from -2 to 2. Other
        differences are in units of the largest value, or of the margin if it is larger.
    :param first_pairs: index of the first pair in each minute; several pairs may be merged into one.
    :param variation: squares of the differences, divided by those of both sides: 1 if they vary
        independently, near 0 if what varies is common to both.
    :param limit: the ratio, or the difference, at the margin.
    :param unit: the unit of other differences, with the sign of the direction that is worse.
    :param in_percent: whether they are percentages.
    """

    values: tuple[float, ...]
    first_pairs: tuple[int, ...]
    variation: float
    limit: float
    unit: float
    in_percent: bool

    def __len__(self) -> int:
        return len(self.values)

    def value_at(self, mean: float) -> float:
        """Return the ratio, or the difference, at which the differences have that *mean*."""
        if not self.in_percent:
            return self.limit + mean * self.unit
        signed = mean if self.unit > 0 else -mean
        if abs(signed) >= 2:  # noqa: PLR2004 - the largest difference there is
            return inf if signed > 0 else 0.0
        return self.limit * (2 + signed) / (2 - signed)

    def mean_at(self, value: float) -> float:
        """Return the mean of the differences at a ratio, or a difference: the inverse of :meth:`value_at`."""
        if not self.in_percent:
            return (value - self.limit) / self.unit
        signed = 2.0 if value == inf else 2 * (value - self.limit) / (value + self.limit)
        return signed if self.unit > 0 else -signed


def differences_of(rule: MetricRule, pairs: Pairs) -> Differences:
    """
    Return the differences of *pairs*.

    Few requests can be taken for harm on the side whose smaller values look like it: production if an
    increase is worse. If that side has under 100 requests a minute, and under half of the other's, minutes
    are merged until it has 100.
    """
    sizes = [abs(value) for value in (*pairs.control, *pairs.candidate)]
    scale = max([*sizes, 0.0 if rule.relative else rule.allowed]) or 1.0
    first_pairs, control, candidate = _merged(pairs, scale, by_production=rule.worse_is_more)
    sign = 1 if rule.worse_is_more else -1
    allowed = sign * rule.allowed
    limit = 1 + allowed if rule.relative else allowed
    in_percent = rule.relative and min((*control, *candidate), default=0.0) >= 0
    if in_percent:
        values = [
            sign * _difference(one, limit * other) for one, other in zip(candidate, control, strict=True)
        ]
        unit = float(sign)
    elif rule.relative:
        # A ratio of values below 0 has no meaning in a single minute, only in the mean.
        mean = sum(control) / len(control)
        values = [sign * (one - limit * other) / mean for one, other in zip(candidate, control, strict=True)]
        unit = float(sign)
    else:
        values = [sign * (one - other - limit / scale) for one, other in zip(candidate, control, strict=True)]
        unit = sign * scale
    values = _clipped(values)
    return Differences(
        values=tuple(values),
        first_pairs=tuple(first_pairs),
        variation=_variation(values, control, candidate, in_percent=in_percent),
        limit=limit,
        unit=unit,
        in_percent=in_percent,
    )


def _merged(pairs: Pairs, scale: float, *, by_production: bool) -> tuple[list[int], list[float], list[float]]:
    """Return the first pair, and the means of both sides, of each minute or group of minutes."""
    control = [value / scale for value in pairs.control]
    candidate = [value / scale for value in pairs.candidate]
    requests = pairs.control_requests, pairs.candidate_requests
    few, many = requests if by_production else requests[::-1]
    if sum(few) >= _MANY_REQUESTS * len(pairs) or _MAX_REQUEST_RATIO * sum(few) >= sum(many):
        return list(range(len(pairs))), control, candidate
    groups = _groups(few)
    return (
        [group.start for group in groups],
        [_weighted(control, pairs.control_requests, group) for group in groups],
        [_weighted(candidate, pairs.candidate_requests, group) for group in groups],
    )


def _groups(requests: Sequence[float]) -> list[range]:
    """Divide the minutes into groups with enough requests each; what is left at the end is no group."""
    groups, begin, count = [], 0, 0.0
    for minute, more in enumerate(requests, 1):
        count += more
        if count >= _MANY_REQUESTS:
            groups.append(range(begin, minute))
            begin, count = minute, 0.0
    return groups


def _weighted(values: Sequence[float], requests: Sequence[float], group: range) -> float:
    return sum(values[one] * requests[one] for one in group) / sum(requests[one] for one in group)


def _difference(one: float, other: float) -> float:
    total = one + other
    return 2 * (one - other) / total if total > 0 else 0.0


def _clipped(values: Sequence[float]) -> list[float]:
    """
    Move outliers to four standard deviations from the median of the minute and its neighbours.

    The standard deviation is that of successive differences, so a change of the mean does not raise it. The
    newest minute has no later neighbour yet, so it may be moved again.
    """
    steps = [abs(later - earlier) for earlier, later in pairwise(values) if later != earlier]
    if len(values) < 3 or not steps:  # noqa: PLR2004 - a minute and two neighbours
        return list(values)
    reach = _MAX_DEVIATIONS * median(steps) / (_MEDIAN_SIZE * sqrt(2))
    clipped = []
    for minute, value in enumerate(values):
        first = min(max(minute - 1, 0), len(values) - 3)
        middle = sorted(values[first : first + 3])[1]
        clipped.append(min(max(value, middle - reach), middle + reach))
    return clipped


def _variation(
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
    return [_difference(value, mean) for value in side]


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
