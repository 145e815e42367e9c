"""A verdict from what both sides did."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge import InvalidEvidence, Label, Series, combine, judge
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule

LATENCY = MetricRule("ModelLatency", margin="10%")
ERRORS = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.005)


def reason_of(verdict, rule):
    return next(
        reason for reason in verdict.reasons if (reason.metric, reason.stat) == (rule.metric, rule.stat)
    )


@pytest.mark.parametrize(
    ("times", "label"),
    [(0.5, Label.PASS), (1.0, Label.PASS), (1.05, Label.PASS), (1.1, Label.INCONCLUSIVE), (1.2, Label.FAIL)],
)
def test_latency_is_judged_by_where_its_interval_lies_from_the_margin(trial, latencies, times, label):
    verdict = judge(trial({LATENCY: latencies(times)}), [LATENCY])

    assert verdict.label is label
    reason = reason_of(verdict, LATENCY)
    assert reason.measured == pytest.approx(times - 1, abs=0.002)
    assert reason.low < reason.measured < reason.high
    assert reason.limit == pytest.approx(0.1)


def test_a_margin_in_the_metrics_own_unit_bounds_the_difference(trial, latencies):
    rule = MetricRule("ModelLatency", margin=10_000)

    labels = [judge(trial({rule: latencies(times)}), [rule]).label for times in (1.05, 1.1, 1.2)]

    assert labels == [Label.PASS, Label.INCONCLUSIVE, Label.FAIL]


def test_where_less_is_worse_the_sides_of_the_margin_change(trial, latencies):
    rule = MetricRule("Confidence", margin="10%", direction="decrease")

    labels = [judge(trial({rule: latencies(times)}), [rule]).label for times in (1.5, 0.95, 0.9, 0.8)]

    assert labels == [Label.PASS, Label.PASS, Label.INCONCLUSIVE, Label.FAIL]


@pytest.mark.parametrize(
    ("control", "candidate", "label"),
    [
        (0, 0, Label.PASS),
        (5, 5, Label.INCONCLUSIVE),
        (5, 0, Label.PASS),
        (0, 2, Label.FAIL),
        (5, 8, Label.FAIL),
    ],
)
def test_errors_are_judged_by_their_share_of_the_requests(trial, errors, control, candidate, label):
    verdict = judge(trial({ERRORS: errors(control, candidate)}), [ERRORS])

    assert verdict.label is label
    assert reason_of(verdict, ERRORS).measured == pytest.approx((candidate - control) / 100)


def test_the_average_of_errors_is_their_rate(trial, errors):
    average = MetricRule("Invocation5XXErrors", stat="Average", margin=0.005)
    counted = reason_of(judge(trial({ERRORS: errors(1, 4)}), [ERRORS]), ERRORS)
    averaged = reason_of(judge(trial({average: errors(0.01, 0.04)}), [average]), average)

    assert (averaged.low, averaged.high) == pytest.approx((counted.low, counted.high))


def test_a_candidate_with_a_share_of_the_requests_may_have_that_share_of_the_errors(trial, errors):
    evidence = trial({ERRORS: errors(18, 2)}, control=900, candidate=100, expected_share=1 / 9, paired=False)

    reason = reason_of(judge(evidence, [ERRORS]), ERRORS)

    assert reason.measured == pytest.approx(0)
    assert reason.low < 0 < reason.high


def test_errors_relative_to_productions_are_judged_by_the_ratio(trial, errors):
    rule = MetricRule("Invocation5XXErrors", stat="Sum", margin="50%")

    labels = [judge(trial({rule: errors(10, many)}), [rule]).label for many in (10, 15, 30)]

    assert labels == [Label.PASS, Label.INCONCLUSIVE, Label.FAIL]


def test_a_request_may_have_many_events_of_another_kind(trial, errors):
    rule = MetricRule("Rows", stat="Sum", margin=1.0)
    rows = [3000 + 40 * (minute * 7 % 11) for minute in range(60)]

    labels = [
        judge(trial({rule: errors(rows, [times * number for number in rows])}, known=False), [rule]).label
        for times in (1, 1.2)
    ]

    assert labels == [Label.PASS, Label.FAIL]


def test_a_candidate_that_fails_every_request_is_found_in_minutes(trial, errors):
    evidence = trial({ERRORS: errors(0, 100, minutes=5)}, minutes=5)

    assert judge(evidence, [ERRORS]).label is Label.FAIL


def test_one_burst_of_errors_is_one_event(trial, errors):
    burst = [0] * 30 + [60] + [0] * 29
    rule = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.0)

    assert judge(trial({rule: errors(0, burst)}), [rule]).label is Label.INCONCLUSIVE
    assert judge(trial({rule: errors(0, 1)}), [rule]).label is Label.FAIL


def test_fail_by_one_rule_is_fail_and_pass_takes_all(trial, latencies, errors):
    slow = judge(trial({LATENCY: latencies(1.3), ERRORS: errors()}), [LATENCY, ERRORS])
    thin = judge(trial({LATENCY: latencies(1.0), ERRORS: errors(3, 3)}), [LATENCY, ERRORS])
    good = judge(trial({LATENCY: latencies(1.0), ERRORS: errors()}), [LATENCY, ERRORS])

    assert [verdict.label for verdict in (slow, thin, good)] == [Label.FAIL, Label.INCONCLUSIVE, Label.PASS]


def test_more_rules_share_the_chance_of_a_false_alarm(trial, latencies):
    others = [MetricRule(f"Other{number}") for number in range(4)]
    evidence = trial({rule: latencies() for rule in (LATENCY, *others)})

    alone = reason_of(judge(evidence, [LATENCY]), LATENCY)
    among = reason_of(judge(evidence, [LATENCY, *others]), LATENCY)

    assert among.low < alone.low
    assert among.high == alone.high


def test_a_critical_rule_gets_a_larger_part_of_it(trial, latencies):
    critical = MetricRule("ModelLatency", critical=True)
    others = [MetricRule(f"Other{number}") for number in range(4)]
    evidence = trial({rule: latencies() for rule in (LATENCY, critical, *others)})

    plain = judge(evidence, [LATENCY, *others]).reasons[1]
    sooner = judge(evidence, [critical, *others]).reasons[1]

    assert sooner.low > plain.low


def test_a_smaller_alpha_widens_the_interval(trial, latencies, errors):
    evidence = trial({LATENCY: latencies(), ERRORS: errors(1, 1)})

    wide, narrow = (judge(evidence, [LATENCY, ERRORS], alpha=alpha).reasons for alpha in (0.01, 0.1))

    assert all(
        one.low < other.low and one.high > other.high for one, other in zip(wide[1:], narrow[1:], strict=True)
    )


def test_reasons_show_their_arithmetic(trial, latencies):
    verdict = judge(trial({LATENCY: latencies(1.2)}), [LATENCY])

    text = reason_of(verdict, LATENCY).text
    assert text.startswith("ModelLatency Average: +20% > limit +10% (interval +1")
    assert verdict.describe() == f"Fail: {text}"


def test_a_candidate_exactly_at_its_margin_is_inconclusive(trial, pair):
    control = [100_000.0 + 300 * (minute % 7) for minute in range(60)]

    verdict = judge(trial({LATENCY: pair(control, [1.1 * value for value in control])}), [LATENCY])

    assert verdict.label is Label.INCONCLUSIVE


def test_an_inconclusive_reason_says_what_is_missing(trial, latencies):
    near = judge(trial({LATENCY: latencies(1.09, spread=0.1)}), [LATENCY])
    short = judge(trial({LATENCY: latencies(minutes=5)}, minutes=5, known=False), [LATENCY])

    assert re.fullmatch(
        r"a longer trial: at 100 requests a minute this takes about \d+ (hours|days) more, "
        "if the difference does not change",
        reason_of(near, LATENCY).missing,
    )
    assert reason_of(short, LATENCY).missing == (
        "9 minutes with data for an interval: at 100 requests a minute this takes about 4 minutes more"
    )


def test_a_difference_too_close_to_its_margin_says_how_long_no_trial_should_be(trial, latencies):
    close = judge(trial({LATENCY: latencies(1.0999, spread=0.1)}), [LATENCY])

    assert reason_of(close, LATENCY).missing == (
        "a margin further from the measured +9.99%: at 100 requests a minute this one takes more than 4 days"
    )


def test_means_need_no_history(trial, latencies):
    slower = latencies(1.25, spread=0.05)

    known, unknown = (judge(trial({LATENCY: slower}, known=known), [LATENCY]) for known in (True, False))

    assert (known.label, unknown.label) == (Label.FAIL, Label.FAIL)


@pytest.fixture
def skewed(pair):
    """Latencies, the candidate's 15 % higher, and in a few minutes of each side far higher than that."""

    def side(slow, times):
        usual = [100_000 + 700 * (minute * 7 % 11) for minute in range(40)]
        return [times * value * (5 if minute % 13 == slow else 1) for minute, value in enumerate(usual)]

    return pair(side(2, 1.0), side(7, 1.15))


def test_some_far_slower_minutes_do_not_hide_that_the_others_are_slower(trial, skewed):
    rule = MetricRule("ModelLatency", margin="0%")

    assert judge(trial({rule: skewed}, minutes=40), [rule]).label is Label.FAIL


@pytest.mark.parametrize(("share", "label"), [(2, Label.FAIL), (3, Label.INCONCLUSIVE)])
def test_where_production_has_few_requests_its_typical_minutes_prove_nothing(trial, skewed, share, label):
    rule = MetricRule("ModelLatency", margin="0%")
    requests = {"control": 20, "candidate": 20 * share, "expected_share": share, "paired": False}

    assert judge(trial({rule: skewed}, minutes=40, **requests), [rule]).label is label


@pytest.mark.parametrize("times", [0.85, 1.0, 1.2])
def test_where_less_is_worse_everything_is_the_other_way_round(trial, latencies, pair, times):
    slower = latencies(times, minutes=40, spread=0.03)
    control, candidate = ([-value for value in side.values()] for side in (slower.control, slower.candidate))
    more = MetricRule("Delay", namespace="Ours", margin=10_000)
    less = MetricRule("Lead", namespace="Ours", margin=10_000, direction="decrease")

    worse = reason_of(judge(trial({more: slower}, minutes=40), [more]), more)
    mirrored = reason_of(judge(trial({less: pair(control, candidate)}, minutes=40), [less]), less)

    assert mirrored.label is worse.label
    assert (-mirrored.high, -mirrored.low) == pytest.approx((worse.low, worse.high), rel=1e-6)
    assert worse.label is {0.85: Label.PASS, 1.0: Label.PASS, 1.2: Label.FAIL}[times]


@pytest.mark.parametrize(("times", "label"), [(0.7, Label.FAIL), (1.0, Label.PASS)])
def test_a_percentage_of_what_should_not_become_less(trial, latencies, times, label):
    rule = MetricRule("Served", namespace="Ours", margin="10%", direction="decrease")

    assert judge(trial({rule: latencies(times, spread=0.05)}), [rule]).label is label


@pytest.mark.parametrize("failing", [0, [0] * 10 + [4] * 5 + [0] * 15], ids=["none", "a burst"])
def test_errors_of_a_new_endpoint_are_not_judged_at_once(trial, errors, failing):
    few = {ERRORS: errors(0, failing, minutes=30)}

    reason = reason_of(judge(trial(few, minutes=30, known=False), [ERRORS]), ERRORS)

    assert reason.label is Label.INCONCLUSIVE
    assert "only 30 < 50 minutes of production: too few to know how its errors come in bursts" in reason.text
    assert reason.missing == (
        "20 more minutes with requests: at 100 requests a minute this takes about 20 minutes; "
        "or 50 minutes of production before it"
    )


@pytest.mark.parametrize(("minutes", "label"), [(9, Label.INCONCLUSIVE), (10, Label.FAIL)])
def test_errors_that_no_burst_explains_fail_on_a_new_endpoint_too(trial, errors, minutes, label):
    failing = {ERRORS: errors(0, 100, minutes=minutes)}

    assert judge(trial(failing, minutes=minutes, known=False), [ERRORS]).label is label


def test_a_verdict_goes_into_a_report(trial, latencies):
    evidence = trial({LATENCY: latencies(minutes=5)}, minutes=5, known=False)

    told = json.loads(json.dumps(judge(evidence, [LATENCY]).as_dict(), allow_nan=False))

    assert told["label"] == "Inconclusive"
    assert [reason["metric"] for reason in told["reasons"]] == ["Invocations", "ModelLatency"]
    assert told["reasons"][1]["low"] is None


@pytest.mark.parametrize("with_data", [True, False], ids=["with data", "without data"])
@pytest.mark.parametrize(
    ("rule", "unit"),
    [
        (LATENCY, "relative"),
        (MetricRule("Invocation5XXErrors", stat="Sum", margin=0.005), "rate"),
        (MetricRule("ModelLatency", margin=5000), "plain"),
    ],
)
def test_a_reason_tells_the_unit_of_its_numbers(trial, latencies, errors, rule, unit, with_data):
    data = errors(3, 3) if unit == "rate" else latencies()

    *_, reason = judge(trial({rule: data} if with_data else {}), [rule]).as_dict()["reasons"]

    assert (reason["unit"], reason["measured"] is not None) == (unit, with_data)


def test_the_same_evidence_makes_the_same_verdict(trial, latencies):
    evidence = trial({rule: latencies() for rule in DEFAULT_RULES[:2]})

    assert judge(evidence) == judge(evidence)


def test_the_warm_up_is_not_judged(trial, pair):
    cold = [300_000.0] * 10
    rest = [100_000 + 500 * (minute * 7 % 11) for minute in range(50)]
    evidence = trial({LATENCY: pair(cold[:0] + rest[:10] + rest, cold + rest)})

    assert judge(evidence, [LATENCY]).label is not Label.PASS
    assert judge(evidence, [LATENCY], warm_up=timedelta(minutes=10)).label is Label.PASS


def test_without_rules_the_verdict_is_inconclusive(trial):
    assert judge(trial(), []).label is Label.INCONCLUSIVE
    assert combine([]).label is Label.INCONCLUSIVE
    assert combine([]).describe() == "Inconclusive: nothing was judged"


@pytest.mark.parametrize("alpha", [0, 0.5, -1, True, float("nan")])
def test_alpha_is_a_chance(trial, alpha):
    with pytest.raises(GuardrailsValueError, match=r"alpha must be above 0 and below 0\.5"):
        judge(trial(), [LATENCY], alpha=alpha)


def test_contradictory_evidence_is_refused(trial, pair):
    with pytest.raises(InvalidEvidence, match="finite numbers"):
        pair([float("nan")], [1])
    with pytest.raises(InvalidEvidence, match="requests must not be negative"):
        trial(control=-1)
    with pytest.raises(InvalidEvidence, match="expected_share must be above 0"):
        trial(expected_share=0)
    with pytest.raises(InvalidEvidence, match="at most 1 for copies"):
        trial(expected_share=2)


def test_evidence_has_its_series_and_duration(trial, latencies):
    evidence = trial({LATENCY: latencies()})

    assert isinstance(evidence.metrics[LATENCY], Series)
    assert evidence.minutes_run == 60


@pytest.mark.parametrize(
    ("times", "label"),
    [
        (0.8, Label.FAIL),
        (0.9, Label.INCONCLUSIVE),
        (1.0, Label.PASS),
        (1.1, Label.INCONCLUSIVE),
        (1.2, Label.FAIL),
    ],
)
def test_a_rule_may_forbid_both_directions(trial, latencies, times, label):
    rule = MetricRule("Confidence", margin="10%", direction="both")

    reason = reason_of(judge(trial({rule: latencies(times)}), [rule]), rule)

    assert reason.label is label
    assert reason.measured == pytest.approx(times - 1, abs=0.002)
    if label is Label.PASS:
        assert re.fullmatch(
            r"Confidence Average: [-+][\d.]+% within the limit of \+10% in both directions "
            r"\(interval -[\d.]+% to \+[\d.]+%\)",
            reason.text,
        )


def test_counts_may_be_forbidden_to_change_in_both_directions(trial, errors):
    rule = MetricRule("Fallbacks", stat="Sum", margin="50%", direction="both")

    labels = [judge(trial({rule: errors(20, many)}), [rule]).label for many in (4, 20, 60)]

    assert labels == [Label.FAIL, Label.PASS, Label.FAIL]


def test_missing_data_of_a_rule_in_both_directions_is_missing_data(trial):
    rule = MetricRule("Confidence", direction="both", on_missing="fail")

    assert judge(trial(), [rule]).label is Label.FAIL
