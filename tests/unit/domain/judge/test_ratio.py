"""A sum per another metric: the ratio of each minute, weighted by what it is divided by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_guardrails.domain.judge import Label, judge
from airflow_guardrails.domain.judge.evidence import pairs_of
from airflow_guardrails.domain.judge.rules import InvalidRule, MetricRule, with_denominators

CLICKS = MetricRule("Clicks", stat="Sum", per="Answers", namespace="Shop", margin="5%", direction="decrease")
ANSWERS = CLICKS.denominator


@pytest.fixture
def clicks(pair):
    """Clicks and answers of both sides, the candidate's clicks per answer *times* production's."""

    def make(times=1.0, *, minutes=60):
        answers = [100 + 10 * (minute % 7) for minute in range(minutes)]
        # Alternately a little more and a little less, so that neighbours do not resemble each other.
        rates = [0.3 * (1 + 0.01 * (-1) ** minute) for minute in range(minutes)]
        control = [rate * count for rate, count in zip(rates, answers, strict=True)]
        # The candidate gives half as many answers.
        candidate = [
            times * rate * count / 2 for rate, count in zip(rates[1:] + rates[:1], answers, strict=True)
        ]
        return {CLICKS: pair(control, candidate), ANSWERS: pair(answers, [count / 2 for count in answers])}

    return make


def reason(evidence, rule=CLICKS):
    return judge(evidence, [rule]).reasons[-1]


@pytest.mark.parametrize(
    ("times", "label"), [(1.0, Label.PASS), (0.88, Label.FAIL), (0.95, Label.INCONCLUSIVE)]
)
def test_clicks_per_answer_are_compared_and_not_clicks_per_request(trial, clicks, times, label):
    found = reason(trial(clicks(times)))

    assert found.label is label
    assert found.measured == pytest.approx(times - 1, abs=0.002)
    assert (found.metric, found.stat, found.limit) == ("Clicks", "per Answers", -0.05)


def test_the_text_names_the_ratio(trial, clicks):
    assert reason(trial(clicks(0.88))).text.startswith("Clicks per Answers: -12% < limit -5% (interval -12")


def test_a_margin_that_is_a_number_is_in_clicks_per_answer(trial, clicks):
    rule = replace(CLICKS, margin=0.02)
    metrics = clicks(0.8)
    found = reason(trial({rule: metrics[CLICKS], ANSWERS: metrics[ANSWERS]}), rule)

    assert found.label is Label.FAIL
    assert found.measured == pytest.approx(-0.06, abs=0.001)
    assert "points" not in found.text


def test_a_minute_is_weighted_by_its_denominators_and_has_its_own_requests(trial, pair):
    answers = [1.0, 16.0, 81.0]
    metrics = {CLICKS: pair([1] * 3, [1] * 3), ANSWERS: pair(answers, answers)}

    pairs = pairs_of(trial(metrics, minutes=3), CLICKS)

    assert [weight / pairs.weights()[0] for weight in pairs.weights()] == pytest.approx([1, 2, 3])
    assert pairs.control == pairs.candidate == pytest.approx([1, 1 / 16, 1 / 81])
    assert pairs.control_requests == [100] * 3


def test_the_history_is_that_of_the_ratio(trial, clicks):
    pairs = pairs_of(trial(clicks()), CLICKS)

    assert len(pairs.history) == 360
    assert set(pairs.history) <= set(pairs.control)


def test_minutes_whose_denominator_is_0_are_left_out_and_are_no_gaps(trial, clicks):
    metrics = clicks()
    for moment in sorted(metrics[ANSWERS].candidate)[:30]:
        metrics[ANSWERS].candidate[moment] = 0.0
        metrics[CLICKS].candidate[moment] = 0.0

    found = reason(trial(metrics))

    assert found.label is Label.PASS
    assert found.text.endswith("30 minutes)")


def test_minutes_without_a_datum_of_the_denominator_are_gaps(trial, clicks):
    metrics = clicks()
    for moment in sorted(metrics[ANSWERS].candidate)[:30]:
        del metrics[ANSWERS].candidate[moment]

    found = reason(trial(metrics))

    assert found.label is Label.INCONCLUSIVE
    assert "only 30 of 60 minutes with requests have data (50% < 80%)" in found.text
    assert found.missing == "Clicks and Answers of both sides for the same minutes"


@pytest.mark.parametrize(
    ("answers", "text", "missing"),
    [
        ([0] * 60, "there is no minute in which both sides had Answers", "Answers of both sides"),
        ([None] * 60, "no data for the candidate, although", "Clicks and Answers of the candidate"),
    ],
)
def test_without_denominators_nothing_is_judged(trial, pair, answers, text, missing):
    found = reason(trial({CLICKS: pair([30] * 60, [30] * 60), ANSWERS: pair([100] * 60, answers)}))

    assert found.label is Label.INCONCLUSIVE
    assert found.text.startswith(f"Clicks per Answers: {text}")
    assert found.missing == missing


def test_a_denominator_that_was_not_read_at_all_is_missing_data(trial, pair):
    found = reason(trial({CLICKS: pair([30] * 60, [30] * 60)}))

    assert (found.label, found.missing) == (
        Label.INCONCLUSIVE,
        "Clicks and Answers of production and the candidate",
    )


# The rule.


def test_a_ratio_is_no_count_and_has_the_denominators_metric():
    rule = replace(CLICKS, dimensions={"Page": "cart"})

    assert not rule.counted
    assert rule.denominator == MetricRule(
        "Answers", stat="Sum", namespace="Shop", dimensions={"Page": "cart"}
    )
    assert MetricRule("Clicks", stat="Sum").denominator is None


def test_rules_that_share_a_denominator_read_it_once():
    views = replace(CLICKS, metric="Views")

    assert with_denominators([CLICKS, views, CLICKS]) == (CLICKS, ANSWERS, views)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"per": ""}, r"^per must be a name \(got ''\)"),
        ({"per": 7}, "^per must be a name"),
        ({"per": "{{ params.per }}"}, "^per must be a name: rules are not templated"),
        ({"per": "Clicks"}, r"^per must be another metric than metric \(got 'Clicks'\)"),
        ({"stat": "Average"}, r"^per must be used with stat=\"Sum\" \(got 'Answers' with stat='Average'\)"),
        ({"stat": "p90"}, r"^per must be used with stat=\"Sum\" \(got 'Answers' with stat='p90'\)"),
        ({"metric": "Invocation5XXErrors"}, "^per must not be used with Invocation5XXErrors"),
        ({"per": "InvocationModelErrors"}, "^per must not be used with InvocationModelErrors"),
    ],
)
def test_a_ratio_that_makes_no_sense_is_refused(wrong, text):
    with pytest.raises(InvalidRule, match=text):
        MetricRule(**{"metric": "Clicks", "stat": "Sum", "per": "Answers", **wrong})
