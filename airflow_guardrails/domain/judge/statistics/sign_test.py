"""
A sequential sign test: is a typical minute of the candidate worse than one of production?

Means find a shift late where some minutes are far slower than the rest. So each minute also gets a score: its
rank among production's minutes before the trial. If both sides are alike, the difference of a pair's scores
is as likely to be above 0 as below it, for every distribution. A bet on its sign then gains only by chance,
so its wealth is an e-process, which holds at every look.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log, log1p, tanh
from statistics import median, quantiles

from airflow_guardrails.domain.judge.statistics.autocorrelation import MIN_HISTORY_MINUTES, whitened

# Stakes of the mixture, on a pair whose scores differ as much as pairs usually do.
STAKES = (0.4, 1.0, 2.0, 4.0)

# A bet of everything could not recover from one loss.
_MAX_STAKE = 0.98

# Score for each interquartile range of the history, so that values beyond all of it still have an order.
_TAIL_SLOPE = 0.02


@dataclass(frozen=True, slots=True)
class RankScale:
    """
    Scores of minutes by their rank in production's history, about 0 to 1.

    :param ordered: the values of the history in ascending order.
    :param slope: score for each unit of the metric, added to the rank.
    :param history: the scores of the history, in order of time.
    """

    ordered: tuple[float, ...]
    slope: float
    history: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> RankScale | None:
        """Build the scale from a history; ``None`` if it is shorter than 60 minutes or constant."""
        if len(values) < MIN_HISTORY_MINUTES or min(values) == max(values):
            return None
        # More than half of the minutes may be equal; then there is no tail slope.
        low, _, high = quantiles(values, n=4)
        slope = _TAIL_SLOPE / (high - low) if high > low else 0.0
        ordered = tuple(sorted(values))
        return cls(ordered, slope, tuple(_score(ordered, slope, value) for value in values))

    def differences(self, candidate: Sequence[float], control: Sequence[float]) -> list[float]:
        """Return the score of *candidate* minus that of *control*, for each minute."""
        return [
            _score(self.ordered, self.slope, one) - _score(self.ordered, self.slope, other)
            for one, other in zip(candidate, control, strict=True)
        ]

    def typical_difference(self, autocorrelation: float) -> float:
        """Return the median difference of two successive scores of the history, after whitening."""
        residuals = whitened(self.history, autocorrelation)
        return median(abs(one - other) for one, other in pairwise(residuals))


def log_e_value_of_signs(
    differences: Sequence[float], *, typical_difference: float, autocorrelation: float
) -> float:
    """
    Return the log e-value for "the median of *differences* is above 0".

    The signs of independent differences that are symmetric about 0 are fair coins, whatever their sizes. So
    each factor 1 + tanh(stake * size) * sign has an expectation of 1 (Ramdas, Ruf, Larsson and Koolen,
    "Admissible anytime-valid sequential inference must rely on nonnegative martingales", arXiv 2009.03167, on
    symmetric distributions; Vovk and Wang, "Nonparametric e-tests of symmetry", arXiv 2208.08925, on the
    small loss of power by signs and ranks; tanh is the likelihood ratio of the sign of a shifted normal
    value, given its size).

    :param typical_difference: above 0; the size of a difference to which :data:`STAKES` apply.
    :param autocorrelation: of the differences at lag 1, from 0 to below 1.
    """
    residuals = whitened(differences, autocorrelation)
    logs = [
        sum(log1p(_MAX_STAKE * tanh(stake * difference / typical_difference)) for difference in residuals)
        for stake in STAKES
    ]
    largest = max(logs)
    return largest + log(sum(exp(one - largest) for one in logs) / len(logs))


def _score(ordered: Sequence[float], slope: float, value: float) -> float:
    rank = bisect_left(ordered, value) + bisect_right(ordered, value)
    return rank / (2 * len(ordered)) + slope * value
