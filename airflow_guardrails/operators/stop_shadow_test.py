"""End a shadow test, and leave the endpoint as somebody wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

from airflow_guardrails.domain import arguments
from airflow_guardrails.domain.arguments import Check, check_experiment_name, check_text
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.shadow.report import ShadowReport
from airflow_guardrails.domain.shadow.state import ShadowTestState, Until
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators._shadow.stopping import StopRequest
from airflow_guardrails.tasks.shadow_test import CHANGING, ShadowTestTask
from airflow_guardrails.tasks.validation import check_duration, check_flag, check_seconds

StopAction = Literal["keep_production", "promote", "keep_both"]


class SageMakerStopShadowTestOperator(ShadowTestTask):
    """
    End a shadow test early, and wait until its endpoint is InService again.

    ``keep_production``, the default, leaves the endpoint as it was before the test. A model that has done
    well is then best brought into service by
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`, step by step and under
    alarms. ``promote`` is SageMaker's own way: it swaps the fleets at once, no alarm can undo it, and the
    variant that serves has the shadow's name from then on, which alarms, autoscaling and later guarded
    updates do not know.

    A test that is over is not stopped again, and that is no error, unless it was ended otherwise than asked
    here (:class:`~airflow_guardrails.exceptions.ShadowTestNotStopped`).

    :param name: name of the test, as SageMaker knows it. (templated)
    :param action: ``"keep_production"``, ``"promote"`` or ``"keep_both"``. (templated)
    :param reason: why, for people: SageMaker keeps it as the test's ``StatusReason``. (templated)
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two looks.
    :param max_wait: how long to wait for the end.
    :param max_describe_gap: the most seconds between two looks of the triggerer at this test while lists of
        tests spare them.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    template_fields: Sequence[str] = ("name", "action", "reason", *ShadowTestTask.template_fields)
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_experiment_name,
        "action": partial(arguments.check_choice, choices=StopAction),
        "reason": check_text,
        **ShadowTestTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#dfe3f2"

    def __init__(
        self,
        *,
        name: str,
        action: StopAction = "keep_production",
        reason: str = "Stopped by an Airflow task",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        waiter_delay: float = 30,
        max_wait: timedelta = CHANGING,
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flag("deferrable", deferrable)
        check_seconds("waiter_delay", waiter_delay)
        check_seconds("max_describe_gap", max_describe_gap)
        check_duration("max_wait", max_wait)
        self.name = name
        self.action = action
        self.reason = reason
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.max_wait = max_wait
        self.max_describe_gap = max_describe_gap

    def execute(self, context: Any) -> ShadowReport:
        self.check_rendered()
        deadline = self.monotonic() + self.max_wait.total_seconds()
        watch = self._stopping(deadline).ask(ShadowTestState(name=self.name, until=Until.ENDED))
        if watch.look is not None:
            self.push_endpoint_links(context, watch.look.endpoint_name)
        left = timedelta(seconds=max(0.0, deadline - self.monotonic()))
        watch = watch.with_timeout(left, now=datetime.now(timezone.utc))
        if watch.outcome is None and self.deferrable:
            self.defer_test(context, watch, every=self.waiter_delay)
        if watch.outcome is None:
            watch = self.follow_test(context, watch, every=self.waiter_delay)
        return self.conclude_test(context, watch)

    def end_test(self, context: Any, report: ShadowReport) -> ShadowReport:
        ended = super().end_test(context, report)
        deadline = self.monotonic() + self.max_wait.total_seconds()
        self._stopping(deadline).settle(ended)
        return ended

    def _stopping(self, deadline: float) -> StopRequest:
        return StopRequest(
            action=Action(self.action),
            reason=self.reason,
            hook=self.hook,
            log=self.log,
            sleep=self.sleep,
            monotonic=self.monotonic,
            pause=self.waiter_delay,
            deadline=deadline,
        )
