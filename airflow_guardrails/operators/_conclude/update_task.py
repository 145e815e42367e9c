"""What Airflow knows about a task that updates an endpoint, for another task of the same run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.hooks._cancellation import FAILED, is_deferred_try

_ENDED = frozenset(outcome.value for outcome in Outcome if outcome is not Outcome.TIMED_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTask:
    """
    What Airflow knows about the task instance that updates the endpoint.

    :param state: its state; ``None`` if Airflow did not return it.
    :param mark: its XCom ``rollout_try``; Airflow deletes it when the next try starts.
    :param report: its XCom ``rollout_report``; ``None`` if there is none.
    """

    state: str | None
    mark: Any
    report: RolloutReport | None

    @property
    def marked_failed_while_deferred(self) -> bool:
        """Whether somebody marked it failed; a task that fails in its code is not deferred then."""
        return self.state == FAILED and self._is_deferred

    @property
    def was_deferred(self) -> bool:
        """Whether it was ever deferred, and so had an update to wait for."""
        return isinstance(self.mark, Mapping)

    @property
    def has_final_report(self) -> bool:
        """Whether its report has the outcome of the rollout. ``TimedOut`` is none: the rollout went on."""
        is_final = self.report is not None and self.report["outcome"] in _ENDED
        return is_final and not self._is_deferred

    @property
    def _is_deferred(self) -> bool:
        return self.was_deferred and is_deferred_try(self.mark, self.mark.get("try_number"))
