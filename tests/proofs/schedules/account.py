"""
The simulated account: the simulator's objects without a wire, and what is true of them, whatever a read says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from werkzeug.http import http_date

from airflow_guardrails.aws.tags import INTENT_PREFIX
from airflow_guardrails.domain.snapshots.abort_switch import (
    AbortSwitch,
    guard_prefix,
    switch_prefix,
    switches_among,
)
from airflow_guardrails.simulator.cloudwatch.alarm_queries import describe_alarm_history, describe_alarms
from airflow_guardrails.simulator.cloudwatch.publishing import put_metric_data
from airflow_guardrails.simulator.cloudwatch.queries import get_metric_statistics
from airflow_guardrails.simulator.engine import validation
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.serving.instance_metrics import InstanceMetrics
from airflow_guardrails.simulator.world import Simulation
from tests.proofs.schedules.model import BASE, CONFIGS, ENDPOINTS, PEOPLES_ALARMS, SCRIPTED, Schedule
from tests.support.churn import alarm_request, model_request

# Not on a whole second: the Date header has no fractions, LastModifiedTime has.
START = datetime(2026, 3, 2, 10, 0, 0, 400_000, tzinfo=timezone.utc)
SOMEBODY = "somebody"


@dataclass
class Throw:
    by: str
    at: datetime
    switch: str
    value: float


@dataclass
class Update:
    """An UpdateEndpoint that SageMaker accepted, and what truly came of it."""

    by: str
    endpoint: str
    target: str
    previous: str
    at: datetime
    started_at: datetime
    alarms: tuple[str, ...]
    retains: bool
    ended_at: datetime | None = None
    status: str | None = None
    serving: str | None = None
    # What the one who asked was doing: a task's try.
    attempt: int = 0

    @property
    def served(self) -> bool:
        return self.serving == self.target and self.status == "InService"


@dataclass
class Truth:
    """One endpoint as it is, and the updates that it had."""

    endpoint: Any
    updates: list[Update] = field(default_factory=list)

    @property
    def in_flight(self) -> Update | None:
        last = self.updates[-1] if self.updates else None
        return last if last and last.ended_at is None else None

    def looks(self, window: timedelta, now: datetime) -> list[dict[str, Any]]:
        """How it was at some moment of the last *window*, which includes now."""
        history = self.endpoint.history
        recent = [look for when, look in history._snapshots if when >= now - window]
        # What happened at the very moment of a look may have come after it.
        before = history.as_of(now - window - timedelta(milliseconds=1))
        return [dict(look or {}) for look in [*recent, before, history.as_of(now)]]


class Account:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.story: list[str] = []
        self.broken: list[str] = []
        self.throws: list[Throw] = []
        self.deleted_configs: set[str] = set()
        self.repointed: list[datetime] = []
        # What is asked at each call, see invariants.
        self.watchers: dict[str, tuple[Callable[..., str | None], ...]] = {}
        # Who may change what, and why; set by the actors.
        self.actors: dict[str, Any] = {}
        self.clock = Clock(start=START - timedelta(minutes=20))
        self.simulation = Simulation(clock=self.clock, seed=schedule.seed)
        with patch.object(InstanceMetrics, "_publish", _nothing):  # nobody reads them, and they take a tenth
            self.world = self.simulation.world("us-east-1")
        self.latency = schedule.latency
        self._evaluate, self._quiet_from = self.world.alarms._tick, self.now()
        self.world.alarms._tick = self._evaluate_unless_quiet  # type: ignore[method-assign]
        self._build()
        self.clock.advance(1200)
        self.simulation.knobs.update(**schedule.knobs)
        self.truths = {name: self._truth(name) for name in ENDPOINTS}
        if schedule.traffic:
            self.clock.every(60, self._predict)

    def now(self) -> datetime:
        return self.clock.now()

    def tell(self, who: str, what: str) -> None:
        passed = int((self.now() - START).total_seconds())
        self.story.append(f"{passed // 3600:02}:{passed // 60 % 60:02}:{passed % 60:02}  {who}: {what}")

    def breaks(self, complaint: str | None) -> None:
        """Record a violation; an error raised here might be swallowed by the caller of AWS."""
        if complaint:
            self.tell("BROKEN", complaint)
            self.broken.append(complaint)

    @property
    def staleness(self) -> timedelta:
        """How old what a look says may be."""
        knobs = self.simulation.knobs
        stale = knobs.stale_read_seconds if knobs.stale_read_probability else 0.0
        return timedelta(seconds=max(stale, knobs.describe_lag_seconds))

    # What there is.

    def _build(self) -> None:
        catalogue = self.world.sagemaker.catalogue
        catalogue.create_model(model_request("churn"))
        for name in (*CONFIGS, SCRIPTED):
            self.make_config(name)
        for name in ENDPOINTS:
            self.world.sagemaker.create_endpoint({"EndpointName": name, "EndpointConfigName": BASE})
        for name in PEOPLES_ALARMS:
            self.world.alarms.put_metric_alarm(alarm_request(name))
            self.set_alarm(name, "OK")

    def make_config(self, name: str) -> None:
        variant = {"VariantName": "All", "ModelName": "churn", "InstanceType": "ml.m5.large"}
        variants = [{**variant, "InitialInstanceCount": 4}]
        request = {"EndpointConfigName": name, "ProductionVariants": variants}
        self.world.sagemaker.catalogue.create_endpoint_config(request)

    def set_alarm(self, name: str, state: str) -> None:
        self.world.alarms.set_state(name, state=state, reason=f"Set to {state}")

    def fill_tags(self, config: str) -> None:
        tags = self.world.sagemaker.catalogue.tags
        arn = self.world.sagemaker.catalogue.arn("endpoint-config", config)
        room = 50 - len(tags.of(arn))
        more = [{"Key": f"theirs-{number}", "Value": "x"} for number in range(room)]
        tags.add({"ResourceArn": arn, "Tags": more})

    def gone(self, endpoint: str) -> bool:
        return endpoint not in self.world.sagemaker.endpoint_names()

    def _truth(self, name: str) -> Truth:
        truth = Truth(endpoint=self.world.sagemaker._find(name))
        history = truth.endpoint.history
        record = history.record

        def recorded(when: datetime, look: Any) -> None:
            record(when, look)
            self._settle(truth, look)

        history.record = recorded
        return truth

    def _settle(self, truth: Truth, look: Any) -> None:
        update = truth.in_flight
        if update is None or (look is not None and truth.endpoint.in_flight):
            return
        update.ended_at = self.now()
        update.status = truth.endpoint.status if look is not None else None
        update.serving = truth.endpoint.config_name if look is not None else None
        self.tell("AWS", f"{update.endpoint} is {update.status} and serves {update.serving}")

    def _predict(self) -> None:
        for name, truth in self.truths.items():
            for fleet in truth.endpoint.fleets:
                if any(variant.active for variant in fleet.variants):
                    by_fleet = {"EndpointName": name, "VariantName": "All"}
                    by_fleet["EndpointConfigName"] = fleet.config_name
                    self.world.metrics.record("AWS/SageMaker", "Invocations", by_fleet, [9.0], at=self.now())

    def _evaluate_unless_quiet(self) -> None:
        """Where no data has come for minutes, no alarm here changes: missing data is ignored."""
        if self.now() <= self._quiet_from:
            self._evaluate()

    # Calls.

    def carry_out(self, operation: str, request: dict[str, Any], by: str) -> dict[str, Any]:
        before = self._before(operation, request)
        if operation in {"PutMetricAlarm", "PutMetricData"}:
            late = timedelta(seconds=self.simulation.knobs.metric_delay_seconds)
            self._quiet_from = self.now() + timedelta(minutes=2) + late
        try:
            if operation in _SAGEMAKER:
                validation.check(operation, request)
            answer = dict(_OPERATIONS[operation](self.world, request) or {})
        except ServiceException as error:
            raise self.error(operation, error.code, error.message) from None
        if noted := getattr(self, f"_after_{operation}", None):
            noted(request, by, before)
        return {**answer, "ResponseMetadata": self.metadata(200)}

    def error(self, operation: str, code: str, message: str, status: int = 400) -> ClientError:
        answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": self.metadata(status)}
        return ClientError(answer, operation)

    def metadata(self, status: int) -> dict[str, Any]:
        return {"HTTPStatusCode": status, "HTTPHeaders": {"date": http_date(self.now())}}

    def _before(self, operation: str, request: dict[str, Any]) -> Any:
        if operation == "UpdateEndpoint" and (truth := self.truths.get(request["EndpointName"])):
            return truth.endpoint.config_name
        return None

    def _after_UpdateEndpoint(self, request: dict[str, Any], by: str, previous: str) -> None:  # noqa: N802
        truth = self.truths[request["EndpointName"]]
        accepted = self.world.sagemaker.accepted_updates[-1]
        actor = self.actors.get(by)
        update = Update(
            by=by,
            endpoint=request["EndpointName"],
            target=request["EndpointConfigName"],
            previous=previous,
            at=self.now(),
            started_at=accepted.start_time,
            alarms=accepted.alarms,
            retains=bool(request.get("RetainDeploymentConfig")),
            attempt=actor.attempt if actor else 0,
        )
        truth.updates.append(update)
        self._watch_call("accepted", by, update)

    def _after_AddTags(self, request: dict[str, Any], by: str, _: Any) -> None:  # noqa: N802
        keys = [tag["Key"] for tag in request["Tags"] if tag["Key"].startswith(INTENT_PREFIX)]
        self._watch_call("tagged", by, [key.removeprefix(INTENT_PREFIX) for key in keys])

    def _after_PutMetricData(self, request: dict[str, Any], by: str, _: Any) -> None:  # noqa: N802
        datum = request["MetricData"][0]
        names = {pair["Name"]: pair["Value"] for pair in datum["Dimensions"]}
        switch = AbortSwitch(endpoint_name=names["EndpointName"], rollout=names["Rollout"])
        throw = Throw(by=by, at=self.now(), switch=switch.alarm_name, value=datum["Value"])
        self.throws.append(throw)
        if throw.value >= 1:
            self._watch_call("threw", by, switch)

    def _after_DeleteAlarms(self, request: dict[str, Any], by: str, _: Any) -> None:  # noqa: N802
        for name in request["AlarmNames"]:
            self._watch_call("deleted", by, name)

    def _watch_call(self, what: str, by: str, *rest: Any) -> None:
        for watcher in self.watchers.get(what, ()):
            self.breaks(watcher(self, by, *rest))

    def switches(self) -> list[AbortSwitch]:
        names = [alarm.name for alarm in self.world.alarms.all()]
        return [each for name in ENDPOINTS for each in switches_among(names, endpoint_name=name)]


def _nothing(_: Any) -> None:
    pass


def is_switch(name: str) -> bool:
    return any(name.startswith(switch_prefix(endpoint)) for endpoint in ENDPOINTS)


def is_guard(name: str) -> bool:
    return any(name.startswith(guard_prefix(endpoint)) for endpoint in ENDPOINTS)


_SAGEMAKER: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "DescribeEndpoint": lambda world, request: world.sagemaker.describe_endpoint(request),
    "UpdateEndpoint": lambda world, request: world.sagemaker.update_endpoint(request),
    "DescribeEndpointConfig": lambda world, request: world.sagemaker.catalogue.describe_endpoint_config(
        request
    ),
    "DescribeModel": lambda world, request: world.sagemaker.catalogue.describe_model(request),
    "AddTags": lambda world, request: world.sagemaker.catalogue.tags.add(request),
    "ListTags": lambda world, request: world.sagemaker.catalogue.tags.list(request),
}
_OPERATIONS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    **_SAGEMAKER,
    "DescribeAlarms": lambda world, request: describe_alarms(world.alarms, request),
    "DescribeAlarmHistory": lambda world, request: describe_alarm_history(world.alarms, request),
    "PutMetricAlarm": lambda world, request: world.alarms.put_metric_alarm(request),
    "DeleteAlarms": lambda world, request: world.alarms.delete(request["AlarmNames"]),
    "PutMetricData": lambda world, request: put_metric_data(world.metrics, request, now=world.clock.now()),
    "GetMetricStatistics": lambda world, request: get_metric_statistics(world.metrics, request),
}
