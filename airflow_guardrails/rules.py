"""
The rules for the judge of a shadow test, and for the analysis of an update during its bakes.

>>> from airflow_guardrails.rules import MetricRule, PredictionRule
>>> latency = MetricRule("ModelLatency", stat="p90", margin="10%")
>>> answers = PredictionRule(max_disagreement=0.02)

>>> from airflow_guardrails.rules import CanaryAnalysis
>>> analysis = CanaryAnalysis(rules=[latency])
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
