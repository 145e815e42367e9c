"""Those who act: tasks with their tries, deferrals and ends."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk.bases.sensor import PokeReturnValue
from airflow.sdk.execution_time.context import set_current_context
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.domain.deployment.deadline import longest_rollout
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.rollout.launch import owner_of
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from tests.proofs.schedules import excuses
from tests.proofs.schedules.account import Account, Update
from tests.proofs.schedules.airflow import Row, TaskInstance, TriggerRun
from tests.proofs.schedules.model import ENDPOINTS, Crash, Run
from tests.proofs.schedules.process import Killed, Log, Process, Strand, Wire, hook_on
from tests.support.fakes import TaskState

# From SIGTERM to SIGKILL.
KILLED_AFTER = 5
# How long a task waits for its worker, and a triggerer until it notices that a trigger is to end.
QUEUED, NOTICED = 3, 1
MOST_TRIES = 6
SLACK = timedelta(seconds=2)


@dataclass
class TryEnd:
    """How one try ended: a report, or an error."""

    actor: Actor
    result: Any
    # The calls of whichever process has looked last.
    line: Wire
    worker: Wire
    update_lost: bool


@dataclass
class Mark:
    """Somebody marked the task failed while it was deferred."""

    at: datetime
    run: TriggerRun
    update: Update | None
    cleared_at: datetime | None = None


class Actor:
    """One task instance; what its operator is, subclasses say."""

    def __init__(self, account: Account, run: Run, *, who: str, row: Row, judge: Any) -> None:
        self.account = account
        self.run = run
        self.who = who
        self.endpoint = ENDPOINTS[run.endpoint]
        self.row = row
        self.judge = judge
        self.attempt = 0
        self.reports: list[tuple[datetime, dict[str, Any]]] = []
        self.marks: list[Mark] = []
        # When DescribeEndpoint was not answered.
        self.unanswered: list[datetime] = []
        # The StartTimes that its looks have shown.
        self.starts_seen: set[datetime] = set()
        # The last time that it was marked failed, unless it was cleared since, and that it was cleared.
        self.marked_at: datetime | None = None
        self.cleared_at: datetime | None = None
        self.state = None if run.task_state == "absent" else TaskState(works=run.task_state == "kept")
        self._tries = deque(run.tries)
        self._asked: str | None = None
        self._where = "nowhere"
        self._operator: Any = None
        self._stored = ""
        self._event: Any = None
        self._fired_by: Wire | None = None
        self._runs: list[TriggerRun] = []
        self._ours: list[TriggerRun] = []
        self._timed_out = self._was_down = False
        self.strand = Strand(account, self._live)
        account.clock.after(run.begins, self.strand.go)

    @property
    def owner(self) -> str:
        row = self.row
        return owner_of(
            dag_id=row.dag_id,
            run_id=row.run_id,
            task_id=row.task_id,
            map_index=row.map_index,
            endpoint_name=self.endpoint,
        )

    @property
    def target(self) -> str | None:
        return self.run.arguments["endpoint_config_name"]

    @property
    def on_kill_aborts(self) -> bool:
        return self.run.arguments.get("on_kill") == "abort"

    @property
    def accepted(self) -> list[Update]:
        """The updates of its that SageMaker has accepted."""
        return [update for update in self.account.truths[self.endpoint].updates if update.by == self.who]

    def may_throw(self, switch: AbortSwitch) -> str | None:
        """Say why it may throw the switch; None if nobody wants that."""
        raise NotImplementedError

    def make(self) -> Any:
        raise NotImplementedError

    def do(self, operator: Any, context: Any) -> Any:
        return operator.execute(context)

    # Its life.

    def _live(self) -> None:
        while True:
            self._asked = None
            self.row.begin_try()
            again = self._try(self._tries.popleft() if self._tries else None)
            self._where = "between tries"
            if self._asked == "failed":
                self.account.tell(self.who, "stays failed")
                return
            if self._asked == "cleared":
                self.strand.sleep(QUEUED)
                continue
            if not again or not self._tries:
                return
            self.row.state = "up_for_retry"
            self.strand.sleep(self.run.retry_after)
            if self._asked == "failed":
                return

    def _try(self, crash: Crash | None) -> bool:
        """One try; whether Airflow would retry it."""
        self.attempt += 1
        self._was_down = False
        self.account.tell(self.who, "begins a try")
        calls: Counter[str] = Counter()
        ending, line = self._work(self.do, crash, calls)
        lost = line.update_lost
        self._fired_by = None
        while isinstance(ending, TaskDeferred) and not self._asked:
            method, kwargs = self._wait_deferred(ending)
            if self._asked:
                return True
            self.row.state = "running"
            resume = self._resume(method, kwargs)
            ending, line = self._work(resume, crash, calls)
        if isinstance(ending, TaskDeferred):
            return True
        if isinstance(ending, Killed):
            self._end("failed")
            return True
        self.judge(
            TryEnd(
                actor=self,
                result=ending,
                line=self._fired_by or line,
                worker=line,
                update_lost=lost,
            )
        )
        failed = isinstance(ending, Exception) and not isinstance(ending, AirflowSkipException)
        self._end("failed" if failed else "success")
        return failed and not isinstance(ending, AirflowFailException)

    def _end(self, state: str) -> None:
        if not self._asked:
            self.row.state = state

    def _resume(self, method: str, kwargs: dict[str, Any]) -> Any:
        return lambda operator, context: operator.resume_execution(method, kwargs, context)

    def _work(self, do: Any, crash: Crash | None, calls: Counter[str]) -> tuple[Any, Wire]:
        """Run it in a worker of its own."""
        line = Wire(self.account, self.who, crash=crash, may_tag=self.run.tags != "denied", calls=calls)
        self.strand.runs_as(Process(self.account, self.who, offset=self.run.worker_clock))
        self._where = "worker"
        try:
            self._operator = self._wired(line)
            context = {"ti": TaskInstance(self.row), "task_state_store": self.state}
            self._operator.deferring_in = context
            return do(self._operator, context), line
        except (TaskDeferred, Killed, AirflowException, ClientError, BotoCoreError) as error:
            return error, line
        finally:
            self._operator, self._where = None, "between processes"

    def _wired(self, line: Wire) -> Any:
        operator = self.make()
        operator.hook = hook_on(line, self.strand.sleep)
        operator._cached_logger = Log(self.account, self.who)
        operator.sleep = self.strand.sleep
        operator.monotonic = self.strand.process.monotonic if self.strand.process else None
        return operator

    # Deferred.

    def _wait_deferred(self, deferral: TaskDeferred) -> tuple[str, dict[str, Any]]:
        self.account.tell(self.who, "is deferred")
        self.row.state, self._where = "deferred", "deferred"
        self._stored = json.dumps(deferral.trigger.serialize()[1])
        self._event, self._timed_out = None, False
        self.run_trigger()
        assert deferral.timeout is not None
        timer = self.account.clock.after(deferral.timeout.total_seconds(), self._time_out)
        while not (self._event or self._timed_out or self._asked):
            self.strand.wait()
        timer.cancel()
        self._where = "queued"
        for run in self._runs:
            self.account.clock.after(NOTICED, run.cancel)
        self._runs = []
        if self._asked:
            return "", {}
        self.row.state = "scheduled"
        self.strand.sleep(QUEUED)
        if self._timed_out:
            return "__fail__", {"error": "Trigger timeout"}
        return deferral.method_name, {"event": self._event}

    def run_trigger(self) -> None:
        """Let a triggerer run the trigger, if the task is still deferred."""
        if self._where == "deferred":
            run = TriggerRun(
                self.account, self._stored, row=self.row, run=self.run, who=self.who, fired=self._fire
            )
            self._runs.append(run)
            self._ours.append(run)

    def _fire(self, run: TriggerRun, event: Any) -> None:
        if self._where == "deferred" and run in self._runs and self._event is None and not self._asked:
            self._event, self._fired_by = event, run.line
            self.strand.wake()

    def _time_out(self) -> None:
        if not self._was_down:
            self.account.breaks(f"Airflow's time-out of the deferral of {self.who} came before our deadline")
        self._timed_out = True
        self.strand.wake()

    # What befalls it.

    def mark_failed(self) -> None:
        if self.strand.over or self._asked or self.row.state is None:
            return
        self.marked_at, self.cleared_at = self.account.now(), None
        runs = [run for run in self._runs if not run.over]
        if self._where == "deferred" and runs:
            update = self.account.truths[self.endpoint].in_flight
            own = update if update and update.by == self.who else None
            self.marks.append(Mark(at=self.account.now(), run=runs[0], update=own))
        self._interrupt("failed", state="failed")

    def clear(self) -> None:
        if self.row.state is None or self.row.try_number >= MOST_TRIES:
            return
        self.marked_at, self.cleared_at = None, self.account.now()
        for mark in self.marks:
            mark.cleared_at = mark.cleared_at or self.cleared_at
        if self.strand.over:
            self.row.state = None
            self.strand = Strand(self.account, self._live)
            self.account.clock.after(QUEUED, self.strand.go)
        elif self._asked != "cleared":
            self._interrupt("cleared", state="restarting" if self._where == "worker" else None)

    def _interrupt(self, asked: str, *, state: str | None) -> None:
        self._asked, self.row.state = asked, state
        if self._where == "worker":
            operator = self._operator
            operator.on_kill()
            self.account.clock.after(KILLED_AFTER, lambda: self._kill(operator))
        elif self._where == "deferred":
            self.strand.wake()

    def _kill(self, operator: Any) -> None:
        if self._operator is operator and operator is not None:
            self.account.tell(self.who, "is killed")
            self.strand.kill()

    def lose_triggerer(self, how: str, down: int) -> None:
        if self._where != "deferred":
            return
        self._was_down = True
        for run in self._runs:
            run.supervisor.stopped = True
            if how == "shut down":
                run.cancel()
            run.drop()
        self._runs = []
        self.account.clock.after(down, self._back_again)

    def _back_again(self) -> None:
        if not self._runs:
            self.run_trigger()

    def drop_triggers(self) -> None:
        for run in self._ours:
            run.drop()

    def copy_trigger(self, seconds: int) -> None:
        """Another triggerer runs it too; the first one notices only after so many seconds."""
        if self._where == "deferred" and self._runs:
            first = self._runs[0]
            self.run_trigger()
            self.account.clock.after(seconds, lambda: self._give_up(first))

    def _give_up(self, run: TriggerRun) -> None:
        if run in self._runs:
            self._runs.remove(run)
            run.cancel()


class _Defers:
    """Gives ``defer`` the context of its task: many run at once here."""

    deferring_in: Any = None

    def defer(self, **kwargs: Any) -> Any:
        with set_current_context(self.deferring_in):
            super().defer(**kwargs)  # type: ignore[misc]


class UpdateOperator(_Defers, SageMakerGuardedUpdateOperator):
    pass


class AbortOperator(_Defers, SageMakerAbortRolloutOperator):
    pass


class RolloutSensor(_Defers, SageMakerRolloutSensor):
    pass


class UpdateTask(Actor):
    def make(self) -> Any:
        arguments = self.run.arguments
        return UpdateOperator(
            task_id=self.row.task_id, endpoint_name=self.endpoint, aws_conn_id=None, **arguments
        )

    def may_throw(self, switch: AbortSwitch) -> str | None:  # noqa: ARG002 - its own, as is asked besides
        arguments = self.run.arguments
        updates = [u for u in self.account.truths[self.endpoint].updates if u.target == self.target]
        if arguments["on_kill"] == "abort" and self.marked_at is not None:
            return "marked failed"
        late = [u for u in updates if self.is_out_of_time(u)]
        if arguments["on_timeout"] == "abort" and late:
            return "out of time"
        changed = [at for at in self.account.repointed for u in updates if at >= u.at]
        if arguments["require_alarms_ok"] and changed:
            return "an alarm was changed"
        return None

    def is_out_of_time(self, update: Update) -> bool:
        began = update.at if excuses.its_start_was_unseen(self, update) else update.started_at
        return self.account.now() - began >= self.limit - SLACK

    @property
    def limit(self) -> timedelta:
        """How long the update may take at least before its time is up."""
        if self.run.arguments["max_wait"] is not None:
            return self.run.arguments["max_wait"]
        guardrails = Guardrails(strategy=self.run.arguments["strategy"])
        return min(
            longest_rollout(guardrails, instances=count, startup=timedelta(0)) for count in (1, 2, 3, 4)
        )


class AbortTask(Actor):
    def make(self) -> Any:
        arguments = self.run.arguments
        return AbortOperator(
            task_id=self.row.task_id, endpoint_name=self.endpoint, aws_conn_id=None, **arguments
        )

    def may_throw(self, switch: AbortSwitch) -> str | None:
        named = self.target is None or switch.is_for(self.target)
        return "asked to" if named and switch.endpoint_name == self.endpoint else None


class SensorTask(Actor):
    def make(self) -> Any:
        arguments = self.run.arguments
        return RolloutSensor(
            task_id=self.row.task_id, endpoint_name=self.endpoint, aws_conn_id=None, **arguments
        )

    def do(self, operator: Any, context: Any) -> Any:
        """Poke as Airflow does, in simulated time."""
        if operator.deferrable:
            return operator.execute(context)
        while True:
            poked = operator.poke(context)
            if isinstance(poked, PokeReturnValue):
                return poked.xcom_value
            self.strand.sleep(operator.poke_interval)

    def may_throw(self, switch: AbortSwitch) -> str | None:  # noqa: ARG002 - none
        return None


KINDS = {"update": UpdateTask, "abort": AbortTask, "sensor": SensorTask}
