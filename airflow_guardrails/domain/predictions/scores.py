"""
Differences of scores in a form that can be put together exactly: their sum as a fraction, their quantiles
from a histogram.

Floats are fractions of powers of two, so their sum has an exact value that no order of adding changes.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

# A bin is told by the first bits of a double (IEEE 754): sign, 11 of exponent, 4 of mantissa. That makes 16
# bins an octave, whose middle is at most 1/32 of a value off it.
_SHIFT = 48
RESOLUTION = 1 / 32
SMALLEST, LARGEST = 2.0**-30, 2.0**20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
ABSOLUTE_QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """
    Differences of scores, shadow's minus production's.

    *bins* counts them by the first bits of their magnitude (from 1), negative for negative differences; 0 is
    for those smaller than 2 ** -30, and those above 2 ** 20 are in the last bin. *not_finite* counts rows
    where a score was infinite or no number; they are in nothing else.
    """

    count: int = 0
    total: Fraction = Fraction(0)
    least: float | None = None
    most: float | None = None
    bins: Mapping[int, int] = field(default_factory=dict)
    not_finite: int = 0

    def summary(self) -> dict[str, Any] | None:
        """Mean and extremes to a double's precision, quantiles within RESOLUTION; ``None`` without any."""
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
        return {
            "count": self.count,
            "total": f"{self.total.numerator:x}/{self.total.denominator:x}",
            "least": self.least,
            "most": self.most,
            "bins": {str(key): self.bins[key] for key in sorted(self.bins)},
            "not_finite": self.not_finite,
        }

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Scores:
        numerator, _, denominator = written["total"].partition("/")
        return cls(
            count=written["count"],
            total=Fraction(int(numerator, 16), int(denominator, 16)),
            least=written["least"],
            most=written["most"],
            bins={int(key): number for key, number in written["bins"].items()},
            not_finite=written["not_finite"],
        )


def together(parts: Iterable[Scores]) -> Scores:
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
    """Measure *differences*, all finite."""
    if not differences:
        return Scores(not_finite=not_finite)
    return Scores(
        count=len(differences),
        total=_exact_sum(differences),
        least=min(differences) + 0.0,  # and never -0.0, which would depend on the order
        most=max(differences) + 0.0,
        bins=_bins(differences),
        not_finite=not_finite,
    )


def _exact_sum(values: list[float]) -> Fraction:
    """
    Sum *values* exactly, at the speed of ``math.fsum``.

    fsum rounds the exact sum once. What it rounded off is the exact sum of the values and minus that result,
    and so on until nothing is left (after Shewchuk, 1997, whose partial sums these are).
    """
    parts: list[float] = []
    try:
        while rest := math.fsum([*values, *[-part for part in parts]]):
            parts.append(rest)
    except OverflowError:  # fsum's partial sums are doubles
        parts = values
    return sum(map(Fraction, parts), Fraction(0))


def _bins(differences: list[float]) -> dict[int, int]:
    # The first bits of all of them at once, as integers; there are few different ones.
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
    """The middle of the bin that holds the value of rank ceil(share * count)."""
    rank = max(1, math.ceil(Fraction(str(share)) * count))
    for value, number in ascending:
        rank -= number
        if rank <= 0:
            return value
    return ascending[-1][0]


_SMALLEST_KEY = _first_bits(SMALLEST)
_LARGEST_KEY = _first_bits(LARGEST)
