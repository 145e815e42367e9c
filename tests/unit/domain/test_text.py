"""Values in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.text import count_in_words, duration_in_words, share_in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (3605, "1 h 5 s"),
        (5400, "1 h 30 min"),
        (100_000, "27 h 46 min 40 s"),
    ],
)
def test_a_duration_names_the_units_it_needs(seconds, words):
    assert duration_in_words(timedelta(seconds=seconds)) == words


def test_one_is_singular():
    assert [count_in_words(number, "alarm") for number in (0, 1, 2)] == ["0 alarms", "1 alarm", "2 alarms"]


def test_a_share_is_a_percentage_or_a_number_of_instances():
    assert share_in_words(25, None) == "25 % of the fleet"
    assert share_in_words(None, 1) == "1 instance"
