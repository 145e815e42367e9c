"""
The rules a DAG author gives to the judge of a shadow test, or of an update while it bakes.

>>> from airflow_guardrails.rules import MetricRule, PredictionRule
>>> latency = MetricRule("ModelLatency", stat="p90", margin="10%")
>>> answers = PredictionRule(max_disagreement=0.02)

>>> from airflow_guardrails.rules import CanaryAnalysis
>>> while_it_bakes = CanaryAnalysis(rules=[latency])
"""

from __future__ import annotations

from airflow_guardrails.domain.canary.config import CanaryAnalysis, InvalidAnalysis
from airflow_guardrails.domain.errors import InvalidPredictionRule
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, InvalidRule, MetricRule
from airflow_guardrails.domain.predictions.rule import PredictionRule

__all__ = [
    "DEFAULT_RULES",
    "CanaryAnalysis",
    "InvalidAnalysis",
    "InvalidPredictionRule",
    "InvalidRule",
    "MetricRule",
    "PredictionRule",
]
