"""The demo's two acts: a good model, then one that fails only under live traffic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from airflow_guardrails.demo.airflow import Airflow
from airflow_guardrails.demo.errors import DemoError
from airflow_guardrails.demo.production import ENDPOINT, Production
from airflow_guardrails.demo.reading import Report, stage_in_words

DAG = "retrain_and_deploy"
UPDATE = "guarded_update"
# For a run: what Airflow may take on a slow machine, and what AWS may, in its own time.
RUN_SECONDS, ROLLOUT_SECONDS = 240, 3600
_SAID = {
    "success": "done",
    "failed": "FAILED",
    "deferred": "waiting in the triggerer; no worker is held",
    "up_for_retry": "to be tried again",
}


@dataclass(slots=True, kw_only=True)
class Act:
    """One run of the DAG, as it was seen from outside."""

    candidate: str
    run_id: str
    state: str = ""
    tasks: dict[str, str | None] = field(default_factory=dict)
    report: Report = field(default_factory=dict)
    serving: str = ""
    requests: int = 0
    failed_requests: int = 0
    accuracy: float = 0.0
    page: str = ""
    error: str = ""

    @property
    def target(self) -> str:
        return str(self.report.get("endpoint_config_name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the endpoint said after the rollback, beside what the two models say when they are asked here."""

    rows: int
    as_old_model: int
    as_new_model: int
    to_incomplete_row: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of both acts."""

    good: Act
    bad: Act
    answers: Answers


class Story:
    """Plays the acts before an Airflow and a production that are up, saying what happens as it does."""

    def __init__(
        self, airflow: Airflow, production: Production, models: Any, say: Callable[[str], None]
    ) -> None:
        self._airflow = airflow
        self._production = production
        self._models = models
        self._say = say
        self._timeout = RUN_SECONDS + ROLLOUT_SECONDS / production.speed

    def tell(self) -> Ending:
        self._say("run 1: retrain and deploy; the model is sound")
        good = self._play(Act(candidate="gradient-boosting", run_id="good-model"))
        self._say("run 2: another model, which looks even better; no one tried it on rows with gaps")
        bad = self._play(Act(candidate="logistic-regression", run_id="bad-model"))
        return Ending(good=good, bad=bad, answers=self._question(old=good.target, new=bad.target))

    def _play(self, act: Act) -> Act:
        since = self._production.now()
        self._airflow.trigger(DAG, act.run_id, {"candidate": act.candidate})
        onlooker = Onlooker(self._airflow, act.run_id, self._say)
        act.state = self._airflow.follow(DAG, act.run_id, timeout=self._timeout, each=onlooker.look)
        act.tasks = self._airflow.task_states(DAG, act.run_id)
        act.report = self._airflow.xcom(DAG, act.run_id, UPDATE, "rollout_report") or {}
        if not act.report:
            raise DemoError(f"Run {act.run_id} ended ({act.state}) without a report.{self._failures(act)}")
        act.serving = self._production.serving()
        act.requests, act.failed_requests = self._production.requests_to(act.target, since=since)
        act.accuracy = self._accuracy(act.target)
        act.error = self._airflow.error(DAG, act.run_id, UPDATE)
        act.page = self._airflow.task_page(DAG, act.run_id, UPDATE)
        return act

    def _accuracy(self, version: str) -> float:
        """What the DAG's evaluation measured: on held-out rows, the incomplete ones dropped."""
        whole = self._models.complete(self._models.held_out_rows())
        return float(self._models.accuracy(self._production.model(version), whole))

    def _failures(self, act: Act) -> str:
        logs = ((task, self._airflow.log(DAG, act.run_id, task)) for task in _in_state(act, "failed"))
        return "".join(f"\n--- end of the log of {task}\n{log[-2000:]}" for task, log in logs)

    def _question(self, *, old: str, new: str) -> Answers:
        """Ask the endpoint about rows on which *old* and *new* differ, and one that *new* cannot answer."""
        held_out = self._models.held_out_rows()
        whole = self._models.complete(held_out)
        by_old, by_new = (self._production.model(name).predict(whole.measurements) for name in (old, new))
        requests = self._models.as_requests(whole)
        differing = np.flatnonzero(by_old != by_new)
        said = [int(self._production.ask(requests[row])) for row in differing]
        incomplete = next(row for row in self._models.as_requests(held_out) if ",," in row)
        return Answers(
            rows=len(differing),
            as_old_model=int(np.sum(by_old[differing] == said)),
            as_new_model=int(np.sum(by_new[differing] == said)),
            to_incomplete_row=self._production.ask(incomplete),
        )


class Onlooker:
    """Says what has changed in a run since the last look."""

    def __init__(self, airflow: Airflow, run_id: str, say: Callable[[str], None]) -> None:
        self._airflow = airflow
        self._run_id = run_id
        self._say = say
        self._tasks: dict[str, str | None] = {}
        self._stages = 0

    def look(self) -> None:
        tasks = self._airflow.task_states(DAG, self._run_id)
        if tasks.get(UPDATE) in ("deferred", "success", "failed"):
            self._say_stages()
        for task, state in tasks.items():
            if state in _SAID and state != self._tasks.get(task):
                self._say(f"  {task}: {_SAID[state]}")
        self._tasks = tasks

    def _say_stages(self) -> None:
        report = self._airflow.xcom(DAG, self._run_id, UPDATE, "rollout_report") or {"stages": []}
        for stage in report["stages"][self._stages :]:
            self._say(f"    {stage_in_words(stage)}")
        self._stages = max(self._stages, len(report["stages"]))


def differences(ending: Ending) -> list[str]:
    """Everything that is not as the demo promises; empty when all is."""
    good, bad, answers = ending.good, ending.bad, ending.answers
    promised = (
        ("state of the good run", good.state, "success"),
        ("outcome of the good run", good.report.get("outcome"), "Succeeded"),
        ("configuration in service after it", good.serving, good.target),
        ("state of the bad run", bad.state, "failed"),
        ("tasks of the bad run that failed", _in_state(bad, "failed"), [UPDATE]),
        ("its tasks that succeeded", _in_state(bad, "success"), sorted(set(bad.tasks) - {UPDATE})),
        ("outcome of the bad run", bad.report.get("outcome"), "RolledBack"),
        ("alarms named as its cause", _alarms(bad.report), [f"{ENDPOINT}-errors"]),
        ("error that ended its task", bad.error.partition(":")[0], "EndpointRolledBack"),
        ("configuration in service after it", bad.serving, good.target),
        ("whether rows were found on which the models differ", answers.rows > 0, True),
        ("answers of the endpoint like the good model's", answers.as_old_model, answers.rows),
        ("answers of the endpoint like the bad model's", answers.as_new_model, 0),
        ("whether a row with a gap is answered", answers.to_incomplete_row in ("0", "1"), True),
        ("whether the bad model failed live requests", bad.failed_requests > 0, True),
        ("whether the bad model looks better offline", bad.accuracy > good.accuracy, True),
        ("live requests that the good model failed", good.failed_requests, 0),
    )
    return [f"{what}: {found!r}, not {wanted!r}" for what, found, wanted in promised if found != wanted]


def _in_state(act: Act, state: str) -> list[str]:
    return sorted(task for task, its_state in act.tasks.items() if its_state == state)


def _alarms(report: Report) -> list[str]:
    return [alarm["name"] for alarm in (report.get("cause") or {}).get("alarms", ())]
