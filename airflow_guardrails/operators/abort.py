"""Abort an update in flight, and tell whether that was in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

from airflow_guardrails.domain.arguments import Check, check_name, optional
from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.rollout.messages import when_an_abort_acts
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import PERIOD_SECONDS, THROWN
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.exceptions import AbortRefused, AbortTooLate, NothingToAbort
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.tasks.rollout import OnRollback, RolloutTask
from airflow_guardrails.tasks.validation import check_duration, check_flag, check_seconds
from airflow_guardrails.tasks.waiting import is_retry


class SageMakerAbortRolloutOperator(RolloutTask):
    """
    Throw the abort switch of an update in flight, wait, and succeed only if it was rolled back.

    SageMaker has no call that cancels an update; it looks at alarms while it bakes. So the abort acts at the
    next bake, and an update that has none left ends in service: that is
    :class:`~airflow_guardrails.exceptions.AbortTooLate`. An update that carries no switch of this package, or
    another one than named, is left alone. A retry after the switch was thrown reports what came of it.

    :param endpoint_name: name of the endpoint. (templated)
    :param endpoint_config_name: name of the configuration whose update is meant; default: whichever is in
        flight. (templated)
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two looks at the endpoint.
    :param max_wait: how long to wait for the rollback, default 75 minutes.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
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
        self.check_rendered()
        watch = self._thrown(context)
        watch = self.observe(context, watch)
        self.push_links(context, watch.alarms)
        if watch.outcome is not None:
            return self.end(context, self.conclude(context, watch))
        if self.deferrable:
            self.defer_watch(context, watch, every=self.waiter_delay)
        return self.end(context, self.follow(context, watch, every=self.waiter_delay))

    def end(self, context: Any, report: RolloutReport) -> RolloutReport:
        ended = super().end(context, report)
        if ended["outcome"] != Outcome.SUCCEEDED.value:
            return ended
        raise AbortTooLate(
            f"Endpoint {self.endpoint_name} serves {report['endpoint_config_name']}: the update had no bake "
            "left in which the abort could have acted. Update the endpoint back if it must not serve that",
            report,
        )

    def _thrown(self, context: Any) -> RolloutState:
        """Throw the switch of the update in flight, or find what an earlier try has thrown."""
        from airflow_guardrails.operators._conclude.in_flight import RolloutInFlight  # noqa: PLC0415 - not in every DAG file

        abortable = RolloutInFlight(self.hook, self.endpoint_name)
        look = self.hook.describe_endpoint(self.endpoint_name)
        if not isinstance(look, Endpoint) or not look.changing or look.pending_config_name is None:
            thrown = (
                abortable.thrown_before(look, target=self.endpoint_config_name) if is_retry(context) else None
            )
            if thrown is None:
                raise NothingToAbort(
                    f"There is nothing to abort: no update of endpoint {self.endpoint_name} is in flight"
                )
            return thrown
        target = self.endpoint_config_name or look.pending_config_name
        watch = abortable.in_flight(look, target=target, deadline=look.seen_at + self.max_wait)
        if refusal := watch.why_not_abort:
            raise AbortRefused(f"The abort switch was not thrown: {refusal}")
        assert watch.switch is not None
        self.hook.set_abort_switch(watch.switch, THROWN)
        self.log.warning(
            "The update of endpoint %s to %s is aborted: its abort switch is thrown; %s",
            self.endpoint_name,
            target,
            when_an_abort_acts(watch.last_look, watch.rollout.guardrails),
        )
        # The alarm takes the highest value of a period, so a reset within the same one would have no effect.
        self.sleep(PERIOD_SECONDS)
        return watch.after_abort()
