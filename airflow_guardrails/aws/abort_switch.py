"""The abort switch on the wire: its alarm's definition, and the metric that throws it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.domain.snapshots.abort_switch import METRIC, NAMESPACE, PERIOD_SECONDS, AbortSwitch


def switch_definition(switch: AbortSwitch) -> dict[str, Any]:
    """
    What decides how the alarm behaves.

    ``ignore`` keeps the last state where there is no data, so one datapoint throws the switch and one resets
    it.
    """
    return {
        "Namespace": NAMESPACE,
        "MetricName": METRIC,
        "Dimensions": _dimensions(switch),
        "Statistic": "Maximum",
        "Period": PERIOD_SECONDS,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "ignore",
    }


def put_switch_request(switch: AbortSwitch, *, target: str) -> dict[str, Any]:
    """Return PutMetricAlarm's request; it also puts right what somebody has changed in the alarm."""
    return {
        "AlarmName": switch.alarm_name,
        "AlarmDescription": f"{_MEANING} {switch.endpoint_name} to {target}",
        # SageMaker reads the state; there is nobody to notify.
        "ActionsEnabled": False,
        **switch_definition(switch),
    }


def switch_target(answer: Mapping[str, Any]) -> str | None:
    """Read from DescribeAlarms' answer which configuration the switch's rollout was to bring into service."""
    described = (alarm.get("AlarmDescription") or "" for alarm in answer.get("MetricAlarms", ()))
    targets = (text.rpartition(" to ")[2] for text in described if text.startswith(_MEANING))
    return next(targets, None)


_MEANING = "Abort switch of airflow-guardrails: in ALARM it rolls back the update of endpoint"


def publish_request(switch: AbortSwitch, value: float) -> dict[str, Any]:
    datum = {
        "MetricName": METRIC,
        "Dimensions": _dimensions(switch),
        "Value": value,
        "StorageResolution": 1,
    }
    return {"Namespace": NAMESPACE, "MetricData": [datum]}


def _dimensions(switch: AbortSwitch) -> list[dict[str, str]]:
    return [
        {"Name": "EndpointName", "Value": switch.endpoint_name},
        {"Name": "Rollout", "Value": switch.rollout},
    ]
