"""
The requests of the domain to its caller, as values: describe an endpoint, read alarms, compute, log, wait.

Generators of ``domain.rollout`` and ``domain.shadow`` yield them and are sent the results. ``hooks._effects``
runs them. A failed request gives :class:`NoResponse`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus
from airflow_guardrails.domain.snapshots.experiment import ExperimentStatus
from airflow_guardrails.domain.snapshots.metrics import MetricDatum, MetricQuery


@dataclass(frozen=True, slots=True)
class DescribeEndpoint:
    """Request an ``Endpoint`` or a ``MissingEndpoint``."""

    endpoint_name: str


@dataclass(frozen=True, slots=True)
class DescribeAlarms:
    """Request a tuple of ``Alarm``; names that do not exist are left out."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DescribeAlarmHistory:
    """Request a tuple of ``AlarmTransition`` between *start* and *end*."""

    names: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class GetMetricData:
    """Request one series (minute -> value) for each of *queries*, from *start* to *end*."""

    queries: tuple[MetricQuery, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PutMetricData:
    """Request to publish *data* as metrics of *namespace*; the result is None."""

    namespace: str
    data: tuple[MetricDatum, ...]


@dataclass(frozen=True, slots=True)
class SetAbortSwitch:
    """Request to throw (1) or reset (0) the abort switch; the result is None."""

    switch: AbortSwitch
    value: float


@dataclass(frozen=True, slots=True)
class DeleteRolloutAlarms:
    """
    Request to delete the abort switches and guards of earlier rollouts; the result is None.

    Alarms whose names are, or begin with, one of *keep*, and those changed after *before*, are not deleted.
    """

    endpoint_name: str
    keep: tuple[str, ...]
    before: datetime


@dataclass(frozen=True, slots=True)
class Sleep:
    """Request to wait that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForChange:
    """
    Request to wait until it is time to describe the resource again.

    :param name: name of the endpoint or shadow test, or ARN or group of the model package.
    :param seconds: seconds to wait. The wait may be longer while a list shows no change.
    :param within: the most seconds to wait, whatever lists show.
    :param expected: status that means no change in a list; ``None``: do not use lists.
    :param modified_at: LastModifiedTime at the last look; a later one in a list is a change.
    """

    name: str
    seconds: float
    within: float
    expected: EndpointStatus | ExperimentStatus | None = None
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Compute:
    """
    Request to call *function*, which may take long; the result is what it returns, or :class:`ComputeFailed`.

    An event loop calls it in a thread. So it must be pure: it has no effects, and nobody changes its
    arguments meanwhile. If the wait is cancelled, it runs to its end and nobody gets the result.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def run(self) -> Any:
        """Call the function, in the calling thread."""
        try:
            return self.function(*self.arguments)
        except Exception as error:  # noqa: BLE001 - the process that has requested it decides
            return ComputeFailed(error)


@dataclass(frozen=True, slots=True)
class ComputeFailed:
    """The result of :class:`Compute` if its function raised *error*."""

    error: Exception


@dataclass(frozen=True, slots=True)
class LogMessage:
    """Request to log *sentence*; *report* is the report of the rollout so far."""

    sentence: str
    report: Mapping[str, Any] = field(compare=False)


@dataclass(frozen=True, slots=True)
class PublishReport:
    """
    Request to publish the report of the rollout so far, without a line in the log.

    :param state: what the report was made of, for a caller that continues from there.
    """

    report: Mapping[str, Any] = field(compare=False)
    state: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class NoResponse:
    """
    The result of a request that failed: throttled, unreachable, not allowed.

    :param reason: the error as text.
    :param final: whether a later try would fail too.
    :param denied: the IAM action that is not allowed, for example ``cloudwatch:DescribeAlarms``.
    """

    reason: str
    final: bool = False
    denied: str | None = None


Effect = (
    DescribeEndpoint
    | DescribeAlarms
    | DescribeAlarmHistory
    | GetMetricData
    | PutMetricData
    | SetAbortSwitch
    | DeleteRolloutAlarms
    | Compute
    | Sleep
    | WaitForChange
    | LogMessage
    | PublishReport
)
