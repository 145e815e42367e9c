"""The parts of a rollout's report that show its progress: plan, stages, traffic, alarms, links."""

from __future__ import annotations

from typing import TypedDict

from airflow_guardrails.domain.deployment.metric_units import unit_of
from airflow_guardrails.domain.rollout.stages import (
    UnseenBake,
    plan_of,
    stages_with_unseen,
    traffic_course,
)
from airflow_guardrails.domain.rollout.state import RolloutState, StageChange
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmRule
from airflow_guardrails.domain.snapshots.arn import Place
from airflow_guardrails.domain.snapshots.console import alarm_page, console_url, endpoint_page
from airflow_guardrails.domain.snapshots.guard_alarms import watched_in
from airflow_guardrails.domain.times import format_time


class StepReport(TypedDict):
    """
    A planned step: the new fleet's share in percent from then on, and the bake after it.

    *minute* counts from the first step, by the bakes alone: how long instances need to start is unknown.
    """

    minute: float
    percent: float | None
    bake_minutes: float


class StrategyReport(TypedDict):
    """The strategy in words, and its steps."""

    name: str
    description: str
    steps: list[StepReport]


class StageReport(TypedDict):
    """
    A stage of the green fleet; *at* is ISO 8601.

    With *seen* False it must have happened by the schedule, and no look has seen it; then *at* is null.
    """

    stage: str
    at: str | None
    instances: int
    desired_instances: int
    seen: bool


class SharePoint(TypedDict):
    """The new fleet's share of the instances with traffic in percent, from *at* on."""

    at: str
    percent: float


class TrafficReport(TypedDict):
    """The new fleet's share now in percent, and how it came there, as far as the stages tell."""

    percent: float | None
    course: list[SharePoint]


class WatchedAlarm(TypedDict):
    """
    An alarm of the update as it was last read; null where that is unknown.

    *kind* is "switch" for the abort switch, "guard" for an alarm made for this rollout, and "theirs" for the
    user's other alarms. *title* is what a guard watches in words: "5xx errors of the new fleet". *value* is
    what CloudWatch had when the state last changed, at *value_at*. *unit* is "%" if values and threshold are
    shares of 1, "ms" if they are microseconds, else null.
    """

    name: str
    kind: str
    title: str | None
    state: str | None
    since: str | None
    watches: str | None
    comparison: str | None
    threshold: float | None
    unit: str | None
    value: float | None
    value_at: str | None


class LinksReport(TypedDict):
    """URLs of the endpoint and of its alarms (by name) in the AWS console."""

    endpoint: str | None
    alarms: dict[str, str]


def strategy_report(state: RolloutState) -> StrategyReport | None:
    """Return the strategy of the update; None if it is unknown, or SageMaker's default."""
    strategy = state.rollout.guardrails.strategy if state.rollout.guardrails else None
    if strategy is None:
        return None
    steps: list[StepReport] = [
        {
            "minute": step.begins.total_seconds() / 60,
            "percent": None if step.share is None else round(step.share * 100, 2),
            "bake_minutes": step.bake.total_seconds() / 60,
        }
        for step in plan_of(state)
    ]
    return {"name": strategy.name, "description": strategy.describe(), "steps": steps}


def stage_reports(state: RolloutState) -> list[StageReport]:
    """Return the stages, with the bakes that must have happened unseen."""
    return [_stage(stage) for stage in stages_with_unseen(state)]


def _stage(stage: StageChange | UnseenBake) -> StageReport:
    seen = isinstance(stage, StageChange)
    return {
        "stage": stage.stage.value,
        "at": format_time(stage.at) if isinstance(stage, StageChange) else None,
        "instances": stage.instances,
        "desired_instances": stage.desired_instances,
        "seen": seen,
    }


def traffic_report(state: RolloutState) -> TrafficReport:
    """Return the share of the new fleet, now and before."""
    course: list[SharePoint] = [
        {"at": format_time(at), "percent": round(share * 100, 2)} for at, share in traffic_course(state)
    ]
    return {"percent": course[-1]["percent"] if course else None, "course": course}


_COMPARISONS = {
    "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": ">=",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "<=",
}


def alarm_reports(state: RolloutState) -> list[WatchedAlarm]:
    """Return the alarms that roll the update back, with their states if they were read."""
    seen = {alarm.name: alarm for alarm in state.alarms_seen}
    switch, guards = (
        state.switch.alarm_name if state.switch else None,
        guard_prefix(state.rollout.endpoint_name),
    )
    return [
        alarm_report(
            name,
            seen.get(name),
            kind="switch" if name == switch else "guard" if name.startswith(guards) else "theirs",
        )
        for name in state.alarms
    ]


def alarm_report(name: str, alarm: Alarm | None = None, *, kind: str) -> WatchedAlarm:
    """Return what the report says of an alarm; only its name if it was not read."""
    watched = (alarm.rule or alarm.expression) if alarm else None
    rule = watched if isinstance(watched, AlarmRule) else None
    return {
        "name": name,
        "kind": kind,
        "title": watched_in(alarm.description) if alarm and kind == "guard" else None,
        "state": alarm.state.value if alarm else None,
        "since": format_time(alarm.since) if alarm else None,
        "watches": alarm.watches if alarm else None,
        "comparison": _COMPARISONS.get(watched.comparison) if watched else None,
        "threshold": watched.threshold if watched else None,
        "unit": unit_of(rule.namespace, rule.metric, rule.statistic) if rule else None,
        "value": alarm.value if alarm else None,
        "value_at": format_time(alarm.since) if alarm and alarm.value is not None else None,
    }


def links_report(place: Place, *, endpoint_name: str, alarms: tuple[str, ...]) -> LinksReport:
    """Return the links to the endpoint and its alarms, as far as region and partition are known."""
    pages = {name: console_url(place, alarm_page, name) for name in alarms}
    return {
        "endpoint": console_url(place, endpoint_page, endpoint_name),
        "alarms": {name: url for name, url in pages.items() if url},
    }
