"""Whatever stands in an argument of a trigger, a strategy or a rule: it is refused by name, or sensible."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.rules import CanaryAnalysis, MetricRule, PredictionRule
from airflow_guardrails.strategies import AllAtOnce, Canary, GuardrailsValueError, Linear, Rolling
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger
from tests.support.odd_values import ODD, Odd, complaint, is_sensible, parameters

BAKE = timedelta(minutes=10)

# Arguments that each value must have.
VALUES = {
    AllAtOnce: {},
    Canary: {"percent": 25, "bake": BAKE},
    Linear: {"percent": 25, "bake": BAKE},
    Rolling: {"batch_percent": 25, "bake": BAKE},
    MetricRule: {"metric": "ModelLatency"},
    PredictionRule: {},
    CanaryAnalysis: {},
    SageMakerRolloutTrigger: {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"},
    SageMakerShadowTestTrigger: {"name": "trial"},
}

# Kept for triggers of older releases, and not read.
NOT_READ = {
    SageMakerRolloutTrigger: ("deferred_at", "events_queue_url"),
    SageMakerShadowTestTrigger: ("min_invocations",),
}

# What else is accepted: durations in seconds, and any key of JSON.
ALSO = {
    (CanaryAnalysis, "every"): (7, 1.5),
    (CanaryAnalysis, "warm_up"): (0, 7, 1.5),
    (PredictionRule, "label"): ("None", "a\nb", "{{ x }}"),
    (PredictionRule, "score"): ("None", "a\nb", "{{ x }}"),
}

CASES = [
    pytest.param(kind, name, id=f"{kind.__name__}-{name}")
    for kind in VALUES
    for name in parameters(kind, without=NOT_READ.get(kind, ()))
]


def refused(kind, name, value):
    """Return the error that refuses *value*; None if it is accepted."""
    try:
        kind(**{**VALUES[kind], name: value})
    except Exception as error:  # noqa: BLE001 - which one it is is what is tested
        return error
    return None


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_an_odd_value_is_refused_by_name_or_accepted(kind, name):
    errors = [(value, refused(kind, name, value)) for value in ODD]
    complaints = [complaint(error, name, value) for value, error in errors if error is not None]

    assert not list(filter(None, complaints))
    accepted = [value for value, error in errors if error is None and value not in ALSO.get((kind, name), ())]
    assert [value for value in accepted if not is_sensible(value, name, kind)] == []


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_an_argument_is_refused_if_it_is_no_value_at_all(kind, name):
    assert isinstance(refused(kind, name, Odd()), GuardrailsValueError)
