"""Waits for a shadow test, in the triggerer or on any event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from airflow_guardrails.domain.arguments import (
    check_choice,
    check_count,
    check_experiment_name,
    check_flag,
    check_strings,
    optional,
)
from airflow_guardrails.domain.rollout.process import WaitPolicy
from airflow_guardrails.domain.shadow.process import follow_test
from airflow_guardrails.domain.shadow.report import ShadowReport, shadow_test_report
from airflow_guardrails.domain.shadow.state import LONGEST_WAIT, ShadowTestState, Until
from airflow_guardrails.hooks._cancellation import stop_test_async
from airflow_guardrails.hooks._effects import ShadowCalls, run_effects_async
from airflow_guardrails.triggers._base import SHADOW_TEST_REPORT_KEY, WatchingTrigger
from airflow_guardrails.triggers._polling.pool import waiting
from airflow_guardrails.triggers._polling.subscription import ExperimentSubscription

WaitUntil = Literal["Running", "Completed", "Ended"]
OnKill = Literal["leave", "stop"]


class SageMakerShadowTestTrigger(WatchingTrigger):
    """
    Fire once, when a shadow test is where it is waited for, or will never be there, with the report of how.

    The event is a dict: ``report`` (see ``shadow_test_report``), and ``error`` with the reason in words where
    the watch itself could not go on; exactly one of them is set. It changes nothing in AWS, unless its task
    is marked failed, so two copies of the trigger do no harm.

    Outside a triggerer: ``event = await anext(trigger.run())``.

    :param name: of the shadow test, which SageMaker knows as an inference experiment.
    :param until: ``"Running"``, ``"Completed"``, or ``"Ended"``, which takes either way of ending.
    :param min_requests: instead, wait until each variant has had so many requests; a look then takes two
        calls of CloudWatch more, and no list spares it.
    :param waiter_delay: seconds between two looks, or two lists that spare them: all triggers of a process
        that use the same connection look together.
    :param deadline: seconds since the epoch at which to give up, default 31 days from now. A restarted
        triggerer keeps it.
    :param adopted: whether the task found the test instead of making it; for the report.
    :param warnings: of the task so far; for the report.
    :param fire_floor: seconds after its start before which the trigger does not fire in a triggerer.
    :param on_kill: ``"leave"`` it alone when the trigger is cancelled, or ``"stop"`` it, keeping production,
        if somebody has marked the task failed. Only for a test that this very task has made.
    :param max_describe_gap: the most seconds that lists may spare the test its own look; so late, at most, a
        change is seen that a list has missed.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default credential chain.
    :param region_name: AWS region; default: the connection's.
    :param verify: whether, or with which certificates, TLS is verified.
    :param botocore_config: arguments of ``botocore.config.Config``. Airflow stores them in plain text.
    """

    own_fields = ("name", "until", "min_requests", "adopted", "warnings")
    longest_wait = LONGEST_WAIT
    report_key = SHADOW_TEST_REPORT_KEY

    def __init__(
        self,
        *,
        name: str,
        until: str = Until.COMPLETED.value,
        min_requests: int | None = None,
        waiter_delay: float = 60,
        adopted: bool = False,
        warnings: Sequence[str] = (),
        # What older releases call min_requests: Airflow makes stored triggers again from their arguments.
        min_invocations: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(waiter_delay=waiter_delay, **common)
        check_experiment_name("name", name)
        check_choice("until", until, WaitUntil)
        optional(check_count)("min_requests", min_requests)
        check_flag("adopted", adopted)
        check_strings("warnings", warnings)
        check_choice("on_kill", self.kill_action, OnKill)
        self.name = name
        self.until = until
        self.min_requests = min_invocations if min_requests is None else min_requests
        self.adopted = adopted
        self.warnings = list(warnings)

    async def stop(self, still_wanted: Callable[[], Awaitable[bool]]) -> None:
        """Stop the test, if it is not over; production stays as it is."""
        async with self._calls() as calls:
            await stop_test_async(self.name, calls, self.log, still_wanted=still_wanted)

    async def watch_to_its_report(self) -> ShadowReport:
        watch = ShadowTestState(
            name=self.name,
            until=Until(self.until),
            min_requests=self.min_requests,
            adopted=self.adopted,
            warnings=tuple(self.warnings),
            deadline=self.absolute_deadline,
        )
        following = WaitPolicy(every=self.waiter_delay, monotonic=self.monotonic, began_at=self.began_at)
        async with self._calls() as calls:
            rest = calls.rest if isinstance(calls, ExperimentSubscription) else None
            ended = await run_effects_async(
                follow_test(watch, following), calls, sleep=self.sleep, say=self.say, rest=rest
            )
        return shadow_test_report(ended)

    @asynccontextmanager
    async def _calls(self) -> AsyncIterator[ShadowCalls]:
        if not self.shares:
            async with self._hook().asynchronous() as calls:
                yield calls
            return
        together = waiting(
            ExperimentSubscription,
            self.name,
            self.make_hook,
            every=self.waiter_delay,
            gap=self.max_describe_gap,
        )
        async with together as wait:
            yield wait
