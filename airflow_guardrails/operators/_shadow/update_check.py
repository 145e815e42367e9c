"""The checks of the update behind a shadow test, made before a test of hours begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_guardrails.exceptions import ShadowTestRefused
from airflow_guardrails.operators._launch.known import known_update
from airflow_guardrails.operators._launch.plan import read_plan

if TYPE_CHECKING:
    from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCheck:
    """
    The check of *update*.

    :param context: Airflow's context of the task that creates the shadow test.
    :param asking: that task.
    """

    update: SageMakerGuardedUpdateOperator
    context: Mapping[str, Any]
    asking: Any

    def run(self, *, warn: Callable[[str], None]) -> None:
        """
        Make the checks before the update; what does not exist yet is taken for that in service.

        :param warn: gets a text for each check that failed and may pass later, or could not be made.
        :raises ShadowTestRefused: if the update would be refused; the text lists all reasons.
        """
        plan = read_plan(known_update(self.update, self.context, asking=self.asking)).plan
        if plan.unknown:
            warn(f"The update behind the test was checked without {', '.join(plan.unknown)}: not known yet")
        for why in plan.unread:
            warn(f"The update behind the test was not fully checked. {why}")
        lasting = plan.lasting_errors
        for error in plan.errors:
            if error not in lasting:
                warn(f"The update behind the test would be refused now: {error}")
        if lasting:
            listed = "\n".join(f"- {error}" for error in lasting)
            raise ShadowTestRefused(
                f"The update of {plan.endpoint_name} behind the shadow test would be refused, so no test was "
                f"created:\n{listed}"
            )
