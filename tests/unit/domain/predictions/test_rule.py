"""An invalid rule cannot be built; the error names the argument and the reason."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_guardrails.domain.errors import InvalidPredictionRule
from airflow_guardrails.domain.predictions.rule import PredictionRule

REFUSED = [
    ({"label": "a..b"}, "label must be a path .* '..b' cannot be read"),
    ({"label": ""}, "label must be a path .* names nothing"),
    ({"label": "$"}, "names nothing"),
    ({"score": "a[x]"}, "score must be a path"),
    ({"score": "a[*].b[*]"}, "with at most one"),
    ({"score": "a[-1]"}, "score must be a path"),
    ({"label": -1}, "the number of a CSV column"),
    ({"label": True}, "the number of a CSV column"),
    ({"label": 0, "score": "p.score"}, "score must be of the same kind as label"),
    ({"label": 1, "score": 1}, "another position than label's"),
    ({"label": "p[*].label", "score": "p[0].score"}, "same rows"),
    ({"label": "p[*].label", "score": "q[*].score"}, "same rows"),
    ({"absolute_tolerance": -0.1}, "absolute_tolerance must be a number of 0 or more"),
    ({"relative_tolerance": float("nan")}, "relative_tolerance must be a number of 0 or more"),
    ({"absolute_tolerance": "0.1"}, "absolute_tolerance must be a number of 0 or more"),
    ({"label": "p", "absolute_tolerance": 0.1}, "score must be given with a tolerance"),
    ({"max_disagreement": 1}, "every shadow would pass"),
    ({"max_disagreement": -0.01}, "a share from 0 to below 1"),
    ({"max_disagreement": True}, "a share from 0 to below 1"),
    ({"min_pairs": 0}, "min_pairs must be a whole number of 1 or more"),
    ({"min_pairs": 10.5}, "min_pairs must be a whole number of 1 or more"),
    ({"within": timedelta(0)}, "within must be more than 0"),
    ({"within": timedelta(minutes=2)}, "at most 60 s"),
    ({"within": 5}, "write timedelta"),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED)
def test_nonsense_is_refused_when_it_is_built(arguments, says):
    with pytest.raises(InvalidPredictionRule, match=says) as refusal:
        PredictionRule(**arguments)
    assert refusal.value.field in {*arguments, "score"}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"label": "predictions[*].label", "score": "$.predictions[*].score", "absolute_tolerance": 0.05},
        {"label": 1, "score": 0, "within": timedelta(seconds=0.5)},
        {"score": "[*][1]", "relative_tolerance": 0, "max_disagreement": 0, "min_pairs": 1},
    ],
)
def test_a_rule_survives_json(arguments):
    rule = PredictionRule(**arguments)
    assert PredictionRule.from_dict(json.loads(json.dumps(rule.as_dict()))) == rule


def test_a_dict_with_an_unknown_key_is_refused():
    with pytest.raises(InvalidPredictionRule, match=r"no 'tolerance' \(it has absolute_tolerance"):
        PredictionRule.from_dict({"tolerance": 0.1})
