"""The engine that compares predictions finds the same as plain Python, for a thousand random captures."""

from __future__ import annotations

import pytest

from tests.support.random_captures import RULES, random_lines
from tests.support.reference import assert_engine_agrees

pytestmark = pytest.mark.proof

SEEDS = range(1000, 1100)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_engine_finds_what_plain_python_finds_in_any_capture(rule):
    for seed in SEEDS:
        assert_engine_agrees(*random_lines(seed), rule)
