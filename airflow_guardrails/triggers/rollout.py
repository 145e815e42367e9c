"""Waits for a rollout to end, in the triggerer or on any event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from airflow_guardrails.domain.arguments import (
    check_choice,
    check_name,
    check_options,
    check_seconds,
    optional,
)
from airflow_guardrails.domain.rollout.outcome import TimeoutAction
from airflow_guardrails.domain.rollout.process import WaitPolicy, wait_until_finished
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.hooks._cancellation import abort_rollout_async
from airflow_guardrails.hooks._effects import RolloutCalls, run_effects_async
from airflow_guardrails.triggers._base import REPORT_KEY, WatchingTrigger
from airflow_guardrails.triggers._polling.pool import waiting
from airflow_guardrails.triggers._polling.subscription import EndpointSubscription
from airflow_guardrails.triggers._state import StatePayload, load_state

# SageMaker ends an update after at most 8 hours; nothing is waited for much longer than that.
LONGEST_WAIT = timedelta(hours=9)

OnTimeout = Literal["fail", "abort"]
OnKill = Literal["leave", "abort"]


class SageMakerRolloutTrigger(WatchingTrigger):
    """
    Fire once, when the update of an endpoint to a configuration has ended, with the report of how.

    The event is a dict: ``report`` (see ``rollout_report``), and ``error`` with the reason in words where the
    watch itself could not go on; exactly one of them is set. All it changes in AWS is the abort switch, which
    takes the same change twice, so two copies of the trigger do no harm.

    Outside a triggerer: ``event = await anext(trigger.run())``.

    :param endpoint_name: name of the endpoint.
    :param endpoint_config_name: name of the endpoint configuration that the update is to bring into service.
    :param previous_endpoint_config_name: name of the configuration served before; learned from the endpoint
        if the update is seen in flight.
    :param waiter_delay: seconds between two looks, or two lists that spare them: all triggers of a process
        that use the same connection look together.
    :param start_timeout: seconds within which the update must be seen to run.
    :param deadline: when to give up, in seconds since the epoch on AWS's clock; default: 9 hours from now.
    :param memory: what is known of the rollout already, from
        :func:`~airflow_guardrails.triggers._state.remember`; it goes before the names above.
    :param fire_floor: seconds after its start before which the trigger does not fire in a triggerer.
    :param on_timeout: ``"fail"`` leaves a rollout alone at the deadline, ``"abort"`` throws its abort switch.
    :param on_kill: ``"leave"`` it alone when the trigger is cancelled, or ``"abort"`` it if somebody has
        marked the task failed.
    :param max_describe_gap: the most seconds that lists may spare the endpoint its own look; so late, at
        most, a change is seen that a list has missed, and stages are.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default credential chain.
    :param region_name: AWS region; default: the connection's.
    :param verify: whether, or with which certificates, TLS is verified.
    :param botocore_config: arguments of ``botocore.config.Config``. Airflow stores them in plain text.
    """

    own_fields = (
        "endpoint_name",
        "endpoint_config_name",
        "previous_endpoint_config_name",
        "start_timeout",
        "memory",
        "on_timeout",
    )
    longest_wait = LONGEST_WAIT
    report_key = REPORT_KEY

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str,
        previous_endpoint_config_name: str | None = None,
        waiter_delay: float = 30,
        start_timeout: float = DEFAULT_GRACE.total_seconds(),
        memory: StatePayload | None = None,
        on_timeout: str = "fail",
        # Not used. Airflow makes stored triggers again from their stored arguments, and triggers of older
        # releases carry these.
        deferred_at: float | None = None,  # noqa: ARG002
        events_queue_url: str | None = None,  # noqa: ARG002
        **common: Any,
    ) -> None:
        super().__init__(waiter_delay=waiter_delay, **common)
        check_name("endpoint_name", endpoint_name)
        check_name("endpoint_config_name", endpoint_config_name)
        optional(check_name)("previous_endpoint_config_name", previous_endpoint_config_name)
        check_seconds("start_timeout", start_timeout)
        check_options("memory", memory)
        check_choice("on_timeout", on_timeout, OnTimeout)
        check_choice("on_kill", self.kill_action, OnKill)
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.previous_endpoint_config_name = previous_endpoint_config_name
        self.start_timeout = start_timeout
        self.memory = memory
        self.on_timeout = on_timeout

    async def stop(self, still_wanted: Callable[[], Awaitable[bool]]) -> None:
        """Throw the abort switch, if that stops this rollout and nothing else."""
        async with self._calls() as calls:
            await abort_rollout_async(self._watch().rollout, calls, self.log, still_wanted=still_wanted)

    async def watch_to_its_report(self) -> RolloutReport:
        following = WaitPolicy(
            every=self.waiter_delay,
            monotonic=self.monotonic,
            began_at=self.began_at,
            on_timeout=TimeoutAction(self.on_timeout),
        )
        async with self._calls() as calls:
            rest = calls.rest if isinstance(calls, EndpointSubscription) else None
            _, report = await run_effects_async(
                wait_until_finished(self._watch(), following),
                calls,
                sleep=self.sleep,
                say=self.say,
                rest=rest,
            )
        return report

    @asynccontextmanager
    async def _calls(self) -> AsyncIterator[RolloutCalls]:
        if not self.shares:
            async with self._hook().asynchronous() as calls:
                yield calls
            return
        together = waiting(
            EndpointSubscription,
            self.endpoint_name,
            self.make_hook,
            every=self.waiter_delay,
            gap=self.max_describe_gap,
        )
        async with together as wait:
            yield wait

    def _watch(self) -> RolloutState:
        if self.memory is None:
            rollout = Rollout(
                endpoint_name=self.endpoint_name,
                target=self.endpoint_config_name,
                previous=self.previous_endpoint_config_name,
                grace=timedelta(seconds=self.start_timeout),
                deadline=self.absolute_deadline,
            )
            return RolloutState(rollout=rollout)
        watch = load_state(self.memory)
        if watch.deadline is None and watch.rollout.max_wait is None:
            # As the triggers of older releases carry it.
            return replace(watch, rollout=replace(watch.rollout, deadline=self.absolute_deadline))
        return watch
