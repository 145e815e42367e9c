"""The trigger that waits for a rollout to end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow_guardrails.domain.arguments import (
    check_choice,
    check_name,
    check_options,
    check_seconds,
    optional,
)
from airflow_guardrails.domain.effects import LogMessage, PublishReport
from airflow_guardrails.domain.rollout.outcome import TimeoutAction
from airflow_guardrails.domain.rollout.process import WaitPolicy, wait_until_finished
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.hooks._cancellation import abort_rollout_async
from airflow_guardrails.hooks._effects import RolloutCalls, run_effects_async
from airflow_guardrails.triggers._base import WaitingTrigger, push_report
from airflow_guardrails.triggers._keys import REPORT_KEY
from airflow_guardrails.triggers._polling.pool import subscribe
from airflow_guardrails.triggers._polling.subscription import EndpointSubscription
from airflow_guardrails.triggers._state import StatePayload, load_state

# SageMaker ends an update after 8 hours at most; one hour more covers a late start.
LONGEST_WAIT = timedelta(hours=9)

_MARKED_FAILED = "The task was marked failed while it waited"

OnTimeout = Literal["fail", "abort"]
OnKill = Literal["leave", "abort"]


class SageMakerRolloutTrigger(WaitingTrigger):
    """
    Fires once, with a report, when the update of an endpoint to a configuration has ended.

    The event is a dict with ``report`` (see ``rollout_report``) and ``error``. ``error`` is None, or the
    reason why the wait could not continue; then ``report`` shows the last known state, or is None. The
    trigger changes only the abort switch, and always to the same value, so two copies of it do no harm.

    Outside a triggerer: ``event = await anext(trigger.run())``.

    :param endpoint_name: name of the endpoint.
    :param endpoint_config_name: name of the configuration that the update brings into service.
    :param previous_endpoint_config_name: name of the configuration in service before; default: read from the
        endpoint while the update runs.
    :param waiter_delay: seconds between two looks, or between two lists that replace them. All triggers of a
        process with the same connection share their calls.
    :param start_timeout: seconds after which an update that was never seen to run counts as not started.
    :param deadline: when to stop waiting, in seconds since the epoch on AWS's clock; default: in 9 hours.
    :param memory: the state of the wait so far, from
        :func:`~airflow_guardrails.triggers._state.dump_state`; it overrides the names above.
    :param fire_floor: in a triggerer, seconds from its start to the earliest time at which the trigger fires.
    :param on_timeout: at the deadline, ``"fail"`` leaves the rollout alone and ``"abort"`` rolls it back.
    :param on_kill: if somebody marks the task failed, ``"leave"`` the rollout alone or ``"abort"`` it.
    :param max_describe_gap: seconds after which the endpoint is described, even if lists show no change
        (lists do not show stages).
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default credential chain.
    :param region_name: AWS region; default: the connection's.
    :param verify: False: do not verify TLS; a path: the CA bundle to verify with; default: the connection's.
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
        # Not used. Triggers that an older release has stored have these arguments.
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
        self._thrown_at: datetime | None = None
        self._last_state: RolloutState | None = None

    async def stop(self, still_requested: Callable[[], Awaitable[bool]]) -> None:
        """Throw the abort switch, if that rolls back this rollout and no other update."""
        async with self._calls() as calls:
            self._thrown_at = await abort_rollout_async(
                self._state().rollout, calls, self.log, still_requested=still_requested
            )

    async def follow_to_end(self, still_requested: Callable[[], Awaitable[bool]]) -> None:
        """Look until the rollout has ended, and publish that; nothing is judged or aborted any more."""
        state = replace(self._last_state or self._state(), analysis=None).with_warning(_MARKED_FAILED)
        if self._thrown_at is not None:
            state = state.after_abort(self._thrown_at)
        # What limits it is LONGEST_FOLLOW, on this machine's clock.
        state = replace(state, rollout=replace(state.rollout, max_wait=None, deadline=None))

        async def publish(effect: LogMessage | PublishReport) -> None:
            await self._publish_end(effect.report, still_requested)

        policy = WaitPolicy(every=self.waiter_delay, monotonic=self.monotonic, began_at=self.began_at)
        async with self._calls() as calls:
            _, report = await run_effects_async(
                wait_until_finished(state, policy), calls, sleep=self.sleep, log=publish, publish=publish
            )
        await self._publish_end(report, still_requested)

    async def _publish_and_keep(self, effect: PublishReport) -> None:
        self._last_state = effect.state
        await self.publish_progress(effect)

    async def _publish_end(
        self, report: Mapping[str, Any], still_requested: Callable[[], Awaitable[bool]]
    ) -> None:
        known = self._progress or {}
        if await still_requested():
            analysis = report["analysis"] or known.get("analysis")
            await push_report(self.task_instance, self.report_key, {**report, "analysis": analysis})

    async def wait_for_report(self) -> RolloutReport:
        """Wait until the rollout has an outcome; return the report."""
        policy = WaitPolicy(
            every=self.waiter_delay,
            monotonic=self.monotonic,
            began_at=self.began_at,
            on_timeout=TimeoutAction(self.on_timeout),
        )
        async with self._calls() as calls:
            # Without the shared poller there are no lists, and each look comes after a plain pause.
            wait_for_change = calls.wait_for_change if isinstance(calls, EndpointSubscription) else None
            _, report = await run_effects_async(
                wait_until_finished(self._state(), policy),
                calls,
                sleep=self.sleep,
                log=self.log_progress,
                publish=self._publish_and_keep,
                wait_for_change=wait_for_change,
            )
        return report

    @asynccontextmanager
    async def _calls(self) -> AsyncIterator[RolloutCalls]:
        if not self.shares_poller:
            async with self.make_hook().asynchronous() as calls:
                yield calls
            return
        subscription = subscribe(
            EndpointSubscription,
            self.endpoint_name,
            self.make_hook,
            every=self.waiter_delay,
            gap=self.max_describe_gap,
        )
        async with subscription as shared:
            yield shared

    def _state(self) -> RolloutState:
        state = self._loaded_state()
        return replace(state, rollout=replace(state.rollout, on_kill=self.kill_action))

    def _loaded_state(self) -> RolloutState:
        if self.memory is None:
            rollout = Rollout(
                endpoint_name=self.endpoint_name,
                target=self.endpoint_config_name,
                previous=self.previous_endpoint_config_name,
                grace=timedelta(seconds=self.start_timeout),
                deadline=self.absolute_deadline,
            )
            return RolloutState(rollout=rollout)
        state = load_state(self.memory)
        if state.deadline is None and state.rollout.max_wait is None:
            # Triggers of older releases have the deadline as an argument only.
            return replace(state, rollout=replace(state.rollout, deadline=self.absolute_deadline))
        return state
