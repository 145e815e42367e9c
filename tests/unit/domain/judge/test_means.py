"""The ratio of two means and its interval."""

from __future__ import annotations

from math import exp, inf, log, sqrt

import pytest

from airflow_guardrails.domain.judge.statistics.means import log_e_value, ratio_of, t_bound
from tests.support.series import autoregressive


def series(level, *, seed, count=40, rho=0.0):
    return [level + one for one in autoregressive(rho, count, seed)]


def ratio(candidate, control, *, autocorrelation=0.0):
    return ratio_of(candidate, control, [1.0] * len(control), autocorrelation=autocorrelation)


def test_the_bound_of_many_values_is_that_of_the_asymptotic_confidence_sequence():
    count, alpha = 100_000, 0.05

    growth = count + 1
    asymptotic = sqrt(2 * growth / count * log(1 + sqrt(growth) / (2 * alpha)))

    assert t_bound(count, alpha=alpha) == pytest.approx(asymptotic, rel=0.001)


def test_the_bound_of_few_values_is_wide_and_of_almost_none_without_end():
    bounds = [t_bound(count, alpha=0.01) for count in (1, 2, 6, 12, 30)]

    assert bounds[:2] == [inf, inf]
    assert inf > bounds[2] > bounds[3] > bounds[4] > 3


@pytest.mark.parametrize(("count", "information"), [(8, 8.0), (40, 33.0), (40, 90.0)])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_at_its_bound_a_t_statistic_has_an_e_value_of_one_over_alpha(count, information, alpha):
    bound = t_bound(count, alpha=alpha, information=information)

    assert exp(log_e_value(bound, count, information=information)) == pytest.approx(1 / alpha)
    assert log_e_value(-1.0, count, information=information) == -inf


def test_equal_values_have_the_largest_e_value_of_so_few():
    assert exp(log_e_value(inf, 5, information=5)) == pytest.approx(2 * (6**2.5 - 1) / sqrt(6))


def test_independent_minutes_have_the_usual_t_statistic():
    control, candidate = series(10, seed=1), series(12, seed=2)
    apart = [one - 1.1 * other for one, other in zip(candidate, control, strict=True)]
    mean = sum(apart) / 40
    spread = sum((one - mean) ** 2 for one in apart) / 39

    assert ratio(candidate, control).t(1.1) == pytest.approx(mean / sqrt(spread / 40))


def test_the_ends_of_a_ratio_are_where_the_t_statistic_is_at_its_bound():
    found = ratio(series(12, seed=2), series(10, seed=1), autocorrelation=0.3)

    interval = found.interval(alpha_low=0.01, alpha_high=0.05)

    bounds = [t_bound(40, alpha=alpha, information=found.information) for alpha in (0.01, 0.05)]
    assert found.t(interval.low) == pytest.approx(bounds[0])
    assert found.t(interval.high) == pytest.approx(-bounds[1])
    assert interval.low < 1.2 < interval.high
    assert interval.minutes_needed == 0


def test_a_higher_autocorrelation_widens_the_interval():
    candidate, control = series(12, seed=2), series(10, seed=1)

    widths = []
    for autocorrelation in (0.0, 0.3, 0.6, 0.8):
        interval = ratio(candidate, control, autocorrelation=autocorrelation).interval(
            alpha_low=0.05, alpha_high=0.05
        )
        widths.append(interval.high - interval.low)

    assert widths == sorted(widths)


def test_too_few_minutes_have_no_interval_and_the_needed_number_is_predicted():
    found = ratio([1.0, 1.3, 0.9, 1.1], [1.0, 0.9, 1.1, 1.2])

    interval = found.interval(alpha_low=0.01, alpha_high=0.05)

    assert (interval.low, interval.high) == (-inf, inf)
    assert (
        t_bound(interval.minutes_needed, alpha=0.01) < inf == t_bound(interval.minutes_needed - 1, alpha=0.01)
    )


def test_equal_minutes_exclude_every_other_ratio():
    found = ratio([12.0] * 20, [10.0] * 20)

    assert (found.t(1.19), found.t(1.21)) == (inf, -inf)
    assert found.measured == pytest.approx(1.2)
    assert found.search_limit(above=True) <= found.measured <= found.search_limit(above=False)


def test_a_ratio_to_nothing_is_refused():
    with pytest.raises(ValueError, match="must have a mean above 0"):
        ratio_of([1.0], [0.0], [1.0], autocorrelation=0.0)


def test_the_limits_of_the_search_are_excluded():
    found = ratio(series(12, seed=2), series(10, seed=1))

    assert found.t(found.search_limit(above=True)) > 30
    assert found.t(found.search_limit(above=False)) < -30
