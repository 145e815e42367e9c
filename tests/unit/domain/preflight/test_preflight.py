"""All findings of an update together: silent if nothing is wrong, errors first, and each says what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from airflow_guardrails.domain.deployment.guardrails import NOTHING_RETAINED, Guardrails, RetainedProperties
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Severity
from airflow_guardrails.domain.snapshots.alarms import AlarmState
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling
from tests.support.preflight import (
    NEW,
    OLD,
    ROLLING,
    SOUND,
    SWITCH,
    alarm,
    asked,
    codes,
    config,
    context,
    endpoint,
    live,
    minutes,
    rule,
    serverless,
    table,
    the,
)


def test_a_good_update_of_an_autoscaled_endpoint_has_no_warning():
    """Retained counts and two fleets at once are normal, whatever the size of the fleet."""
    given = context(
        endpoint=endpoint(live(instances=4)),
        serving=config(OLD, asked(instances=2)),
        target=config(NEW, asked(instances=2)),
        guardrails=Guardrails(
            strategy=Canary(percent=25, bake=minutes(10), termination_wait=minutes(5)),
            alarms=("errors", SWITCH),
        ),
    )

    assert {finding.code: finding.severity for finding in preflight(given)} == {
        Code.COUNT_RETAINED: Severity.NOTE,
        Code.EXTRA_INSTANCES: Severity.NOTE,
    }


@pytest.mark.parametrize(
    "given",
    [
        SOUND,
        context(guardrails=Guardrails(strategy=ROLLING, alarms=("errors",)), switch=None),
        context(guardrails=Guardrails(strategy=AllAtOnce(termination_wait=minutes(5)), alarms=("errors",))),
        context(allow_unguarded=True, require_alarms_ok=True, max_wait=timedelta(hours=1)),
    ],
    ids=lambda given: given.guardrails.describe(),
)
def test_a_good_update_has_no_findings(given):
    assert preflight(given) == ()


def test_all_findings_are_returned_and_errors_come_first():
    given = context(
        guardrails=Guardrails(strategy=Canary(instances=2, bake=minutes(0)), alarms=("errors", "latency")),
        alarms=(alarm(AlarmState.ALARM),),
        serving=config(OLD, asynchronous=True),
        endpoint=endpoint(live(instances=3)),
        max_wait=minutes(0),
    )

    assert codes(given) == [
        Code.NO_BAKE,
        Code.ASYNC_DROPPED,
        Code.STEP_TOO_LARGE,
        Code.ALARM_MISSING,
        Code.ALARM_IN_ALARM,
        Code.SCHEDULE_EXCEEDS_WAIT,
        Code.COUNT_RETAINED,
        Code.EXTRA_INSTANCES,
    ]
    assert [finding.stops for finding in preflight(given)] == [True] * 5 + [False] * 3


def test_a_finding_has_text_and_fix_in_the_log_and_in_the_report():
    finding = the(Code.ALARM_MISSING, context(alarms=()))

    assert str(finding) == f"error alarm_missing: {finding.text}; {finding.fix}"
    assert json.loads(json.dumps(finding.as_dict())) == {
        "code": "alarm_missing",
        "severity": "error",
        "text": "there is no CloudWatch alarm errors",
        "fix": "create it in the endpoint's region, or correct alarms (names, not ARNs)",
    }


def test_the_table_of_codes_has_each_once_and_no_other():
    assert [code for code, _, _ in table()] == [code.value for code in Code]


# It never raises an error.

whole_strategies = st.one_of(
    st.none(),
    st.builds(AllAtOnce, termination_wait=st.integers(0, 60).map(minutes)),
    st.builds(Canary, percent=st.integers(1, 50), bake=st.integers(0, 60).map(minutes)),
    st.builds(Linear, instances=st.integers(1, 9), bake=st.integers(0, 60).map(minutes)),
    st.builds(Rolling, batch_instances=st.integers(1, 9), bake=st.integers(0, 60).map(minutes)),
)
names = st.sampled_from(["AllTraffic", "Main"])
asked_variants = st.lists(
    st.one_of(
        st.builds(asked, names, st.one_of(st.none(), st.integers(1, 30))), st.builds(serverless, names)
    ),
    min_size=1,
    max_size=2,
)
any_facts = st.builds(
    PreflightContext,
    endpoint=st.lists(st.builds(live, names, st.integers(0, 30), st.sampled_from([None, 0.0, 1.0]))).map(
        lambda variants: replace(endpoint(), variants=tuple(variants))
    ),
    serving=st.one_of(st.none(), asked_variants.map(lambda variants: config(OLD, *variants))),
    target=asked_variants.map(lambda variants: config(NEW, *variants)),
    guardrails=st.builds(
        Guardrails, strategy=whole_strategies, alarms=st.sampled_from([(), ("errors",), (SWITCH, "errors")])
    ),
    alarms=st.lists(
        st.builds(alarm, st.sampled_from(AlarmState), rule=st.one_of(st.none(), st.builds(rule)))
    ).map(tuple),
    retained=st.sampled_from([RetainedProperties(), NOTHING_RETAINED]),
    marketplace=st.booleans(),
    allow_unguarded=st.booleans(),
)


@settings(max_examples=60)
@for_all(any_facts)
def test_errors_always_come_first_and_each_but_a_note_has_a_fix(known):
    found = preflight(known)

    assert [finding.stops for finding in found] == sorted((finding.stops for finding in found), reverse=True)
    assert all(finding.text and "None" not in str(finding) for finding in found)
    assert all(bool(finding.fix) == (finding.severity is not Severity.NOTE) for finding in found)
