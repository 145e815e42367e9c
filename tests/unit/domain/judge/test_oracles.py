"""
The judge's formulas, compared with those of SciPy, savvi and gbstats.

The last two cannot be installed together with Airflow: ``benchmarks/oracles.py`` runs them and stores their
figures in ``golden_*.json``.
"""

from __future__ import annotations

import importlib
import json
import math
import random
from pathlib import Path

import pytest
from scipy import integrate, stats

from airflow_guardrails.domain.judge.statistics.proportions import share_interval

HERE = Path(__file__).parent
BENCHMARKS = HERE.parents[3] / "benchmarks"
HITS_OF_TRIALS = [(1, 40), (7, 100), (50, 100), (99, 100), (466, 21_400), (1456, 20_750)]


@pytest.mark.parametrize(("hits", "trials"), HITS_OF_TRIALS)
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_a_share_ends_where_the_mixture_of_all_shares_has_odds_of_one_over_alpha(hits, trials, alpha):
    interval = share_interval(hits, trials, alpha=alpha)
    mixture = stats.betabinom.pmf(hits, trials, 0.5, 0.5)

    for end in (interval.low, interval.high):
        assert mixture / stats.binom.pmf(hits, trials, end) == pytest.approx(1 / alpha, rel=1e-3)


@pytest.mark.parametrize(("hits", "trials"), [*HITS_OF_TRIALS, (0, 300), (300, 300)])
def test_an_interval_that_holds_at_every_look_is_wider_than_one_that_holds_at_one(hits, trials):
    interval = share_interval(hits, trials, alpha=0.05)
    once = stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")

    assert interval.low <= once.low
    assert interval.high >= once.high


@pytest.mark.parametrize("blocks", [6, 10, 30, 60])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_t_statistic_is_bounded_where_its_bayes_factor_says(oracles, blocks, alpha):
    bound = oracles.t_bound(blocks, alpha=alpha)

    # Half of the alpha on either side, and the part of the prior on the wrong one.
    expected = 1 / (2 * alpha) + 1 / math.sqrt(1 + blocks * oracles.PRIOR_VARIANCE)
    assert bayes_factor(bound, blocks, oracles.PRIOR_VARIANCE) == pytest.approx(expected, rel=1e-3)


def bayes_factor(t: float, blocks: int, variance: float) -> float:
    """By quadrature: how much likelier *t* is with a mean drawn from the prior than with none."""

    def weighed(mean: float) -> float:
        density: float = stats.nct.pdf(t, blocks - 1, math.sqrt(blocks) * mean)
        return density * stats.norm.pdf(mean, scale=math.sqrt(variance))

    most = t / math.sqrt(blocks)
    above, _ = integrate.quad(weighed, -4, 8, points=[most], limit=200)
    return float(above / stats.t.pdf(t, blocks - 1))


@pytest.mark.parametrize("seed", range(5))
def test_the_shift_of_two_samples_ends_where_mann_and_whitney_reject(kayenta, seed):
    chance = random.Random(seed)
    control = [chance.gauss(20, 3) for _ in range(40)]
    candidate = [chance.gauss(22, 3) for _ in range(35)]

    shift, alpha = kayenta.shift_of(control, candidate), 1 - kayenta.CONFIDENCE

    # A step of the statistic inside of the interval is let pass, one outside of it is not.
    for end, outwards in ((shift.low, -1), (shift.high, 1)):
        assert p_value_at(control, candidate, end - outwards * 0.2) >= alpha
        assert p_value_at(control, candidate, end + outwards * 0.2) < alpha


def p_value_at(control: list[float], candidate: list[float], shift: float) -> float:
    moved = [value - shift for value in candidate]
    found = stats.mannwhitneyu(moved, control, method="asymptotic", use_continuity=True)
    return float(found.pvalue)


@pytest.fixture(scope="module")
def oracles():
    """The benchmark that asks them, which is a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("oracles")


@pytest.fixture(params=["savvi", "gbstats"])
def golden(request):
    """What one of them said."""
    return json.loads((HERE / f"golden_{request.param}.json").read_text())


def test_formulas_agree_with_what_an_oracle_said(oracles, golden):
    rows = oracles.compared(golden)

    assert [row.line() for row in rows if not row.agrees] == []
    assert len(rows) >= len(golden["figures"]) > 0


def test_an_oracle_was_asked_all_that_is_asked_now(oracles, golden):
    name, _ = golden["oracle"].split()
    asked = [[entry["kind"], entry["case"]] for entry in golden["figures"]]

    assert asked == json.loads(json.dumps(oracles.CASES[name]))
