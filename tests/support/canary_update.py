"""An update with an analysis, played by its schedule: answers what the rollout's process asks for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import Canary
from airflow_guardrails.domain.effects import (
    Compute,
    DescribeAlarmHistory,
    DescribeAlarms,
    DescribeEndpoint,
    GetMetricData,
    LogMessage,
    NoResponse,
    PutMetricData,
    SetAbortSwitch,
    Sleep,
    WaitForChange,
)
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.rollout.process import WaitPolicy, wait_until_finished
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import THROWN
from airflow_guardrails.domain.snapshots.alarms import AlarmState, AlarmTransition
from airflow_guardrails.domain.snapshots.endpoint import (
    Stage,
    Variant,
)
from tests.support.churn import switch_of
from tests.support.rollouts import LAUNCH, after, flying, in_service

SWITCH = switch_of()


# Counts need no blocks: each minute has as many requests as it takes.
RULE = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.05, min_minutes=1)


HOLD = CanaryAnalysis(rules=[RULE], warm_up=0)


GO_ON = replace(HOLD, on_inconclusive="continue")


OBSERVE = replace(HOLD, observe_only=True)


# 600 s until the traffic is on, then two bakes of 20 and 5 minutes.
CANARY = Canary(percent=25, bake=timedelta(minutes=20), termination_wait=timedelta(minutes=5))


TRAFFIC_ON, ALL_ON, OVER = 600, 600 + 1200, 600 + 1500


def watch(analysis=HOLD, *, strategy=CANARY, **facts):
    guardrails = Guardrails(strategy=strategy, alarms=("errors", SWITCH.alarm_name))
    known = {"previous": "v1", "launched_at": LAUNCH, "guardrails": guardrails, "switch": SWITCH, **facts}
    rollout = Rollout(endpoint_name="churn", target="v2", **known)
    return RolloutState(rollout=rollout, analysis=AnalysisState(config=analysis) if analysis else None)


@dataclass
class Update:
    """
    Plays an update by its schedule; what throws the switch within a bake is rolled back by the next look.

    *errors* is the part of the new fleet's requests that fail; *lived*: for how long both configurations have
    served before, and failed in everything; else the old one has, and never failed. *loses_at*: the second
    from which the new fleet gets only a tenth of its requests.
    """

    errors: float = 0.0
    requests: float = 400.0
    lived: float = 0.0
    loses_at: float = float("inf")
    silent: NoResponse | None = None
    unpublished: NoResponse | None = None
    deaf: bool = False
    switch: object = None
    strategy: Canary = CANARY
    passed: float = 0.0
    thrown_at: float | None = None
    asked: list = field(default_factory=list)

    def follow(self, watched, *, every=30.0, **more):
        following = WaitPolicy(every=every, monotonic=lambda: self.passed, began_at=LAUNCH, **more)
        steps, answer = wait_until_finished(watched, following), None
        while True:
            try:
                ask = steps.send(answer)
            except StopIteration as end:
                _, report = end.value
                return report
            if isinstance(ask, Compute):
                answer = ask.run()
                continue
            self.asked.append(ask)
            answer = self.answer(ask)

    def answer(self, ask):  # noqa: PLR0911 - one for each effect
        match ask:
            case DescribeEndpoint():
                return self.look()
            case GetMetricData():
                return self.silent or self.series(ask)
            case PutMetricData():
                return self.unpublished
            case SetAbortSwitch(_, value):
                if value == THROWN and self.switch is None:
                    self.thrown_at = self.passed
                return self.switch
            case Sleep(seconds) | WaitForChange(seconds=seconds):
                self.passed += seconds
            case DescribeAlarmHistory():
                return () if self.thrown_at is None else (tripped(SWITCH.alarm_name, self.thrown_at),)
            case DescribeAlarms():
                return ()
        return None

    def look(self):
        if self.thrown_at is not None and not self.deaf:
            return serving(self.passed, "v1")
        return self.standing(self.passed)

    def standing(self, passed):
        if passed < TRAFFIC_ON:
            return flying(passed, Stage.CREATING, since=1, instances=0, last_modified_at=after(1))
        if passed < ALL_ON:
            return flying(passed, Stage.BAKING, since=TRAFFIC_ON, instances=1, last_modified_at=after(1))
        if passed < OVER:
            return flying(passed, Stage.BAKING, since=ALL_ON, instances=4, last_modified_at=after(1))
        return serving(passed, "v2")

    def series(self, ask):
        return {query: self.points(query, ask) for query in ask.queries}

    def points(self, query, ask):
        new = dict(query.dimensions).get("EndpointConfigName") == "v2"
        first, last = (TRAFFIC_ON, OVER) if new else (0, ALL_ON)
        value = self.requests if query.metric == "Invocations" else self.requests * self.errors * new
        lost = {second: 0.1 for second in range(first, last, 60) if new and second >= self.loses_at}
        served = {after(s): value * lost.get(s, 1) for s in range(first, last, 60) if self.requests}
        before = {after(-second): 400.0 for second in range(60, int(self.lived), 60)}
        if not (self.lived or new):
            before = {after(-second): value for second in range(60, 3600, 60) if self.requests}
        return {m: value for m, value in {**before, **served}.items() if ask.start <= m < ask.end}

    def of(self, kind):
        return [ask for ask in self.asked if isinstance(ask, kind)]

    @property
    def said(self):
        return [ask.sentence for ask in self.of(LogMessage)]

    @property
    def switched(self):
        return [ask.value for ask in self.of(SetAbortSwitch)]


def tripped(name, seconds):
    return AlarmTransition(name=name, state=AlarmState.ALARM, at=after(seconds), reason="1 >= 1")


def thrown_before(update, watched, *, at_second=ALL_ON - 120):
    """Begin to watch when the switch was thrown already, and the endpoint rolled back."""
    update.passed = update.thrown_at = at_second
    update.passed += 300
    rollout = replace(watched.rollout, started_at=after(1))
    return update.follow(replace(watched, rollout=rollout, seen_in_flight=True))


def serving(seconds, config):
    """The update is over, or was undone: *config* serves, on four instances."""
    fleet = Variant(name="AllTraffic", instances=4, desired_instances=4)
    return in_service(seconds, config, variants=(fleet,))
