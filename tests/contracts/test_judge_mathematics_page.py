"""docs/judge-mathematics.md has the constants of the code."""

from __future__ import annotations

import re
from fractions import Fraction
from math import exp, inf, log

import pytest

from airflow_guardrails.domain.canary import sample_ratio
from airflow_guardrails.domain.judge import CRITICAL_WEIGHT, counts, formula, means, settled
from airflow_guardrails.domain.judge.statistics import harm, onsets, overdispersion, rates, tails
from airflow_guardrails.domain.judge.statistics.noise import Structure, under_noise
from airflow_guardrails.domain.judge.statistics.onsets import onset_weight
from tests.support.pages import DOCS, ROOT, page, section

PAGE = page("judge-mathematics")
TEXT = " ".join(PAGE.split())


def numbers(structures: tuple[Structure, ...]) -> str:
    return ", ".join(f"{one.phi:g}" for one in structures)


def test_the_weights_of_the_onsets_are_those_of_the_page():
    assert onset_weight(0) == 0.5
    for minute in (1, 2, 60):
        assert onset_weight(minute) == pytest.approx(0.5 * 60 / ((minute + 59) * (minute + 60)))
    assert r"\frac{60}{(j + 59)(j + 60)}" in TEXT
    assert f"$w = {CRITICAL_WEIGHT}$ for critical rules" in TEXT


def test_the_grid_of_noise_is_on_the_page():
    table = section(PAGE, "Kinds of noise")

    assert f"| AR(1) | {numbers(harm.AUTOREGRESSIVE)} | always |" in table
    assert f"| AR(1), slow | {numbers(harm.SLOW)} | from minute {means._SLOW_FROM} on |" in table
    below = f"$R \\ge {means._HARDLY_NOISE}$; from minute {means._SLOW_UNDER_NOISE_FROM} on always"
    assert f"| AR(1) under noise | (0.8, 0.3), (0.9, 0.3), (0.9, 0.5) | if {below} |" in table
    assert (under_noise(0.8, 0.3), under_noise(0.9, 0.3), under_noise(0.9, 0.5)) == harm.UNDER_NOISE
    last = f"from minute {means._SLOW_UNDER_NOISE_FROM} on"
    assert f"| AR(1) under noise, slow | (0.97, 0.5), (0.97, 0.75) | {last} |" in table
    assert (under_noise(0.97, 0.5), under_noise(0.97, 0.75)) == harm.SLOW_UNDER_NOISE
    assert f"$\\varphi < {harm._MUCH_MEMORY}$" in table
    assert (harm._CLEARLY, round(exp(harm._CLEARLY))) == (3, 20)


def test_the_priors_and_weights_of_means_are_on_the_page():
    ratio = " ".join(section(PAGE, "The likelihood ratio").split())

    assert [(one.phi, round(exp(weight), 9)) for one, weight in harm._WITH_HARM.items()] == [
        (0, 0.4),
        (0.3, 0.25),
        (0.6, 0.2),
        (0.8, 0.15),
    ]
    assert r"$\varphi$ = 0, 0.3, 0.6, 0.8 (weights 0.4, 0.25, 0.2, 0.15)" in ratio
    assert (harm._STEP_PRIORS, harm._RAMP_PRIORS) == ((2, 16), (0.1, 1))
    assert (log(0.7), log(1 - 0.7)) == (harm._LOG_STEP, harm._LOG_RAMP)
    assert (
        "$g$ = 2 and 16 is used for steps (weight 0.7) and over $g$ = 0.1 and 1 for ramps (weight 0.3)"
        in ratio
    )
    assert f"from {harm.MIN_MINUTES} (merged) minutes on" in ratio


def test_the_allowance_and_the_clipping_are_on_the_page():
    allowance = section(PAGE, "The allowance")

    assert (means._LEAST_ALLOWANCE, means._MOST_ALLOWANCE) == (0.7, 1.6)
    assert (means._ALLOWANCE_MINUTES, means._ALLOWANCE_FALLS) == (8, 60)
    assert r"\min\left(1.6,\ \max\left(0.7,\ \log \tfrac{n}{8}\right)\right)" in allowance
    assert f"$R \\ge {means._TOGETHER}$" in allowance
    assert (formula._MAX_DEVIATIONS, formula._MEDIAN_SIZE) == (4, 0.6745)
    assert (formula._MANY_REQUESTS, formula._MAX_REQUEST_RATIO) == (100, 2)
    assert f"the last {means._LAST_MINUTES} minutes" in TEXT


def test_when_minutes_are_settled_is_on_the_page():
    text = " ".join(section(PAGE, "Settled minutes").split())

    newest, block = settled._NEWEST, settled._BLOCK
    assert f"from minute {settled.SETTLED_FROM} on, most minutes are *settled*, in steps of {block}" in text
    assert f"until {newest} to {newest + block - 1} are left" in text
    assert f"(at first: {settled.SETTLED_FROM - newest}) and the {settled._AHEAD} after them" in text
    assert f"Each of the newest {onsets._SINGLE_ONSETS} settled minutes is an onset" in text
    assert onsets._GROUPS == 8


def test_the_bets_on_counts_are_on_the_page():
    rows = re.findall(r"^\| (?:\$\\rho\$|weight) \|(.*)\|$", section(PAGE, "Bets"), re.MULTILINE)
    ratios, weights = ([cell.strip() for cell in row.split("|")] for row in rows)
    bets = rates.alternatives(rates.ZERO_RATE_WEIGHT, more=True)

    assert [inf if cell == r"$\infty$" else float(cell) for cell in ratios] == [ratio for ratio, _ in bets]
    assert [float(cell) for cell in weights] == pytest.approx([weight for _, weight in bets])
    assert f"Its weight is {rates.ZERO_RATE_WEIGHT_AFTER_EVENTS}, and the others" in TEXT
    assert f"passes at {counts._EARLIER} of it" in TEXT
    assert tails._RATE_RATIOS == (1.3, 2, 4)


def test_the_estimate_of_bursts_is_on_the_page():
    assert overdispersion.BLOCK_LENGTHS == (1, 2, 5, 10, 20)
    assert "blocks of 2, 5, 10 and 20 minutes" in TEXT
    assert (overdispersion.MIN_MINUTES, overdispersion.MIN_MINUTES_FOR_BOUND) == (50, 10)
    assert (overdispersion._CHANCE, overdispersion._CAUTION, overdispersion._LASTING) == (2, 2.5, 10)
    assert "upper bound: 2.5 standard errors more" in TEXT


def test_the_test_of_the_share_is_on_the_page():
    share = " ".join(section(PAGE, "Share of the requests").split())

    assert Fraction(1, 3) == Fraction(sample_ratio.TOLERANCE).limit_denominator(10)
    assert r"\log(1 - \tfrac13)" in share
    assert "splits {}, {}, {} and {} minutes ago".format(*sample_ratio._WINDOWS) in share
    assert f"start at ${sample_ratio._ASSUMED_VARIATION}^2$ and {sample_ratio._ASSUMED_CORRELATION}" in share
    assert f"the weight of {sample_ratio._ASSUMED_MINUTES} minutes" in share
    assert f"at most {sample_ratio._MAX_CORRELATION}" in share


def test_the_modules_that_the_page_names_exist():
    named = set(re.findall(r"`((?:domain|statistics)/[\w/]+\.py)`", PAGE))

    assert named
    for module in named:
        folder = "domain/judge" if module.startswith("statistics") else "."
        assert (ROOT / "airflow_guardrails" / folder / module).is_file(), module


def test_the_page_is_linked_from_the_judges_page_and_the_readme():
    assert "(judge-mathematics.md)" in page("judge")
    assert "(docs/judge-mathematics.md)" in (ROOT / "README.md").read_text()
    assert (DOCS / "judge-mathematics.md").is_file()
