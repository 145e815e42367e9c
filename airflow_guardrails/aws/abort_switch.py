"""The abort switch on the wire: its alarm's definition, and the metric that throws it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.domain.abort_switch import METRIC, NAMESPACE, PERIOD_SECONDS, AbortSwitch


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


def put_switch_request(switch: AbortSwitch) -> dict[str, Any]:
    return {
        "AlarmName": switch.alarm_name,
        "AlarmDescription": (
            f"Rolls back an update of endpoint {switch.endpoint_name} when somebody aborts it in Airflow"
        ),
        # SageMaker reads the state; there is nobody to notify.
        "ActionsEnabled": False,
        **switch_definition(switch),
    }


def publish_request(switch: AbortSwitch, value: float) -> dict[str, Any]:
    datum = {
        "MetricName": METRIC,
        "Dimensions": _dimensions(switch),
        "Value": value,
        "StorageResolution": 1,
    }
    return {"Namespace": NAMESPACE, "MetricData": [datum]}


def drift(switch: AbortSwitch, alarm: Mapping[str, Any]) -> list[str]:
    """What of *alarm*, in the API's form, differs from the switch: ``Period is 60, must be 10``."""
    return [
        f"{name} is {alarm.get(name)!r}, must be {wanted!r}"
        # What we publish has no unit, so an alarm that asks for one would never see it.
        for name, wanted in {**switch_definition(switch), "Unit": None}.items()
        if alarm.get(name) != wanted
    ]


def _dimensions(switch: AbortSwitch) -> list[dict[str, str]]:
    return [{"Name": "EndpointName", "Value": switch.endpoint_name}]
