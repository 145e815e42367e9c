"""Kayenta's judge, with its constants and its weaknesses."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.judge import Label, judge
from airflow_guardrails.domain.judge.rules import MetricRule

LATENCY = MetricRule("ModelLatency", margin="0%")
ERRORS = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.0)


def test_the_shift_is_the_median_of_all_differences(kayenta):
    shift = kayenta.shift_of([1.0, 2.0, 4.0, 8.0], [3.0, 5.0, 9.0, 17.0])

    assert shift.estimate == 3.5


def test_the_interval_is_that_of_mann_and_whitney(kayenta):
    """Half of 400 pairs less 2.326 x 36.9 and a half is 113; 1 + ... + 15 = 120 differences are at most 5."""
    shift = kayenta.shift_of(
        [float(value) for value in range(1, 21)], [float(value) for value in range(11, 31)]
    )

    assert shift.estimate == 10
    assert (shift.low, shift.high) == (5, 15)


@pytest.mark.parametrize(("times", "label"), [(0.8, Label.PASS), (1.0, Label.PASS), (1.2, Label.FAIL)])
def test_latency_fails_where_its_minutes_rank_higher(kayenta, trial, latencies, times, label):
    assert kayenta.judge_kayenta(trial({LATENCY: latencies(times)}), [LATENCY]).label is label


def test_where_less_is_worse_the_ranks_must_be_lower(kayenta, trial, latencies):
    rule = MetricRule("Score", margin="0%", direction="decrease")

    labels = [kayenta.judge_kayenta(trial({rule: latencies(times)}), [rule]).label for times in (0.8, 1.2)]

    assert labels == [Label.FAIL, Label.PASS]


def test_an_allowed_increase_is_compared_with_the_means(kayenta, trial, latencies):
    allowed = MetricRule("ModelLatency", margin="30%")

    assert kayenta.judge_kayenta(trial({allowed: latencies(1.2)}), [allowed]).label is Label.PASS


def test_it_does_not_see_errors_in_one_minute_of_six(kayenta, trial, errors):
    evidence = trial({ERRORS: errors(0, [0, 0, 2, 0, 0, 0] * 10)})

    assert kayenta.judge_kayenta(evidence, [ERRORS]).label is Label.PASS
    assert judge(evidence, [ERRORS]).label is Label.FAIL


def test_it_passes_a_candidate_with_too_little_data(kayenta, trial, latencies):
    evidence = trial({LATENCY: latencies(1.02, minutes=6, spread=0.2)}, minutes=6)

    assert kayenta.judge_kayenta(evidence, [LATENCY]).label is Label.PASS
    assert judge(evidence, [LATENCY]).label is Label.INCONCLUSIVE


def test_missing_data_is_no_pass_with_kayenta_either(kayenta, trial):
    assert kayenta.judge_kayenta(trial(), [LATENCY]).label is Label.INCONCLUSIVE
    assert (
        kayenta.judge_kayenta(trial(), [MetricRule("Score", on_missing="ignore")]).label is Label.INCONCLUSIVE
    )
