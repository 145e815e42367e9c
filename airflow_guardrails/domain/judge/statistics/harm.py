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

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, inf, log, log1p

from airflow_guardrails.domain.judge.statistics.noise import (
    Lengths,
    Products,
    Structure,
    autoregressive,
    lengths,
    lengths_from_everywhere,
    under_noise,
)
from airflow_guardrails.domain.judge.statistics.onsets import (
    Harm,
    groups_of_onsets,
    log_onset_weights,
    log_sum,
)

# Structures of the noise that may explain the minutes without harm.
AUTOREGRESSIVE = tuple(autoregressive(phi) for phi in (0.0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93))
SLOW = (autoregressive(0.97),)
UNDER_NOISE = under_noise(0.8, 0.3), under_noise(0.9, 0.3), under_noise(0.9, 0.5)
SLOW_UNDER_NOISE = under_noise(0.97, 0.5), under_noise(0.97, 0.75)
STRUCTURES = (*AUTOREGRESSIVE, *SLOW, *UNDER_NOISE, *SLOW_UNDER_NOISE)

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
class Sums:
    """
    What is kept of earlier minutes: sums that later minutes only add to.

    Of groups of earlier onsets only one each is kept, see :func:`groups_of_onsets`. So the sums are small,
    however long a trial is. It is the onset with most evidence, and its weight is raised so that it has the
    evidence of all of them.

    :param count: number of the minutes.
    :param onsets: the minutes from which on harm is looked for.
    :param newest: the newest difference.
    :param total: sum of the differences.
    :param least: the smallest difference.
    :param most: the largest difference.
    :param products: the minutes as each of the structures sees them.
    :param log_weights: logs of the weights of the onsets, for each of the structures.
    """

    count: int
    onsets: tuple[int, ...]
    newest: float
    total: float
    least: float
    most: float
    products: Mapping[Structure, Products]
    log_weights: Mapping[Structure, array[float]]

    @classmethod
    def of(
        cls, structures: Sequence[Structure], differences: Sequence[float], earlier: Sums | None = None
    ) -> Sums:
        """Return the sums of *differences*, which come after the *earlier* ones, as *structures* see them."""
        minutes = Minutes(differences, earlier)
        kept, log_weights = minutes.kept_onsets(structures)
        return cls(
            count=len(minutes),
            onsets=tuple(minutes.onsets[one] for one in kept),
            newest=differences[-1],
            total=minutes.total,
            least=minutes.least,
            most=minutes.most,
            products={one: minutes.products(one).of_onsets(kept) for one in structures},
            log_weights=log_weights,
        )

    def times(self, factor: float) -> Sums:
        """Return the sums of the differences times *factor*."""
        least, most = sorted((factor * self.least, factor * self.most))
        return replace(
            self,
            newest=factor * self.newest,
            total=factor * self.total,
            least=least,
            most=most,
            products={one: product.times(factor) for one, product in self.products.items()},
        )


@dataclass(frozen=True, slots=True)
class _Fit:
    """
    The minutes as one structure sees them.

    :param shapes: inner products of the whitened shapes.
    :param products: inner products of the whitened minutes.
    :param square: squared length of the whitened minutes.
    :param rests: for each onset, the squares that the mean before it leaves; the last item is about a mean
        of the whole trial.
    :param log_likelihoods: likewise, the log marginal likelihood without harm.
    """

    shapes: Lengths
    products: Products
    square: float
    rests: list[float]
    log_likelihoods: list[float]


class Minutes:
    """
    The differences of both sides in each minute, above 0 if the candidate is beyond the margin.

    :param differences: at least one, in any unit in which 0.001 means nothing.
    :param earlier: the sums of those before them.
    """

    def __init__(self, differences: Sequence[float], earlier: Sums | None = None) -> None:
        self._differences, self._earlier = differences, earlier
        self._count, self.onsets = len(differences), tuple(range(len(differences)))
        self.total, self.least, self.most = sum(differences), min(differences), max(differences)
        if earlier:
            self._count += earlier.count
            self.onsets = (*earlier.onsets, *range(earlier.count, self._count))
            self.total += earlier.total
            self.least, self.most = min(earlier.least, self.least), max(earlier.most, self.most)
        self.mean = self.total / self._count
        self._products: dict[Structure, Products] = {}
        self._fits: dict[Structure, _Fit] = {}
        reach = max(-self.least, self.most)
        self._floor = self._count * (_LEAST_DEVIATION**2 + (_ROUNDING * reach) ** 2)

    def __len__(self) -> int:
        return self._count

    def products(self, structure: Structure) -> Products:
        """Return the minutes as *structure* sees them."""
        if structure not in self._products:
            earlier = self._earlier
            self._products[structure] = (
                earlier.products[structure].after(
                    structure,
                    self._differences,
                    before=earlier.newest,
                    ages=[earlier.count - onset for onset in earlier.onsets],
                )
                if earlier
                else Products.of(structure, self._differences)
            )
        return self._products[structure]

    def harm(self, structures: Sequence[Structure]) -> Harm:
        """Return the evidence that the mean is above 0 from any minute on, whichever structure holds."""
        numerators = self._log_likelihoods_with_harm()
        weakest, onset = inf, 0
        for structure in structures:
            without = self._fit(structure).log_likelihoods
            ratios = [
                weight + one - other
                for weight, one, other in zip(self._log_weights(structure), numerators, without, strict=True)
            ]
            if (log_e := log_sum(ratios)) < weakest:
                weakest, onset = log_e, self.onsets[max(range(len(self.onsets)), key=ratios.__getitem__)]
        return Harm(log_e=weakest, onset=onset)

    def kept_onsets(self, structures: Sequence[Structure]) -> tuple[list[int], dict[Structure, array[float]]]:
        """Return the positions of the onsets that are kept, and their log weights for each structure."""
        groups = groups_of_onsets(self.onsets, len(self))
        several = [position for group in groups if len(group) > 1 for position in group]
        at = {position: number for number, position in enumerate(several, 1)}
        evidence = self._evidence(structures, [0, *several])
        weakest = list(map(min, zip(*evidence.values(), strict=True)))
        kept = [
            max(group, key=lambda one: weakest[at[one]]) if len(group) > 1 else group[0] for group in groups
        ]
        joined = [
            (number, best, at[best], [(one, at[one]) for one in group if one != best])
            for number, (group, best) in enumerate(zip(groups, kept, strict=True))
            if len(group) > 1
        ]
        log_weights = {}
        for structure, logs in evidence.items():
            weights = self._log_weights(structure)
            log_weights[structure] = array("d", [weights[one] for one in kept])
            for number, best, of_best, others in joined:
                log_weights[structure][number] = _joined_weight(
                    weights[best], [(weights[one], logs[of_one] - logs[of_best]) for one, of_one in others]
                )
        return kept, log_weights

    def _evidence(
        self, structures: Sequence[Structure], positions: Sequence[int]
    ) -> dict[Structure, list[float]]:
        """Return the log evidence of some onsets, the first of them 0, without their weights."""
        some = Minutes(self._differences, self._earlier)
        some.onsets = tuple(self.onsets[one] for one in positions)
        some._products.update((one, self.products(one).of_onsets(positions)) for one in structures)
        numerators, fits = some._log_likelihoods_with_harm(), map(some._fit, structures)
        return {
            one: [top - bottom for top, bottom in zip(numerators, fit.log_likelihoods, strict=True)]
            for one, fit in zip(structures, fits, strict=True)
        }

    def _log_weights(self, structure: Structure) -> Sequence[float]:
        earlier = self._earlier
        if not earlier:
            return log_onset_weights(0, len(self))
        return *earlier.log_weights[structure], *log_onset_weights(earlier.count, len(self))

    def log_e_of_mean(self, structures: Sequence[Structure], mean: float, *, above: bool) -> float:
        """
        Return the log e-value for "the mean of the whole trial is above *mean*" (or below it).

        :param mean: which need not be 0: the formulas only need the squares about it.
        """
        moved = {one: self._moved(one, mean) for one in {*structures, *_WITH_HARM}}
        logs = []
        for one, weight in _WITH_HARM.items():
            (product, square), length = moved[one], self._fit(one).shapes.constant
            gain = log_gain(product if above else -product, length, square, len(self), _STEP_PRIORS)
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
            step = (self.most - self.least) / 8 + _LEAST_DEVIATION
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

    def _moved(self, structure: Structure, mean: float) -> tuple[float, float]:
        """Return the product with a constant, and the square, of the minutes minus *mean*."""
        fit = self._fit(structure)
        whole, constant = fit.products.steps[0], fit.shapes.constant
        product = whole - mean * constant
        square = fit.square - 2 * mean * whole + mean * mean * constant
        # Far from the minutes, only rounding can make the square smaller than what the constant explains.
        return product, max(square, product * product / constant + self._floor)

    def _log_likelihood(self, structure: Structure, square: float) -> float:
        return -0.5 * log(structure.first_variance) - len(self) / 2 * log(square)

    def _fit(self, structure: Structure) -> _Fit:
        if structure not in self._fits:
            self._fits[structure] = self._fitted(structure)
        return self._fits[structure]

    def _fitted(self, structure: Structure) -> _Fit:
        count, products = len(self), self.products(structure)
        shapes = (
            lengths_from_everywhere(structure, count)
            if len(self.onsets) == count
            else lengths(structure, count, self.onsets)
        )
        square, steps = products.square + self._floor, products.steps
        first, whole = -0.5 * log(structure.first_variance), steps[0]
        rests, logs = [square], [first - count / 2 * log(square)]
        power = (1 - count) / 2
        for step, length in zip((*steps[1:], 0.0), (*shapes.before[1:], shapes.constant), strict=True):
            product = whole - step
            rest = square - product * product / length
            rests.append(rest)
            logs.append(first - 0.5 * log(length) + power * log(rest))
        return _Fit(shapes, products, square, rests, logs)

    def _log_likelihoods_with_harm(self) -> list[float]:
        """Return the log likelihood of harm from each onset on, and of none so far."""
        last = len(self.onsets)
        terms: list[list[float]] = [[] for _ in range(last + 1)]
        for structure, weight in _WITH_HARM.items():
            likelihoods = self._fit(structure).log_likelihoods
            for at, gain in self._gains(structure):
                terms[at].append(weight + gain + likelihoods[at])
            terms[last].append(weight + likelihoods[last])
        return [log_sum(logs) for logs in terms]

    def _gains(self, structure: Structure) -> Iterator[tuple[int, float]]:
        """Yield onsets by number, and the log of what a bet on harm from there gains."""
        count, fit = len(self), self._fit(structure)
        shapes, steps, ramps = fit.shapes, fit.products.steps, fit.products.ramps
        whole = steps[0]
        yield 0, _LOG_STEP + log_gain(whole, shapes.constant, fit.square, count, _STEP_PRIORS)
        yield 0, _LOG_RAMP + log_gain(ramps[0], shapes.ramp[0], fit.square, count, _RAMP_PRIORS)
        for at in range(1, len(self.onsets)):
            before, rest = shapes.before[at], fit.rests[at]
            # What the mean before the onset explains is left out of both shapes.
            with_step, with_ramp = shapes.before_step[at], shapes.before_ramp[at]
            mean = (whole - steps[at]) / before
            if (step := steps[at] - with_step * mean) > 0:
                length = shapes.step[at] - with_step * with_step / before
                yield at, _LOG_STEP + log_gain(step, length, rest, count - 1, _STEP_PRIORS)
            if (ramp := ramps[at] - with_ramp * mean) > 0:
                length = shapes.ramp[at] - with_ramp * with_ramp / before
                yield at, _LOG_RAMP + log_gain(ramp, length, rest, count - 1, _RAMP_PRIORS)


def _joined_weight(log_weight: float, others: Sequence[tuple[float, float]]) -> float:
    """
    Return the log weight with which an onset has the evidence of all its group; it is at most their sum.

    :param log_weight: of this onset.
    :param others: log weights of the others, and the logs of their evidence divided by that of this onset.
    """
    # Without any evidence all are alike: the ratio is no number then, and min() returns 0.
    return log_weight + log1p(sum(exp(weight - log_weight + min(0.0, ratio)) for weight, ratio in others))


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
    slow = max(minutes.log_likelihood(one) for one in STRUCTURES if one.phi >= _MUCH_MEMORY)
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
