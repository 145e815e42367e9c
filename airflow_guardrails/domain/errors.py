"""
Errors of the domain. A wrong value is found before anything is sent to AWS.

GuardrailsValueError (ValueError)
+- InvalidStrategy
+- InvalidAlarms
+- InvalidGuard
+- InvalidRetention
+- InvalidPredictionRule
+- InvalidComparison
Unwatchable (Exception)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class GuardrailsValueError(ValueError):
    """
    A value breaks a rule; the text gives its name, the rule and the value.

    :param field: name of the argument, so that a caller can add where it was written; ``None`` if unknown.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidStrategy(GuardrailsValueError):
    """A strategy, or a dict that stands for one, is outside of SageMaker's limits."""


class InvalidAlarms(GuardrailsValueError):
    """The alarms are not a list of alarm names that SageMaker accepts."""


class InvalidGuard(GuardrailsValueError):
    """A guard is none, or a value of it breaks a rule."""


class InvalidRetention(GuardrailsValueError):
    """The properties to retain of the variants in service are not among those that SageMaker can retain."""


class Unwatchable(Exception):
    """
    A wait cannot continue: a call that it needs fails for good.

    :param reason: the error as text.
    :param report: the report of the rollout, or of the shadow test, at the last look; may be empty.
    :param denied: the IAM action that is not allowed, if that is the reason.
    """

    def __init__(self, reason: str, report: Mapping[str, Any], *, denied: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.report = report
        self.denied = denied


class InvalidPredictionRule(GuardrailsValueError):
    """A rule that compares predictions is wrong or incomplete."""


class InvalidComparison(GuardrailsValueError):
    """A stored comparison has another format than this release writes, or does not fit to the other one."""
