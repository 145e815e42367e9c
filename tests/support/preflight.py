"""An update in which preflight finds nothing, and ways to change it until it finds something."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.preflight import findings, preflight
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmRule, AlarmState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus, Variant
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig
from airflow_guardrails.strategies import Canary, Rolling

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


SWITCH = "airflow-guardrails-abort-churn"


OLD, NEW = "churn-v1", "churn-v2"


def minutes(number):
    return timedelta(minutes=number)


CANARY = Canary(percent=50, bake=minutes(10), termination_wait=minutes(5))


ROLLING = Rolling(batch_percent=50, bake=minutes(10))


def asked(name="AllTraffic", instances=2, **members):
    members = {"instance_types": ("ml.m5.large",), **members}
    return VariantConfig(name=name, initial_instances=instances, **members)


def serverless(name="AllTraffic"):
    return VariantConfig(name=name, serverless=True)


def config(name, *variants, **members):
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{name}"
    return EndpointConfig(name=name, arn=arn, variants=variants or (asked(),), **members)


def live(name="AllTraffic", instances=2, weight=1.0):
    return Variant(name=name, instances=instances, desired_instances=instances, desired_weight=weight)


def endpoint(*variants):
    return Endpoint(
        name="churn",
        status=EndpointStatus.IN_SERVICE,
        seen_at=NOW,
        endpoint_config_name=OLD,
        variants=variants or (live(),),
    )


def rule(**members):
    """Build an alarm on the error rate of the endpoint's variant that goes off within four minutes."""
    dimensions = {"EndpointName": "churn", "VariantName": "AllTraffic", **members.pop("dimensions", {})}
    members = {
        "namespace": "AWS/SageMaker",
        "metric": "Invocation5XXErrors",
        "statistic": "Average",
        "comparison": "GreaterThanThreshold",
        "threshold": 0.05,
        "period": minutes(1),
        "evaluation_periods": 1,
        "datapoints_to_alarm": 1,
        **members,
    }
    return AlarmRule(dimensions=tuple(dimensions.items()), **members)


def alarm(state=AlarmState.OK, *, name="errors", **members):
    return Alarm(name=name, state=state, **{"rule": rule(), **members})


def on(**dimensions):
    return rule(dimensions=dimensions)


SOUND = PreflightContext(
    endpoint=endpoint(),
    serving=config(OLD),
    target=config(NEW),
    guardrails=Guardrails(strategy=CANARY, alarms=("errors", SWITCH)),
    alarms=(alarm(),),
    switch=SWITCH,
)


def context(**changes):
    return replace(SOUND, **changes)


def guarded_by(strategy, *, instances=2, **changes):
    """Say that the live fleet has so many *instances*, and the new configuration asks for as many."""
    fleets = {
        "endpoint": endpoint(live(instances=instances)),
        "target": config(NEW, asked(instances=instances)),
    }
    guardrails = Guardrails(strategy=strategy, alarms=("errors", SWITCH))
    return context(**{"guardrails": guardrails, **fleets, **changes})


def watched_by(found, **changes):
    return context(alarms=(found,), **changes)


def codes(given):
    return [finding.code for finding in preflight(given)]


def table():
    """Read the table of codes: code, severity, meaning."""
    _, head, body, _ = re.split(r"^=[= ]+$", findings.__doc__, flags=re.MULTILINE)
    assert head.split() == ["code", "severity", "meaning"]
    return [row.split(maxsplit=2) for row in body.strip().splitlines()]


SEVERITIES = {code: severity for code, severity, _ in table()}


def the(code, given):
    """Give the only finding of this code; it is as severe as the table says unless an argument says so."""
    (found,) = (finding for finding in preflight(given) if finding.code is code)
    if not (given.allow_unguarded or given.require_alarms_ok):
        assert found.severity.value == SEVERITIES[code.value]
    return found


def guards(*alarms, strategy=CANARY, **changes):
    return context(guardrails=Guardrails(strategy=strategy, alarms=alarms), **changes)
