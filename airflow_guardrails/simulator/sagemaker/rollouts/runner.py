"""Start deployments and stop them: alarms, time limits, and ends that a test has scripted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet
from airflow_guardrails.simulator.sagemaker.rollouts.rollback_alarms import RollbackAlarms
from airflow_guardrails.simulator.sagemaker.rollouts.scripted_ends import ScriptedEnd, apply_scripted_end
from airflow_guardrails.simulator.sagemaker.steps import Rollback, RunningSteps, Steps


class DeploymentRunner:
    """
    Runs the steps of deployments.

    :param changed: called after each step of an endpoint.
    :param fleet_of: returns the fleet of a configuration for a scripted end.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        knobs: Knobs,
        rollback_alarms: RollbackAlarms,
        changed: Callable[[Endpoint], None],
        fleet_of: Callable[[Endpoint, str], Fleet],
    ) -> None:
        self._clock = clock
        self._knobs = knobs
        self._rollback_alarms = rollback_alarms
        self._changed = changed
        self._fleet_of = fleet_of
        self._scripted_ends: dict[str, ScriptedEnd] = {}

    def start(
        self,
        endpoint: Endpoint,
        steps: Steps,
        *,
        alarms: Sequence[str] = (),
        max_seconds: int | None = None,
        starts_after: float = 0.0,
    ) -> None:
        """
        Run *steps* on an endpoint.

        :param alarms: names of the alarms that roll it back.
        :param max_seconds: time limit in simulated seconds, counted from the start.
        :param starts_after: seconds from now to the start.
        """
        running_steps = RunningSteps(
            self._clock,
            steps,
            changed=lambda: self._changed(endpoint),
            check=lambda: self._tripped(alarms),
            # A function, because a test may change the knob while the update runs.
            check_interval=lambda: self._knobs.alarm_poll_seconds,
        )
        endpoint.running_steps = running_steps
        if max_seconds is not None:
            running_steps.set_deadline(starts_after + max_seconds, lambda: self._timed_out(max_seconds))
        running_steps.start()
        # Without any wait, the steps are already finished.
        if (scripted_end := self._scripted_ends.pop(endpoint.arn, None)) and not running_steps.finished:
            self._schedule_end(endpoint, running_steps, scripted_end)

    def script(self, endpoint: Endpoint, scripted_end: ScriptedEnd) -> None:
        """Set the end of the running operation or, if there is none, of the endpoint's next one."""
        if endpoint.running_steps and endpoint.in_flight:
            self._schedule_end(endpoint, endpoint.running_steps, scripted_end)
        else:
            self._scripted_ends[endpoint.arn] = scripted_end

    def _schedule_end(
        self, endpoint: Endpoint, running_steps: RunningSteps, scripted_end: ScriptedEnd
    ) -> None:
        def end() -> None:
            apply_scripted_end(
                endpoint, scripted_end, lambda name: self._fleet_of(endpoint, name), now=self._clock.now()
            )
            self._changed(endpoint)

        running_steps.end_after(scripted_end.after_seconds, end)

    def _tripped(self, alarms: Sequence[str]) -> Rollback | None:
        if self._rollback_alarms.tripped(alarms):
            return Rollback(self._knobs.rollback_failure_reason)
        return None

    def _timed_out(self, seconds: int) -> Rollback:
        # AWS documents the time limit, but not how the endpoint ends.
        if self._knobs.timeout_ends_in == "Failed":
            return Rollback(f"The update did not finish within {seconds} seconds.", ends_in="Failed")
        return Rollback(self._knobs.rollback_failure_reason)
