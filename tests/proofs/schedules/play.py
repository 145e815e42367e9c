"""A schedule played to its end: its tasks, and what other people do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError
from hypothesis import currently_in_test_context, note
from moto.core.exceptions import ServiceException

from airflow_guardrails.simulator.engine.faults import Fault
from tests.proofs.schedules.account import SOMEBODY, Account
from tests.proofs.schedules.actors import KINDS, Actor, TryEnd
from tests.proofs.schedules.airflow import Row
from tests.proofs.schedules.invariants import AT_CALLS, AT_ENDS, AT_REST, report_in
from tests.proofs.schedules.model import ENDPOINTS, Event, Run, Schedule
from tests.proofs.schedules.process import wrong_clocks
from tests.support.churn import alarm_request

# How long nothing has to happen until everything is at rest.
REST = timedelta(minutes=30)
STRIDE = timedelta(minutes=10)


class Play:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.account = Account(schedule)
        self.account.watchers = AT_CALLS
        self.actors = self._cast()
        self.account.actors = {actor.who: actor for actor in self.actors}
        for run in schedule.runs:
            if run.kind == "update" and run.tags == "full":
                self.account.fill_tags(run.arguments["endpoint_config_name"])
        for event in schedule.events:
            self.account.clock.after(event.after, lambda event=event: self._happen(event))

    def play(self) -> None:
        account = self.account
        last = max([event.after for event in self.schedule.events], default=0)
        account.clock.advance(0)
        with self._ending_well(), wrong_clocks():
            rests_until = account.now() + timedelta(seconds=last)
            while not all(actor.strand.over for actor in self.actors) or account.now() < rests_until:
                account.clock.advance(STRIDE.total_seconds())
                self._check()
            account.clock.advance(REST.total_seconds())
            for invariant in AT_REST:
                account.breaks(invariant(account))
            self._check()

    @property
    def outcomes(self) -> list[str]:
        """The outcomes that tasks reported at their ends."""
        return [report["outcome"] for actor in self.actors for _, report in actor.reports]

    @property
    def throws(self) -> int:
        return sum(throw.value >= 1 for throw in self.account.throws)

    def _check(self) -> None:
        assert not self.account.broken, self.account.broken[0]

    @contextmanager
    def _ending_well(self) -> Iterator[None]:
        try:
            yield
        finally:
            for actor in self.actors:
                actor.strand.abandon()
                actor.drop_triggers()

    def _cast(self) -> list[Actor]:
        actors: list[Actor] = []
        task, index, last = "update-0", -1, None
        for number, run in enumerate(self.schedule.runs):
            if last is not None and run.mapped and run.kind == last:
                index = max(index, 0) + 1
            else:
                task, index = f"{run.kind}-{number}", 0 if run.mapped else -1
            last = run.kind
            row = Row(run, task_id=task, map_index=index)
            who = f"{run.kind} {number + 1}"
            actors.append(KINDS[run.kind](self.account, run, who=who, row=row, judge=self._judge))
        return actors

    def _judge(self, end: TryEnd) -> None:
        account, actor, report = self.account, end.actor, report_in(end)
        if isinstance(end.result, Exception):
            account.tell(actor.who, f"fails: {type(end.result).__name__}: {end.result}")
        if report:
            actor.reports.append((account.now(), report))
            account.tell(
                actor.who, f"reports {report['outcome']}, {report['serving_endpoint_config_name']} serves"
            )
        for invariant in AT_ENDS:
            if complaint := invariant(end):
                account.breaks(f"{actor.who}: {complaint}")

    # Other people, and AWS.

    def _happen(self, event: Event) -> None:
        self.account.tell("then", f"{event.does} {'' if event.what is None else event.what}")
        getattr(self, f"_{event.does}")(event)

    def _trip(self, _: Event) -> None:
        self.account.set_alarm("errors", "ALARM")

    def _calm(self, _: Event) -> None:
        self.account.set_alarm("errors", "OK")

    def _repoint(self, _: Event) -> None:
        self.account.world.alarms.put_metric_alarm(alarm_request("errors", Threshold=0.9))
        self.account.repointed.append(self.account.now())

    def _update(self, event: Event) -> None:
        config, how = event.what
        request: dict[str, Any] = {"EndpointName": _endpoint(event), "EndpointConfigName": config}
        if how in {"canary", "theirs"}:
            request["DeploymentConfig"] = _canary("errors" if how == "canary" else "theirs")
        if how == "retain":
            request["RetainDeploymentConfig"] = True
        try:
            self.account.carry_out("UpdateEndpoint", request, SOMEBODY)
        except ClientError as error:
            self.account.tell(SOMEBODY, f"is refused: {error}")

    def _scale(self, event: Event) -> None:
        wish = {"VariantName": "All", "DesiredInstanceCount": event.what}
        request = {"EndpointName": _endpoint(event), "DesiredWeightsAndCapacities": [wish]}
        try:
            self.account.world.sagemaker.update_endpoint_weights_and_capacities(request)
        except ServiceException as error:
            self.account.tell(SOMEBODY, f"is refused: {error.message}")

    def _system_update(self, event: Event) -> None:
        if not self.account.gone(_endpoint(event)):
            self.account.world.sagemaker.system_update(_endpoint(event), event.what)

    def _vanish(self, event: Event) -> None:
        if not self.account.gone(_endpoint(event)):
            self.account.world.sagemaker.vanish(_endpoint(event))

    def _ending(self, event: Event) -> None:
        status, seconds = event.what
        config = "v4" if status == "InService" else None
        if not self.account.gone(_endpoint(event)):
            self.account.world.sagemaker.script_ending(
                _endpoint(event), status=status, after_seconds=seconds, endpoint_config_name=config
            )

    def _capacity(self, event: Event) -> None:
        self.account.simulation.knobs.update(capacity_available=event.what)

    def _fault(self, event: Event) -> None:
        operation, kind, times = event.what
        dates = {"missing", "malformed", "doubled", "repeated", "without_zone", "unknown_zone"}
        fault = (
            Fault(operation=operation, kind="date", date=kind, times=times)
            if kind in dates
            else Fault(operation=operation, kind=kind, times=times)
        )
        self.account.simulation.faults.add(fault)

    def _delete_config(self, event: Event) -> None:
        name = self.schedule.runs[0].arguments["endpoint_config_name"] or "v2"
        catalogue = self.account.world.sagemaker.catalogue
        if name in self.account.deleted_configs:
            return
        self.account.deleted_configs.add(name)
        catalogue.delete_endpoint_config({"EndpointConfigName": name})
        if event.what:  # and makes it anew
            self.account.make_config(name)

    # Airflow.

    def _actor(self, event: Event) -> Actor:
        return self.actors[event.whom % len(self.actors)]

    def _mark_failed(self, event: Event) -> None:
        self._actor(event).mark_failed()

    def _clear(self, event: Event) -> None:
        self._actor(event).clear()

    def _restart(self, event: Event) -> None:
        self._actor(event).lose_triggerer(*event.what)

    def _copy(self, event: Event) -> None:
        self._actor(event).copy_trigger(event.what)


def _endpoint(event: Event) -> str:
    return ENDPOINTS[event.whom % len(ENDPOINTS)]


def _canary(alarm: str) -> dict[str, Any]:
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
                "WaitIntervalInSeconds": 600,
            }
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
    }


def played(*runs: Run, **rest: Any) -> Play:
    """Play it; its story is printed where it fails."""
    return play(Schedule(runs=runs, **rest))


def play(schedule: Schedule) -> Play:
    play = Play(schedule)
    try:
        play.play()
    except BaseException:
        show = note if currently_in_test_context() else print
        show("\n".join(["", f"{schedule}", *play.account.story]))
        raise
    return play
