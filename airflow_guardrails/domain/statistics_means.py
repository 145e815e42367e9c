"""
How far the means of two series are apart, with an interval that holds at every look.

A series has one value a minute, and minutes resemble their neighbours. So they are put together into blocks
that hardly do, and what likeness is left makes the interval wider. Over the blocks stands the confidence
sequence of the t statistic: it may be looked at as often as one likes, and stopped at any look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

# Variance of the prior on the mean, in variances of a block; near 1 the interval is narrow for few blocks.
PRIOR = 1.0

LEAST_BLOCKS = 6

# How much minutes resemble each other cannot be told from fewer.
LEAST_MINUTES = 12

LENGTHS = (1, 2, 3, 5, 10, 15, 20, 30, 60)

MOST = 0.95

# Blocks alike by more than this are put together further.
MOST_LIKENESS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """
    What was measured and where the truth is.

    :param low: ``-inf`` where nothing is known.
    :param high: ``inf`` where nothing is known.
    :param pieces: independent pieces of evidence behind it: blocks, or events.
    :param length: minutes in a block.
    """

    measured: float
    low: float
    high: float
    pieces: float
    length: int = 1


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], *, alpha_low: float, alpha_high: float
) -> Interval:
    """
    Bound the ratio of two series' means, minute by minute.

    A ratio r is within if the mean of *numerators* - r * *denominators* may be 0 (Fieller, "Some problems in
    interval estimation", Journal of the Royal Statistical Society B 16, 1954).

    :param alpha_low: the chance that the low end is ever above the truth, above 0 and below 1.
    :param alpha_high: the chance that the high end is ever below it.
    """
    top, bottom = sum(numerators), sum(denominators)
    if bottom <= 0:
        raise ValueError(f"the denominators must have a mean above 0 (got {bottom!r})")
    ratio = top / bottom
    rest = [one - ratio * other for one, other in zip(numerators, denominators, strict=True)]
    likeness = cautious_likeness(rest)
    length = block_length(likeness)
    tops, bottoms = in_blocks(numerators, length), in_blocks(denominators, length)
    blocks = len(tops)
    if blocks < LEAST_BLOCKS or len(rest) < LEAST_MINUTES:
        return Interval(measured=ratio, low=-inf, high=inf, pieces=blocks, length=length)
    wider = widening(likeness, length, blocks)
    low, _ = _fieller(tops, bottoms, t_bound(blocks, alpha=alpha_low) ** 2 * wider / blocks)
    _, high = _fieller(tops, bottoms, t_bound(blocks, alpha=alpha_high) ** 2 * wider / blocks)
    return Interval(measured=ratio, low=min(low, ratio), high=max(high, ratio), pieces=blocks, length=length)


def t_bound(blocks: int, *, alpha: float) -> float:
    """
    Say how large a t statistic of so many independent normal values may be, at any look.

    It is where the Bayes factor of the t statistic, with a normal prior on the mean in standard deviations
    and the right Haar prior on the deviation, reaches one over *alpha*; without a difference that factor is a
    martingale, whatever the deviation (Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for
    Gaussian means with unknown variance", arXiv 2310.03722, the mixture of Gaussians in place of Lai's flat
    one). For many blocks it is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and
    Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics
    2024, theorem 2.2, of whose one-sided form (appendix B) the first term is.

    :return: ``inf`` as long as no mean could be told from 0.
    """
    if blocks < 2:  # noqa: PLR2004 - one value has no spread
        return inf
    growth = 1 + blocks * PRIOR
    factor = (1 + sqrt(growth) / (2 * alpha)) ** (2 / blocks)
    if factor >= growth:
        return inf
    return sqrt((blocks - 1) * (factor - 1) / (1 - factor / growth))


def cautious_likeness(values: Sequence[float]) -> float:
    """
    Estimate how much each value resembles the one before: the autocorrelation at lag 1, from 0 to 0.95.

    The estimate of a short series is too low by (1 + 3 rho) / n (Kendall, "Note on bias in the estimation of
    autocorrelation", Biometrika 41, 1954) and off by sqrt((1 - rho^2) / n). Both are put on top: by that the
    benchmark's autoregressive series raise no more false alarms than alpha.
    """
    count = len(values)
    if count < 3:  # noqa: PLR2004 - a lag of one needs three
        return MOST
    mean = sum(values) / count
    rest = [value - mean for value in values]
    spread = sum(value * value for value in rest)
    # What is left of equal values is rounding.
    if spread <= 1e-18 * sum(value * value for value in values):
        return 0.0
    found = sum(one * other for one, other in pairwise(rest)) / spread
    found = min(found + (1 + 3 * max(found, 0.0)) / count, MOST)
    return min(max(found + sqrt((1 - found * found) / count), 0.0), MOST)


def block_length(likeness: float) -> int:
    """Say of how many minutes blocks must be that hardly resemble their neighbours."""
    fitting = (length for length in LENGTHS if block_likeness(likeness, length) <= MOST_LIKENESS)
    return next(fitting, LENGTHS[-1])


def block_likeness(likeness: float, length: int) -> float:
    """
    Say how much neighbouring blocks resemble each other, where minutes do so by *likeness* at lag 1.

    Of an autoregressive series of order 1: rho (1 - rho^m)^2 / (m (1 - rho^2) - 2 rho (1 - rho^m)).
    """
    rest = 1 - likeness**length
    return likeness * rest**2 / (length * (1 - likeness**2) - 2 * likeness * rest)


def widening(likeness: float, length: int, blocks: int) -> float:
    """
    Say by how much the variance of the mean is larger than that of independent blocks, and than it seems.

    Blocks of an autoregressive series resemble those k further by r rho^(m (k - 1)), so their mean varies
    1 + 2 r / (1 - rho^m) times as much; their own spread is too low by the same, over the number of blocks.
    """
    factor = 1 + 2 * block_likeness(likeness, length) / (1 - likeness**length)
    return factor / (1 - min(factor - 1, blocks / 2) / (blocks - 1))


def in_blocks(values: Sequence[float], length: int) -> list[float]:
    """Sum *values* by blocks; what does not fill the last one waits."""
    return [sum(values[first : first + length]) for first in range(0, len(values) - length + 1, length)]


def _fieller(tops: Sequence[float], bottoms: Sequence[float], reach: float) -> tuple[float, float]:
    """Bound the ratio where mean(top - r bottom)^2 = reach * var(top - r bottom)."""
    count = len(tops)
    top, bottom = sum(tops) / count, sum(bottoms) / count
    a = bottom**2 - reach * _covariance(bottoms, bottoms, bottom, bottom) if reach < inf else -inf
    if a <= 0:
        return -inf, inf
    b = top * bottom - reach * _covariance(tops, bottoms, top, bottom)
    c = top**2 - reach * _covariance(tops, tops, top, top)
    root = sqrt(max(b * b - a * c, 0.0))
    return (b - root) / a, (b + root) / a


def _covariance(ones: Sequence[float], others: Sequence[float], one: float, other: float) -> float:
    products = ((x - one) * (y - other) for x, y in zip(ones, others, strict=True))
    return sum(products) / (len(ones) - 1)
