"""
What can be wrong with a rule for predictions, or with comparisons that are put together.

GuardrailsValueError (ValueError)
+- InvalidPredictionRule
+- InvalidComparison
"""

from __future__ import annotations

from airflow_guardrails.domain.errors import GuardrailsValueError


class InvalidPredictionRule(GuardrailsValueError):
    """The rule says nothing that two answers could be compared by."""


class InvalidComparison(GuardrailsValueError):
    """It is not a comparison as this version writes it, or cannot be put together with the other one."""
