"""Stop a shadow test, and choose what the endpoint serves afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

from airflow_guardrails.domain import arguments
from airflow_guardrails.domain.arguments import Check, check_text
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.shadow.report import ShadowReport
from airflow_guardrails.domain.shadow.spec import NO_TEST
from airflow_guardrails.domain.shadow.state import ShadowTestState, Until
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators._shadow.stopping import StopRequest
from airflow_guardrails.tasks.metrics import count_shadow_test
from airflow_guardrails.tasks.shadow_test import CHANGING, ShadowTestTask, check_test_name
from airflow_guardrails.tasks.validation import check_duration, check_flag, check_seconds

StopAction = Literal["keep_production", "promote", "keep_both"]


class SageMakerStopShadowTestOperator(ShadowTestTask):
    """
    Stop a shadow test early, and wait until its endpoint is InService again.

    ``keep_production``, the default, restores the endpoint as it was before the test. To deploy a model that
    did well, use :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator` after that.
    ``promote`` replaces production by the shadow at once: no alarm can roll that back, and the variant in
    service has the name of the shadow from then on, so alarms, autoscaling and later guarded updates on the
    old name no longer work.

    A test that is already over is not stopped again, and that is a success. But if it was stopped by another
    action, the task fails with :class:`~airflow_guardrails.exceptions.ShadowTestNotStopped`.

    Returns the report of the test, which is also XCom ``shadow_test_report``.

    :param name: name of the shadow test in SageMaker. (templated)
    :param action: ``"keep_production"``, ``"promote"`` or ``"keep_both"``. (templated)
    :param reason: text that SageMaker stores as the test's ``StatusReason``. (templated)
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two calls of DescribeInferenceExperiment.
    :param max_wait: how long to wait until the test has ended and the endpoint is InService.
    :param max_describe_gap: maximum number of seconds between two calls of DescribeInferenceExperiment by the
        triggerer. In between it may use lists of tests instead. A change may be reported this late.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises ShadowTestNotFound: if there is no such test.
    :raises ShadowTestCancelled: if the test was cancelled.
    :raises ShadowTestNotStopped: if the endpoint does not serve what *action* should have left.
    :raises ShadowTestTimedOut: if the endpoint is not InService after *max_wait*; Airflow retries.
    """

    template_fields: Sequence[str] = ("name", "action", "reason", *ShadowTestTask.template_fields)
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_test_name,
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
        """Stop the test and wait for its end; return the report."""
        self.check_rendered()
        if self.name == NO_TEST:
            return self.without_test()
        deadline = self.monotonic() + self.max_wait.total_seconds()
        state = self._stop_request(deadline).send(ShadowTestState(name=self.name, until=Until.ENDED))
        if state.look is not None:
            self.push_endpoint_links(context, state.look.endpoint_name)
        # The time that the stop itself has taken counts.
        left = timedelta(seconds=max(0.0, deadline - self.monotonic()))
        state = state.with_timeout(left, now=datetime.now(timezone.utc))
        if state.outcome is None and self.deferrable:
            self.defer_test(context, state, every=self.waiter_delay)
        if state.outcome is None:
            state = self.wait_for_test(context, state, every=self.waiter_delay)
        return self.finish_test(context, state)

    def end_test(self, context: Any, report: ShadowReport) -> ShadowReport:
        """
        Push the report, wait until the endpoint is InService, and return the report.

        :raises ShadowTestNotStopped: if the endpoint does not serve what *action* should have left.
        """
        ended = super().end_test(context, report)
        # A new deadline: after a deferral this is another process, maybe on another machine, so the monotonic
        # clock does not continue.
        deadline = self.monotonic() + self.max_wait.total_seconds()
        self._stop_request(deadline).verify(ended)
        count_shadow_test(ended)
        return ended

    def _stop_request(self, deadline: float) -> StopRequest:
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
