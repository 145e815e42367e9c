"""
How far the means of two series are apart, with an interval that holds at every look.

Over the minutes, without what each owes to the one before, stands the confidence sequence of the t statistic:
it may be looked at as often as one likes, and stopped at any look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt

from airflow_guardrails.domain.judge.statistics.autocorrelation import whitened

# Variance of the prior on the mean, in variances of a minute; near 1 the interval is narrow for few minutes.
PRIOR = 1.0

_MOST_LOG = 700.0

# No trial is longer, in minutes.
_MANY = 30 * 1440

# Standard errors that no trial needs.
_FAR = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """
    What was measured and where the truth is.

    :param low: ``-inf`` where nothing is known.
    :param high: ``inf`` where nothing is known.
    :param needed: minutes that both ends take, where they are not known; 0: no number of them, as far as can
        be foreseen.
    """

    measured: float
    low: float
    high: float
    needed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """
    The ratio of two series' means, of which each value may be held against the series.

    A ratio r is right if the mean of numerator - r * denominator may be 0 (Fieller, "Some problems in
    interval estimation", Journal of the Royal Statistical Society B 16, 1954). The t statistic is that of the
    regression on a constant by generalised least squares, minutes being autoregressive; all that is kept here
    are its sums, which are a square in r.

    :param measured: what was found.
    :param information: so many independent minutes would tell as much of a mean as large as their deviation.
    """

    measured: float
    count: int
    information: float
    top: float
    bottom: float
    top_square: float
    product: float
    bottom_square: float

    def t(self, ratio: float) -> float:
        """Say how many standard errors the mean of numerator - *ratio* * denominator is above 0."""
        mean = self.top - ratio * self.bottom
        squares = self.top_square - 2 * ratio * self.product + ratio * ratio * self.bottom_square
        rest = max(squares - mean * mean, 0.0)
        # Equal minutes: what is left is rounding.
        if rest <= 1e-18 * squares:
            return inf if mean > 0 else -inf if mean < 0 else 0.0
        return mean / sqrt(rest / (self.count - 1))

    def far(self, *, above: bool) -> float:
        """Name a ratio below what was measured, or above it, that is out of the question."""
        squares = self.top_square - 2 * self.measured * self.product + self.measured**2 * self.bottom_square
        reach = _FAR * sqrt(max(squares, 0.0) / (self.count - 1)) / abs(self.bottom)
        return self.measured - reach if above else self.measured + reach

    def log_e_value(self, ratio: float, *, above: bool) -> float:
        """Give the logarithm of the evidence that the truth is above *ratio*, or below it."""
        t = self.t(ratio)
        return log_e_value(t if above else -t, self.count, information=self.information)

    def interval(self, *, alpha_low: float, alpha_high: float) -> Interval:
        """
        Bound the ratio.

        :param alpha_low: the chance that the low end is ever above the truth, above 0 and below 1.
        :param alpha_high: the chance that the high end is ever below it.
        """
        low, _ = self._within(t_bound(self.count, alpha=alpha_low, information=self.information))
        _, high = self._within(t_bound(self.count, alpha=alpha_high, information=self.information))
        return Interval(
            measured=self.measured,
            low=min(low, self.measured),
            high=max(high, self.measured),
            needed=0 if -inf < low <= high < inf else self._needed(min(alpha_low, alpha_high)),
        )

    def _needed(self, alpha: float) -> int:
        """Foresee at how many minutes like these both ends are known."""
        for count in range(self.count + 1, _MANY):
            if _part(t_bound(count, alpha=alpha), count) * self.bottom_square < self.bottom**2:
                return count
        return 0

    def _within(self, bound: float) -> tuple[float, float]:
        """Name the ratios with a t statistic of at most *bound* to either side."""
        if bound == inf:
            return -inf, inf
        part = _part(bound, self.count)
        a = self.bottom**2 - part * self.bottom_square
        if a <= 0:
            return -inf, inf
        b = self.top * self.bottom - part * self.product
        c = self.top**2 - part * self.top_square
        root = sqrt(max(b * b - a * c, 0.0))
        return (b - root) / a, (b + root) / a


def ratio_of(
    numerators: Sequence[float],
    denominators: Sequence[float],
    weights: Sequence[float],
    *,
    autocorrelation: float,
) -> Ratio:
    """
    Sum up two series, minute by minute, of at least two minutes.

    :param weights: what each minute has been weighed by.
    :param autocorrelation: how much minutes resemble the one before, from 0 to below 1.
    """
    bottom = sum(denominators)
    if bottom <= 0:
        raise ValueError(f"the denominators must have a mean above 0 (got {bottom!r})")
    tops, bottoms, parts = (
        whitened(values, autocorrelation) for values in (numerators, denominators, weights)
    )
    size = sum(part * part for part in parts)
    return Ratio(
        measured=sum(numerators) / bottom,
        count=len(tops),
        information=size / (1 - autocorrelation) ** 2,
        top=_product(parts, tops) / sqrt(size),
        bottom=_product(parts, bottoms) / sqrt(size),
        top_square=_product(tops, tops),
        product=_product(tops, bottoms),
        bottom_square=_product(bottoms, bottoms),
    )


def t_bound(count: int, *, alpha: float, information: float | None = None) -> float:
    """
    Say how large a t statistic of so many independent normal values may be, at any look.

    It is where the Bayes factor of the t statistic, with a normal prior on the mean in standard deviations
    and the right Haar prior on the deviation, reaches one over *alpha*; without a difference that factor is a
    martingale, whatever the deviation (Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for
    Gaussian means with unknown variance", Sequential Analysis 44, 2025, arXiv 2310.03722, the mixture of
    Gaussians in place of Lai's flat one: theorem 4.9). For many values it is the asymptotic confidence
    sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
    asymptotic confidence sequences", Annals of Statistics 52(6), 2024, theorem 2.2, in its one-sided form.

    :param information: default: *count*, that of values that weigh alike.
    :return: ``inf`` as long as no mean could be told from 0.
    """
    if count < 2:  # noqa: PLR2004 - one value has no spread
        return inf
    growth = 1 + (count if information is None else information) * PRIOR
    factor = (1 + sqrt(growth) / (2 * alpha)) ** (2 / count)
    if factor >= growth:
        return inf
    return sqrt((count - 1) * (factor - 1) / (1 - factor / growth))


def log_e_value(t: float, count: int, *, information: float) -> float:
    """
    Give the logarithm of that one-sided Bayes factor, or less: at :func:`t_bound` it is one over *alpha*.

    Of the half of the prior on the wrong side no more is taken off than it is worth where t is 0. It holds
    for means below 0, too (Grünwald and Koolen, "Supermartingales for one-sided tests", arXiv 2502.04208).
    """
    if t <= 0:
        return -inf
    growth = 1 + information * PRIOR
    square = t * t / (count - 1)
    factor = growth if square == inf else (1 + square) / (1 + square / growth)
    most = exp(min(count / 2 * log(factor), _MOST_LOG)) - 1
    return log(2 * most / sqrt(growth)) if most > 0 else -inf


def _part(bound: float, count: int) -> float:
    """Say which part of all squares the mean's is, where the t statistic is at *bound*."""
    return 1.0 if bound == inf else bound * bound / (count - 1 + bound * bound)


def _product(ones: Sequence[float], others: Sequence[float]) -> float:
    return sum(one * other for one, other in zip(ones, others, strict=True))
