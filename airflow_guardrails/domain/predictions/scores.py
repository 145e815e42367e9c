"""
Differences of scores that can be merged exactly: their sum as a fraction, their quantiles from a histogram.

Floats are fractions of powers of two, so their exact sum does not depend on the order of addition.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

# The first bits of a double (IEEE 754) are its bin: sign, 11 bits of exponent, 4 bits of mantissa. These are
# 16 bins from each power of two to the next; the middle of a bin is at most 1/32 of a value away from it.
_SHIFT = 48
RESOLUTION = 1 / 32
SMALLEST, LARGEST = 2.0**-30, 2.0**20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
ABSOLUTE_QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """
    Statistics of the differences of scores, shadow's minus production's.

    :param count: number of differences.
    :param total: their exact sum.
    :param least: smallest difference; ``None`` without any.
    :param most: largest difference; ``None`` without any.
    :param bins: key of the bin -> number of differences. The key is negative for negative differences; bin 0
        has those smaller than 2 ** -30, the last one also those above 2 ** 20.
    :param not_finite: rows where a score was infinite or NaN; they are not counted elsewhere.
    """

    count: int = 0
    total: Fraction = Fraction(0)
    least: float | None = None
    most: float | None = None
    bins: Mapping[int, int] = field(default_factory=dict)
    not_finite: int = 0

    def summary(self) -> dict[str, Any] | None:
        """Return mean, extremes and quantiles (within 1/32 of their value); ``None`` without data."""
        if not self.count:
            return None
        ascending = sorted((_middle(key), number) for key, number in self.bins.items())
        sizes: Counter[float] = Counter()
        for value, number in ascending:
            sizes[abs(value)] += number
        return {
            "count": self.count,
            "mean": float(self.total / self.count),
            "min": self.least,
            "max": self.most,
            "quantiles": {str(share): _quantile(ascending, self.count, share) for share in QUANTILES},
            "absolute_quantiles": {
                str(share): _quantile(sorted(sizes.items()), self.count, share)
                for share in ABSOLUTE_QUANTILES
            },
        }

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON that loses nothing; the sum is a fraction in hexadecimal."""
        return {
            "count": self.count,
            "total": f"{self.total.numerator:x}/{self.total.denominator:x}",
            "least": self.least,
            "most": self.most,
            "bins": {str(key): self.bins[key] for key in sorted(self.bins)},
            "not_finite": self.not_finite,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scores:
        """Read what :meth:`as_dict` writes."""
        numerator, _, denominator = data["total"].partition("/")
        return cls(
            count=data["count"],
            total=Fraction(int(numerator, 16), int(denominator, 16)),
            least=data["least"],
            most=data["most"],
            bins={int(key): number for key, number in data["bins"].items()},
            not_finite=data["not_finite"],
        )


def merge_scores(parts: Iterable[Scores]) -> Scores:
    """Merge statistics exactly; the result does not depend on their order or grouping."""
    parts = list(parts)
    bins: Counter[int] = Counter()
    for part in parts:
        bins.update(part.bins)
    return Scores(
        count=sum(part.count for part in parts),
        total=sum((part.total for part in parts), Fraction(0)),
        least=min((part.least for part in parts if part.least is not None), default=None),
        most=max((part.most for part in parts if part.most is not None), default=None),
        bins=dict(bins),
        not_finite=sum(part.not_finite for part in parts),
    )


def scores_of(differences: list[float], *, not_finite: int = 0) -> Scores:
    """
    Return the statistics of *differences*, which are all finite.

    :param not_finite: number of rows without a finite difference.
    """
    if not differences:
        return Scores(not_finite=not_finite)
    return Scores(
        count=len(differences),
        total=_exact_sum(differences),
        least=min(differences) + 0.0,  # turns -0.0 into 0.0; which one min() returns depends on the order
        most=max(differences) + 0.0,
        bins=_bins(differences),
        not_finite=not_finite,
    )


def _exact_sum(values: list[float]) -> Fraction:
    """
    Sum *values* exactly, at the speed of ``math.fsum``.

    fsum rounds the exact sum once. The rounding error is the sum of the values and the negated result; this
    is repeated until the error is 0 (Shewchuk, "Adaptive precision floating-point arithmetic and fast robust
    geometric predicates", Discrete & Computational Geometry 18, 1997).
    """
    parts: list[float] = []
    try:
        while rest := math.fsum([*values, *[-part for part in parts]]):
            parts.append(rest)
    except OverflowError:  # a partial sum of fsum is larger than any double; fractions have no limit
        parts = values
    return sum(map(Fraction, parts), Fraction(0))


def _bins(differences: list[float]) -> dict[int, int]:
    # All doubles are read as integers at once; only few of their first bits differ.
    bits = memoryview(array("d", differences)).cast("B").cast("q")
    counts: Counter[int] = Counter()
    for first, number in Counter(each >> _SHIFT for each in bits).items():
        counts[_key(first)] += number
    return dict(counts)


def _key(first_bits: int) -> int:
    negative = first_bits < 0
    magnitude = first_bits & 0x7FFF
    if magnitude < _SMALLEST_KEY:
        return 0
    key = min(magnitude, _LARGEST_KEY) - _SMALLEST_KEY + 1
    return -key if negative else key


def _first_bits(value: float) -> int:
    return memoryview(array("d", [value])).cast("B").cast("q")[0] >> _SHIFT


def _middle(key: int) -> float:
    if not key:
        return 0.0
    bits = array("q", [(abs(key) - 1 + _SMALLEST_KEY << _SHIFT) + (1 << _SHIFT - 1)])
    middle: float = memoryview(bits).cast("B").cast("d")[0]
    return math.copysign(middle, key)


def _quantile(ascending: list[tuple[float, int]], count: int, share: float) -> float:
    """Return the middle of the bin with the value of rank ceil(share * count)."""
    # str() gives the decimal that was written, so that 0.05 of 20 is rank 1 rather than 2.
    rank = max(1, math.ceil(Fraction(str(share)) * count))
    for value, number in ascending:
        rank -= number
        if rank <= 0:
            return value
    return ascending[-1][0]


_SMALLEST_KEY = _first_bits(SMALLEST)
_LARGEST_KEY = _first_bits(LARGEST)
LARGEST_BIN = _LARGEST_KEY - _SMALLEST_KEY + 1
