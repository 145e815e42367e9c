"""Abort an update in flight, and report whether the abort was in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

from airflow_guardrails.domain.arguments import Check, check_name, optional
from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.rollout.stopping import when_an_abort_acts
from airflow_guardrails.domain.snapshots.abort_switch import PERIOD_SECONDS, THROWN
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.exceptions import AbortRefused, AbortTooLate, NothingToAbort
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.tasks.rollout import OnRollback, RolloutTask
from airflow_guardrails.tasks.validation import check_duration, check_flag, check_seconds
from airflow_guardrails.tasks.waiting import is_retry


class SageMakerAbortRolloutOperator(RolloutTask):
    """
    Abort an update in flight: throw its abort switch, and succeed only if SageMaker rolled it back.

    SageMaker has no API call that cancels an update. It checks alarms only during a bake, so the abort acts
    in the next bake. If the update has no bake left, it ends in service, and the task fails with
    :class:`~airflow_guardrails.exceptions.AbortTooLate`. An update without an abort switch of this package is
    left alone. A retry after the switch was thrown reports how the update ended.

    Returns the rollout report, which is also XCom ``rollout_report``.

    :param endpoint_name: name of the endpoint. (templated)
    :param endpoint_config_name: abort only an update to this endpoint configuration; default: any update.
        (templated)
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two calls of DescribeEndpoint.
    :param max_wait: how long to wait for the rollback, on AWS's clock; default: 75 minutes.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises NothingToAbort: if no update of the endpoint is in flight.
    :raises AbortRefused: if the update has no abort switch of this package, or is to another configuration.
    :raises AbortTooLate: if the update ended in service.
    :raises RolloutError: if the update ended neither in service nor rolled back.
    """

    template_fields: Sequence[str] = (
        "endpoint_name",
        "endpoint_config_name",
        *RolloutTask.template_fields,
    )
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "endpoint_name": check_name,
        "endpoint_config_name": optional(check_name),
        **RolloutTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#f3d9d4"
    # A rollback is what this task is for, so it is no failure here.
    on_rollback: OnRollback = "return"

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        waiter_delay: float = 30,
        max_wait: timedelta = ABORTING,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flag("deferrable", deferrable)
        check_seconds("waiter_delay", waiter_delay)
        check_duration("max_wait", max_wait)
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.max_wait = max_wait

    def execute(self, context: Any) -> RolloutReport:
        """Throw the abort switch and wait for the rollback; return the rollout report."""
        self.check_rendered()
        state = self._abort(context)
        state = self.poll_once(context, state)
        self.push_links(context, state.alarms)
        # A retry may find that the update has ended since an earlier try aborted it.
        if state.outcome is not None:
            return self.end(context, self.finish(context, state))
        if self.deferrable:
            self.defer_wait(context, state, every=self.waiter_delay)
        return self.end(context, self.wait_until_finished(context, state, every=self.waiter_delay))

    def end(self, context: Any, report: RolloutReport) -> RolloutReport:
        """
        Push the report, and return it if the update was rolled back.

        :raises AbortTooLate: if the update ended in service.
        """
        ended = super().end(context, report)
        # Only a success or a rollback gets here; super().end() raises for all other outcomes.
        if ended["outcome"] != Outcome.SUCCEEDED.value:
            return ended
        raise AbortTooLate(
            f"Abort too late: endpoint {self.endpoint_name} serves {report['endpoint_config_name']}, because "
            "the update had no bake left. Update the endpoint back if it must not serve that",
            report,
        )

    def _abort(self, context: Any) -> RolloutState:
        """Throw the switch of the update in flight, or find an update that an earlier try has aborted."""
        from airflow_guardrails.operators._conclude.in_flight import AbortableRollouts  # noqa: PLC0415 - not in every DAG file

        rollouts = AbortableRollouts(self.hook, self.endpoint_name)
        endpoint = self.hook.describe_endpoint(self.endpoint_name)
        if (
            not isinstance(endpoint, Endpoint)
            or not endpoint.changing
            # Scaling changes the endpoint too, but then there is no PendingDeploymentSummary.
            or endpoint.pending_config_name is None
        ):
            target = self.endpoint_config_name
            # A first try has thrown no switch yet, so it has no earlier abort to report.
            aborted = rollouts.aborted_before(endpoint, target=target) if is_retry(context) else None
            if aborted is None:
                raise NothingToAbort(
                    f"Nothing to abort: no update of endpoint {self.endpoint_name} is in flight"
                )
            return aborted
        target = self.endpoint_config_name or endpoint.pending_config_name
        state = rollouts.in_flight(endpoint, target=target, deadline=endpoint.seen_at + self.max_wait)
        if refusal := state.why_not_abort:
            raise AbortRefused(f"The abort switch was not thrown: {refusal}")
        assert state.switch is not None
        self.hook.set_abort_switch(state.switch, THROWN)
        self.log.warning(
            "Aborting the update of endpoint %s to %s: its abort switch is thrown; %s",
            self.endpoint_name,
            target,
            when_an_abort_acts(state.last_look, state.rollout.guardrails),
        )
        # The alarm uses the maximum of a period, so a reset within the same period has no effect.
        self.sleep(PERIOD_SECONDS)
        return state.after_abort()
