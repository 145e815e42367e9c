"""Requests for the abort switch: its alarm's definition, and the metric that throws it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.domain.snapshots.abort_switch import METRIC, NAMESPACE, PERIOD_SECONDS, AbortSwitch


def switch_definition(switch: AbortSwitch) -> dict[str, Any]:
    """
    Return the part of PutMetricAlarm's request that decides when the alarm goes off.

    ``ignore`` keeps the last state while there is no data. So one datapoint throws the switch, and one resets
    it.
    """
    return {
        "Namespace": NAMESPACE,
        "MetricName": METRIC,
        "Dimensions": _dimensions(switch),
        # In a period with both values the switch counts as thrown, so a reset cannot hide an abort.
        "Statistic": "Maximum",
        "Period": PERIOD_SECONDS,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "ignore",
    }


def put_switch_request(switch: AbortSwitch, *, target: str) -> dict[str, Any]:
    """Return PutMetricAlarm's request; it also overwrites changes that somebody made to the alarm."""
    return {
        "AlarmName": switch.alarm_name,
        "AlarmDescription": f"{_DESCRIPTION} {switch.endpoint_name} to {target}",
        # Only SageMaker reads the alarm's state.
        "ActionsEnabled": False,
        **switch_definition(switch),
    }


def switch_target(response: Mapping[str, Any]) -> str | None:
    """Return the target configuration in the alarm's description; None if there is no such alarm."""
    described = (alarm.get("AlarmDescription") or "" for alarm in response.get("MetricAlarms", ()))
    # The name of a configuration has no spaces, so it follows the last " to ".
    targets = (text.rpartition(" to ")[2] for text in described if text.startswith(_DESCRIPTION))
    return next(targets, None)


_DESCRIPTION = "Abort switch of airflow-guardrails: in ALARM it rolls back the update of endpoint"


def publish_request(switch: AbortSwitch, value: float) -> dict[str, Any]:
    """Return PutMetricData's request for one datapoint with *value*."""
    datum = {
        "MetricName": METRIC,
        "Dimensions": _dimensions(switch),
        "Value": value,
        # CloudWatch needs high-resolution data for an alarm with a period of 10 seconds.
        "StorageResolution": 1,
    }
    return {"Namespace": NAMESPACE, "MetricData": [datum]}


def _dimensions(switch: AbortSwitch) -> list[dict[str, str]]:
    return [
        {"Name": "EndpointName", "Value": switch.endpoint_name},
        {"Name": "Rollout", "Value": switch.rollout},
    ]
