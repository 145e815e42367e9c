"""The stages of a rollout that were seen, compared with those that its strategy plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_guardrails.domain.deployment.plan import PlannedStep, planned_steps
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.state import RolloutState, StageChange
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenBake:
    """A bake that must have happened, and that no look has seen; *instances* as the schedule has them."""

    instances: int
    desired_instances: int
    stage: Stage = Stage.BAKING


def plan_of(state: RolloutState) -> tuple[PlannedStep, ...]:
    """Return the planned steps of the update; none if its strategy is unknown."""
    guardrails = state.rollout.guardrails
    return planned_steps(guardrails.strategy if guardrails else None, fleet=fleet_of(state) or None)


def fleet_of(state: RolloutState) -> int:
    """Return the size of the new fleet in instances; 0 if it is serverless or unknown."""
    shown = max((change.desired_instances for change in state.stages), default=0)
    look = state.last_look
    if not shown and isinstance(look, Endpoint) and look.pending:
        return look.pending.desired_instances
    return shown


def are_stages_complete(state: RolloutState) -> bool:
    """
    Return whether every stage that must have been there was seen.

    A look comes every half minute or so, and a stage may be shorter than that. So what the strategy says is
    compared with what was seen. If the strategy is unknown, that cannot be said.
    """
    if not state.stages_complete:
        return False
    if state.outcome is Outcome.ROLLED_BACK and not _bakes_seen(state.stages):
        # SageMaker acts on alarms only in a bake.
        return False
    if state.outcome is Outcome.SUCCEEDED and not (plan_of(state) and _has_shares(state)):
        return False
    return not any(isinstance(stage, UnseenBake) for stage in stages_with_unseen(state))


def _has_shares(state: RolloutState) -> bool:
    """Whether the bakes that were seen can be told apart; without a bake in the plan, none is needed."""
    return bool(fleet_of(state)) or not any(step.bake for step in plan_of(state))


def stages_with_unseen(state: RolloutState) -> tuple[StageChange | UnseenBake, ...]:
    """
    Return the stages that were seen, and where they belong, the bakes that must have happened before them.

    After a success every planned bake must have happened. Otherwise only those of smaller steps than the
    largest one seen.
    """
    fleet, steps = fleet_of(state), plan_of(state)
    known = [step for step in steps if step.bake and step.share is not None]
    if not fleet or not known:
        return state.stages
    seen = {_nearest(known, bake / fleet) for bake in _bakes_seen(state.stages)}
    reached = [_nearest(known, change.instances / fleet) for change in state.stages]
    last = len(known) if state.outcome is Outcome.SUCCEEDED else max(reached, default=0)
    stages: list[StageChange | UnseenBake] = list(state.stages)
    for number in range(last):
        if number not in seen:
            instances = round((known[number].share or 0) * fleet)
            bake = UnseenBake(instances=instances, desired_instances=fleet)
            stages.insert(_place_of(bake, stages), bake)
    return tuple(stages)


def bake_ends_at(state: RolloutState) -> datetime | None:
    """Return when the bake under way ends by the schedule; None without a bake, or if that is unknown."""
    look, fleet = state.last_look, fleet_of(state)
    if state.outcome or not isinstance(look, Endpoint) or look.pending is None or not state.stages:
        return None
    last = state.stages[-1]
    known = [step for step in plan_of(state) if step.share is not None]
    if last.stage is not Stage.BAKING or not fleet or not known:
        return None
    bake = known[_nearest(known, last.instances / fleet)].bake
    return last.at + bake if bake else None


def shortest_bake(state: RolloutState) -> timedelta | None:
    """Return the shortest bake of the plan; None if none is known."""
    return min((step.bake for step in plan_of(state) if step.bake), default=None)


def traffic_course(state: RolloutState) -> list[tuple[datetime, float]]:
    """
    Return when the new fleet had which share of the instances with traffic, 0 to 1, as far as seen.

    A time follows only if the share is another one. Without instances (serverless) nothing is known.
    """
    start = state.started_at or state.rollout.launched_at
    points = [(start, 0.0)] if start else []
    points += [
        (change.at, change.instances / change.desired_instances)
        for change in state.stages
        if change.desired_instances
    ]
    end = {Outcome.SUCCEEDED: 1.0, Outcome.ROLLED_BACK: 0.0}
    if state.outcome in end and state.ended_at and points:
        points.append((state.ended_at, end[state.outcome]))
    return [point for number, point in enumerate(points) if not number or point[1] != points[number - 1][1]]


def _bakes_seen(stages: Sequence[StageChange]) -> set[int]:
    # The same share of the fleet bakes once.
    return {change.instances for change in stages if change.stage is Stage.BAKING}


def _nearest(steps: Sequence[PlannedStep], share: float) -> int:
    """Return the number of the step whose share is the nearest: how SageMaker rounds is not documented."""
    return min(range(len(steps)), key=lambda number: abs((steps[number].share or 0) - share))


def _place_of(bake: UnseenBake, stages: Sequence[StageChange | UnseenBake]) -> int:
    """Return where *bake* belongs: before the first stage with more traffic, and before the removal."""
    for place, stage in enumerate(stages):
        removing = isinstance(stage, StageChange) and stage.stage is Stage.DELETING
        if stage.instances > bake.instances or (removing and stage.instances >= bake.instances):
            return place
    return len(stages)
