"""
A confidence sequence for the ratio or the difference of two means: it holds at every look.

It is based on the t statistic of the whitened minutes. It may be read as often as one likes, and the trial
may stop at any look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt

from airflow_guardrails.domain.judge.statistics.autocorrelation import whitened

# Variance of the prior on the mean, in variances of a minute; near 1 the interval is narrow for few minutes.
PRIOR_VARIANCE = 1.0

# exp() of more is an overflow.
_MAX_LOG = 700.0

# No trial is longer, in minutes.
_MAX_TRIAL_MINUTES = 30 * 1440

# Standard errors from the measured ratio at which the search for an end of the interval begins.
_SEARCH_STANDARD_ERRORS = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """
    A measured value and its confidence interval.

    :param low: ``-inf`` if nothing is known on that side.
    :param high: ``inf`` if nothing is known on that side.
    :param minutes_needed: minutes until both ends are finite, if they are not; 0 if no number of minutes can
        be predicted.
    """

    measured: float
    low: float
    high: float
    minutes_needed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """
    The ratio of the means of two series, with the sums that its t statistic needs.

    A ratio r is plausible if the mean of numerator - r * denominator may be 0 (Fieller, "Some problems in
    interval estimation", Journal of the Royal Statistical Society B 16, 1954). The t statistic is that of a
    regression on a constant by generalised least squares, because minutes are autoregressive. Its sum of
    squares is a quadratic in r, so five sums are enough for all ratios.

    :param measured: the ratio of the two sums.
    :param count: number of minutes.
    :param information: effective number of independent minutes, for a mean in units of their deviation.
    """

    measured: float
    count: int
    information: float
    numerator: float
    denominator: float
    numerator_square: float
    product: float
    denominator_square: float

    def t(self, ratio: float) -> float:
        """Return the t statistic of the mean of numerator - *ratio* * denominator, against 0."""
        mean = self.numerator - ratio * self.denominator
        squares = self.numerator_square - 2 * ratio * self.product + ratio * ratio * self.denominator_square
        residual = max(squares - mean * mean, 0.0)
        # All minutes are equal: the residual is only rounding error.
        if residual <= 1e-18 * squares:
            return inf if mean > 0 else -inf if mean < 0 else 0.0
        return mean / sqrt(residual / (self.count - 1))

    def search_limit(self, *, above: bool) -> float:
        """
        Return a ratio that is certainly excluded, where a search for an end of the interval can begin.

        :param above: search the low end (the truth is above it), else the high end.
        """
        squares = (
            self.numerator_square
            - 2 * self.measured * self.product
            + self.measured**2 * self.denominator_square
        )
        reach = _SEARCH_STANDARD_ERRORS * sqrt(max(squares, 0.0) / (self.count - 1)) / abs(self.denominator)
        return self.measured - reach if above else self.measured + reach

    def log_e_value(self, ratio: float, *, above: bool) -> float:
        """Return the log e-value for "the truth is above *ratio*" or, without *above*, "below *ratio*"."""
        t = self.t(ratio)
        return log_e_value(t if above else -t, self.count, information=self.information)

    def interval(self, *, alpha_low: float, alpha_high: float) -> Interval:
        """
        Return the confidence interval of the ratio.

        :param alpha_low: probability, 0 to 1, that the low end is ever above the truth.
        :param alpha_high: probability, 0 to 1, that the high end is ever below the truth.
        """
        low, _ = self._ratios_within(t_bound(self.count, alpha=alpha_low, information=self.information))
        _, high = self._ratios_within(t_bound(self.count, alpha=alpha_high, information=self.information))
        return Interval(
            measured=self.measured,
            low=min(low, self.measured),
            high=max(high, self.measured),
            minutes_needed=0
            if -inf < low <= high < inf
            else self._minutes_needed(min(alpha_low, alpha_high)),
        )

    def _minutes_needed(self, alpha: float) -> int:
        """Predict after how many minutes like these both ends are finite."""
        for count in range(self.count + 1, _MAX_TRIAL_MINUTES):
            share = _share_of_squares(t_bound(count, alpha=alpha), count)
            if share * self.denominator_square < self.denominator**2:
                return count
        return 0

    def _ratios_within(self, bound: float) -> tuple[float, float]:
        """Solve Fieller's quadratic: the ratios whose t statistic is at most *bound* in size."""
        if bound == inf:
            return -inf, inf
        share = _share_of_squares(bound, self.count)
        a = self.denominator**2 - share * self.denominator_square
        # The denominator may be 0: Fieller's set of ratios is unbounded.
        if a <= 0:
            return -inf, inf
        b = self.numerator * self.denominator - share * self.product
        c = self.numerator**2 - share * self.numerator_square
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
    Whiten two series, one value a minute and at least two minutes, and sum them up.

    :param weights: the weight by which each minute was already multiplied.
    :param autocorrelation: of the minutes at lag 1, from 0 to below 1.
    :raises ValueError: if the mean of *denominators* is 0 or less.
    """
    total = sum(denominators)
    if total <= 0:
        raise ValueError(f"the denominators must have a mean above 0 (got {total!r})")
    tops, bottoms, constants = (
        whitened(values, autocorrelation) for values in (numerators, denominators, weights)
    )
    size = sum(constant * constant for constant in constants)
    return Ratio(
        measured=sum(numerators) / total,
        count=len(tops),
        information=size / (1 - autocorrelation) ** 2,
        numerator=_dot(constants, tops) / sqrt(size),
        denominator=_dot(constants, bottoms) / sqrt(size),
        numerator_square=_dot(tops, tops),
        product=_dot(tops, bottoms),
        denominator_square=_dot(bottoms, bottoms),
    )


def t_bound(count: int, *, alpha: float, information: float | None = None) -> float:
    """
    Return the bound that a t statistic of *count* independent normal values crosses with probability *alpha*.

    The probability holds over all looks. The bound is where the Bayes factor of the t statistic reaches 1 /
    *alpha*. Its prior on the mean is normal, in standard deviations, and its prior on the deviation is the
    right Haar prior. Without a difference this Bayes factor is a martingale for every deviation (Wang and
    Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance",
    Sequential Analysis 44, 2025, arXiv 2310.03722: the Gaussian mixture in place of Lai's flat one, theorem
    4.9). For many values it approaches the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha,
    Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
    Statistics 52(6), 2024, theorem 2.2, in its one-sided form.

    :param information: effective number of values; default: *count*, for values of equal weight.
    :return: ``inf`` while *count* is too small to distinguish any mean from 0.
    """
    if count < 2:  # noqa: PLR2004 - one value has no variance
        return inf
    growth = 1 + (count if information is None else information) * PRIOR_VARIANCE
    factor = (1 + sqrt(growth) / (2 * alpha)) ** (2 / count)
    if factor >= growth:
        return inf
    return sqrt((count - 1) * (factor - 1) / (1 - factor / growth))


def log_e_value(t: float, count: int, *, information: float) -> float:
    """
    Return a lower bound of the logarithm of the one-sided Bayes factor: at :func:`t_bound` it is -log(alpha).

    The half of the prior on the wrong side is subtracted only up to its value at t = 0. The result is an
    e-value for means below 0, too (Grünwald and Koolen, "Supermartingales for one-sided tests", arXiv
    2502.04208).

    :return: ``-inf`` if *t* is 0 or less.
    """
    if t <= 0:
        return -inf
    growth = 1 + information * PRIOR_VARIANCE
    square = t * t / (count - 1)
    factor = growth if square == inf else (1 + square) / (1 + square / growth)
    excess = exp(min(count / 2 * log(factor), _MAX_LOG)) - 1
    return log(2 * excess / sqrt(growth)) if excess > 0 else -inf


def _share_of_squares(bound: float, count: int) -> float:
    """Return the share of the sum of squares that the mean explains if the t statistic is *bound*."""
    return 1.0 if bound == inf else bound * bound / (count - 1 + bound * bound)


def _dot(ones: Sequence[float], others: Sequence[float]) -> float:
    return sum(one * other for one, other in zip(ones, others, strict=True))
