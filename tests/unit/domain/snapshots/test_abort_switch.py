"""The abort switch of one rollout: its name, whose it is, and how it is found among other alarms."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.rollout.launch import owner_of
from airflow_guardrails.domain.snapshots.abort_switch import (
    AbortSwitch,
    switch_prefix,
    switches_among,
    why_not_in_flight,
)
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointStatus,
    MissingEndpoint,
    PendingDeployment,
)

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
IDENTITY = {"dag_id": "deploy", "run_id": "r", "task_id": "update", "map_index": -1}
OWNER = owner_of(**IDENTITY, endpoint_name="churn")
SWITCH = AbortSwitch.of("churn", owner=OWNER, target="v2")


def test_the_same_rollout_has_the_same_switch_in_every_process_and_release():
    assert SWITCH.alarm_name == "airflow-guardrails-abort-88b2072e3e17-eaa5577f4ba214d80a24-fb04dcb6"


@pytest.mark.parametrize(
    "other",
    [
        AbortSwitch.of("churn-2", owner=OWNER, target="v2"),
        AbortSwitch.of("churn", owner=owner_of(**IDENTITY, endpoint_name="churn-2"), target="v2"),
        AbortSwitch.of(
            "churn", owner=owner_of(**{**IDENTITY, "map_index": 0}, endpoint_name="churn"), target="v2"
        ),
        AbortSwitch.of("churn", owner=OWNER, target="v3"),
    ],
    ids=["endpoint", "owner's endpoint", "mapped instance", "target"],
)
def test_every_endpoint_owner_and_target_has_a_switch_of_its_own(other):
    assert other.alarm_name != SWITCH.alarm_name


sagemaker_names = st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", fullmatch=True).filter(
    lambda n: len(n) <= 63
)


@given(endpoint=sagemaker_names, target=sagemaker_names, map_index=st.integers(-1, 10**6))
def test_the_alarms_name_is_legal_and_leads_back_to_its_rollout(endpoint, target, map_index):
    owner = owner_of(**{**IDENTITY, "map_index": map_index}, endpoint_name=endpoint)
    switch = AbortSwitch.of(endpoint, owner=owner, target=target)

    assert len(switch.alarm_name) <= 255
    assert re.fullmatch(r"[a-z0-9-]+", switch.alarm_name)
    Guardrails(strategy=None, alarms=(switch.alarm_name,))  # refuses what SageMaker would
    assert switches_among([switch.alarm_name], endpoint_name=endpoint) == (switch,)
    assert switch.owner == owner
    assert switch.is_for(target)


def test_a_switch_is_for_its_target_alone():
    assert SWITCH.is_for("v2")
    assert not any(SWITCH.is_for(other) for other in ("v3", "v", "V2", ""))


def test_switches_are_found_among_alarms_in_their_order():
    later = AbortSwitch.of("churn", owner=OWNER, target="v3")
    names = ["errors", later.alarm_name, "latency", SWITCH.alarm_name]
    assert switches_among(names, endpoint_name="churn") == (later, SWITCH)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "errors",
        AbortSwitch.of("churn-2", owner=OWNER, target="v2").alarm_name,
        f"x-{SWITCH.alarm_name}",
        f"{SWITCH.alarm_name}-2",
        SWITCH.alarm_name.upper(),
        SWITCH.alarm_name[:-1],
        switch_prefix("churn"),
        switch_prefix("churn").removesuffix("-"),
        f"{switch_prefix('churn')}{OWNER}",
        f"{switch_prefix('churn')}by-hand",
    ],
)
def test_alarms_of_others_and_of_other_endpoints_are_no_switches_of_this_one(name):
    assert switches_among([name], endpoint_name="churn") == ()


def test_an_endpoint_names_the_switch_where_it_is_among_the_alarms_of_its_last_deployment():
    def look(*alarms):
        return Endpoint(name="churn", status=EndpointStatus.IN_SERVICE, seen_at=TEN, rollback_alarms=alarms)

    assert SWITCH.is_named_by(look("errors", SWITCH.alarm_name))
    assert not SWITCH.is_named_by(
        look("errors", AbortSwitch.of("churn", owner=OWNER, target="v3").alarm_name)
    )
    assert not SWITCH.is_named_by(look())
    assert not SWITCH.is_named_by(MissingEndpoint(name="churn", seen_at=TEN))


@pytest.mark.parametrize(
    ("pending", "says"),
    [
        ("v2", None),
        ("v3", "endpoint churn is being updated to v3, not to v2"),
        (None, "no update of endpoint churn is in flight"),
    ],
)
def test_what_happens_instead_of_an_update_to_the_target_is_reported(pending, says):
    update = PendingDeployment(endpoint_config_name=pending) if pending else None
    look = Endpoint(name="churn", status=EndpointStatus.UPDATING, seen_at=TEN, pending=update)
    assert why_not_in_flight(look, target="v2") == says


def test_an_endpoint_that_is_gone_has_no_update():
    gone = MissingEndpoint(name="churn", seen_at=TEN)
    assert why_not_in_flight(gone, target="v2") == "endpoint churn does not exist"
