"""
The statistics that need every value of a period: percentiles, percentile rank, trimmed and winsorized ones.

Source: CloudWatch user guide, "CloudWatch statistics definitions". Not documented, so chosen here:

- A bound in percent is a rank, and a value across it counts in part: ``tc85`` of 10 values is 8.5. The guide
  says only that a trimmed count may be a fraction, because AWS interpolates and approximates it.
- Bounds that are values are exact here. On AWS they are approximate too.
- A range without values has the count, sum and rank 0, but no mean.
- Bounds of both kinds in one range, ``(:)`` and a lower bound that is not below the upper one are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

# Different values, ascending, and how often each occurs. That may be a fraction.
Weighted = Sequence[tuple[float, float]]

# User guide: percents are 0 to 100, with up to ten decimals.
_PERCENT = r"(?:100(?:\.0{1,10})?|\d{1,2}(?:\.\d{1,10})?)"
_VALUE = r"\d+(?:\.\d{1,10})?"
# How names are written, and whether the bounds are percents. Lower case is only for one number, upper case
# only for a range, and a percentile rank has only values as bounds.
_FORMS: Mapping[re.Pattern[str], bool] = {
    re.compile(rf"(?P<kind>p|tm|wm|tc|ts)(?P<low>)(?P<high>{_PERCENT})"): True,
    re.compile(rf"(?P<kind>TM|WM|TC|TS)\((?!:\))((?P<low>{_PERCENT})%)?:((?P<high>{_PERCENT})%)?\)"): True,
    re.compile(rf"(?P<kind>TM|WM|TC|TS|PR)\((?!:\))(?P<low>{_VALUE})?:(?P<high>{_VALUE})?\)"): False,
}
# User guide: IQM is equivalent to this.
_SAME_AS = {"IQM": "TM(25%:75%)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedStatistic:
    """
    A parsed statistic.

    :param kind: p, tm, wm, tc, ts or pr.
    :param low: lower bound, minus infinity if there is none.
    :param high: upper bound, infinity if there is none.
    :param percents: whether the bounds are percents; if not, they are values of the metric.
    """

    kind: str
    low: float
    high: float
    percents: bool

    def of(self, values: Weighted) -> float | None:
        """Return the statistic of one period, or None if it has none."""
        return _CALCULATIONS[self.kind](self, values)


@lru_cache(maxsize=1024)
def parse(name: str) -> ExtendedStatistic | None:
    """Return the statistic with this name, or None if CloudWatch has none."""
    for form, percents in _FORMS.items():
        if match := form.fullmatch(_SAME_AS.get(name, name)):
            low, high = float(match["low"] or -math.inf), float(match["high"] or math.inf)
            kind = match["kind"].lower()
            return ExtendedStatistic(kind=kind, low=low, high=high, percents=percents) if low < high else None
    return None


def _percentile(values: Weighted, percent: float) -> float:
    """Return the smallest value that is not exceeded by at least *percent* of all values."""
    rank, passed = _count(values) * percent / 100, 0.0
    for value, weight in values:
        passed += weight
        if passed >= rank:
            return value
    # Rounding may leave the sum just below the rank.
    return values[-1][0]


def _within(statistic: ExtendedStatistic, values: Weighted) -> Weighted:
    if statistic.percents:
        return _between_ranks(values, statistic.low, statistic.high)
    # User guide: the lower bound is exclusive, the upper bound is inclusive.
    return [(value, weight) for value, weight in values if statistic.low < value <= statistic.high]


def _between_ranks(values: Weighted, low: float, high: float) -> Weighted:
    count = _count(values)
    kept, passed = [], 0.0
    for value, weight in values:
        share = min(passed + weight, count * high / 100) - max(passed, count * low / 100)
        passed += weight
        if share > 0:
            kept.append((value, share))
    return kept


def _winsorized(statistic: ExtendedStatistic, values: Weighted) -> Weighted:
    """Replace values outside the bounds by the value at the bound."""
    low, high = statistic.low, statistic.high
    if statistic.percents:
        low, high = _percentile(values, low), _percentile(values, high)
    return [(min(max(value, low), high), weight) for value, weight in values]


def _count(values: Weighted) -> float:
    return sum(weight for _, weight in values)


def _sum(values: Weighted) -> float:
    return sum(value * weight for value, weight in values)


def _mean(values: Weighted) -> float | None:
    return _sum(values) / _count(values) if values else None


_CALCULATIONS: Mapping[str, Callable[[ExtendedStatistic, Weighted], float | None]] = {
    "p": lambda statistic, values: _percentile(values, statistic.high),
    "tm": lambda statistic, values: _mean(_within(statistic, values)),
    "wm": lambda statistic, values: _mean(_winsorized(statistic, values)),
    "tc": lambda statistic, values: _count(_within(statistic, values)),
    "ts": lambda statistic, values: _sum(_within(statistic, values)),
    "pr": lambda statistic, values: 100 * _count(_within(statistic, values)) / _count(values),
}
