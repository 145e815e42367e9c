"""
Whether a typical minute of the candidate's is worse than production's, minutes being what they were before.

Means are late to find a shift where some minutes are far slower than the rest. So each minute also has a
score, its rank among production's minutes before the trial. If both sides are alike, a pair's difference of
scores is as likely above 0 as below it, however the minutes are distributed; a bet on its sign that can only
win by chance then is an e-process, and may be looked at as often as one likes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log, log1p, tanh
from statistics import median, quantiles

from airflow_guardrails.domain.judge.statistics.autocorrelation import LEAST_PAST, whitened

# How much is bet on a pair whose scores differ as much as pairs usually do.
STAKES = (0.4, 1.0, 2.0, 4.0)

# Nobody bets all.
_MOST = 0.98

# Values beyond all of the past have a rank too: a little for each of the past's quartile ranges.
_SLOPE = 0.02


@dataclass(frozen=True, slots=True)
class Scale:
    """Scores by what production's minutes were: *past* has theirs."""

    ordered: tuple[float, ...]
    slope: float
    past: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale | None:
        """Learn it from *values*; ``None``: they are too few, or all the same."""
        if len(values) < LEAST_PAST or min(values) == max(values):
            return None
        low, _, high = quantiles(values, n=4)
        slope = _SLOPE / (high - low) if high > low else 0.0
        ordered = tuple(sorted(values))
        return cls(ordered, slope, tuple(_score(ordered, slope, value) for value in values))

    def differences(self, candidate: Sequence[float], control: Sequence[float]) -> list[float]:
        """Say by how much *candidate* scores above *control*, minute by minute."""
        return [
            _score(self.ordered, self.slope, one) - _score(self.ordered, self.slope, other)
            for one, other in zip(candidate, control, strict=True)
        ]

    def usual(self, autocorrelation: float) -> float:
        """Say how far two minutes usually are apart, without what they owe to those before."""
        rest = whitened(self.past, autocorrelation)
        return median(abs(one - other) for one, other in pairwise(rest))


def log_e_value_of_signs(differences: Sequence[float], *, usual: float, autocorrelation: float) -> float:
    """
    Give the logarithm of the evidence that *differences* are above 0.

    The signs of independent differences that are symmetric about 0 are coins, whatever their sizes are; so
    each factor 1 + tanh(stake * size) * sign has a mean of 1 (Ramdas, Ruf, Larsson and Koolen, "Admissible
    anytime-valid sequential inference must rely on nonnegative martingales", arXiv 2009.03167, on symmetric
    distributions; Vovk and Wang, "Nonparametric e-tests of symmetry", arXiv 2208.08925, on how little signs
    and ranks lose; tanh is the likelihood ratio of a shifted normal value's sign, given its size).

    :param usual: the size of a difference on which :data:`STAKES` are bet, above 0.
    :param autocorrelation: how much each resembles the one before, from 0 to below 1.
    """
    apart = whitened(differences, autocorrelation)
    logs = [sum(log1p(_MOST * tanh(stake * difference / usual)) for difference in apart) for stake in STAKES]
    most = max(logs)
    return most + log(sum(exp(one - most) for one in logs) / len(logs))


def _score(ordered: Sequence[float], slope: float, value: float) -> float:
    rank = bisect_left(ordered, value) + bisect_right(ordered, value)
    return rank / (2 * len(ordered)) + slope * value
