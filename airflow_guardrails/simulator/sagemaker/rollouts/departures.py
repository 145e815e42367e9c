"""Sends deployments on their way and watches over them: alarms, deadlines, endings that a test wrote down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet
from airflow_guardrails.simulator.sagemaker.flight import Flight, Rollback, Steps
from airflow_guardrails.simulator.sagemaker.rollouts.guards import Guards
from airflow_guardrails.simulator.sagemaker.rollouts.scripts import Ending, end


class DeploymentRunner:
    """*changed* hears of every step; *fleet_of* finds or launches the fleet that a written ending leaves."""

    def __init__(
        self,
        *,
        clock: Clock,
        knobs: Knobs,
        guards: Guards,
        changed: Callable[[Endpoint], None],
        fleet_of: Callable[[Endpoint, str], Fleet],
    ) -> None:
        self._clock = clock
        self._knobs = knobs
        self._guards = guards
        self._changed = changed
        self._fleet_of = fleet_of
        self._endings: dict[str, Ending] = {}

    def start(
        self,
        endpoint: Endpoint,
        steps: Steps,
        *,
        alarms: Sequence[str] = (),
        max_seconds: int | None = None,
        starts_after: float = 0.0,
    ) -> None:
        """*max_seconds* count from the start, which is so many seconds away."""
        flight = Flight(
            self._clock,
            steps,
            changed=lambda: self._changed(endpoint),
            look=lambda: self._tripped(alarms),
            look_every=lambda: self._knobs.alarm_poll_seconds,
        )
        endpoint.flight = flight
        if max_seconds is not None:
            flight.deadline(starts_after + max_seconds, lambda: self._timed_out(max_seconds))
        flight.start()
        if (ending := self._endings.pop(endpoint.arn, None)) and not flight.over:
            self._write_down(endpoint, flight, ending)

    def script(self, endpoint: Endpoint, ending: Ending) -> None:
        """Give the flight under way, or else the endpoint's next one, this *ending*."""
        if endpoint.flight and endpoint.in_flight:
            self._write_down(endpoint, endpoint.flight, ending)
        else:
            self._endings[endpoint.arn] = ending

    def _write_down(self, endpoint: Endpoint, flight: Flight, ending: Ending) -> None:
        def action() -> None:
            end(endpoint, ending, lambda name: self._fleet_of(endpoint, name), now=self._clock.now())
            self._changed(endpoint)

        flight.end_after(ending.after_seconds, action)

    def _tripped(self, alarms: Sequence[str]) -> Rollback | None:
        if self._guards.tripped(alarms):
            return Rollback(self._knobs.rollback_failure_reason)
        return None

    def _timed_out(self, seconds: int) -> Rollback:
        if self._knobs.timeout_ends_in == "Failed":
            return Rollback(f"The update did not finish within {seconds} seconds.", ends_in="Failed")
        return Rollback(self._knobs.rollback_failure_reason)
