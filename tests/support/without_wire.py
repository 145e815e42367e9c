"""A simulated account without HTTP and without botocore: a call takes a hundredth of the time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from werkzeug.http import http_date

from airflow_guardrails.simulator.cloudwatch.alarm_queries import describe_alarm_history, describe_alarms
from airflow_guardrails.simulator.cloudwatch.publishing import put_metric_data
from airflow_guardrails.simulator.cloudwatch.queries import get_metric_statistics
from airflow_guardrails.simulator.engine import validation
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.serving.instance_metrics import InstanceMetrics
from airflow_guardrails.simulator.world import Simulation
from tests.proofs.schedules.process import Killed, Process, hook_on
from tests.support.crashing import Crash, Moment

# Not on a whole second: the Date header has no fractions, LastModifiedTime has.
START = datetime(2026, 3, 2, 10, 0, 0, 400_000, tzinfo=timezone.utc)
# New alarms are evaluated so long; later nothing here changes the state of one.
EVALUATED = timedelta(minutes=3)

_CLOUDWATCH: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "DescribeAlarms": lambda world, request: describe_alarms(world.alarms, request),
    "DescribeAlarmHistory": lambda world, request: describe_alarm_history(world.alarms, request),
    "PutMetricAlarm": lambda world, request: world.alarms.put_metric_alarm(request),
    "DeleteAlarms": lambda world, request: world.alarms.delete(request["AlarmNames"]),
    "PutMetricData": lambda world, request: put_metric_data(world.metrics, request, now=world.clock.now()),
    "GetMetricStatistics": lambda world, request: get_metric_statistics(world.metrics, request),
}
_TAGS = {"AddTags": "add", "ListTags": "list", "DeleteTags": "delete"}


class AccountWithoutWire:
    """
    One simulated account. All calls of its hooks are carried out at once by the simulator's own objects.

    :ivar launched: names of the configurations that tasks have updated the endpoint to, in order.
    """

    def __init__(self, seed: int) -> None:
        self.clock = Clock(start=START)
        self.simulation = Simulation(clock=self.clock, seed=seed)
        with patch.object(InstanceMetrics, "_publish", _nothing):  # nobody reads them, and they take a tenth
            self.world = self.simulation.world("us-east-1")
        self.launched: list[str] = []
        self._evaluate, self._evaluated_until = self.world.alarms._tick, START
        self.world.alarms._tick = self._evaluate_new  # type: ignore[method-assign]
        self._crash: Crash | None = None
        self._calls = 0
        self._process = Process(self, "task")  # type: ignore[arg-type]

    def now(self) -> datetime:
        return self.clock.now()

    def runs(self, crash: Crash | None = None) -> Any:
        """Return the context in which a task runs, and dies at *crash*."""
        self._crash, self._calls = crash, 0
        return self._process.runs()

    def wire(self, operator: Any, *, sleep: Callable[[float], None]) -> Any:
        """Let *operator* use this account; return it."""
        hook = hook_on(self, sleep)  # type: ignore[arg-type]
        vars(hook)["input_shape"] = validation._input_shape
        operator.hook = hook
        operator.sleep, operator.monotonic = sleep, self._process.monotonic
        operator._cached_logger = _Silence()
        return operator

    def steps(self, operation: str, request: dict[str, Any]) -> Iterator[float]:
        """Make a call, without waiting for anything."""
        yield from ()
        self._calls += 1
        self._die(Moment.UNSENT)
        answer = self.carry_out(operation, request)
        self._die(Moment.UNANSWERED)
        return answer

    def carry_out(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        request = dict(request)
        if (pages := request.pop("PaginationConfig", None)) is not None:
            request["MaxResults"] = pages["PageSize"]
        try:
            answer = dict(self._operation(operation)(request) or {})
        except ServiceException as error:
            response = {"Error": {"Code": error.code, "Message": error.message}, **self._metadata(400)}
            raise ClientError(response, operation) from None
        if operation == "UpdateEndpoint":
            self.launched.append(request["EndpointConfigName"])
        if operation in {"PutMetricAlarm", "PutMetricData"}:
            self._evaluated_until = self.now() + EVALUATED
        return {**answer, **self._metadata(200)}

    def _operation(self, operation: str) -> Callable[[dict[str, Any]], Any]:
        if (call := _CLOUDWATCH.get(operation)) is not None:
            return lambda request: call(self.world, request)
        sagemaker = self.world.sagemaker
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        places = [
            (sagemaker, name),
            (sagemaker.catalogue, name),
            (sagemaker.experiments, name),
            (sagemaker.catalogue.tags, _TAGS.get(operation, "")),
        ]
        found = next(getattr(place, method) for place, method in places if hasattr(place, method))

        def checked(request: dict[str, Any]) -> Any:
            validation.check(operation, request)
            return found(request)

        return checked

    def _metadata(self, status: int) -> dict[str, Any]:
        headers = {"date": http_date(self.now())}
        return {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}

    def _die(self, moment: Moment) -> None:
        if self._crash == Crash(self._calls, moment):
            raise Killed

    def _evaluate_new(self) -> None:
        if self.now() <= self._evaluated_until:
            self._evaluate()


class _Silence:
    """Airflow's own logging costs half of the time."""

    def info(self, *_: Any, **__: Any) -> None:
        pass

    warning = error = debug = exception = log = info


def _nothing(_: Any) -> None:
    pass
