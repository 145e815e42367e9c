"""
What can be wrong with a value, known before anything is sent to AWS.

GuardrailsValueError (ValueError)
+- InvalidStrategy
+- InvalidAlarms
+- InvalidRetention
"""

from __future__ import annotations

from typing import Any


class GuardrailsValueError(ValueError):
    """
    A value breaks a rule; the text gives its name, the rule and what was given.

    ``field`` names the argument at fault, for whoever knows where that argument was written.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidStrategy(GuardrailsValueError):
    """A strategy, or the dict it was written as, is not one SageMaker can carry out."""


class InvalidAlarms(GuardrailsValueError):
    """The alarms are not a list of CloudWatch alarm names that SageMaker accepts."""


class InvalidRetention(GuardrailsValueError):
    """What the update is to keep of the live variants is not something SageMaker can keep."""


class Unwatchable(Exception):
    """
    A watch cannot go on: what it has to know will not be answered.

    :param reason: why, for people.
    :param report: how far the rollout, or the shadow test, was when it was last seen.
    :param denied: the action that AWS does not allow, if that is why.
    """

    def __init__(self, reason: str, report: dict[str, Any], *, denied: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.report = report
        self.denied = denied


class InvalidPredictionRule(GuardrailsValueError):
    """The rule says nothing that two answers could be compared by."""


class InvalidComparison(GuardrailsValueError):
    """It is not a comparison as this version writes it, or cannot be put together with the other one."""
