"""The two fleets of an update, paired minute by minute and judged."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.canary.evidence import (
    Trial,
    TrialHistory,
    evidence_of,
    judge_trial,
    published_until,
)
from airflow_guardrails.domain.canary.sample_ratio import FleetSizes, Step, is_share_finding
from airflow_guardrails.domain.judge.evidence import MAX_HISTORY, History
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.verdict import Label

START = datetime(2026, 3, 2, 10, 0, 20, tzinfo=timezone.utc)
MINUTES = [START.replace(second=0) + timedelta(minutes=number) for number in range(40)]
LATENCY = MetricRule("ModelLatency", margin="10%")
ERRORS = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.05)
NOW = CanaryAnalysis(rules=[LATENCY, ERRORS], warm_up=timedelta(0))


def trial(*variants):
    return Trial(
        endpoint_name="churn", variants=variants or ("All",), previous="v1", target="v2", start=START
    )


def noisy(level, *, seed=7):
    chance = random.Random(seed)
    return {minute: level * chance.uniform(0.97, 1.03) for minute in MINUTES}


def answer(of=None, *, slower=1.0, old=100, new=40, variant="All"):
    """Let the new fleet, from minute 5 on, be *slower* times as slow."""
    of, late = of or trial(), MINUTES[5:]
    served = dict.fromkeys(late, new)
    return {
        of.requests_query(variant, "v1"): dict.fromkeys(MINUTES, old),
        of.requests_query(variant, "v2"): served if new else {},
        of.metric_query(LATENCY, variant, "v1"): noisy(20_000),
        of.metric_query(LATENCY, variant, "v2"): {
            m: slower * v for m, v in noisy(20_000, seed=8).items() if m in served
        },
        of.metric_query(ERRORS, variant, "v1"): dict.fromkeys(MINUTES, 0),
        of.metric_query(ERRORS, variant, "v2"): dict.fromkeys(late, 0),
    }


def with_past(given, *, hours=8, value=7.0):
    """Let both configurations have served before, up to the minute in which the update began."""
    before = {MINUTES[0] - timedelta(minutes=number): value for number in range(60 * hours)}
    both = {query: {**points, **before} for query, points in given.items()}
    return {**both, **{of_any(query): {**points, **before} for query, points in both.items()}}


def judged(given, *, config=NOW, of=None):
    known = {of_any(query): hour_before(points) for query, points in given.items() if is_old(query)}
    return judge_trial(of or trial(), {**given, **known}, config, config.rules)


def is_old(query):
    return dict(query.dimensions).get("EndpointConfigName") == "v1"


def of_any(query):
    """Name the same of the variant, whatever its configuration."""
    rest = (pair for pair in query.dimensions if pair[0] != "EndpointConfigName")
    return replace(query, dimensions=tuple(rest))


def hour_before(points):
    """Let the variant have done for an hour before what the old fleet does in the update."""
    values = itertools.cycle(points.values())
    return {MINUTES[0] - timedelta(minutes=number): next(values) for number in range(1, 61)}


def test_each_fleet_is_queried_once_by_its_configuration():
    queries = trial().queries([LATENCY, ERRORS, LATENCY])

    assert len(queries) == 9
    assert {dict(query.dimensions).get("EndpointConfigName") for query in queries} == {"v1", "v2", None}
    assert {query.metric for query in queries} == {"Invocations", "ModelLatency", "Invocation5XXErrors"}


P99 = MetricRule("ModelLatency", stat="p99", margin="10%")


def with_percentiles(given):
    of = trial()
    return with_past(
        {
            **given,
            **{of.metric_query(P99, "All", config): dict.fromkeys(MINUTES, 500.0) for config in ("v1", "v2")},
        },
        value=400.0,
    )


def test_slow_requests_are_counted_above_the_usual_percentile_of_the_history():
    queries = trial().slow_queries([LATENCY, P99], with_percentiles(answer()))

    assert [(dict(query.dimensions)["EndpointConfigName"], query.stat) for query in queries] == [
        ("v1", "TC(400:)"),
        ("v2", "TC(440:)"),
    ]


def test_counts_of_slow_requests_belong_to_the_evidence_if_cloudwatch_has_them():
    given = with_percentiles(answer())
    old, new = trial().slow_queries([P99], given)
    counts = {old: dict.fromkeys(MINUTES, 1.0), new: dict.fromkeys(MINUTES[5:], 2.0)}

    found = evidence_of(trial(), "All", {**given, **counts}, [P99], warm_up=timedelta(0))
    without = evidence_of(trial(), "All", given, [P99], warm_up=timedelta(0))

    assert (found.slow[P99].control_limit, found.slow[P99].candidate_limit) == (400, 440)
    assert set(found.slow[P99].counts.candidate) == set(MINUTES[5:])
    assert without.slow == {}


def test_dimensions_of_a_rule_are_added():
    rule = MetricRule("Depth", namespace="Ours", dimensions={"Zone": "a"})

    assert dict(trial().metric_query(rule, "All", "v2").dimensions) == {
        "EndpointName": "churn",
        "VariantName": "All",
        "EndpointConfigName": "v2",
        "Zone": "a",
    }


CLICKS = MetricRule("Clicks", stat="Sum", per="Answers", namespace="Shop", direction="decrease", margin="5%")


def test_the_denominator_of_a_ratio_is_queried_for_each_fleet_and_for_the_history():
    queries = trial().queries([CLICKS])

    assert len(queries) == 9
    assert [query.metric for query in queries] == [
        name for name in ("Invocations", "Clicks", "Answers") for _ in "123"
    ]
    assert {(query.namespace, query.stat) for query in queries[3:]} == {("Shop", "Sum")}


@pytest.mark.parametrize(("clicks", "label"), [(30, Label.PASS), (25, Label.FAIL)])
def test_a_ratio_is_judged_with_its_history(clicks, label):
    config, of = CanaryAnalysis(rules=[CLICKS], warm_up=0), trial()
    given = {query: points for query, points in answer().items() if query.metric == "Invocations"}
    for fleet, count, rate in (("v1", 100, 30), ("v2", 40, clicks)):
        given[of.metric_query(CLICKS.denominator, "All", fleet)] = dict.fromkeys(MINUTES, count)
        given[of.metric_query(CLICKS, "All", fleet)] = {
            minute: value * count / 100 for minute, value in noisy(rate, seed=count).items()
        }

    verdict = judged(given, config=config)

    known = {of_any(query): hour_before(points) for query, points in given.items() if is_old(query)}
    kept = TrialHistory.of(of, {**given, **known}, [CLICKS])
    assert verdict.reasons[-1].label is label
    assert judge_trial(of, kept.joined_with(given), config, config.rules) == verdict
    assert {query.metric for query, points in kept.series.items() if points} == {
        "Invocations",
        "Clicks",
        "Answers",
    }


@pytest.mark.parametrize(
    ("slower", "label"), [(1.0, Label.PASS), (1.2, Label.FAIL), (1.1, Label.INCONCLUSIVE)]
)
def test_the_new_fleet_is_compared_with_the_old_one(slower, label):
    assert judged(answer(slower=slower)).label is label


@pytest.mark.parametrize("new", [1, 40, 300])
def test_any_share_of_the_requests_is_accepted(new):
    few = [MetricRule("ModelLatency", margin="10%", min_requests=1)]
    exposure, _ = judged(answer(new=new), config=CanaryAnalysis(rules=few, warm_up=0)).reasons

    assert exposure.label is Label.PASS
    assert (
        exposure.text == f"Invocations: {35 * new:,} to the new fleet, 3,500 to the old fleet, in 35 minutes"
    )


def test_minutes_before_the_update_are_not_compared():
    rules, no_warm_up = [LATENCY, ERRORS], timedelta(0)

    evidence = evidence_of(trial(), "All", with_past(answer()), rules, warm_up=no_warm_up)

    assert min(evidence.requests.control) == MINUTES[5]
    assert replace(evidence, history=History()) == evidence_of(
        trial(), "All", answer_of_the_update(), rules, warm_up=no_warm_up
    )


def answer_of_the_update():
    return {query: {m: v for m, v in points.items() if m >= START} for query, points in answer().items()}


def test_minutes_of_the_old_fleet_before_the_update_are_the_history():
    given = with_past(answer())
    given[trial().metric_query(LATENCY, "All", "v2")][MINUTES[0] - timedelta(hours=1)] = 1e9

    history = evidence_of(trial(), "All", given, [LATENCY, ERRORS], warm_up=timedelta(minutes=2)).history

    before = {MINUTES[0] - timedelta(minutes=number): 7.0 for number in range(1, 360)}
    assert history == History(requests=before, metrics={LATENCY: before, ERRORS: before})


def test_each_variant_has_its_own_history():
    both = trial("Main", "Side")
    given = {**with_past(answer(both, variant="Main")), **with_past(answer(both, variant="Side"), value=3.0)}

    past = evidence_of(both, "Side", given, [LATENCY], warm_up=timedelta(0)).history

    assert set(past.requests.values()) == {3.0}


def test_a_new_configuration_uses_the_history_of_its_variant():
    """As after a shadow test, in which the endpoint has a configuration of its own."""
    given = with_past(answer())
    for query in [one for one in given if is_old(one)]:
        given[query] = {m: v for m, v in given[query].items() if m >= MINUTES[0] - timedelta(minutes=49)}
        given[of_any(query)] = dict.fromkeys(given[of_any(query)], 5.0)

    past = evidence_of(trial(), "All", given, [LATENCY], warm_up=timedelta(0)).history

    assert len(past.requests) == len(past.metrics[LATENCY]) == 359
    assert set(past.metrics[LATENCY].values()) == {5.0}


def test_an_endpoint_without_earlier_requests_has_no_history():
    assert evidence_of(trial(), "All", answer(), [LATENCY], warm_up=timedelta(0)).history == History()


def test_the_history_is_read_as_long_as_cloudwatch_keeps_its_minutes():
    kept = timedelta(days=15)

    assert trial().history_start(MINUTES[9]) == START - MAX_HISTORY
    assert trial().history_start(START + kept - MAX_HISTORY - timedelta(minutes=1)) == START - MAX_HISTORY
    assert trial().history_start(START + kept - MAX_HISTORY) == START


def test_the_minute_in_which_the_update_begins_is_not_counted():
    """It may hold what a configuration of this name did before."""
    given = answer()
    given[trial().requests_query("All", "v2")] = dict.fromkeys(MINUTES, 40)

    evidence = evidence_of(trial(), "All", given, [LATENCY], warm_up=timedelta(0))

    assert min(evidence.requests.candidate) == MINUTES[1]


def test_the_warm_up_counts_from_its_first_request():
    evidence = evidence_of(trial(), "All", answer(), [LATENCY], warm_up=timedelta(minutes=3))

    assert min(evidence.requests.candidate) == MINUTES[8]
    assert min(evidence.metrics[LATENCY].control) == MINUTES[8]


@pytest.mark.parametrize("on_missing", ["inconclusive", "ignore"])
@pytest.mark.parametrize("given", [{}, answer(new=0)], ids=["nothing", "nothing of the new fleet"])
def test_no_data_is_never_a_pass(given, on_missing):
    config = CanaryAnalysis(rules=[MetricRule("ModelLatency", on_missing=on_missing)])

    verdict = judged(given, config=config)

    assert verdict.label is Label.INCONCLUSIVE
    assert "no minute in which both fleets had requests" in verdict.reasons[0].text


def test_requests_alone_are_inconclusive_if_every_rule_is_ignored():
    config = CanaryAnalysis(rules=[MetricRule("Depth", on_missing="ignore")])

    assert judged(answer(), config=config).label is Label.INCONCLUSIVE


def test_all_variants_are_judged_and_one_that_fails_is_enough():
    both = trial("Main", "Side")
    given = {**answer(both, variant="Main"), **answer(both, variant="Side", slower=1.3)}

    verdict = judged(given, of=both)

    assert verdict.label is Label.FAIL
    assert [reason.text.partition(": ")[0] for reason in verdict.reasons] == ["Main"] * 3 + ["Side"] * 3
    assert [reason.variant for reason in verdict.reasons] == ["Main"] * 3 + ["Side"] * 3
    assert [reason.label for reason in verdict.reasons if reason.stat == "Average"] == [
        Label.PASS,
        Label.FAIL,
    ]


def test_a_variant_without_data_keeps_the_others_from_passing():
    both = trial("Main", "Side")

    assert judged(answer(both, variant="Main"), of=both).label is Label.INCONCLUSIVE


def of_all(*, new=2, old=6, variants=("All",)):
    fleets = tuple(FleetSizes(variant=name, new=new, desired=8, old=old) for name in variants)
    return [Step(start=MINUTES[5], end=MINUTES[-1] + timedelta(minutes=1), fleets=fleets)]


def losing(given, *, of=None, variant="All", since=25, left=4):
    """Let the new fleet get *left* requests a minute from that minute on."""
    query = (of or trial()).requests_query(variant, "v2")
    fewer = {moment: left if moment >= MINUTES[since] else count for moment, count in given[query].items()}
    return {**given, query: {moment: count for moment, count in fewer.items() if count}}


def judged_by_steps(given, steps, *, of=None):
    known = {of_any(query): hour_before(points) for query, points in given.items() if is_old(query)}
    return judge_trial(of or trial(), {**given, **known}, NOW, NOW.rules, steps)


def test_the_share_of_the_requests_is_shown_beside_that_of_the_instances():
    exposure, *_ = judged_by_steps(answer(), of_all()).reasons

    assert exposure.text.endswith("in 35 minutes; in this step 29% of the requests with 25% of the instances")


@pytest.mark.parametrize("left", [4, 0])
def test_a_fleet_that_loses_its_share_of_the_requests_does_not_pass(left):
    """The minutes without any request to it, which are not compared, show it too."""
    assert judged_by_steps(answer(), of_all()).label is Label.PASS

    verdict = judged_by_steps(losing(answer(), left=left), of_all())

    assert verdict.label is Label.INCONCLUSIVE
    (finding,) = [reason for reason in verdict.reasons if is_share_finding(reason)]
    assert f"fell from 29% to {left}% at 10:25 UTC, while its instances stayed at 2 of 8" in finding.text


def test_a_fleet_that_is_worse_fails_also_if_it_loses_its_share():
    assert judged_by_steps(losing(answer(slower=1.3)), of_all()).label is Label.FAIL


def test_a_fall_of_the_share_between_two_steps_is_no_finding():
    first, second = MINUTES[25], MINUTES[-1] + timedelta(minutes=1)
    (step,) = of_all()
    steps = [replace(step, end=first), replace(step, start=first, end=second)]

    assert judged_by_steps(losing(answer()), steps).label is Label.PASS


def test_one_variant_that_loses_its_share_rules_out_a_pass():
    both = trial("Main", "Side")
    given = {**answer(both, variant="Main"), **losing(answer(both, variant="Side"), of=both, variant="Side")}

    verdict = judged_by_steps(given, of_all(variants=("Main", "Side")), of=both)

    assert verdict.label is Label.INCONCLUSIVE
    (finding,) = [reason for reason in verdict.reasons if is_share_finding(reason)]
    assert finding.text.startswith("Side: the new fleet's share of the requests fell")


def test_minutes_count_once_both_sides_are_published():
    assert published_until(datetime(2026, 3, 2, 10, 9, 59, tzinfo=timezone.utc)) == MINUTES[6]
    assert published_until(datetime(2026, 3, 2, 10, 10, 0, tzinfo=timezone.utc)) == MINUTES[7]
