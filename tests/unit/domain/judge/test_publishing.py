"""A verdict as data for CloudWatch: finite numbers, ASCII dimensions, one metric for each rule."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from airflow_guardrails.domain.judge.publishing import TrialKind, not_published, verdict_data
from airflow_guardrails.domain.judge.verdict import Label, Reason, Verdict, verdict_of_error

LATENCY = Reason(
    metric="ModelLatency",
    stat="p90",
    label=Label.FAIL,
    measured=0.2,
    low=0.15,
    high=0.25,
    limit=0.1,
    text="ModelLatency p90: +20% > limit +10%",
)
RULE = (
    ("EndpointName", "churn"),
    ("EndpointConfigName", "churn-v2"),
    ("Metric", "ModelLatency"),
    ("Stat", "p90"),
)


def published(*reasons, label=Label.FAIL, kind=TrialKind.UPDATE, name="churn-v2"):
    verdict = Verdict(label=label, reasons=reasons)
    data = verdict_data(verdict, endpoint_name="churn", kind=kind, name=name)
    values = {(datum.metric, datum.dimensions): datum.value for datum in data}
    assert len(values) == len(data), "two data of one metric would be mixed"
    return values


def of_rules(values):
    return {key: value for key, value in values.items() if not key[0].startswith("Verdict")}


def test_a_rule_is_published_with_difference_interval_and_limit():
    assert of_rules(published(LATENCY)) == {
        ("Difference", RULE): 0.2,
        ("IntervalLow", RULE): 0.15,
        ("IntervalHigh", RULE): 0.25,
        ("Limit", RULE): 0.1,
    }


@pytest.mark.parametrize("label", Label)
def test_one_label_is_1_and_the_others_are_0(label):
    values = published(label=label)

    for dimensions in ((("EndpointName", "churn"), ("Trial", "Update")), RULE[:2]):
        labels = {metric: value for (metric, found), value in values.items() if found == dimensions}
        assert labels == {f"Verdict{each.value}": float(each is label) for each in Label}
    assert len(values) == 6


def test_a_shadow_test_is_told_apart_from_updates_of_the_same_endpoint():
    values = published(LATENCY, kind=TrialKind.SHADOW_TEST, name="trial")

    assert ("VerdictFail", (("EndpointName", "churn"), ("Trial", "ShadowTest"))) in values
    assert ("VerdictFail", (("EndpointName", "churn"), ("ShadowTestName", "trial"))) in values
    shared = {dimensions for _, dimensions in values} & {dimensions for _, dimensions in published(LATENCY)}
    assert not shared


@pytest.mark.parametrize("odd", [None, inf, -inf, nan, 2.0**361, -(2.0**361)])
def test_a_number_that_cloudwatch_refuses_is_left_out(odd):
    values = of_rules(published(replace(LATENCY, measured=odd, low=odd, high=odd)))

    assert values == {("Limit", RULE): 0.1}


def test_the_largest_numbers_are_published():
    values = of_rules(published(replace(LATENCY, low=-(2.0**360), high=2.0**360)))

    assert values["IntervalLow", RULE] == -values["IntervalHigh", RULE] == -(2.0**360)


def test_variants_have_metrics_of_their_own():
    reasons = [replace(LATENCY, variant=name, measured=number) for number, name in enumerate(("a", "b"))]

    values = of_rules(published(*reasons))

    found = {
        dict(dimensions)["VariantName"]: v for (metric, dimensions), v in values.items() if metric[0] == "D"
    }
    assert found == {"a": 0, "b": 1}


def test_rules_of_the_same_metric_and_stat_are_not_mixed():
    values = published(LATENCY, replace(LATENCY, measured=0.5))

    assert values["Difference", RULE] == 0.2
    assert values["Difference", (*RULE, ("Rule", "2"))] == 0.5


@pytest.mark.parametrize(
    ("name", "shown"), [("Länge", "L?nge"), ("x" * 300, "x" * 255), (" x ", "x"), ("日", "?"), ("", "-")]
)
def test_a_name_is_published_in_ascii(name, shown):
    values = of_rules(published(replace(LATENCY, metric=name)))

    assert {dict(dimensions)["Metric"] for _, dimensions in values} == {shown}


def test_a_judgement_that_failed_is_published_as_inconclusive_without_numbers():
    verdict = verdict_of_error("metrics", ValueError("odd"))

    data = verdict_data(verdict, endpoint_name="churn", kind=TrialKind.UPDATE, name="churn-v2")

    assert {datum.metric: datum.value for datum in data} == {
        "VerdictPass": 0,
        "VerdictFail": 0,
        "VerdictInconclusive": 1,
    }


def test_the_warning_names_the_namespace_the_reason_and_what_to_allow():
    assert not_published("Shop", "ClientError: no", denied="cloudwatch:PutMetricData") == (
        "A verdict was not published as metrics of Shop (ClientError: no); "
        "allow cloudwatch:PutMetricData for this namespace"
    )
    assert not_published("Shop", "Rate exceeded", denied=None).endswith("of Shop (Rate exceeded)")
