"""Bring back, by a guarded update, what last served well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow_guardrails.domain.arguments import Check, check_name, optional
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce, Strategy
from airflow_guardrails.tasks.validation import check_left_out

# What comes back has served before, so it gets all requests at once; but the way back is guarded, too.
_DEFAULT_STRATEGY = AllAtOnce(termination_wait=timedelta(minutes=5))


class SageMakerRollbackOperator(SageMakerGuardedUpdateOperator):
    """
    Update the endpoint to the configuration that last served well before the one in service.

    It is found in the history that this package keeps in tags of the endpoint. Another version comes first: a
    configuration that differs only in its instances is not what a rollback is for. If what serves was put
    there by hand, a warning in the report says so.

    The update is guarded like any other, and is not refused because the version or the run is older. What it
    goes back from is noted as reverted: no later rollback goes back to it, and it is deployed again only with
    ``redeploy=True``. If the endpoint serves *to* already, the task succeeds without an update.

    A retry goes back to the same configuration as the first try.

    Returns the rollout report, which is also XCom ``rollout_report``.

    All further arguments are those of
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`, except those for what to
    deploy, ``if_already_live``, ``redeploy`` and ``refuse_older``.

    :param endpoint_name: name of the endpoint, which must exist. (templated)
    :param to: name of the endpoint configuration to go back to; default: found in the history. (templated)
    :param strategy: as for the guarded update; default: all at once, with a bake of 5 minutes. (templated)
    :raises NoRollbackTarget: if nothing is known to go back to; the text lists what is known.
    """

    template_fields: Sequence[str] = (
        "to",
        *(name for name in SageMakerGuardedUpdateOperator.template_fields if name != "endpoint_config_name"),
    )
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "to": optional(check_name),
        **SageMakerGuardedUpdateOperator.rendered_checks,
    }
    ui_color = "#f3e3c8"
    makes_own_target = True

    def __init__(
        self,
        *,
        endpoint_name: str,
        to: str | None = None,
        strategy: Strategy | Mapping[str, Any] = _DEFAULT_STRATEGY,
        **kwargs: Any,
    ) -> None:
        check_left_out(type(self).__name__, kwargs, "if_already_live", "redeploy", "refuse_older")
        super().__init__(
            endpoint_name=endpoint_name,
            strategy=strategy,
            if_already_live="succeed",
            redeploy=True,
            refuse_older=False,
            **kwargs,
        )
        self.to = to

    @property
    def finds_target(self) -> bool:
        """Whether the configuration to go back to is found only when the task runs."""
        return self.to is None

    def name_target(self, context: Mapping[str, Any]) -> bool:
        """As in the base class; before the task has run, the target is *to*."""
        self.endpoint_config_name = self.endpoint_config_name or self.to
        return super().name_target(context)

    def execute(self, context: Any) -> RolloutReport:
        """Find what to go back to, update the endpoint to it, and return the rollout report."""
        from airflow_guardrails.operators._launch.intent_store import owner_in  # noqa: PLC0415 - not in DAG files
        from airflow_guardrails.operators._versions.rollback import RollbackPlan  # noqa: PLC0415

        self.end_dry_run()
        self.check_rendered()
        plan = RollbackPlan(
            self.hook,
            self.endpoint_name,
            owner=owner_in(context, self.endpoint_name),
            busy_timeout=self.busy_timeout if self.if_busy == "wait" else timedelta(0),
            pause=self.waiter_delay,
            sleep=self.sleep_unless_killed,
            monotonic=self.monotonic,
        )
        self.endpoint_config_name = plan.target(self.to)
        self._launch_warnings = tuple(plan.warnings)
        for warning in plan.warnings:
            self.log.warning(warning)
        return super().execute(context)
