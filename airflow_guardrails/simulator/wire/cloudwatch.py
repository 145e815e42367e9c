"""CloudWatch's operations in moto's protocol classes. Dashboards and insight rules are moto's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from airflow_guardrails.simulator.cloudwatch.alarm_queries import (
    describe_alarm_history,
    describe_alarms,
    describe_alarms_for_metric,
)
from airflow_guardrails.simulator.cloudwatch.alarms import Alarms
from airflow_guardrails.simulator.cloudwatch.errors import ResourceNotFoundException, constraint
from airflow_guardrails.simulator.cloudwatch.publishing import put_metric_data
from airflow_guardrails.simulator.cloudwatch.queries import (
    get_metric_data,
    get_metric_statistics,
    list_metrics,
)
from airflow_guardrails.simulator.wire.answers import Answer


class CloudWatchWire(CloudWatchResponse):  # type: ignore[misc]
    """
    One request. The subclass that a server binds sets *simulation*.

    Each method carries out the operation of the same name.
    """

    simulation: Any

    def put_metric_data(self) -> ActionResult:
        put_metric_data(self._world.metrics, self._request, now=self._world.clock.now())
        return EmptyResult()

    def get_metric_data(self) -> ActionResult:
        return Answer(get_metric_data(self._world.metrics, self._world.bands, self._request))

    def get_metric_statistics(self) -> ActionResult:
        return Answer(get_metric_statistics(self._world.metrics, self._request))

    def list_metrics(self) -> ActionResult:
        return Answer(list_metrics(self._world.metrics, self._request, now=self._world.clock.now()))

    def put_metric_alarm(self) -> ActionResult:
        self._alarms.put_metric_alarm(self._request)
        return EmptyResult()

    def put_composite_alarm(self) -> ActionResult:
        self._alarms.put_composite_alarm(self._request)
        return EmptyResult()

    def describe_alarms(self) -> ActionResult:
        return Answer(describe_alarms(self._alarms, self._request))

    def describe_alarms_for_metric(self) -> ActionResult:
        return Answer(describe_alarms_for_metric(self._alarms, self._request))

    def describe_alarm_history(self) -> ActionResult:
        return Answer(describe_alarm_history(self._alarms, self._request))

    def set_alarm_state(self) -> ActionResult:
        state = self._request["StateValue"]
        # botocore does not check enums.
        if state not in _STATES:
            raise constraint(
                state, "StateValue", f"Member must satisfy enum value set: [{', '.join(_STATES)}]"
            )
        self._alarms.set_state(
            self._request["AlarmName"],
            state=state,
            reason=self._request["StateReason"],
            reason_data=self._request.get("StateReasonData") or "",
        )
        return EmptyResult()

    def delete_alarms(self) -> ActionResult:
        self._alarms.delete(self._request["AlarmNames"])
        return EmptyResult()

    def put_anomaly_detector(self) -> ActionResult:
        return ActionResult(self._world.anomaly_detectors.put(self._request))

    def describe_anomaly_detectors(self) -> ActionResult:
        return ActionResult(self._world.anomaly_detectors.describe(self._request))

    def delete_anomaly_detector(self) -> ActionResult:
        self._world.anomaly_detectors.delete(self._request)
        return EmptyResult()

    def enable_alarm_actions(self) -> ActionResult:
        self._alarms.enable_actions(self._request["AlarmNames"], enabled=True)
        return EmptyResult()

    def disable_alarm_actions(self) -> ActionResult:
        self._alarms.enable_actions(self._request["AlarmNames"], enabled=False)
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        return Answer({"Tags": [{"Key": key, "Value": value} for key, value in self._tags.items()]})

    def tag_resource(self) -> ActionResult:
        self._tags.update({tag["Key"]: tag["Value"] for tag in self._request["Tags"]})
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        for key in self._request["TagKeys"]:
            self._tags.pop(key, None)
        return EmptyResult()

    @property
    def _request(self) -> Mapping[str, Any]:
        request: Mapping[str, Any] = self._get_params()
        return request

    @property
    def _world(self) -> Any:
        return self.simulation.world(self.region)

    @property
    def _alarms(self) -> Alarms:
        alarms: Alarms = self._world.alarms
        return alarms

    @property
    def _tags(self) -> dict[str, str]:
        arn = self._request["ResourceARN"]
        # Every alarm has an entry, also without tags.
        if arn not in self._alarms.tags:
            raise ResourceNotFoundException(f"Resource {arn} does not exist")
        return self._alarms.tags[arn]


_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
