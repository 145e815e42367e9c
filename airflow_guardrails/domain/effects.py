"""
What whoever follows something may ask for, as values: a look, the alarms' states, a pause.

``domain.follow`` and its kin yield these and are sent the answers; ``hooks.driving`` makes the calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus
from airflow_guardrails.domain.snapshots.experiment import ExperimentStatus
from airflow_guardrails.domain.snapshots.metrics import MetricQuery


@dataclass(frozen=True, slots=True)
class DescribeEndpoint:
    """Wants an ``Endpoint`` or a ``MissingEndpoint``, or ``NoAnswer``."""

    endpoint_name: str


@dataclass(frozen=True, slots=True)
class DescribeAlarms:
    """Wants a tuple of ``Alarm``, of those that exist, or ``NoAnswer``."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DescribeAlarmHistory:
    """Wants a tuple of ``AlarmTransition``, or ``NoAnswer``."""

    names: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class GetMetricData:
    """
    Wants, for each of *queries*, its values by minute from *start* to *end*, or ``NoAnswer``.
    """

    queries: tuple[MetricQuery, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class SetAbortSwitch:
    """Wants the abort switch to be thrown or reset; the answer is ``NoAnswer`` where that failed."""

    switch: AbortSwitch
    value: float


@dataclass(frozen=True, slots=True)
class DeleteAbortSwitches:
    """
    Wants the abort switches of earlier rollouts of the endpoint to be deleted, those changed after *before*
    and those to *keep* excepted; the answer is ``NoAnswer`` where that failed.
    """

    endpoint_name: str
    keep: tuple[str, ...]
    before: datetime


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wants to go on after that many seconds of the wall clock."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForChange:
    """
    Wants to go on when the next look is worth it.

    That is after *seconds* or, while a list shows what is waited for as *expected* and not changed since
    *modified_at*, later; but *within* so many seconds.

    :param name: of the endpoint, or of the shadow test.
    :param expected: status in which it may be listed without that being news; ``None``: look in any case.
    """

    name: str
    seconds: float
    within: float
    expected: EndpointStatus | ExperimentStatus | None = None
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogMessage:
    """Wants a sentence to be logged; *report* is how far the rollout is."""

    sentence: str
    report: Mapping[str, Any] = field(compare=False)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """
    AWS was asked and could not say: throttled, unreachable, not permitted.

    *final* is said of what will not be answered later either, *denied* is the action that AWS does not allow.
    """

    reason: str
    final: bool = False
    denied: str | None = None


Effect = (
    DescribeEndpoint
    | DescribeAlarms
    | DescribeAlarmHistory
    | GetMetricData
    | SetAbortSwitch
    | DeleteAbortSwitches
    | Sleep
    | WaitForChange
    | LogMessage
)
