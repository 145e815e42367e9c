"""Predictions of production and shadow, joined request by request and compared."""

from __future__ import annotations

from airflow_guardrails.domain.predictions.compare import compare
from airflow_guardrails.domain.predictions.comparison import Comparison, merge
from airflow_guardrails.domain.predictions.errors import InvalidComparison, InvalidPredictionRule
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule

__all__ = [
    "DEFAULT_RULE",
    "Comparison",
    "InvalidComparison",
    "InvalidPredictionRule",
    "PredictionRule",
    "compare",
    "merge",
]
