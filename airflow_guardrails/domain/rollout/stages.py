"""Which stages of a rollout were seen, compared with those that its strategy must have had."""

from __future__ import annotations

from math import ceil

from airflow_guardrails.domain.deployment.step_sizes import step_size
from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary, Strategy
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.state import RolloutState, StageChange
from airflow_guardrails.domain.snapshots.endpoint import Stage


def are_stages_complete(state: RolloutState) -> bool:
    """
    Return whether every stage that must have been there was seen.

    A look comes every half minute or so, and a stage may be shorter than that. So what the strategy says is
    compared with what was seen. If the strategy is unknown, that cannot be said.
    """
    if not state.stages_complete:
        return False
    if state.outcome is Outcome.ROLLED_BACK:
        # SageMaker acts on alarms only in a bake.
        return _bakes_seen(state.stages) > 0
    if state.outcome is not Outcome.SUCCEEDED:
        return True
    guardrails = state.rollout.guardrails
    strategy = guardrails.strategy if guardrails else None
    return strategy is not None and _bakes_seen(state.stages) >= _bakes_of(strategy, state.stages)


def _bakes_seen(stages: tuple[StageChange, ...]) -> int:
    # The same share of the fleet bakes once.
    return len({change.instances for change in stages if change.stage is Stage.BAKING})


def _bakes_of(strategy: Strategy, stages: tuple[StageChange, ...]) -> int:
    """Return the least number of bakes of an update that succeeded."""
    if isinstance(strategy, AllAtOnce):
        return int(bool(strategy.termination_wait))
    if isinstance(strategy, Canary):
        return int(bool(strategy.bake)) + int(bool(strategy.termination_wait))
    size = step_size(strategy)
    fleet = max((change.desired_instances for change in stages), default=0)
    if not strategy.bake or size is None or not fleet:
        return 0
    return ceil(round(1 / size.share(fleet), 6))
