"""One endpoint in a test's hands: ``churn``, four instances on ``blue``, with ``green`` waiting."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.bench import Bench


@pytest.fixture
def bench(simulator, aws) -> Bench:
    """A model, two configurations that differ in their name only, and no endpoint."""
    bench = Bench(simulator, aws)
    bench.model()
    for name in ("blue", "green"):
        bench.config(name)
    return bench


@pytest.fixture
def churn(bench) -> Bench:
    """The endpoint, InService on ``blue``."""
    bench.create()
    return bench


@pytest.fixture
def arn():
    return lambda kind, name: f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}"


@pytest.fixture
def canary():
    """A DeploymentConfig: one instance of four for ten minutes, then all for five, unless told otherwise."""

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
    """A DeploymentConfig: one instance of four at a time, five minutes each, back all at once."""

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
