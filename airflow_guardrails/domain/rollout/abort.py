"""How a rollout is aborted: by throwing its switch, from whatever follows it."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.effects import Effect, NoAnswer, SetAbortSwitch, Sleep
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import PERIOD_SECONDS, THROWN


def throw_switch(
    watch: RolloutState, at: datetime | None = None
) -> Generator[Effect, Any, RolloutState | NoAnswer]:
    """
    Throw the abort switch of this rollout; return ``NoAnswer`` with the reason if it was not thrown.

    :param at: what AWS's clock shows; default: what it showed at the last look.
    """
    refusal = watch.why_not_abort
    if refusal is not None or watch.switch is None:
        return NoAnswer(refusal or "it has no abort switch")
    thrown = yield SetAbortSwitch(watch.switch, THROWN)
    if isinstance(thrown, NoAnswer):
        return NoAnswer(f"the abort switch could not be thrown ({thrown.reason})")
    # The alarm takes the highest value of a period, so a reset within the same one would have no effect.
    yield Sleep(PERIOD_SECONDS)
    return watch.thrown(at)
