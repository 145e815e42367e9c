"""A typo in a strategy, a guard or a rule is answered with the arguments that there are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.canary.config import CanaryAnalysis, InvalidAnalysis
from airflow_guardrails.domain.errors import InvalidGuard, InvalidPredictionRule, InvalidStrategy
from airflow_guardrails.domain.judge.rules import InvalidRule
from airflow_guardrails.guards import Alarm, ErrorRate, Latency
from airflow_guardrails.rules import MetricRule, PredictionRule
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling

BAKE = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (AllAtOnce, InvalidStrategy),
        (Canary, InvalidStrategy),
        (Linear, InvalidStrategy),
        (Rolling, InvalidStrategy),
        (ErrorRate, InvalidGuard),
        (Latency, InvalidGuard),
        (Alarm, InvalidGuard),
        (MetricRule, InvalidRule),
        (PredictionRule, InvalidPredictionRule),
        (CanaryAnalysis, InvalidAnalysis),
    ],
)
def test_an_unknown_argument_is_answered_with_those_that_there_are(kind, error):
    with pytest.raises(error, match=rf"^{kind.__name__}: no argument 'no_such'\. Its arguments are \w+, "):
        kind(no_such=1)


def test_a_typo_is_answered_with_the_right_name():
    with pytest.raises(InvalidStrategy, match=r"no argument 'persent' \(did you mean percent\?\)"):
        Canary(persent=25, bake=BAKE)


def test_a_missing_argument_is_named():
    with pytest.raises(InvalidStrategy, match="Canary: missing a required argument: 'bake'"):
        Canary(percent=25)


def test_an_argument_without_its_name_is_answered_with_the_names():
    with pytest.raises(InvalidStrategy, match=r"too many positional arguments.*percent, instances, bake"):
        Linear(25, None, BAKE)
