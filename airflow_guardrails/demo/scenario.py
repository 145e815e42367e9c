"""The five runs of the demo."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from airflow_guardrails.demo.airflow import Airflow
from airflow_guardrails.demo.browser import rollout_page
from airflow_guardrails.demo.processes import DemoError, Processes
from airflow_guardrails.demo.production import ENDPOINT, REQUESTS_PER_MINUTE, Cloud, Production
from airflow_guardrails.demo.texts import shadow_test_text, stage_text

_Report = dict[str, Any]

DIRECT = "retrain_and_deploy"
SHADOWED = "shadow_test_and_deploy"
COMPARED = "retrain_and_compare"
_DAGS = (DIRECT, SHADOWED, COMPARED)

_GROUP = "guarded_deployment."
UPDATE, JUDGE, OBSERVE, STOP = "guarded_update", "judge", "observe", "stop_shadow_test"


@dataclass(slots=True, kw_only=True)
class DemoRun:
    """
    One run of a DAG, and its results.

    :param latency_ms: latency that its model gets, in milliseconds; None changes nothing.
    :param stop_traffic: whether clients stop their requests when the update begins.
    :param report: the rollout report, or empty.
    :param verdict: the verdict of the shadow test, or empty.
    :param model: name of its model.
    :param requests: requests of clients to the new fleet; *failed_requests* of them failed.
    :param client_errors: requests of clients that failed during the run, in any fleet.
    :param task_url: the task that shows how the run ended, in Airflow's UI.
    :param page_url: its update, or else its shadow test, on the page "Rollouts".
    """

    dag_id: str
    candidate: str
    run_id: str
    latency_ms: float | None = None
    stop_traffic: bool = False
    state: str = ""
    tasks: dict[str, str | None] = field(default_factory=dict)
    report: _Report = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    serving: str = ""
    requests: int = 0
    failed_requests: int = 0
    client_errors: int = 0
    accuracy: float = 0.0
    task_url: str = ""
    page_url: str = ""
    error: str = ""

    @property
    def version(self) -> str:
        """Name of the endpoint configuration that it deployed; empty if it did not come to that."""
        return str(self.report.get("endpoint_config_name") or "")

    def task(self, name: str) -> str:
        """Return the id of a task. With a shadow test, tasks are in a group."""
        return _GROUP + name if self.dag_id == SHADOWED else name

    def in_state(self, state: str) -> list[str]:
        """Return the tasks in this state, sorted."""
        return sorted(task.removeprefix(_GROUP) for task, has in self.tasks.items() if has == state)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAnswers:
    """
    The answers of the endpoint at the end, compared with those of two models.

    :param rows: number of rows on which the two models differ.
    """

    rows: int
    like_old_model: int
    like_new_model: int
    on_incomplete_row: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResults:
    """The results of all runs."""

    good: DemoRun
    bad: DemoRun
    wrong: DemoRun
    slow: DemoRun
    no_traffic: DemoRun
    answers: EndpointAnswers


_HOURS_BEFORE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSetup:
    """Everything that runs during the demo."""

    cloud: Cloud
    airflow: Airflow
    production: Production
    models: ModuleType


def set_up(
    processes: Processes, *, home: Path, dags: Path, speed: float, say: Callable[[str], None]
) -> DemoSetup:
    """
    Start the simulator, Airflow and the endpoint, and return them when they are ready.

    :param speed: simulated seconds for each real second.
    :param say: prints a line.
    """
    say(f"starting a real Airflow, and a simulated AWS that is {speed:g} times as fast as real time")
    cloud = Cloud(processes, speed=speed)
    cloud.start()
    env = cloud.env() | {"ROLLOUT_WAITER_DELAY": str(waiter_delay(cloud.control.speed))}
    airflow = Airflow(processes, home=home.resolve() / "airflow", dags=dags.resolve(), env=env)
    models = _module(dags / "tumour_model.py")
    production = Production(cloud, models)
    with ThreadPoolExecutor(1) as executor:
        seeding = executor.submit(production.seed)
        airflow.start()
        seeding.result()
    say(f"{production.serving()} is in service; waiting for Airflow")
    for dag_id in _DAGS:
        airflow.wait_until_ready(dag_id)
    rows = production.replay_requests()
    # The comparison needs the metrics of production before the update.
    production.advance_clock(_HOURS_BEFORE)
    say(
        f"Airflow is ready; clients have sent {REQUESTS_PER_MINUTE} requests a minute to endpoint {ENDPOINT} "
        f"for {_HOURS_BEFORE} h: {rows} held-out rows, one in ten with a missing measurement"
    )
    return DemoSetup(cloud=cloud, airflow=airflow, production=production, models=models)


def waiter_delay(speed: float) -> int:
    """Return seconds between two polls of a task: a simulated minute, but at least one real second."""
    return max(1, round(60 / speed))


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The time limit of a run: real seconds for Airflow on a slow machine, and simulated seconds for AWS.
_AIRFLOW_SECONDS, _AWS_SECONDS = 240, 3 * 3600
_STATE_TEXTS = {
    "success": "done",
    "failed": "FAILED",
    "upstream_failed": "not run",
    "deferred": "deferred to the triggerer; it needs no worker",
    "up_for_retry": "waits for a retry",
}


class Scenario:
    """The five runs of the demo, which print what happens."""

    def __init__(
        self, airflow: Airflow, production: Production, models: Any, say: Callable[[str], None]
    ) -> None:
        self._airflow = airflow
        self._production = production
        self._models = models
        self._say = say
        self._timeout = _AIRFLOW_SECONDS + _AWS_SECONDS / production.speed

    def run_all(self) -> DemoResults:
        """Run all five, one after the other."""
        self._say("run 1: train a good model, run a shadow test, judge it, deploy")
        good = self._run_dag(DemoRun(dag_id=SHADOWED, candidate="gradient-boosting", run_id="good-model"))
        self._say("run 2: without a shadow test, a model with better accuracy that fails on missing values")
        bad = self._run_dag(DemoRun(dag_id=DIRECT, candidate="logistic-regression", run_id="bad-model"))
        self._say("run 3: with a shadow test, a model that gives wrong answers to missing values")
        wrong = self._run_dag(DemoRun(dag_id=SHADOWED, candidate="sentinel", run_id="wrong-model"))
        answers = self._compare_answers(old=good.model, new=wrong.model)
        self._say("run 4: compared during the bake, a model that is 20 % slower, far below every alarm")
        slow = self._run_dag(
            DemoRun(dag_id=COMPARED, candidate="gradient-boosting", run_id="slow-model", latency_ms=25)
        )
        self._say("run 5: the same DAG with a good model, but clients stop: no data to compare")
        no_traffic = self._run_dag(
            DemoRun(
                dag_id=COMPARED,
                candidate="gradient-boosting",
                run_id="model-without-traffic",
                stop_traffic=True,
            )
        )
        return DemoResults(good=good, bad=bad, wrong=wrong, slow=slow, no_traffic=no_traffic, answers=answers)

    def _run_dag(self, run: DemoRun) -> DemoRun:
        since = self._production.now()
        self._airflow.trigger(run.dag_id, run.run_id, {"candidate": run.candidate})
        observer = _RunObserver(self._airflow, self._production, run, self._say)
        run.state = self._airflow.wait_for_run(
            run.dag_id, run.run_id, timeout=self._timeout, each=observer.observe
        )
        if run.stop_traffic:
            self._production.replay_requests()
        run.tasks = self._airflow.task_states(run.dag_id, run.run_id)
        run.report = self._xcom(run, UPDATE, "rollout_report") or {}
        run.verdict = self._xcom(run, JUDGE, "verdict") or {}
        if not (run.report or run.verdict):
            raise DemoError(f"Run {run.run_id} ended ({run.state}) without a report.{self._failures(run)}")
        run.serving = self._production.serving()
        if run.version:
            run.model = self._production.model_name(run.version)
            run.requests, run.failed_requests = self._production.requests_to(run.version, since=since)
        else:
            run.model = str(run.verdict.get("shadow_model_name"))
        run.client_errors = self._production.client_errors(since=since)
        run.accuracy = self._accuracy(run.model)
        ended_by = next(iter(run.in_state("failed")), UPDATE)
        run.error = self._airflow.error(run.dag_id, run.run_id, run.task(ended_by))
        run.task_url = self._airflow.task_page(run.dag_id, run.run_id, run.task(ended_by))
        reported_by = UPDATE if run.report else OBSERVE
        run.page_url = rollout_page(
            self._airflow.url, dag_id=run.dag_id, run_id=run.run_id, task_id=run.task(reported_by)
        )
        return run

    def _xcom(self, run: DemoRun, task: str, key: str) -> Any:
        return self._airflow.xcom(run.dag_id, run.run_id, run.task(task), key)

    def _accuracy(self, model: str) -> float:
        """Return the accuracy that the DAG measures: on held-out rows without missing values."""
        complete = self._models.complete(self._models.held_out_rows())
        return float(self._models.accuracy(self._production.model(model), complete))

    def _failures(self, run: DemoRun) -> str:
        failed = [task for task, state in run.tasks.items() if state == "failed"]
        logs = ((task, self._airflow.log(run.dag_id, run.run_id, task)) for task in failed)
        return "".join(f"\n--- end of the log of {task}\n{log[-2000:]}" for task, log in logs)

    def _compare_answers(self, *, old: str, new: str) -> EndpointAnswers:
        """Send the rows on which *old* and *new* differ to the endpoint, and one row with a missing value."""
        held_out = self._models.held_out_rows()
        by_old, by_new = (self._production.model(name).predict(held_out.measurements) for name in (old, new))
        requests = self._models.as_requests(held_out)
        differing = np.flatnonzero(by_old != by_new)
        answers = [int(self._production.invoke(requests[row])) for row in differing]
        incomplete = next(row for row in requests if ",," in row)
        return EndpointAnswers(
            rows=len(differing),
            like_old_model=int(np.sum(by_old[differing] == answers)),
            like_new_model=int(np.sum(by_new[differing] == answers)),
            on_incomplete_row=self._production.invoke(incomplete),
        )


class _RunObserver:
    """Prints what has changed in a run, and changes production as the run needs it."""

    def __init__(
        self, airflow: Airflow, production: Production, run: DemoRun, say: Callable[[str], None]
    ) -> None:
        self._airflow = airflow
        self._production = production
        self._run = run
        self._say = say
        self._tasks: dict[str, str | None] = {}
        self._stages = 0
        self._test = ""

    def observe(self) -> None:
        """Compare the run with the last call, and print what is new."""
        run = self._run
        tasks = self._airflow.task_states(run.dag_id, run.run_id)
        if tasks.get(run.task(OBSERVE)) in ("deferred", "success"):
            self._say_test()
        if tasks.get(run.task(UPDATE)) in ("deferred", "success", "failed"):
            self._say_stages()
        self._change_production(tasks)
        for task, state in tasks.items():
            if state in _STATE_TEXTS and state != self._tasks.get(task):
                self._say(f"  {task}: {_STATE_TEXTS[state]}")
        self._tasks = tasks

    def _change_production(self, tasks: dict[str, str | None]) -> None:
        run, before = self._run, self._tasks
        if run.latency_ms and tasks.get("create_model") == "success" != before.get("create_model"):
            self._production.slow_down_newest_model(run.latency_ms)
        if run.stop_traffic and tasks.get(UPDATE) == "deferred" != before.get(UPDATE):
            self._production.stop_requests()

    def _say_test(self) -> None:
        report = self._xcom(OBSERVE, "shadow_test_report")
        text = shadow_test_text(report) if report else ""
        if text != self._test:
            self._say(f"    {text}")
        self._test = text

    def _say_stages(self) -> None:
        report = self._xcom(UPDATE, "rollout_report") or {"stages": []}
        # The report grows while the update runs; only new stages are printed.
        for stage in report["stages"][self._stages :]:
            self._say(f"    {stage_text(stage)}")
        self._stages = max(self._stages, len(report["stages"]))

    def _xcom(self, task: str, key: str) -> Any:
        return self._airflow.xcom(self._run.dag_id, self._run.run_id, self._run.task(task), key)
