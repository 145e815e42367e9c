"""Structures of the noise, and shapes in series without it, compared with matrices."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from airflow_guardrails.domain.judge.statistics.noise import (
    Products,
    autoregressive,
    lengths,
    products_with_steps,
    squares,
    under_noise,
    whitened,
)

STRUCTURES = [autoregressive(0.0), autoregressive(0.6), under_noise(0.8, 0.3), under_noise(0.9, 0.5)]
MINUTES = 12


def inner(structure, one, other):
    """The inner product of two whitened shapes, of which the first minute has its own variance."""
    weights = np.ones(len(one))
    weights[0] = 1 / structure.first_variance
    return float(np.sum(weights * np.array(whitened(structure, one)) * np.array(whitened(structure, other))))


def step(onset):
    return [float(minute >= onset) for minute in range(MINUTES)]


def ramp(onset):
    return [float(max(0, minute - onset + 1)) for minute in range(MINUTES)]


def before(onset):
    return [float(minute < onset) for minute in range(MINUTES)]


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.9])
def test_whitening_an_autoregressive_series_leaves_its_errors(phi):
    errors = [Random(2).gauss(0, 1) for _ in range(30)]
    values = [errors[0]]
    for error in errors[1:]:
        values.append(phi * values[-1] + error)

    assert whitened(autoregressive(phi), values) == pytest.approx(errors)


@pytest.mark.parametrize(("phi", "share"), [(0.8, 0.3), (0.9, 0.5), (0.97, 0.75)])
def test_minutes_under_noise_have_the_autocorrelation_of_both_parts(phi, share):
    structure = under_noise(phi, share)

    first = (1 - phi * structure.theta) * (phi - structure.theta)
    first /= 1 - 2 * phi * structure.theta + structure.theta**2
    assert first == pytest.approx((1 - share) * phi)
    assert 0 < structure.theta < phi


@pytest.mark.parametrize("structure", STRUCTURES)
def test_products_with_all_steps_are_those_with_each(structure):
    values = [Random(3).gauss(1, 1) for _ in range(MINUTES)]

    products = products_with_steps(structure, whitened(structure, values))

    assert products == pytest.approx([inner(structure, values, step(onset)) for onset in range(MINUTES)])
    assert squares(structure, whitened(structure, values)) == pytest.approx(inner(structure, values, values))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_lengths_are_the_inner_products_of_the_shapes(structure):
    onsets = 0, 1, 4, 7, MINUTES - 1
    found = lengths(structure, MINUTES, onsets)

    assert found.constant == pytest.approx(inner(structure, step(0), step(0)))
    shapes = {
        "before": (before, before),
        "step": (step, step),
        "before_step": (before, step),
        "ramp": (ramp, ramp),
        "before_ramp": (before, ramp),
    }
    for name, (one, other) in shapes.items():
        if structure.theta and "ramp" in name:
            assert not getattr(found, name)
            continue
        expected = [inner(structure, one(onset), other(onset)) for onset in onsets]
        assert list(getattr(found, name)) == pytest.approx(expected), name


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("settled", [1, 2, 5, MINUTES - 1])
def test_products_are_the_same_if_later_minutes_are_added(structure, settled):
    values = [Random(3).gauss(1, 1) for _ in range(MINUTES)]
    whole = Products.of(structure, values)

    earlier = Products.of(structure, values[:settled])
    added = earlier.after(
        structure,
        values[settled:],
        before=values[settled - 1],
        ages=[settled - onset for onset in range(settled)],
    )

    assert list(added.steps) == pytest.approx(list(whole.steps))
    assert list(added.ramps) == pytest.approx(list(whole.ramps))
    assert added.square == pytest.approx(whole.square)
    assert added.error == pytest.approx(whole.error)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_products_are_in_units_of_the_minutes(structure):
    values = [Random(3).gauss(1, 1) for _ in range(MINUTES)]

    times = Products.of(structure, values).times(3.0)
    tripled = Products.of(structure, [3 * value for value in values])

    assert list(times.steps) == pytest.approx(list(tripled.steps))
    assert list(times.ramps) == pytest.approx(list(tripled.ramps))
    assert (times.square, times.error) == pytest.approx((tripled.square, tripled.error))
