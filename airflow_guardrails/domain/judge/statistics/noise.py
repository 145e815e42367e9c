"""
How much a minute resembles the one before: structures of the noise, and series without it.

Nobody knows the structure of a trial of an hour: a slow wave looks like a change. So no structure is
estimated. Harm counts only if it is proven under every structure of a grid, see ``harm``.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
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
    phi, theta = structure.phi, structure.theta
    before = error = values[0]
    errors = [before]
    # Of the first value, this part is its own error.
    error /= structure.first_variance
    for value in values[1:]:
        error = value - phi * before + theta * error
        errors.append(error)
        before = value
    return errors


def products_with_steps(structure: Structure, errors: Sequence[float]) -> list[float]:
    """
    Return the inner product of *errors* with a step from each minute on, whitened as they are.

    Item 0 is the product with a constant. All steps take one pass from the end: a step from j on is an
    impulse in each minute from j on. Whitening leaves 1 - phi of it (all of it in the first), and of what it
    leaves in one minute, theta in the next.
    """
    theta, kept = structure.theta, 1 - structure.phi
    products = [0.0] * len(errors)
    impulse = later = 0.0
    for minute in range(len(errors) - 1, 0, -1):
        impulse = errors[minute] + theta * impulse
        products[minute] = impulse + kept * later
        later += impulse
    first = (errors[0] + theta * impulse) / structure.first_variance
    products[0] = first + kept * later
    return products


@dataclass(frozen=True, slots=True)
class Lengths:
    """
    Inner products of whitened shapes in a series of one length; item j is about harm from minute j on.

    :param constant: squared length of a constant.
    :param before: squared length of the constant before minute j; 0 for j = 0.
    :param step: squared length of the step from j on.
    :param before_step: product of the two.
    :param ramp: squared length of the ramp 1, 2, 3 ... from j on.
    :param before_ramp: product of the constant before j and the ramp.
    """

    constant: float
    before: array[float]
    step: array[float]
    before_step: array[float]
    ramp: array[float]
    before_ramp: array[float]


@lru_cache(maxsize=512)
def lengths(structure: Structure, minutes: int) -> Lengths:
    """Return the inner products of the shapes in a series of *minutes*; they do not depend on its values."""
    constant = whitened(structure, [1.0] * minutes)
    with_constant = products_with_steps(structure, constant)
    ramp_with_constant = _summed_from_end(with_constant)
    # A shape that begins within the series looks the same from each minute on.
    step = [1.0]
    for _ in range(1, minutes):
        step.append(1 - structure.phi + structure.theta * step[-1])
    ramp = list(accumulate(step))
    steps = list(accumulate(one * one for one in step))
    ramps = list(accumulate(one * one for one in ramp))
    both = list(accumulate(one * other for one, other in zip(step, ramp, strict=True)))
    whole_ramp = whitened(structure, [float(minute) for minute in range(1, minutes + 1)])
    last = minutes - 1
    onsets = range(1, minutes)
    return Lengths(
        constant=with_constant[0],
        before=array("d", [0, *(with_constant[0] - 2 * with_constant[j] + steps[last - j] for j in onsets)]),
        step=array("d", [with_constant[0], *(steps[last - j] for j in onsets)]),
        before_step=array("d", [0, *(with_constant[j] - steps[last - j] for j in onsets)]),
        ramp=array("d", [squares(structure, whole_ramp), *(ramps[last - j] for j in onsets)]),
        before_ramp=array("d", [0, *(ramp_with_constant[j] - both[last - j] for j in onsets)]),
    )


def squares(structure: Structure, errors: Sequence[float]) -> float:
    """Return the squared length of whitened values."""
    first = errors[0]
    return sum(error * error for error in errors) - first * first * (1 - 1 / structure.first_variance)


def _summed_from_end(values: Sequence[float]) -> list[float]:
    return list(accumulate(reversed(values)))[::-1]
