"""What stopping a rollout would do: whether its task can abort it, and when SageMaker acts on that."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, AllAtOnce, Canary, Rolling, Strategy
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook, PendingDeployment, Stage
from airflow_guardrails.domain.text import duration_in_words


class StoppingReport(TypedDict):
    """Whether marking the task failed aborts the update, and what that does or why it does not."""

    aborts: bool
    text: str


def stopping_of(state: RolloutState) -> StoppingReport | None:
    """Return what marking the task failed would do now; None if the rollout has ended."""
    rollout = state.rollout
    if state.outcome is not None:
        return None
    if state.thrown_at is None and _is_rolling_back(state.last_look):
        return {"aborts": False, "text": "SageMaker is rolling the update back already"}
    if state.thrown_at is not None:
        when = when_an_abort_acts(state.last_look, rollout.guardrails)
        return {"aborts": False, "text": f"The abort switch is thrown already; {when}"}
    if rollout.on_kill != "abort":
        return {
            "aborts": False,
            "text": 'Marking this task failed leaves the update alone, because on_kill is "leave"',
        }
    if (refusal := state.why_not_abort) is not None:
        return {"aborts": False, "text": f"This task cannot abort the update: {refusal}"}
    when = when_an_abort_acts(state.last_look, rollout.guardrails)
    return {"aborts": True, "text": f"Marking this task failed aborts the update: {when}"}


def when_an_abort_acts(look: EndpointLook | None, guardrails: Guardrails | None) -> str:
    """
    Describe when SageMaker will act on the thrown switch: ``it acts in the next bake (10 min)``.

    SageMaker reads alarms only while it bakes. So an abort is too late for an update without another bake.
    """
    if not isinstance(look, Endpoint) or look.pending is None or guardrails is None:
        return "it acts in the next bake, if there is one"
    if _is_rolling_back(look):
        return "SageMaker is rolling the update back"
    current = look.current_stage
    if current is not None and current.stage is Stage.BAKING:
        return "it acts now, because the update is baking"
    removing = current is not None and current.stage is Stage.DELETING
    bake = _next_bake(guardrails.strategy, look.pending, removing=removing)
    if not bake:
        return "no bake is left, so SageMaker will finish the update"
    return f"it acts in the next bake ({duration_in_words(bake)})"


def _is_rolling_back(look: EndpointLook | None) -> bool:
    """Whether SageMaker removes the new fleet: after a success it removes the old one."""
    if not isinstance(look, Endpoint) or look.pending is None:
        return False
    current = look.current_stage
    return current is not None and current.stage is Stage.DELETING and not look.pending.instances


def _next_bake(strategy: Strategy | None, green: PendingDeployment, *, removing: bool) -> timedelta:
    if isinstance(strategy, Rolling):
        return strategy.bake
    if strategy is None or removing:
        return NO_WAIT
    if isinstance(strategy, AllAtOnce) or green.instances >= green.desired_instances > 0:
        return strategy.termination_wait
    # A canary has one step before full traffic; a linear update may have more of them.
    step_is_over = isinstance(strategy, Canary) and green.instances > 0
    return strategy.termination_wait if step_is_over else strategy.bake or strategy.termination_wait
