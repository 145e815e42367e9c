"""The endpoint ``churn`` with four instances on configuration ``blue``, and a configuration ``green``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.endpoint_helper import EndpointHelper


@pytest.fixture
def endpoint(simulator, aws) -> EndpointHelper:
    """A model, two configurations that differ only in their name, and no endpoint yet."""
    endpoint = EndpointHelper(simulator, aws)
    endpoint.model()
    for name in ("blue", "green"):
        endpoint.config(name)
    return endpoint


@pytest.fixture
def churn(endpoint) -> EndpointHelper:
    """The endpoint, InService on ``blue``."""
    endpoint.create()
    return endpoint


@pytest.fixture
def arn():
    return lambda kind, name: f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}"


@pytest.fixture
def canary():
    """A DeploymentConfig: one instance of four for ten minutes, then all for five, by default."""

    def config(
        *, percent=25, instances=None, bake=600, termination_wait=300, alarms=(), max_seconds=None
    ) -> dict[str, Any]:
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": bake, "CanarySize": _size(percent, instances)}
        return _blue_green(routing, termination_wait, alarms, max_seconds)

    return config


@pytest.fixture
def linear():
    def config(
        *, percent=25, instances=None, bake=300, termination_wait=0, alarms=(), max_seconds=None
    ) -> dict[str, Any]:
        routing = {
            "Type": "LINEAR",
            "WaitIntervalInSeconds": bake,
            "LinearStepSize": _size(percent, instances),
        }
        return _blue_green(routing, termination_wait, alarms, max_seconds)

    return config


@pytest.fixture
def rolling():
    """A DeploymentConfig: one instance of four at a time, five minutes each; a rollback at once."""

    def config(
        *, percent=25, instances=None, bake=300, back=None, alarms=(), max_seconds=None
    ) -> dict[str, Any]:
        policy = {"MaximumBatchSize": _size(percent, instances), "WaitIntervalInSeconds": bake}
        if back is not None:
            policy["RollbackMaximumBatchSize"] = back
        if max_seconds is not None:
            policy["MaximumExecutionTimeoutInSeconds"] = max_seconds
        return {"RollingUpdatePolicy": policy, **_guard(alarms)}

    return config


@pytest.fixture
def all_at_once():
    def config(*, termination_wait=300, alarms=(), max_seconds=None) -> dict[str, Any]:
        routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        return _blue_green(routing, termination_wait, alarms, max_seconds)

    return config


def _size(percent, instances) -> dict[str, Any]:
    if instances is None:
        return {"Type": "CAPACITY_PERCENT", "Value": percent}
    return {"Type": "INSTANCE_COUNT", "Value": instances}


def _blue_green(routing, termination_wait, alarms, max_seconds) -> dict[str, Any]:
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": termination_wait}
    if max_seconds is not None:
        policy["MaximumExecutionTimeoutInSeconds"] = max_seconds
    return {"BlueGreenUpdatePolicy": policy, **_guard(alarms)}


def _guard(alarms) -> dict[str, Any]:
    if not alarms:
        return {}
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}
