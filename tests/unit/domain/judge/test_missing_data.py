"""Missing data is checked first and is never a Pass."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.judge import Label, judge
from airflow_guardrails.domain.judge.rules import MetricRule

LATENCY = MetricRule("ModelLatency", margin="10%")
ERRORS = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.005)


def told(evidence, rule=LATENCY):
    verdict = judge(evidence, [rule])
    return verdict.label, verdict.reasons[-1].text, verdict.reasons[-1].missing


def test_a_missing_error_metric_is_missing_data_rather_than_no_errors(trial, pair):
    label, text, missing = told(trial({ERRORS: pair([0] * 60, [])}), ERRORS)

    assert label is Label.INCONCLUSIVE
    assert "no data for the candidate, although there were requests" in text
    assert missing == "Invocation5XXErrors of the candidate"


def test_a_metric_without_any_data_is_reported(trial):
    label, text, _ = told(trial())

    assert label is Label.INCONCLUSIVE
    assert "no data for production and the candidate" in text


def test_without_requests_nothing_can_be_judged(trial, latencies):
    for sides in ({"control": 0, "candidate": 0}, {"candidate": 0}):
        label, text, _ = told(trial({LATENCY: latencies()}, **sides))

        assert label is Label.INCONCLUSIVE
        assert "no minute in which both sides had requests" in text


def test_few_requests_decide_nothing(trial, latencies):
    label, text, missing = told(trial({LATENCY: latencies(2)}, control=1, candidate=1))

    assert label is Label.INCONCLUSIVE
    assert "too few requests (60 < 100)" in text
    assert missing == "40 more requests to each side, about 40 minutes"


def test_few_minutes_decide_nothing(trial, errors):
    label, text, missing = told(trial({ERRORS: errors(0, 100, minutes=4)}, minutes=4), ERRORS)

    assert label is Label.INCONCLUSIVE
    assert "too few minutes with data on both sides (4 < 5)" in text
    assert "about 1 minute" in missing


def test_gaps_in_a_metric_decide_nothing(trial, pair):
    label, text, _ = told(trial({LATENCY: pair([100.0] * 60, [100.0] * 40 + [None] * 20)}))

    assert label is Label.INCONCLUSIVE
    assert "only 40 of 60 minutes with requests have data (67% < 80%)" in text


@pytest.mark.parametrize(
    ("stat", "control", "candidate", "judged"),
    [("p90", 10, 10, True), ("p90", 9, 9, False), ("p90", 100, 50, True), ("p90", 100, 40, False)],
)
def test_percentiles_of_few_requests_are_not_compared(trial, latencies, stat, control, candidate, judged):
    rule = MetricRule("ModelLatency", stat=stat)
    evidence = trial(
        {rule: latencies()},
        control=control,
        candidate=candidate,
        expected_share=candidate / control,
        paired=False,
    )

    label, text, _ = told(evidence, rule)

    assert (label is Label.PASS) is judged
    assert ("too few requests a minute for a percentile" in text) is not judged


def test_a_percentage_of_nothing_is_refused(trial, pair):
    rule = MetricRule("Queue")

    label, text, missing = told(trial({rule: pair([0] * 60, [1] * 60)}), rule)

    assert label is Label.INCONCLUSIVE
    assert "so there is no percentage" in text
    assert missing == "a margin that is a plain number"


def test_a_negative_number_of_events_is_refused(trial, pair):
    rule = MetricRule("Refunds", stat="Sum", margin=0.1)

    label, text, missing = told(trial({rule: pair([1] * 60, [1] * 59 + [-1])}), rule)

    assert label is Label.INCONCLUSIVE
    assert "a negative number of events" in text
    assert missing == "a rule for the average"


def test_a_rule_says_what_missing_data_is(trial, latencies):
    def label(word):
        missing = MetricRule("Score", on_missing=word)
        return judge(trial({LATENCY: latencies()}), [LATENCY, missing]).label

    assert [label(word) for word in ("inconclusive", "fail", "ignore")] == [
        Label.INCONCLUSIVE,
        Label.FAIL,
        Label.PASS,
    ]


def test_a_candidate_without_any_data_never_passes(trial):
    for word in ("inconclusive", "ignore"):
        verdict = judge(trial(), [MetricRule("Score", on_missing=word)])

        assert verdict.label is not Label.PASS
