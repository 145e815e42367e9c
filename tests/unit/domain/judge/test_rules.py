"""An invalid rule cannot be built; the error names the argument, the rule and the value."""

from __future__ import annotations

import copy
import pickle

import pytest

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge.rules import (
    DEFAULT_RULES,
    Direction,
    InvalidRule,
    MetricRule,
    OnMissing,
)
from airflow_guardrails.domain.snapshots.metrics import ERROR_METRICS


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"metric": ""}, r"metric must be a name \(got ''\)"),
        ({"metric": None}, "metric must be a name"),
        ({"stat": "average"}, r"stat must be Average, Sum or a percentile .*\(got 'average'\)"),
        ({"stat": "Maximum"}, "stat must be Average, Sum or a percentile"),
        ({"stat": "p100"}, "percentile from p0.1 to p99.9"),
        ({"stat": "p0.01"}, "percentile from p0.1 to p99.9"),
        ({"stat": 90}, r"got 90\)"),
        ({"margin": "10"}, r"a string of a number and a percent sign like \"10%\" \(got '10'\)"),
        ({"margin": "-10%"}, "margin must be a number"),
        ({"margin": -0.1}, "margin must be at least 0"),
        ({"margin": float("nan")}, "margin must be a number"),
        ({"margin": True}, "margin must be a number"),
        ({"margin": "100%", "direction": "decrease"}, "margin must be below 100%"),
        ({"metric": "Invocation5XXErrors", "margin": 5}, "it is a share of the requests"),
        ({"metric": "Invocation5XXErrors", "stat": "p90"}, "stat must be Sum or Average"),
        ({"direction": "up"}, r"direction must be one of 'increase', 'decrease', 'both' \(got 'up'\)"),
        ({"on_missing": "pass"}, r"on_missing must be one of .*\(got 'pass'\)"),
        ({"critical": "yes"}, "critical must be True or False"),
        ({"min_requests": 0}, "min_requests must be a whole number of at least 1"),
        ({"min_minutes": 2.5}, "min_minutes must be a whole number"),
        ({"namespace": ""}, "namespace must be a name"),
        ({"dimensions": {"ContainerId": 3}}, "dimensions must map names to values"),
        ({"dimensions": "ContainerId"}, "dimensions must map names to values"),
    ],
)
def test_nonsense_is_refused_with_the_argument_the_rule_and_the_value(arguments, text):
    with pytest.raises(InvalidRule, match=text) as caught:
        MetricRule(**{"metric": "ModelLatency", **arguments})

    assert isinstance(caught.value, GuardrailsValueError)
    assert caught.value.field in arguments


def test_a_margin_in_percent_is_relative_and_a_number_is_not():
    relative, absolute = MetricRule("ModelLatency", margin="2.5 %"), MetricRule("ModelLatency", margin=2500)

    assert (relative.relative, relative.allowed) == (True, 0.025)
    assert (absolute.relative, absolute.allowed) == (False, 2500)


def test_a_margin_that_is_not_given_is_a_rate_for_errors_and_a_percentage_for_all_else():
    assert {MetricRule(metric).margin for metric in ERROR_METRICS} == {0.005}
    assert MetricRule("CPUUtilization").margin == "10%"


def test_errors_and_sums_are_counted():
    counted = [
        MetricRule("Invocation4XXErrors", stat="Average"),
        MetricRule("Invocation4XXErrors", stat="Sum"),
        MetricRule("Refunds", stat="Sum", margin=0.01),
    ]

    assert all(rule.counted for rule in counted)
    assert not MetricRule("ModelLatency", stat="p90").counted


def test_texts_become_enum_members():
    rule = MetricRule("Score", direction="decrease", on_missing="ignore")

    assert (rule.direction, rule.on_missing) == (Direction.DECREASE, OnMissing.IGNORE)


def test_rules_are_values_that_keys_can_be():
    ones = [MetricRule("Score", dimensions={"Model": name}) for name in ("a", "a", "b")]

    assert len({*ones}) == 2
    assert pickle.loads(pickle.dumps(ones)) == copy.deepcopy(ones) == ones


def test_a_rule_copies_its_dimensions():
    dimensions = {"Model": "a"}
    rule = MetricRule("Score", dimensions=dimensions)
    dimensions["Model"] = "b"

    assert rule.dimensions == {"Model": "a"}


def test_the_default_rules_are_latency_and_errors():
    assert [(rule.metric, rule.stat) for rule in DEFAULT_RULES] == [
        ("ModelLatency", "Average"),
        ("ModelLatency", "p90"),
        ("Invocation5XXErrors", "Sum"),
        ("InvocationModelErrors", "Sum"),
        ("Invocation4XXErrors", "Sum"),
    ]
