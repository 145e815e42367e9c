"""What becomes of the two variants when a shadow test is stopped, and whether that has come true."""

from __future__ import annotations

from enum import Enum

from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentStatus, ModelVariant


class Action(str, Enum):
    """
    How a shadow test is stopped.

    ``KEEP_PRODUCTION`` leaves the endpoint as it was before the test. ``PROMOTE`` puts the shadow in
    production's place, unguarded and under the shadow's name. ``KEEP_BOTH`` leaves both variants there.
    """

    KEEP_PRODUCTION = "keep_production"
    PROMOTE = "promote"
    KEEP_BOTH = "keep_both"

    @property
    def of_production(self) -> str:
        """``ModelVariantAction`` of the API."""
        return "Remove" if self is Action.PROMOTE else "Retain"

    @property
    def of_shadow(self) -> str:
        """``ModelVariantAction`` of the API."""
        return {"keep_production": "Remove", "promote": "Promote", "keep_both": "Retain"}[self.value]


# ``InferenceExperiment``'s ModelVariantStatus of a variant that the stop has taken down.
_GONE = frozenset({"Deleting", "Deleted"})

# In any other status StopInferenceExperiment answers ConflictException.
STOPPABLE = frozenset({ExperimentStatus.CREATED, ExperimentStatus.RUNNING})


def why_not_carried_out(experiment: Experiment, action: Action) -> str | None:
    """
    Say what of *experiment*, which is over, is not as *action* was to leave it.

    ``KEEP_PRODUCTION`` is what SageMaker does by itself at the end of a test, so only a shadow that is left
    tells against it; the other two need to be seen.
    """
    production, shadow = _is_there(experiment.production), _is_there(experiment.shadow)
    if action is Action.KEEP_PRODUCTION and production is not False and shadow is not True:
        return None
    if action is Action.PROMOTE and production is False and shadow is True:
        return None
    if action is Action.KEEP_BOTH and production is True and shadow is True:
        return None
    return (
        f"its production variant {experiment.production_name} is {_status(experiment.production)} and its "
        f"shadow variant {experiment.shadow_name} is {_status(experiment.shadow)}"
    )


def _is_there(variant: ModelVariant | None) -> bool | None:
    """None where SageMaker does not say."""
    if variant is None or variant.status is None:
        return None
    return variant.status not in _GONE


def _status(variant: ModelVariant | None) -> str:
    return (variant.status if variant else None) or "not shown"
