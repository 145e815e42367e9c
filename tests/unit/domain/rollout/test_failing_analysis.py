"""An analysis that fails is no verdict, and never the end of the watch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.harm import Minutes
from airflow_guardrails.domain.judge.tails import Limits
from airflow_guardrails.domain.rollout import canary_process
from airflow_guardrails.domain.snapshots.abort_switch import THROWN
from tests.support.canary_update import (
    ALL_ON,
    GO_ON,
    HOLD,
    OVER,
    TRAFFIC_ON,
    Update,
    thrown_before,
    watch,
)
from tests.support.rollouts import after

LATENCY = MetricRule("ModelLatency", stat="Average", margin=0.1, min_minutes=1)


@dataclass
class Fault:
    """Stands in for the judge, and fails from its call number *first* to *last*."""

    error: Exception
    first: int = 1
    last: float = float("inf")
    calls: int = 0

    def __call__(self, *arguments):
        self.calls += 1
        if self.first <= self.calls <= self.last:
            raise self.error
        return self.judge(*arguments)

    judge = staticmethod(canary_process.judge_trial)


@pytest.fixture
def failing(monkeypatch):
    def use(error, **when):
        fault = Fault(error, **when)
        monkeypatch.setattr(canary_process, "judge_trial", fault)
        return fault

    return use


ERRORS = [
    ZeroDivisionError("division by zero"),
    ValueError("nan"),
    KeyError("x"),
    RecursionError(),
    AssertionError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_judge_that_raises_does_not_end_the_wait(failing, error):
    fault = failing(error)

    update = Update()
    report = update.follow(watch(GO_ON))

    assert report["outcome"] == "Succeeded"
    assert fault.calls > 10
    assert report["analysis"]["label"] is None
    assert report["analysis"]["unanswered"].startswith(f"the analysis failed: {type(error).__name__}: ")
    assert update.switched.count(THROWN) == 0


def test_a_failing_analysis_is_logged_once(failing):
    failing(ZeroDivisionError("division by zero"))

    update = Update()
    report = update.follow(watch(GO_ON))

    told = [said for said in update.said if "analysis failed" in said]
    why = "the analysis failed: ZeroDivisionError: division by zero"
    assert told == [f"No verdict: {why}. The update continues and will be judged again"]
    (warning,) = [text for text in report["warnings"] if "without a Pass" in text]
    assert "the analysis failed: ZeroDivisionError: division by zero" in warning
    assert "no response from CloudWatch" not in warning


def test_a_judge_that_recovers_judges_again(failing):
    failing(ZeroDivisionError("division by zero"), last=3)

    update = Update(errors=0.3)
    report = update.follow(watch())

    assert report["outcome"] == "RolledBack"
    assert report["analysis"]["label"] == "Fail"
    assert report["analysis"]["unanswered"] is None
    assert report["cause"]["kind"] == "judge"


def test_a_failing_analysis_with_hold_aborts_the_update(failing):
    failing(ZeroDivisionError("division by zero"))

    update = Update()
    report = update.follow(watch(HOLD))

    assert report["outcome"] == "RolledBack"
    assert "the analysis failed: ZeroDivisionError" in " ".join(report["cause"]["reasons"])


def test_the_error_of_a_failing_judge_is_one_line(failing):
    failing(ValueError("first\n\x1b[31msecond https://me:secret@host " + "x" * 1000))

    report = Update().follow(watch(GO_ON))

    said = report["analysis"]["unanswered"]
    assert said.startswith("the analysis failed: ValueError: first second https://***@host xxx")
    assert len(said) < 400


def test_an_analysis_that_fails_does_not_explain_a_thrown_switch(failing):
    failing(ZeroDivisionError("division by zero"))

    report = thrown_before(Update(errors=0.3), watch())

    assert report["outcome"] == "RolledBack"
    assert report["cause"]["kind"] == "abort"


def test_a_division_by_zero_in_the_judge_does_not_end_the_wait(monkeypatch):
    monkeypatch.setattr(Minutes, "harm", lambda *_, **__: 1 / 0)
    update = Latency(of_minute=lambda minute: 10.0 + minute % 7, factor=1.02)

    report = update.follow(watch(CanaryAnalysis(rules=[LATENCY], warm_up=0, on_inconclusive="continue")))

    assert report["outcome"] == "Succeeded"
    assert report["analysis"]["unanswered"] == "the analysis failed: ZeroDivisionError: division by zero"


def test_limits_of_slow_requests_that_cannot_be_computed_do_not_end_the_wait(monkeypatch):
    monkeypatch.setattr(Limits, "of", lambda *_, **__: 1 / 0)
    p99 = replace(LATENCY, stat="p99")
    update = Latency(of_minute=lambda minute: 10.0 + minute % 7)

    report = update.follow(watch(CanaryAnalysis(rules=[p99], warm_up=0, on_inconclusive="continue")))

    assert report["outcome"] == "Succeeded"
    assert report["analysis"]["unanswered"] == "the analysis failed: ZeroDivisionError: division by zero"


@dataclass(kw_only=True)
class Latency(Update):
    """Plays an update with the latency *of_minute*, which takes *factor* times as long in the new fleet."""

    of_minute: object = None
    factor: float = 1.0

    def points(self, query, ask):
        if query.metric == "Invocations":
            return super().points(query, ask)
        new = dict(query.dimensions).get("EndpointConfigName") == "v2"
        first, last = (TRAFFIC_ON, OVER) if new else (-3600, ALL_ON)
        factor = self.factor if new else 1.0
        served = {after(second): self.of_minute(second // 60) * factor for second in range(first, last, 60)}
        return {moment: value for moment, value in served.items() if ask.start <= moment < ask.end}


NUMBERS = st.sampled_from([0.0, -1.0, 1e-300, 0.1, 1 / 3, 20.1, 1e9, 1e300, float("inf")])


@settings(max_examples=40)
@given(cycle=st.lists(NUMBERS, min_size=1, max_size=3), factor=st.sampled_from([0.0, 0.9, 1.0, 1.1, 1.2]))
def test_no_series_ends_the_wait(cycle, factor):
    update = Latency(of_minute=lambda minute: cycle[minute % len(cycle)], factor=factor)

    report = update.follow(watch(CanaryAnalysis(rules=[LATENCY], warm_up=0, on_inconclusive="continue")))

    assert report["outcome"] in {"Succeeded", "RolledBack"}
