"""Parts of a plan that follow from what was read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from airflow_guardrails.domain.deployment.step_sizes import step_size
from airflow_guardrails.domain.deployment.strategies import Rolling
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.rollout.plan import PlannedAlarm
from airflow_guardrails.domain.snapshots.alarms import Alarm, WatchedMetric
from airflow_guardrails.operators._launch.request import LaunchRequest

Watched = TypeVar("Watched", bound=WatchedMetric)


def shown_guardrails(request: LaunchRequest) -> dict[str, Any]:
    """Return strategy, alarms and guards of a plan, without the alarms that the task makes."""
    made = {request.switch.alarm_name, *(guard.name for guard in request.guard_alarms)}
    alarms = tuple(name for name in request.guardrails.alarms if name not in made)
    words = [guard.words for guard in request.guard_alarms] or [guard.describe() for guard in request.guards]
    return {
        "guardrails": replace(request.guardrails, alarms=alarms),
        "alarms": tuple(PlannedAlarm(name=name) for name in alarms),
        "guards": tuple(dict.fromkeys(words)),
    }


def with_what_they_watch(
    alarms: tuple[PlannedAlarm, ...], context: PreflightContext
) -> tuple[PlannedAlarm, ...]:
    watches = {alarm.name: alarm.watches for alarm in context.alarms}
    return tuple(replace(alarm, watches=watches.get(alarm.name)) for alarm in alarms)


def with_any_config(context: PreflightContext) -> PreflightContext:
    """Take an alarm on the fleet of another configuration for one on the new fleet, whose name is unknown."""
    serving = context.endpoint.endpoint_config_name
    unknown = context.target.name

    def renamed(metric: Watched) -> Watched:
        dimensions = tuple(
            (name, unknown if name == "EndpointConfigName" and value != serving else value)
            for name, value in metric.dimensions
        )
        return replace(metric, dimensions=dimensions)

    def on_any(alarm: Alarm) -> Alarm:
        expression = alarm.expression and replace(
            alarm.expression,
            metrics=tuple((name, renamed(metric)) for name, metric in alarm.expression.metrics),
        )
        return replace(alarm, rule=alarm.rule and renamed(alarm.rule), expression=expression)

    return replace(context, alarms=tuple(map(on_any, context.alarms)))


def instance_minutes(context: PreflightContext) -> float:
    """Return how many instance minutes run beside the usual ones, without the start of instances."""
    strategy = context.guardrails.strategy
    size = step_size(strategy) if isinstance(strategy, Rolling) else None
    # A rolling update has one batch beside the fleet, the others a second fleet.
    more = sum(size.share(count) * count if size and count else count for _, count in context.fleets)
    return more * context.longest_wait.total_seconds() / 60
