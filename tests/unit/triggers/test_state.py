"""A watch survives being written down as JSON: in the database, and past a restarted triggerer."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.domain.canary.config import CanaryAnalysis, OnInconclusive
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.judge.rules import Direction, OnMissing
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState, StageChange
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import AlarmDefinition
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus, MissingEndpoint, Stage
from airflow_guardrails.rules import MetricRule
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling
from airflow_guardrails.triggers._state import dump_state, load_state

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
TEN_MINUTES = timedelta(minutes=10)
GUARDRAILS = (
    None,
    Guardrails(strategy=None),
    Guardrails(strategy=None, alarms=("errors",)),
    Guardrails(strategy=AllAtOnce(), alarms=("errors", "latency: p90 / \u00fcber 2 s")),
    Guardrails(strategy=Canary(percent=25, bake=TEN_MINUTES, max_duration=timedelta(hours=1))),
    Guardrails(strategy=Linear(instances=2, bake=TEN_MINUTES, termination_wait=TEN_MINUTES)),
    Guardrails(strategy=Rolling(batch_percent=5, bake=TEN_MINUTES, rollback_batch_instances=3)),
)


def offsets():
    return st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def moments():
    """Times on AWS's clock, in whatever zone boto3 puts them."""
    return st.datetimes(datetime(2015, 1, 1), datetime(2100, 1, 1), timezones=offsets())  # noqa: DTZ001


def spans():
    return st.timedeltas(timedelta(0), timedelta(days=365))


def every_field(kind, **chosen):
    """Values of *kind* with no field left at its default, those added later included."""
    return st.builds(
        kind, **{field.name: chosen.get(field.name, ...) for field in fields(kind) if field.init}
    )


def rollouts():
    return every_field(
        Rollout,
        asked_at=st.none() | moments(),
        launched_at=st.none() | moments(),
        started_at=st.none() | moments(),
        guardrails=st.sampled_from(GUARDRAILS),
        grace=spans(),
        max_wait=st.none() | spans(),
        deadline=st.none() | moments(),
        switch=st.none(),
    ).flatmap(maybe_switched)


def maybe_switched(rollout):
    """A switch is of the rollout's own endpoint."""
    switches = st.builds(
        AbortSwitch, endpoint_name=st.just(rollout.endpoint_name), rollout=st.text(min_size=1)
    )
    return st.builds(replace, st.just(rollout), switch=st.none() | switches)


def watches():
    return every_field(
        RolloutState,
        rollout=rollouts(),
        first_look_at=st.none() | moments(),
        as_of=st.none() | moments(),
        thrown_at=st.none() | moments(),
        definitions=st.dictionaries(
            st.text(), st.dictionaries(st.text(), st.text(), max_size=3), max_size=3
        ).map(defined),
        last_look=st.none() | st.just(MissingEndpoint(name="churn", seen_at=TEN)),
        stages=st.lists(every_field(StageChange, at=moments()), max_size=4).map(tuple),
        analysis=st.none() | analyses(),
        approval=st.none() | st.just({"approved": True, "by": "Ada"}),
        outcome=st.none(),
    )


def defined(alarms):
    return tuple(AlarmDefinition(name=name, settings=tuple(each.items())) for name, each in alarms.items())


def analyses():
    """Analyses in the middle of it, of every configuration that can be written down."""
    rules = every_field(
        MetricRule,
        metric=st.sampled_from(["ModelLatency", "Invocation5XXErrors"]),
        stat=st.sampled_from(["Sum", "Average"]),
        direction=st.sampled_from(Direction),
        on_missing=st.sampled_from(OnMissing),
        margin=st.none() | st.sampled_from(["10%", 0.005]),
        min_requests=st.integers(1, 10_000),
        min_minutes=st.integers(1, 60),
        namespace=st.sampled_from(["AWS/SageMaker", "Ours"]),
        dimensions=st.dictionaries(st.text(), st.text(), max_size=2),
        per=st.none(),
    ) | st.builds(
        MetricRule, st.just("Clicks"), stat=st.just("Sum"), per=st.sampled_from(["Answers", "Seconds"])
    )
    configs = every_field(
        CanaryAnalysis,
        rules=st.lists(rules, min_size=1, max_size=3),
        every=st.timedeltas(timedelta(minutes=5), timedelta(hours=1)),
        warm_up=st.timedeltas(timedelta(0), timedelta(hours=8)),
        alpha=st.floats(0.001, 0.499),
        on_inconclusive=st.sampled_from(OnInconclusive),
        verdict_namespace=st.none() | st.sampled_from(["Ours", "Ours/Verdicts #2"]),
    )
    powers = st.fixed_dictionaries({"text": st.text(), "rules": st.just([{"pass_chance": 0.9}])})
    return st.builds(
        AnalysisState,
        config=configs,
        power=st.none() | powers,
        looks=st.integers(0, 9),
        passed_at=st.none() | moments(),
    )


def through_json(watch):
    return load_state(json.loads(json.dumps(dump_state(watch))))


@given(watch=watches())
def test_a_watch_is_recalled_as_it_was_but_for_its_last_look_and_verdict(watch):
    # An analysis judges anew from all that there is.
    analysis = watch.analysis
    anew = AnalysisState(config=analysis.config, power=analysis.power) if analysis else None
    # The trigger has on_kill as an argument, and reads the alarms again.
    rollout = replace(watch.rollout, on_kill="leave")
    assert through_json(watch) == replace(
        watch, rollout=rollout, last_look=None, alarms_seen=(), alarms_as_of=None, analysis=anew
    )


@given(watch=watches())
def test_what_is_written_down_is_plain_json(watch):
    memory = dump_state(watch)

    assert json.loads(json.dumps(memory, allow_nan=False)) == memory


def test_an_update_without_guardrails_is_not_confused_with_unknown_guardrails():
    rollout = Rollout(endpoint_name="churn", target="churn-v2")
    bare = replace(rollout, guardrails=Guardrails(strategy=None))

    assert through_json(RolloutState(rollout=rollout)).rollout.guardrails is None
    assert through_json(RolloutState(rollout=bare)).rollout.guardrails == Guardrails(strategy=None)


def test_a_wait_of_nothing_is_not_confused_with_one_without_limit():
    rollout = Rollout(endpoint_name="churn", target="churn-v2", max_wait=timedelta(0))

    assert through_json(RolloutState(rollout=rollout)).rollout.max_wait == timedelta(0)


def test_words_are_recalled_as_the_enums_they_are_compared_with_by_identity():
    rollout = Rollout(endpoint_name="churn", target="churn-v2", status_before=EndpointStatus.IN_SERVICE)
    baking = StageChange(stage=Stage.BAKING, at=TEN, instances=1, desired_instances=4)

    # A str enum equals its text, so equality would not tell.
    watch = through_json(RolloutState(rollout=rollout, stages=(baking,), suspected=Outcome.ROLLED_BACK))
    assert watch.rollout.status_before is EndpointStatus.IN_SERVICE
    assert watch.stages[0].stage is Stage.BAKING
    assert watch.suspected is Outcome.ROLLED_BACK
