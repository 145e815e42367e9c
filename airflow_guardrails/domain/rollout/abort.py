"""How a rollout is aborted: its abort switch is thrown."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.effects import Effect, NoResponse, SetAbortSwitch, Sleep
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import PERIOD_SECONDS, THROWN


def throw_switch(
    state: RolloutState, at: datetime | None = None
) -> Generator[Effect, Any, RolloutState | NoResponse]:
    """
    Throw the abort switch of this rollout; return ``NoResponse`` with the reason if it was not thrown.

    :param at: the time on AWS's clock; default: that of the last look.
    """
    refusal = state.why_not_abort
    if refusal is not None or state.switch is None:
        return NoResponse(refusal or "it has no abort switch")
    response = yield SetAbortSwitch(state.switch, THROWN)
    if isinstance(response, NoResponse):
        return NoResponse(f"the abort switch could not be thrown ({response.reason})")
    # The alarm uses the highest value of a period, so a reset in the same period would have no effect.
    yield Sleep(PERIOD_SECONDS)
    return state.after_abort(at)
