"""Plays the demo's acts: a good model, one that fails, one that is wrong, one that is slow, one unasked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from airflow_guardrails.demo.acts import (
    COMPARED,
    DIRECT,
    JUDGE,
    OBSERVE,
    SHADOWED,
    UPDATE,
    Act,
    Answers,
    Ending,
)
from airflow_guardrails.demo.airflow import Airflow
from airflow_guardrails.demo.errors import DemoError
from airflow_guardrails.demo.production import Production
from airflow_guardrails.demo.reading import shadow_test_in_words, stage_in_words

# For a run: what Airflow may take on a slow machine, and what AWS may, in its own time.
RUN_SECONDS, DEPLOYMENT_SECONDS = 240, 3 * 3600
_SAID = {
    "success": "done",
    "failed": "FAILED",
    "upstream_failed": "not run",
    "deferred": "waiting in the triggerer; no worker is held",
    "up_for_retry": "to be tried again",
}


class Story:
    """Plays the acts before an Airflow and a production that are up, saying what happens as it does."""

    def __init__(
        self, airflow: Airflow, production: Production, models: Any, say: Callable[[str], None]
    ) -> None:
        self._airflow = airflow
        self._production = production
        self._models = models
        self._say = say
        self._timeout = RUN_SECONDS + DEPLOYMENT_SECONDS / production.speed

    def tell(self) -> Ending:
        self._say("run 1: retrain, try in the shadow, judge, deploy; the model is sound")
        good = self._play(Act(dag_id=SHADOWED, candidate="gradient-boosting", run_id="good-model"))
        self._say("run 2: deploy without a shadow test a model that looks even better, and fails on gaps")
        bad = self._play(Act(dag_id=DIRECT, candidate="logistic-regression", run_id="bad-model"))
        self._say("run 3: with a shadow test one that answers everything, and rows with gaps wrongly")
        wrong = self._play(Act(dag_id=SHADOWED, candidate="sentinel", run_id="wrong-model"))
        answers = self._question(old=good.version, new=wrong.version)
        self._say("run 4: compared while it bakes, a model that takes a fifth longer, far below every alarm")
        slow = self._play(
            Act(dag_id=COMPARED, candidate="gradient-boosting", run_id="slow-model", latency_ms=25)
        )
        self._say("run 5: the same DAG and a sound model, but clients fall silent: nothing can be compared")
        unasked = self._play(
            Act(dag_id=COMPARED, candidate="gradient-boosting", run_id="unasked-model", silent=True)
        )
        return Ending(good=good, bad=bad, wrong=wrong, slow=slow, unasked=unasked, answers=answers)

    def _play(self, act: Act) -> Act:
        since = self._production.now()
        self._airflow.trigger(act.dag_id, act.run_id, {"candidate": act.candidate})
        onlooker = Onlooker(self._airflow, self._production, act, self._say)
        act.state = self._airflow.follow(act.dag_id, act.run_id, timeout=self._timeout, each=onlooker.look)
        if act.silent:
            self._production.replay_requests()
        act.tasks = self._airflow.task_states(act.dag_id, act.run_id)
        act.report = self._xcom(act, UPDATE, "rollout_report") or {}
        act.verdict = self._xcom(act, JUDGE, "verdict") or {}
        if not (act.report or act.verdict):
            raise DemoError(f"Run {act.run_id} ended ({act.state}) without a report.{self._failures(act)}")
        act.serving = self._production.serving()
        act.requests, act.failed_requests = self._production.requests_to(act.version, since=since)
        act.client_errors = self._production.errors_of_clients(since=since)
        act.accuracy = self._accuracy(act.version)
        ended_by = next(iter(act.in_state("failed")), UPDATE)
        act.error = self._airflow.error(act.dag_id, act.run_id, act.task(ended_by))
        act.page = self._airflow.task_page(act.dag_id, act.run_id, act.task(ended_by))
        return act

    def _xcom(self, act: Act, task: str, key: str) -> Any:
        return self._airflow.xcom(act.dag_id, act.run_id, act.task(task), key)

    def _accuracy(self, version: str) -> float:
        """What the DAG's evaluation measured: on held-out rows, the incomplete ones dropped."""
        whole = self._models.complete(self._models.held_out_rows())
        return float(self._models.accuracy(self._production.model(version), whole))

    def _failures(self, act: Act) -> str:
        failed = [task for task, state in act.tasks.items() if state == "failed"]
        logs = ((task, self._airflow.log(act.dag_id, act.run_id, task)) for task in failed)
        return "".join(f"\n--- end of the log of {task}\n{log[-2000:]}" for task, log in logs)

    def _question(self, *, old: str, new: str) -> Answers:
        """Ask the endpoint about rows on which *old* and *new* differ, and one with a gap."""
        held_out = self._models.held_out_rows()
        by_old, by_new = (self._production.model(name).predict(held_out.measurements) for name in (old, new))
        requests = self._models.as_requests(held_out)
        differing = np.flatnonzero(by_old != by_new)
        said = [int(self._production.ask(requests[row])) for row in differing]
        incomplete = next(row for row in requests if ",," in row)
        return Answers(
            rows=len(differing),
            as_old_model=int(np.sum(by_old[differing] == said)),
            as_new_model=int(np.sum(by_new[differing] == said)),
            to_incomplete_row=self._production.ask(incomplete),
        )


class Onlooker:
    """Says what has changed in a run since the last look, and does to production what the act is about."""

    def __init__(
        self, airflow: Airflow, production: Production, act: Act, say: Callable[[str], None]
    ) -> None:
        self._airflow = airflow
        self._production = production
        self._act = act
        self._say = say
        self._tasks: dict[str, str | None] = {}
        self._stages = 0
        self._test = ""

    def look(self) -> None:
        act = self._act
        tasks = self._airflow.task_states(act.dag_id, act.run_id)
        if tasks.get(act.task(OBSERVE)) in ("deferred", "success"):
            self._say_test()
        if tasks.get(act.task(UPDATE)) in ("deferred", "success", "failed"):
            self._say_stages()
        self._interfere(tasks)
        for task, state in tasks.items():
            if state in _SAID and state != self._tasks.get(task):
                self._say(f"  {task}: {_SAID[state]}")
        self._tasks = tasks

    def _interfere(self, tasks: dict[str, str | None]) -> None:
        act, before = self._act, self._tasks
        if act.latency_ms and tasks.get("create_model") == "success" != before.get("create_model"):
            self._production.slow_down_newest_model(act.latency_ms)
        if act.silent and tasks.get(UPDATE) == "deferred" != before.get(UPDATE):
            self._production.stop_requests()

    def _say_test(self) -> None:
        report = self._xcom(OBSERVE, "shadow_test_report")
        said = shadow_test_in_words(report) if report else ""
        if said != self._test:
            self._say(f"    {said}")
        self._test = said

    def _say_stages(self) -> None:
        report = self._xcom(UPDATE, "rollout_report") or {"stages": []}
        for stage in report["stages"][self._stages :]:
            self._say(f"    {stage_in_words(stage)}")
        self._stages = max(self._stages, len(report["stages"]))

    def _xcom(self, task: str, key: str) -> Any:
        return self._airflow.xcom(self._act.dag_id, self._act.run_id, self._act.task(task), key)
