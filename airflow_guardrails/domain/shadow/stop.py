"""What happens to the two variants when a shadow test is stopped, and whether it has happened."""

from __future__ import annotations

from enum import Enum

from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentStatus, ModelVariant


class Action(str, Enum):
    """
    How a shadow test is stopped.

    ``KEEP_PRODUCTION`` restores the endpoint as it was before the test. ``PROMOTE`` replaces production
    with the shadow, without deployment guardrails and with the shadow's name. ``KEEP_BOTH`` keeps both
    variants.
    """

    KEEP_PRODUCTION = "keep_production"
    PROMOTE = "promote"
    KEEP_BOTH = "keep_both"

    @property
    def of_production(self) -> str:
        """``ModelVariantAction`` for the production variant."""
        # AWS does not document the legal pairs. In the guide a promotion replaces production.
        return "Remove" if self is Action.PROMOTE else "Retain"

    @property
    def of_shadow(self) -> str:
        """``ModelVariantAction`` for the shadow variant."""
        return _ACTION_OF_SHADOW[self]


_ACTION_OF_SHADOW = {Action.KEEP_PRODUCTION: "Remove", Action.PROMOTE: "Promote", Action.KEEP_BOTH: "Retain"}

# ModelVariantStatus of a variant that the stop has removed.
_REMOVED = frozenset({"Deleting", "Deleted"})

# In any other status, StopInferenceExperiment fails with ConflictException.
STOPPABLE = frozenset({ExperimentStatus.CREATED, ExperimentStatus.RUNNING})


def why_not_carried_out(experiment: Experiment, action: Action) -> str | None:
    """
    Return how the variants of an ended *experiment* differ from what *action* does; None if they do not.

    ``KEEP_PRODUCTION`` is SageMaker's default at the end of a test, so unknown statuses are no difference.
    The other two actions must be visible in the statuses.
    """
    production, shadow = _exists(experiment.production), _exists(experiment.shadow)
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


def _exists(variant: ModelVariant | None) -> bool | None:
    """Whether the variant still exists; None if SageMaker does not show it."""
    if variant is None or variant.status is None:
        return None
    return variant.status not in _REMOVED


def _status(variant: ModelVariant | None) -> str:
    return (variant.status if variant else None) or "not shown"
