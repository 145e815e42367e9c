"""
Is the mean of a series above 0, from its beginning or from some minute on? It may be asked at every minute.

For each onset j, two models of the minutes are compared. Without harm, the mean after j is 0; the mean before
j may be anything. With harm, a step or a ramp is added from j on. The ratio of their marginal likelihoods is
at most a test martingale, whatever the standard deviation of the minutes and their mean before j: both have a
right Haar prior (Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with
unknown variance", Sequential Analysis 44, 2025; Lai, "On confidence sequences", Annals of Statistics 4,
1976).

The noise of the model with harm is a mixture of structures. The noise of the model without harm is taken from
a grid, and the answer is the smallest over the grid: whichever structure is true, it is at most the e-process
of that one. So a slow wave, which looks like a change, is no harm if one of the structures explains it.

What is exact: normal minutes of a structure of the grid without theta, and a mean of exactly 0 without harm.
What is not: minutes that are not normal, other structures, and the second minute of a structure with theta.
And the onsets have martingales in different filtrations, so their sum is an e-value at each minute, but that
it keeps alpha over all minutes is not proven (Choe and Ramdas, "Combining evidence across filtrations", arXiv
2402.09698).
``benchmarks/calibrate.py`` shows how much that matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import exp, inf, log, log1p

from airflow_guardrails.domain.judge.statistics.noise import (
    Structure,
    autoregressive,
    lengths,
    products_with_steps,
    squares,
    under_noise,
    whitened,
)
from airflow_guardrails.domain.judge.statistics.onsets import Harm, log_sum, onset_weight

# Structures of the noise that may explain the minutes without harm.
AUTOREGRESSIVE = tuple(autoregressive(phi) for phi in (0.0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93))
SLOW = (autoregressive(0.97),)
UNDER_NOISE = under_noise(0.8, 0.3), under_noise(0.9, 0.3), under_noise(0.9, 0.5)
SLOW_UNDER_NOISE = under_noise(0.97, 0.5), under_noise(0.97, 0.75)

# Structures of the noise if there is harm, and the logs of their weights, which sum to 1.
_WITH_HARM = {
    autoregressive(0.0): log(0.4),
    autoregressive(0.3): log(0.25),
    autoregressive(0.6): log(0.2),
    autoregressive(0.8): log(0.15),
}

# Weight of a step; the rest is that of a ramp.
STEP_WEIGHT = 0.7
_LOG_STEP, _LOG_RAMP = log(STEP_WEIGHT), log(1 - STEP_WEIGHT)

# Variances of the prior on the size of a step, and of a ramp's rise in a minute, in variances of e_t.
_STEP_PRIORS = (2.0, 16.0)
_RAMP_PRIORS = (0.1, 1.0)

# Fewer minutes give no evidence: the clipping of a minute looks at its neighbours.
MIN_MINUTES = 6

# Standard deviation that every minute has at least, and in units of the largest value: without it, the
# squares of constant minutes would be rounding errors.
_LEAST_DEVIATION, _ROUNDING = 1e-3, 1e-6

# Minutes of a history that are needed, and looked at; the autocorrelation from which a wave is slow; and the
# log of how much better a history must be explained without one.
_HISTORY_MINUTES, _HISTORY_LOOKED_AT, _MUCH_MEMORY, _CLEARLY = 60, 360, 0.7, 3.0

# Steps of the search for an end of the interval: outwards, each twice as far, and then by bisection.
_SEARCH_STEPS, _BISECTION_STEPS = 8, 12


@dataclass(frozen=True, slots=True)
class _Fit:
    """
    The minutes as one structure sees them.

    :param steps: inner products of the whitened minutes with steps from each minute on.
    :param square: squared length of the whitened minutes.
    :param rests: for each onset j, the squares that the mean before j leaves; the last item is about a mean
        of the whole trial.
    :param log_likelihoods: likewise, the log marginal likelihood without harm.
    """

    steps: list[float]
    square: float
    rests: list[float]
    log_likelihoods: list[float]


class Minutes:
    """
    The differences of both sides in each minute, above 0 if the candidate is beyond the margin.

    :param differences: at least one, in any unit in which 0.001 means nothing.
    """

    def __init__(self, differences: Sequence[float]) -> None:
        self._differences = differences
        self.mean = sum(differences) / len(differences)
        self._fits: dict[Structure, _Fit] = {}
        reach = max(abs(one) for one in differences)
        self._floor = len(differences) * (_LEAST_DEVIATION**2 + (_ROUNDING * reach) ** 2)

    def __len__(self) -> int:
        return len(self._differences)

    def harm(self, structures: Sequence[Structure]) -> Harm:
        """Return the evidence that the mean is above 0 from any minute on, whichever structure holds."""
        numerators = self._log_likelihoods_with_harm()
        weakest, onset = inf, 0
        for structure in structures:
            without = self._fit(structure).log_likelihoods
            ratios = [one - other for one, other in zip(numerators, without, strict=True)]
            if (log_e := log_sum(ratios)) < weakest:
                weakest, onset = log_e, max(range(len(self)), key=ratios.__getitem__)
        return Harm(log_e=weakest, onset=onset)

    def log_e_of_mean(self, structures: Sequence[Structure], mean: float, *, above: bool) -> float:
        """
        Return the log e-value for "the mean of the whole trial is above *mean*" (or below it).

        :param mean: which need not be 0: the formulas only need the squares about it.
        """
        constants = {one: lengths(one, len(self)).constant for one in {*structures, *_WITH_HARM}}
        moved = {one: self._moved(one, mean, constant) for one, constant in constants.items()}
        logs = []
        for one, weight in _WITH_HARM.items():
            product, square = moved[one]
            gain = log_gain(product if above else -product, constants[one], square, len(self), _STEP_PRIORS)
            logs.append(weight + gain + self._log_likelihood(one, square))
        best = log_sum(logs)
        return min(best - self._log_likelihood(one, moved[one][1]) for one in structures)

    def end(self, structures: Sequence[Structure], log_threshold: float, *, low: bool) -> float:
        """
        Return an end of the confidence interval of the mean of the whole trial: infinite if it has none yet.

        :param log_threshold: from this log e-value on, a mean is excluded.
        :param low: the low end; else the high end.
        """
        sign = -1 if low else 1

        def is_excluded(mean: float) -> bool:
            return self.log_e_of_mean(structures, mean, above=low) >= log_threshold

        inside = self.mean
        # Whether the margin, 0, is excluded decides; where exactly the interval ends is only shown.
        outside = 0.0
        if sign * inside >= 0 or not is_excluded(outside):
            inside = max(inside, 0.0, key=lambda one: sign * one)
            step = (max(self._differences) - min(self._differences)) / 8 + _LEAST_DEVIATION
            further = (inside + sign * step * 2**doubled for doubled in range(_SEARCH_STEPS))
            found = next((mean for mean in further if is_excluded(mean)), None)
            if found is None:
                return sign * inf
            outside = found
        for _ in range(_BISECTION_STEPS):
            middle = (outside + inside) / 2
            outside, inside = (middle, inside) if is_excluded(middle) else (outside, middle)
        return outside

    def log_likelihood(self, structure: Structure) -> float:
        """Return the log marginal likelihood of the minutes, whatever their mean and their deviation."""
        return self._fit(structure).log_likelihoods[-1]

    def _moved(self, structure: Structure, mean: float, constant: float) -> tuple[float, float]:
        """Return the product with a constant, and the square, of the minutes minus *mean*."""
        fit = self._fit(structure)
        product = fit.steps[0] - mean * constant
        square = fit.square - 2 * mean * fit.steps[0] + mean * mean * constant
        # Far from the minutes, only rounding can make the square smaller than what the constant explains.
        return product, max(square, product * product / constant + self._floor)

    def _log_likelihood(self, structure: Structure, square: float) -> float:
        return -0.5 * log(structure.first_variance) - len(self) / 2 * log(square)

    def _fit(self, structure: Structure) -> _Fit:
        if structure not in self._fits:
            self._fits[structure] = self._fitted(structure)
        return self._fits[structure]

    def _fitted(self, structure: Structure) -> _Fit:
        count, shapes = len(self), lengths(structure, len(self))
        errors = whitened(structure, self._differences)
        steps = products_with_steps(structure, errors)
        square, whole = squares(structure, errors) + self._floor, steps[0]
        first = -0.5 * log(structure.first_variance)
        rests, logs = [square], [first - count / 2 * log(square)]
        power = (1 - count) / 2
        for step, length in zip((*steps[1:], 0.0), (*shapes.before[1:], shapes.constant), strict=True):
            product = whole - step
            rest = square - product * product / length
            rests.append(rest)
            logs.append(first - 0.5 * log(length) + power * log(rest))
        return _Fit(steps, square, rests, logs)

    def _log_likelihoods_with_harm(self) -> list[float]:
        """Return the weighted log likelihood of harm from each minute on, and of none so far."""
        count = len(self)
        terms: list[list[float]] = [[] for _ in range(count + 1)]
        for structure, weight in _WITH_HARM.items():
            likelihoods = self._fit(structure).log_likelihoods
            for onset, gain in self._gains(structure):
                terms[onset].append(weight + gain + likelihoods[onset])
            terms[count].append(weight + likelihoods[count])
        weights = _log_onset_weights(count)
        return [weight + log_sum(logs) for weight, logs in zip(weights, terms, strict=True)]

    def _gains(self, structure: Structure) -> Iterator[tuple[int, float]]:
        """Yield onsets, and the log of what a bet on harm from there on multiplies the likelihood by."""
        count, fit, shapes = len(self), self._fit(structure), lengths(structure, len(self))
        whole, steps = fit.steps[0], fit.steps
        ramps = list(accumulate(reversed(steps)))[::-1]
        yield 0, _LOG_STEP + log_gain(whole, shapes.constant, fit.square, count, _STEP_PRIORS)
        yield 0, _LOG_RAMP + log_gain(ramps[0], shapes.ramp[0], fit.square, count, _RAMP_PRIORS)
        for onset in range(1, count):
            before, rest = shapes.before[onset], fit.rests[onset]
            # What the mean before the onset explains is left out of both shapes.
            with_step, with_ramp = shapes.before_step[onset], shapes.before_ramp[onset]
            mean = (whole - steps[onset]) / before
            if (step := steps[onset] - with_step * mean) > 0:
                length = shapes.step[onset] - with_step * with_step / before
                yield onset, _LOG_STEP + log_gain(step, length, rest, count - 1, _STEP_PRIORS)
            if (ramp := ramps[onset] - with_ramp * mean) > 0:
                length = shapes.ramp[onset] - with_ramp * with_ramp / before
                yield onset, _LOG_RAMP + log_gain(ramp, length, rest, count - 1, _RAMP_PRIORS)


def log_gain(product: float, length: float, rest: float, freedom: int, priors: Sequence[float]) -> float:
    """
    Return the log of the one-sided Bayes factor of a shape minus its value at 0; ``-inf`` if that is below 0.

    With information I, product y, rest R and a prior of variance g on the size of the shape, the factor is
    (1 - y^2 g / (R (1 + g I)))^(-nu / 2) / sqrt(1 + g I). Of it, the half of the prior on the wrong side is
    subtracted only up to its value at y = 0. For one structure it is an e-value for means below 0, too
    (Grünwald and Koolen, "Supermartingales for one-sided tests", arXiv 2502.04208).

    :param freedom: nu, degrees of freedom.
    :param priors: variances g, equally likely.
    """
    if product <= 0 or length <= _ROUNDING:
        return -inf
    explained, logs = product * product / rest, []
    for variance in priors:
        growth = 1 + variance * length
        # It is above 1 / growth, but for rounding.
        factor = -freedom / 2 * log(max(1 - explained * variance / growth, 0.5 / growth))
        if factor > 0:
            logs.append(factor + log1p(-exp(-factor)) - log(growth) / 2)
    return log(2 / len(priors)) + log_sum(logs) if logs else -inf


@lru_cache(maxsize=64)
def _log_onset_weights(minutes: int) -> tuple[float, ...]:
    """Return the logs of the weights of harm from each minute on, and of harm that has not begun."""
    weights = [onset_weight(minute) for minute in range(minutes)]
    return tuple(log(weight) for weight in (*weights, 1 - sum(weights)))


def is_without_slow_waves(history: Sequence[float]) -> bool:
    """
    Say whether earlier minutes of production show that its noise has no slow wave under it.

    An hour at least is needed. If even the best autoregressive structure with little memory explains them 20
    times as well as the best structure with a slow wave, there is none.
    """
    return len(history) >= _HISTORY_MINUTES and _is_without_slow_waves(tuple(history[-_HISTORY_LOOKED_AT:]))


# A history does not change while a trial runs.
@lru_cache(maxsize=256)
def _is_without_slow_waves(history: tuple[float, ...]) -> bool:
    middle = sum(history) / len(history)
    scale = max(abs(value - middle) for value in history)
    if scale == 0:
        return False
    minutes = Minutes([(value - middle) / scale for value in history])
    fast = max(minutes.log_likelihood(one) for one in AUTOREGRESSIVE if one.phi < _MUCH_MEMORY)
    waves = *AUTOREGRESSIVE, *SLOW, *UNDER_NOISE, *SLOW_UNDER_NOISE
    slow = max(minutes.log_likelihood(one) for one in waves if one.phi >= _MUCH_MEMORY)
    return fast - slow >= _CLEARLY


@lru_cache(maxsize=64)
def minutes_needed(alpha: float) -> int:
    """
    Return how many minutes a trial needs at least before a mean is excluded.

    It is the number for a mean of five standard deviations and little autocorrelation.

    :param alpha: probability, 0 to 1, that the interval is ever wrong.
    """
    minutes = MIN_MINUTES
    while _clear(minutes).log_e_of_mean(AUTOREGRESSIVE, 0.0, above=True) < -log(alpha):
        minutes += 1
    return minutes


def _clear(minutes: int) -> Minutes:
    return Minutes([5.0 + (-1) ** minute for minute in range(minutes)])
