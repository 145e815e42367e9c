"""A watch goes from worker to triggerer to triggerer; wherever it is interrupted, it ends the same."""

from __future__ import annotations

import json
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.rollout.report import rollout_report
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointStatus,
    MissingEndpoint,
    PendingDeployment,
    Stage,
    Variant,
    VariantStage,
)
from airflow_guardrails.strategies import Canary
from airflow_guardrails.triggers._state import dump_state, load_state
from tests.support.churn import switch_of
from tests.support.rollouts import LAUNCH, after

CANARY = Guardrails(strategy=Canary(percent=25, bake=timedelta(minutes=10)), alarms=("errors",))
config_names = st.sampled_from(["v1", "v2", "v3", None])


def fleets(seconds):
    mark = st.builds(
        VariantStage, stage=st.sampled_from(Stage), since=st.sampled_from([None, after(seconds)])
    )
    return st.builds(
        Variant,
        name=st.just("AllTraffic"),
        instances=st.integers(0, 4),
        desired_instances=st.just(4),
        stages=st.lists(mark, max_size=2).map(tuple),
    )


@st.composite
def anything_seen(draw):
    seconds, looks = 0, []
    for gap in draw(st.lists(st.integers(1, 200), min_size=1, max_size=10)):
        seconds += gap
        pending = st.builds(
            PendingDeployment,
            endpoint_config_name=st.sampled_from(["v2", "v2", "v3"]),
            started_at=st.sampled_from([None, after(1), after(1), after(-300), after(90)]),
            variants=st.tuples(fleets(seconds)),
        )
        seen = st.builds(
            Endpoint,
            name=st.just("churn"),
            status=st.sampled_from([EndpointStatus.UPDATING, EndpointStatus.IN_SERVICE, *EndpointStatus]),
            seen_at=st.just(after(seconds)),
            endpoint_config_name=config_names,
            last_modified_at=st.sampled_from([None, after(-9), after(seconds)]),
            pending=st.none() | pending,
            guardrails=st.sampled_from([None, CANARY]),
            rollback_alarms=st.sampled_from([(), ("errors",)]),
        )
        looks.append(
            draw(seen | seen | seen | st.just(MissingEndpoint(name="churn", seen_at=after(seconds))))
        )
    return looks


rollouts = st.builds(
    Rollout,
    endpoint_name=st.just("churn"),
    target=st.just("v2"),
    previous=st.sampled_from(["v1", None]),
    asked_at=st.sampled_from([None, after(-1)]),
    launched_at=st.sampled_from([None, LAUNCH]),
    guardrails=st.sampled_from([None, CANARY]),
    switch=st.sampled_from([None, switch_of(target="v2")]),
    max_wait=st.sampled_from([None, timedelta(minutes=10)]),
    deadline=st.sampled_from([None, after(500)]),
)


def followed(rollout, looks, *, interrupted_before):
    watch = RolloutState(rollout=rollout)
    for number, look in enumerate(looks):
        if number in interrupted_before:
            watch = load_state(json.loads(json.dumps(dump_state(watch))))
        watch = watch.after(look)
        if watch.outcome is not None:
            break
    return rollout_report(watch)


@settings(max_examples=50)
@given(rollouts, anything_seen(), st.sets(st.integers(0, 9)))
def test_a_wait_ends_the_same_wherever_it_was_interrupted(rollout, looks, interruptions):
    interrupted = followed(rollout, looks, interrupted_before=interruptions)
    assert interrupted == followed(rollout, looks, interrupted_before=())
