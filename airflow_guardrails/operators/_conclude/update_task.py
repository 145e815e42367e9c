"""What Airflow knows of a task that updates an endpoint, for another task of the same run."""

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
    What Airflow knows of the task instance that updates the endpoint.

    :param state: its state; ``None`` if Airflow does not say.
    :param mark: its XCom ``rollout_try``; Airflow deletes it when the next try starts.
    :param report: its XCom ``rollout_report``; ``None`` if there is none.
    """

    state: str | None
    mark: Any
    report: RolloutReport | None

    @property
    def marked_failed_while_deferred(self) -> bool:
        """Whether somebody has marked it failed; a task that fails by itself was resumed before."""
        return self.state == FAILED and self._deferred

    @property
    def has_waited(self) -> bool:
        """Whether it was deferred, so that it had an update to wait for."""
        return isinstance(self.mark, Mapping)

    @property
    def has_reported(self) -> bool:
        """Whether its report says how the rollout ended; one that timed out may have gone on since."""
        return self.report is not None and self.report["outcome"] in _ENDED and not self._deferred

    @property
    def _deferred(self) -> bool:
        return self.has_waited and is_deferred_try(self.mark, self.mark.get("try_number"))
