"""
How much a minute resembles the one before: structures of the noise, and series without it.

Nobody knows the structure of a trial of an hour: a slow wave looks like a change. So no structure is
estimated. Harm counts only if it is proven under every structure of a grid, see ``harm``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate, repeat
from math import sqrt


# Compared by identity, which is quick: equal ones are the same object, see _arma().
@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """
    An ARMA(1, 1) process: d_t = phi d_(t-1) + e_t - theta e_(t-1), with independent normal e_t.

    With ``theta`` 0 it is autoregressive. Autoregressive minutes under white noise have a ``theta`` between 0
    and ``phi`` (:func:`under_noise`).

    :param phi: how much of a minute remains in the next one, from 0 to below 1.
    :param theta: from 0 to below 1.
    :param first_variance: variance of d_t, in variances of e_t.
    """

    phi: float
    theta: float
    first_variance: float


def autoregressive(phi: float) -> Structure:
    """Return the AR(1) structure; *phi* is its autocorrelation at lag 1, from 0 to below 1."""
    return _arma(phi, 0.0)


def under_noise(phi: float, share: float) -> Structure:
    """
    Return the structure of AR(1) minutes under white noise.

    Its theta is the root below 1 of
    (1 + theta^2) / theta = ((1 - q) (1 - phi^2) + q (1 + phi^2)) / (q phi):
    the autocovariances of both sides of d_t - phi d_(t-1) are equal then.

    :param phi: autocorrelation of the AR(1) part at lag 1.
    :param share: q, the noise's share of the variance, between 0 and 1.
    """
    half = ((1 - share) * (1 - phi * phi) + share * (1 + phi * phi)) / (2 * share * phi)
    return _arma(phi, half - sqrt(half * half - 1))


@cache
def _arma(phi: float, theta: float) -> Structure:
    return Structure(phi, theta, (1 - 2 * phi * theta + theta * theta) / (1 - phi * phi))


def whitened(structure: Structure, values: Sequence[float]) -> list[float]:
    """
    Return the prediction errors e_t of *values*, which are independent; the first is the value itself.

    The first e has the variance ``first_variance``, and every other is taken to have the variance 1. That is
    exact without ``theta``; with it, the second one's is a little above 1.
    """
    # Of the first value, this part is its own error.
    error = values[0] / structure.first_variance
    return [values[0], *_errors(structure, values[1:], before=values[0], error=error)]


def _errors(structure: Structure, values: Sequence[float], *, before: float, error: float) -> list[float]:
    """Return the errors of *values*, which come after the value *before* and its *error*."""
    phi, theta = structure.phi, structure.theta
    errors = []
    for value in values:
        error = value - phi * before + theta * error
        errors.append(error)
        before = value
    return errors


def products_with_steps(
    structure: Structure, errors: Sequence[float], *, first_variance: float | None = None
) -> list[float]:
    """
    Return the inner product of *errors* with a step from each minute on, whitened as they are.

    Item 0 is the product with a constant. All steps take one pass from the end: a step from j on is an
    impulse in each minute from j on. Whitening leaves 1 - phi of it (all of it in the first), and of what it
    leaves in one minute, theta in the next.

    :param first_variance: variance of the first error; default: that of the structure.
    """
    theta, kept = structure.theta, 1 - structure.phi
    products = [0.0] * len(errors)
    impulse = later = 0.0
    for minute in range(len(errors) - 1, 0, -1):
        impulse = errors[minute] + theta * impulse
        products[minute] = impulse + kept * later
        later += impulse
    first = (errors[0] + theta * impulse) / (first_variance or structure.first_variance)
    products[0] = first + kept * later
    return products


@dataclass(frozen=True, slots=True)
class Products:
    """
    Minutes as one structure sees them: inner products of the whitened minutes.

    :param steps: with a step from each onset on; item 0 is the product with a constant.
    :param ramps: with the ramp 1, 2, 3 ... from each onset on; empty if the structure has a theta.
    :param square: squared length of the whitened minutes.
    :param error: prediction error of the newest minute, by which the next one is predicted.
    """

    steps: array[float]
    ramps: array[float]
    square: float
    error: float

    @classmethod
    def of(cls, structure: Structure, values: Sequence[float]) -> Products:
        """Return the products of *values*; each minute is an onset."""
        errors = whitened(structure, values)
        steps = products_with_steps(structure, errors)
        return cls(
            steps=array("d", steps),
            ramps=array("d", () if structure.theta else _summed_from_end(steps)),
            square=squares(structure, errors),
            # Of the first value, only a part is its own error.
            error=errors[-1] / (structure.first_variance if len(errors) == 1 else 1),
        )

    def after(
        self, structure: Structure, values: Sequence[float], *, before: float, ages: Sequence[int]
    ) -> Products:
        """
        Return the products after further *values*; each of their minutes is a further onset.

        :param before: the newest value so far.
        :param ages: minutes so far since each onset so far.
        """
        errors = _errors(structure, values, before=before, error=self.error)
        steps = products_with_steps(structure, errors, first_variance=1.0)
        more = _products_with_older_steps(structure, errors, ages)
        ramps = array("d")
        if not structure.theta:
            ramps = array("d", _summed_from_end(steps))
            # An older ramp is the sum of a ramp that begins with these minutes and of the step to its height.
            first, each = ramps[0], (1 - structure.phi) * sum(errors)
            ramps = (
                array("d", [ramp + first + age * each for ramp, age in zip(self.ramps, ages, strict=True)])
                + ramps
            )
        return Products(
            steps=array("d", [step + one for step, one in zip(self.steps, more, strict=True)])
            + array("d", steps),
            ramps=ramps,
            square=self.square + sum(error * error for error in errors),
            error=errors[-1],
        )

    def of_onsets(self, positions: Sequence[int]) -> Products:
        """Keep the onsets at *positions*."""
        return replace(
            self,
            steps=array("d", [self.steps[one] for one in positions]),
            ramps=array("d", [self.ramps[one] for one in positions] if self.ramps else ()),
        )

    def times(self, factor: float) -> Products:
        """Return the products of the minutes times *factor*."""
        return Products(
            steps=array("d", [factor * step for step in self.steps]),
            ramps=array("d", [factor * ramp for ramp in self.ramps]),
            square=factor * factor * self.square,
            error=factor * self.error,
        )


def _products_with_older_steps(
    structure: Structure, errors: Sequence[float], ages: Sequence[int]
) -> Iterable[float]:
    """
    Return the products of *errors* with steps that began before them, by as many minutes as *ages*.

    A whitened step is c + (v - c) theta^m in minute m of these, where c is its value in the end, and v that
    in the first of these.
    """
    theta, limit = structure.theta, _limit(structure)
    everywhere = limit * sum(errors)
    if not theta:
        return repeat(everywhere, len(ages))
    decaying = 0.0
    for error in reversed(errors):
        decaying = error + theta * decaying
    # The first onset is that of the constant, whose beginning looks different.
    constant = _constant_beyond_limit(structure) * theta ** (ages[0] - 1)
    beyond = [constant, *((1 - limit) * theta**age for age in ages[1:])]
    return [everywhere + one * decaying for one in beyond]


def _limit(structure: Structure) -> float:
    """Return the value that a whitened step has in the end."""
    return (1 - structure.phi) / (1 - structure.theta)


def _constant_beyond_limit(structure: Structure) -> float:
    """Return by how much the second minute of a whitened constant differs from its value in the end."""
    return 1 - structure.phi + structure.theta / structure.first_variance - _limit(structure)


@dataclass(frozen=True, slots=True)
class Lengths:
    """
    Inner products of whitened shapes in a series of one length; an item is about harm from one onset on.

    :param constant: squared length of a constant.
    :param before: squared length of the constant before the onset; 0 for onset 0.
    :param step: squared length of the step from the onset on.
    :param before_step: product of the two.
    :param ramp: squared length of the ramp 1, 2, 3 ... from the onset on; empty if the structure has a theta.
    :param before_ramp: product of the constant before the onset and the ramp; likewise.
    """

    constant: float
    before: array[float]
    step: array[float]
    before_step: array[float]
    ramp: array[float]
    before_ramp: array[float]


def lengths(structure: Structure, minutes: int, onsets: Sequence[int]) -> Lengths:
    """
    Return the inner products of the shapes in a series of *minutes*; they do not depend on its values.

    :param onsets: in ascending order; the first is 0.
    """
    return (_lengths_with_theta if structure.theta else _lengths)(structure, minutes, onsets)


def _lengths(structure: Structure, minutes: int, onsets: Sequence[int]) -> Lengths:
    """Without theta, a whitened step is 1 and then 1 - phi, and what comes before it leaves -phi in the 1."""
    phi, first = structure.phi, 1 / structure.first_variance
    square, later = (1 - phi) * (1 - phi), onsets[1:]
    constant = first + square * (minutes - 1)
    before_step = array("d", [0.0, *repeat(-phi, len(later))])
    return Lengths(
        constant=constant,
        before=array("d", [0.0, *(first + phi * phi + square * (onset - 1) for onset in later)]),
        step=array("d", [constant, *(1 + square * (minutes - 1 - onset) for onset in later)]),
        before_step=before_step,
        ramp=array("d", [_ramp(phi, minutes) + first - 1, *(_ramp(phi, minutes - one) for one in later)]),
        before_ramp=before_step,
    )


def _ramp(phi: float, minutes: int) -> float:
    """Return the squared length of a whitened ramp in its first *minutes*: 1 + (1 - phi) m in minute m."""
    rise, last = 1 - phi, minutes - 1
    return minutes + rise * minutes * last + rise * rise * last * minutes * (2 * minutes - 1) / 6


def _lengths_with_theta(structure: Structure, minutes: int, onsets: Sequence[int]) -> Lengths:
    """
    All are sums of powers of theta.

    A whitened step is c + (1 - c) theta^m in its minute m, and the constant is c + a theta^(t - 1) in minute
    t, but for the first.
    """
    theta, limit, first = structure.theta, _limit(structure), 1 / structure.first_variance
    rest, beyond = 1 - limit, _constant_beyond_limit(structure)
    # Sums of powers of theta and of its square are these times 1 - the next power.
    powers, squared = 1 / (1 - theta), 1 / (1 - theta * theta)

    def constant(count: int, power: float) -> float:
        summed = 2 * limit * beyond * powers * (1 - power) + beyond * beyond * squared * (1 - power * power)
        return first + limit * limit * (count - 1) + summed

    before, step, before_step = [0.0], [constant(minutes, theta ** (minutes - 1))], [0.0]
    for onset in onsets[1:]:
        length = minutes - onset
        early, late = theta ** (onset - 1), theta**length
        once, twice = powers * (1 - late), squared * (1 - late * late)
        # What is left in the minute of the onset of the constant that ends there.
        left = limit + beyond * early - 1
        before.append(constant(onset, early) + left * left * twice)
        step.append(limit * limit * length + 2 * limit * rest * once + rest * rest * twice)
        before_step.append(left * (limit * once + rest * twice))
    return Lengths(
        constant=step[0],
        before=array("d", before),
        step=array("d", step),
        before_step=array("d", before_step),
        ramp=array("d"),
        before_ramp=array("d"),
    )


@lru_cache(maxsize=512)
def lengths_from_everywhere(structure: Structure, minutes: int) -> Lengths:
    """Return :func:`lengths` if each minute is an onset. They are the same for all rules of a trial."""
    return lengths(structure, minutes, range(minutes))


def squares(structure: Structure, errors: Sequence[float]) -> float:
    """Return the squared length of whitened values."""
    first = errors[0]
    return sum(error * error for error in errors) - first * first * (1 - 1 / structure.first_variance)


def _summed_from_end(values: Sequence[float]) -> list[float]:
    return list(accumulate(reversed(values)))[::-1]
