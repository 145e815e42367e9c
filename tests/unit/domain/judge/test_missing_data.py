"""Missing data is checked first and is never a Pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_guardrails.domain.judge import Label, judge
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.text import traffic_in_words

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
    assert missing == "40 more requests to each side: at 1 request a minute this takes about 40 minutes"


def test_few_minutes_decide_nothing(trial, errors):
    label, text, missing = told(trial({ERRORS: errors(0, 100, minutes=4)}, minutes=4), ERRORS)

    assert label is Label.INCONCLUSIVE
    assert "too few minutes with data on both sides (4 < 5)" in text
    assert missing == "1 more minute with requests: at 100 requests a minute this takes about 1 minute"


# How long it takes at little traffic.


def with_requests(evidence, pair, control, candidate):
    return replace(evidence, requests=pair(control, candidate))


@pytest.mark.parametrize("minutes", [10, 60])
def test_no_trial_is_long_enough_for_a_percentile_of_few_requests_a_minute(trial, latencies, minutes):
    rule = MetricRule("ModelLatency", stat="p90")

    _, text, missing = told(
        trial({rule: latencies(minutes=minutes)}, minutes=minutes, control=5, candidate=5), rule
    )

    assert "too few requests a minute for a percentile (median 5 < 10)" in text
    assert missing == (
        "10 requests a minute to each side, or a rule for the average: "
        "at 5 requests a minute no trial is long enough"
    )


@pytest.mark.parametrize(
    ("per_minute", "minutes", "requests", "wait"),
    [
        (5, 10, "1,827", "at 5 requests a minute this takes about 6 hours"),
        (1, 60, "1,817", "at 1 request a minute this takes about 30 hours"),
    ],
)
def test_few_requests_say_when_errors_can_pass(trial, errors, per_minute, minutes, requests, wait):
    rule = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.002)
    evidence = trial(
        {rule: errors(0, 0, minutes=minutes)}, minutes=minutes, control=per_minute, candidate=per_minute
    )

    _, text, missing = told(evidence, rule)

    assert f"too few requests ({per_minute * minutes} < 100)" in text
    assert missing == f"{requests} more requests to the candidate, for a Pass if none fails: {wait}"


def test_the_wait_for_errors_is_one_after_which_they_pass(trial, errors):
    """An interval without errors shrinks with the requests, and not with their square root."""
    rule = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.002)

    def after(minutes):
        return told(
            trial({rule: errors(0, 0, minutes=minutes)}, minutes=minutes, control=5, candidate=5), rule
        )

    label, _, missing = after(60)

    assert label is Label.INCONCLUSIVE
    assert missing.startswith("a longer trial: at 5 requests a minute this takes about 5 hours more, if")
    assert after(60 + 4 * 60)[0] is Label.INCONCLUSIVE
    assert after(60 + 5 * 60 + 30)[0] is Label.PASS


def test_minutes_without_requests_make_the_wait_longer(trial, pair):
    often = [3 if minute % 20 == 0 else 0 for minute in range(60)]
    rule = replace(LATENCY, min_requests=1)
    evidence = with_requests(trial({rule: pair([100.0] * 60, [100.0] * 60)}), pair, often, often)

    _, _, missing = told(evidence, rule)

    assert missing == "2 more minutes with requests: at 0.15 requests a minute this takes about 40 minutes"


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        # One minute in ten for each side: one in a hundred for both.
        (
            5,
            "requests to both sides in the same 5 minutes: at 0.1 requests a minute this takes about 8 hours",
        ),
        (None, "requests to both sides"),
    ],
)
def test_requests_that_never_come_in_the_same_minute(trial, pair, candidate, says):
    def once_in_ten(begin):
        return [1 if begin is not None and minute % 10 == begin else 0 for minute in range(120)]

    evidence = with_requests(
        trial({LATENCY: pair([1.0], [1.0])}), pair, once_in_ten(0), once_in_ten(candidate)
    )

    _, text, missing = told(evidence)

    assert "no minute in which both sides had requests" in text
    assert missing == says


@pytest.mark.parametrize(
    ("requests", "minutes_run", "says"),
    [
        (300, 60, "at 5 requests a minute"),
        (60, 60, "at 1 request a minute"),
        (45, 60, "at 0.75 requests a minute"),
        (6, 60, "at 0.1 requests a minute"),
        (3, 60, "at 3 requests an hour"),
        (1, 60, "at 1 request an hour"),
        (60 * 1234.5, 60, "at 1,234 requests a minute"),
        (0, 60, "at 0 requests an hour"),
    ],
)
def test_traffic_is_shown_by_the_minute_or_by_the_hour(requests, minutes_run, says):
    assert traffic_in_words(requests, minutes_run) == says


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
