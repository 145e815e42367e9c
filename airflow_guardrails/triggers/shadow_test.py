"""The trigger that waits for a shadow test to start, to get requests or to end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

from airflow_guardrails.domain.arguments import (
    check_choice,
    check_count,
    check_experiment_name,
    check_flag,
    check_seconds,
    check_strings,
    optional,
)
from airflow_guardrails.domain.rollout.process import WaitPolicy
from airflow_guardrails.domain.shadow.process import follow_test
from airflow_guardrails.domain.shadow.report import ShadowReport, shadow_test_report
from airflow_guardrails.domain.shadow.state import LONGEST_WAIT, ShadowTestState, Until
from airflow_guardrails.hooks._cancellation import stop_test_async
from airflow_guardrails.hooks._effects import ShadowCalls, run_effects_async
from airflow_guardrails.triggers._base import WaitingTrigger
from airflow_guardrails.triggers._keys import SHADOW_TEST_REPORT_KEY
from airflow_guardrails.triggers._polling.pool import subscribe
from airflow_guardrails.triggers._polling.subscription import ExperimentSubscription

WaitUntil = Literal["Running", "Completed", "Ended"]
OnKill = Literal["leave", "stop"]


class SageMakerShadowTestTrigger(WaitingTrigger):
    """
    Fires once, with a report, when a shadow test has reached a state, or never will.

    The event is a dict with ``report`` (see ``shadow_test_report``) and ``error``. ``error`` is None, or the
    reason why the wait could not continue; then ``report`` shows the last known state, or is None. The
    trigger changes nothing in AWS, unless its task is marked failed, so two copies of it do no harm.

    Outside a triggerer: ``event = await anext(trigger.run())``.

    :param name: name of the shadow test (SageMaker: inference experiment).
    :param until: ``"Running"``, ``"Completed"``, or ``"Ended"``: completed or cancelled.
    :param min_requests: wait until each variant has had so many requests, instead. Each look then makes two
        more calls, to CloudWatch, and lists do not replace it.
    :param warm_up: seconds after the first request to the shadow from which the requests count.
    :param waiter_delay: seconds between two looks, or between two lists that replace them. All triggers of a
        process with the same connection share their calls.
    :param deadline: when to stop waiting, in seconds since the epoch on AWS's clock; default: in 31 days. A
        restarted triggerer keeps it.
    :param adopted: whether the task found the test instead of creating it; for the report.
    :param warnings: the task's warnings so far; for the report.
    :param fire_floor: in a triggerer, seconds from its start to the earliest time at which the trigger fires.
    :param on_kill: if somebody marks the task failed, ``"leave"`` the test alone or ``"stop"`` it and keep
        production as it is. Use ``"stop"`` only for a test that this task has created.
    :param max_describe_gap: seconds after which the test is described, even if lists show no change.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default credential chain.
    :param region_name: AWS region; default: the connection's.
    :param verify: False: do not verify TLS; a path: the CA bundle to verify with; default: the connection's.
    :param botocore_config: arguments of ``botocore.config.Config``. Airflow stores them in plain text.
    """

    own_fields = ("name", "until", "min_requests", "warm_up", "adopted", "warnings")
    longest_wait = LONGEST_WAIT
    report_key = SHADOW_TEST_REPORT_KEY

    def __init__(
        self,
        *,
        name: str,
        until: str = Until.COMPLETED.value,
        min_requests: int | None = None,
        # Triggers that an older release has stored count from the start of the test.
        warm_up: float = 0,
        waiter_delay: float = 60,
        adopted: bool = False,
        warnings: Sequence[str] = (),
        # The name of min_requests in triggers that an older release has stored.
        min_invocations: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(waiter_delay=waiter_delay, **common)
        check_experiment_name("name", name)
        check_choice("until", until, WaitUntil)
        optional(check_count)("min_requests", min_requests)
        check_seconds("warm_up", warm_up, may_be_zero=True)
        check_flag("adopted", adopted)
        check_strings("warnings", warnings)
        check_choice("on_kill", self.kill_action, OnKill)
        self.name = name
        self.until = until
        self.min_requests = min_invocations if min_requests is None else min_requests
        self.warm_up = warm_up
        self.adopted = adopted
        # It is serialized, and JSON has no tuples.
        self.warnings = list(warnings)

    async def stop(self, still_requested: Callable[[], Awaitable[bool]]) -> None:
        """Stop the test, unless it has ended; production stays as it is."""
        async with self._calls() as calls:
            await stop_test_async(self.name, calls, self.log, still_requested=still_requested)

    async def wait_for_report(self) -> ShadowReport:
        """Wait until the test is where it is waited for, or never will be; return the report."""
        state = ShadowTestState(
            name=self.name,
            until=Until(self.until),
            min_requests=self.min_requests,
            warm_up=timedelta(seconds=self.warm_up),
            on_kill=self.kill_action,
            adopted=self.adopted,
            warnings=tuple(self.warnings),
            deadline=self.absolute_deadline,
        )
        policy = WaitPolicy(every=self.waiter_delay, monotonic=self.monotonic, began_at=self.began_at)
        async with self._calls() as calls:
            wait_for_change = calls.wait_for_change if isinstance(calls, ExperimentSubscription) else None
            ended = await run_effects_async(
                follow_test(state, policy),
                calls,
                sleep=self.sleep,
                log=self.log_progress,
                publish=self.publish_progress,
                wait_for_change=wait_for_change,
            )
        return shadow_test_report(ended)

    @asynccontextmanager
    async def _calls(self) -> AsyncIterator[ShadowCalls]:
        if not self.shares_poller:
            async with self.make_hook().asynchronous() as calls:
                yield calls
            return
        subscription = subscribe(
            ExperimentSubscription,
            self.name,
            self.make_hook,
            every=self.waiter_delay,
            gap=self.max_describe_gap,
        )
        async with subscription as shared:
            yield shared
