"""A real Airflow, and updates that run in it on a simulated AWS."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psutil
import pytest

from airflow_guardrails.demo.airflow import Airflow
from airflow_guardrails.demo.production import Cloud
from airflow_guardrails.demo.reaper import members
from airflow_guardrails.domain.snapshots.abort_switch import switch_prefix

TASK = "update"


# Simulated seconds in a second: what SageMaker does takes seconds then, its bakes of an hour two minutes.
SPEED = 30


PATIENCE_SECONDS = 90


NUMBERS = count(1)


SECOND = "second-triggerer"


class House(Airflow):
    """An Airflow whose tasks are cleared, marked and killed."""

    def task(self, dag_id: str, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{TASK}")
        return found

    def clear(self, dag_id: str, run_id: str) -> None:
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [TASK], "only_failed": False}
        self._call(f"/dags/{dag_id}/clearTaskInstances", body)

    def mark(self, dag_id: str, run_id: str, state: str) -> None:
        """Set the state of the task, as somebody does in the UI."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{TASK}"
        self._call(path, {"new_state": state}, method="PATCH")

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self._call(f"/dags/{dag_id}/dagRuns/{run_id}", {"state": state}, method="PATCH")

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        state: str | None = self._call(f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
        return state

    def mapped_tasks(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """All there are so far, by their index."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/listMapped?order_by=map_index"
        found: list[dict[str, Any]] = []
        while True:
            page = self._call(f"{path}&limit=100&offset={len(found)}")
            found += page["task_instances"]
            if len(found) >= page["total_entries"]:
                return found

    def mapped_xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int) -> Any:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._call(f"{path}?map_index={map_index}&deserialize=true")["value"]

    def kill_triggerer(self) -> None:
        self._processes.kill("airflow-triggerer")

    def restart_killed_triggerer(self) -> None:
        self.kill_triggerer()
        self.start_component("triggerer")

    def restart_triggerer(self) -> float:
        """Ask the triggerer to end, and start another one; how many seconds it took to end."""
        began = time.monotonic()
        triggerer = psutil.Process(self._processes.pid("airflow-triggerer"))
        triggerer.terminate()
        with suppress(psutil.TimeoutExpired):
            triggerer.wait(PATIENCE_SECONDS)
        took = time.monotonic() - began
        self.restart_killed_triggerer()
        return took

    @contextmanager
    def stalled_triggerer(self) -> Iterator[None]:
        """Let the triggerer stand still in this block, and another one take over; both run after it."""
        stalled = members({self._processes.pid("airflow-triggerer")})
        for process in stalled:
            process.suspend()
        self.start_component("triggerer", name=SECOND)
        yield
        for process in stalled:
            process.resume()

    def end_second_triggerer(self) -> None:
        self._processes.kill(f"airflow-{SECOND}")

    def settled(
        self, so: Callable[[], bool], *, patience: float = PATIENCE_SECONDS, every: float = 0.5
    ) -> bool:
        """Wait like :meth:`until`, and return whether it came."""
        deadline = time.monotonic() + patience
        while not so():
            self._processes.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(every)
        return True

    def until(
        self,
        so: Callable[[], bool],
        what: str,
        *,
        instead: Callable[[], str],
        patience: float = PATIENCE_SECONDS,
        every: float = 0.2,
    ) -> None:
        """
        Wait for *what*, for *patience* seconds, and look at it *every* so many.

        :param instead: tells what there is where it does not come.
        """
        deadline = time.monotonic() + patience
        while not so():
            self._processes.check()
            if time.monotonic() > deadline:
                pytest.fail(f"No sign of {what} within {patience} s.\n{instead()}")
            time.sleep(every)


@dataclass(slots=True, kw_only=True)
class Update:
    """One run that updates an endpoint of its own from version 1 to version 2."""

    house: House
    cloud: Cloud
    dag_id: str
    name: str
    sagemaker: Any = field(init=False)
    asked_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.sagemaker = self.cloud.client("sagemaker")
        for version in (self.old, self.new):
            self._create_config(version)
        self.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=self.old)
        self.until(lambda: self.endpoint()["EndpointStatus"] == "InService", "the endpoint in service")
        self.asked_before = self.cloud.control.calls("UpdateEndpoint")

    @property
    def old(self) -> str:
        return f"{self.name}-v1"

    @property
    def new(self) -> str:
        return f"{self.name}-v2"

    def clear(self) -> None:
        self.house.clear(self.dag_id, self.name)

    def mark(self, state: str) -> None:
        self.house.mark(self.dag_id, self.name, state)

    def mark_run(self, state: str) -> None:
        self.house.mark_run(self.dag_id, self.name, state)

    def start(self) -> None:
        self.house.trigger(self.dag_id, self.name, {"endpoint": self.name, "target": self.new})

    def start_and_bake(self) -> None:
        """Continue when the canary bakes, and the waiting task or trigger has seen that."""
        self.start()
        self.until(self.bakes, "the canary baking, as the waiting task or trigger has seen it")

    def bakes(self) -> bool:
        """Whether the canary bakes, and the waiting task or trigger has seen that."""
        if self.stage() != "Baking":
            return False
        # Only a trigger publishes its report so far.
        return "baking" in self.log(1) if "in_worker" in self.dag_id else self.seen() == "Baking"

    def start_and_hold_the_look_after_the_update(self) -> None:
        """Go on when SageMaker has accepted the update and the task waits for its first look at it."""
        control = self.cloud.control
        # Only in the seconds that this call takes is it known that the next look is the one after it.
        control.fault("UpdateEndpoint", kind="hang", seconds=5)
        self.start()
        self.until(lambda: self.asked() == 1, "an update")
        looks = control.calls("DescribeEndpoint")
        control.fault("DescribeEndpoint", kind="hang", seconds=60)
        self.until(lambda: control.calls("DescribeEndpoint") > looks, "a look after the update")

    def finish(self) -> None:
        """Let the bake pass, and wait for the end of the task."""
        self.cloud.control.clock.advance(minutes=65)
        self.until_ended()

    def until_ended(self) -> None:
        self.until(self.ended, "the end of the task")

    def ended(self) -> bool:
        return self.task()["state"] in ("success", "failed", "skipped")

    # What AWS says.

    def endpoint(self) -> dict[str, Any]:
        described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=self.name)
        return described

    def stage(self) -> str | None:
        pending = self.endpoint().get("PendingDeploymentSummary")
        status = pending["ProductionVariants"][0].get("VariantStatus") if pending else None
        return status[0]["Status"] if status else None

    def asked(self) -> int:
        """How often UpdateEndpoint was called, however it was answered."""
        return self.cloud.control.calls("UpdateEndpoint") - self.asked_before

    def rolled_back(self) -> bool:
        endpoint = self.endpoint()
        return endpoint["EndpointStatus"] == "InService" and endpoint["EndpointConfigName"] == self.old

    def switch_states(self) -> list[str]:
        """What the alarms of the endpoint's abort switches have been, from their first states on."""
        cloudwatch = self.cloud.client("cloudwatch")
        switches = cloudwatch.describe_alarms(AlarmNamePrefix=switch_prefix(self.name))["MetricAlarms"]
        states = []
        for switch in switches:
            history = cloudwatch.describe_alarm_history(
                AlarmName=switch["AlarmName"], HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
            )
            states += [item["HistorySummary"].rpartition(" to ")[2] for item in history["AlarmHistoryItems"]]
        return states

    # What Airflow says.

    def task(self) -> dict[str, Any]:
        return self.house.task(self.dag_id, self.name)

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self.house.xcom(self.dag_id, self.name, TASK, "rollout_report") or {}
        return report

    def seen(self) -> str | None:
        """The last stage in the report so far."""
        stages = self.report().get("stages")
        return stages[-1]["stage"] if stages else None

    def log(self, tried: int) -> str:
        """What there is of it by now."""
        try:
            return self.house.log(self.dag_id, self.name, TASK, tried=tried)
        except urllib.error.HTTPError:
            return ""

    def error(self, tried: int) -> str:
        return self.house.error(self.dag_id, self.name, TASK, tried=tried)

    def triggerer(self) -> int | None:
        """The job of the triggerer that holds the task; None if none does."""
        job = self.task()["triggerer_job"]
        return job["id"] if job else None

    def is_left_alone(self) -> bool:
        """Whether the log of the first try says that a kill or cancel has stopped nothing."""
        return "nothing is stopped" in self.log(1)

    def end(self) -> dict[str, Any]:
        """All that a test wants to know of how it is now."""
        task = self.task()
        tried = task["try_number"]
        return {
            "serves": self.endpoint()["EndpointConfigName"].removeprefix(f"{self.name}-"),
            "state": task["state"],
            "try": tried,
            "switch": self.switch_states(),
            "report": self.report(),
            "log": self.log(tried),
            "first_log": self.log(1),
            "error": self.error(tried),
        }

    def processes(self) -> tuple[psutil.Process, psutil.Process]:
        """The task's own process, and the worker that minds it."""
        task = f"airflow worker -- {self.task()['id']}"
        (process,) = (process for process in psutil.process_iter() if _title(process) == task)
        worker = process.parent()
        assert worker is not None
        assert _title(worker).startswith("airflow worker -- LocalExecutor: ")
        return process, worker

    def until(self, so: Callable[[], bool], what: str) -> None:
        self.house.until(so, what, instead=self.all_there_is)

    def _create_config(self, name: str) -> None:
        self.sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"},
            ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
        )
        variant = {
            "VariantName": "main",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 4,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    def all_there_is(self) -> str:
        task = self.task()
        logs = (f"--- log of try {n}\n{self.log(n)[-3000:]}" for n in range(1, task["try_number"] + 1))
        return "\n".join([str(self.endpoint()), str(task), *logs])


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.NoSuchProcess:
        return ""
