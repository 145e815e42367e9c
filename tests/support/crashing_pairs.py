"""
Task instances that update the same endpoint, or share a configuration, and what is true of their updates.

The truth is the simulator's: which updates it has accepted, and how each has ended. What a task may change is
checked after each of its runs, by the arguments of its calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_guardrails.aws.abort_switch import publish_request
from airflow_guardrails.aws.tags import INTENT_PREFIX, OUTCOME, VERSION, parse_intent
from airflow_guardrails.domain.rollout.launch import Intent, latest_intent
from airflow_guardrails.domain.snapshots.abort_switch import (
    RESET,
    THROWN,
    AbortSwitch,
    guard_prefix,
    switch_prefix,
)
from airflow_guardrails.domain.versions.record import record_key
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.simulator.engine.faults import Fault
from airflow_guardrails.strategies import Canary
from tests.support.churn import alarm_request, switch_of
from tests.support.crashing import Account, Crash, new_context
from tests.support.crashing_updates import VARIANT, End, UpdateCase, stored_intents
from tests.support.fakes import TaskState

CANARY = Canary(percent=25, bake=timedelta(minutes=5))


@dataclass(frozen=True)
class Stores:
    """Where a task may write its intent down."""

    tags: bool
    task_state: bool

    def __str__(self) -> str:
        names = {"tags": self.tags, "task state": self.task_state}
        return " and ".join(name for name, there in names.items() if there) or "neither"


ALL_STORES = [Stores(tags=tags, task_state=state) for tags in (True, False) for state in (False, True)]


@dataclass
class Update:
    """An update that SageMaker has accepted; *ended* is its outcome once it is over."""

    owner: Instance
    ended: str | None = None


@dataclass(kw_only=True, eq=False)
class Instance(UpdateCase):
    """One task instance that updates an endpoint, and what it may change."""

    new: str
    stores: Stores
    updates: list[Update]  # of the endpoint, oldest first; other instances on it have the same list
    arguments: dict[str, Any] = field(default_factory=dict)
    threw: bool = False
    made: Any = None

    def operator(self, **arguments: Any) -> SageMakerGuardedUpdateOperator:
        # The other task is not to be refused because the version of the first one was rolled back.
        more = {"strategy": CANARY, "redeploy": True, **arguments, **self.arguments}
        self.made = SageMakerGuardedUpdateOperator(task_id="update", endpoint_config_name=self.new, **more)
        return self.made

    def is_marked_failed(self) -> None:
        """Let Airflow kill the try that runs, because somebody has marked the task failed."""
        self.context["ti"].state = "failed"
        self.made.on_kill()

    @property
    def target(self) -> str:
        return self.new

    @property
    def own_switch(self) -> AbortSwitch:
        return switch_of(self.endpoint, self.new, self.context["ti"])

    @property
    def tag_key(self) -> str:
        return f"{INTENT_PREFIX}{self.own_switch.owner}"

    @property
    def has_switch(self) -> bool:
        return bool(self.arguments.get("abort_switch", True))

    # What it does, and may do.

    def run(self, *, crash: Crash | None = None, deferrable: bool = False) -> End | None:
        before, self.slept = self.launches, 0.0
        end = super().run(crash=crash, deferrable=deferrable)
        self.updates += [Update(self)] * (self.launches - before)
        self.note_ends()
        self.check_changes()
        return end

    def note_ends(self) -> None:
        """Keep how the last update of the endpoint has ended, once it has."""
        if self.updates and self.updates[-1].ended is None and not self.in_flight:
            went_well = self.serves == self.updates[-1].owner.new
            self.updates[-1].ended = "Succeeded" if went_well else "RolledBack"

    def check_changes(self) -> None:
        """Nothing of anybody else's is changed: no tag, no alarm, no switch, no endpoint."""
        allowed = {
            "AddTags": self._may_tag,
            "PutMetricAlarm": self._may_make,
            "PutMetricData": self._may_set,
            "DeleteAlarms": self._may_delete,
            "UpdateEndpoint": self._may_update,
        }
        for operation, request in self.account.wire.changes:
            assert allowed[operation](request), (operation, request)

    def _may_tag(self, request: Mapping[str, Any]) -> bool:
        keys = {tag["Key"] for tag in request["Tags"]}
        arn = request["ResourceArn"]
        if arn.endswith(f":endpoint/{self.endpoint}"):
            # How its own update ended, and what had served before: perhaps what another task has launched.
            served = {update.owner.new for update in self.updates}
            return keys <= {record_key(name) for name in {self.new, self.old, *served}}
        # All updates to a configuration write the same version, and the endpoint's record to its models.
        if arn.endswith(":model/churn"):
            return keys == {OUTCOME}
        return arn.endswith(f"/{self.new}") and keys <= {self.tag_key, VERSION, OUTCOME}

    def _may_make(self, request: Mapping[str, Any]) -> bool:
        return request["AlarmName"] == self.own_switch.alarm_name

    def _may_set(self, request: Mapping[str, Any]) -> bool:
        """Thrown only where this task wants it, which most never do."""
        if request == publish_request(self.own_switch, THROWN):
            self.threw = True
            return self.arguments.get("on_timeout") == "abort" or self.context["ti"].state == "failed"
        return request == publish_request(self.own_switch, RESET)

    def _may_delete(self, request: Mapping[str, Any]) -> bool:
        """Its own, where nothing came of it; of the same endpoint, those that no later update carries."""
        names = request["AlarmNames"]
        if names == [self.own_switch.alarm_name]:
            return not any(update.owner is self for update in self.updates)
        carried = self.updates[-1].owner.own_switch.alarm_name if self.updates else None
        prefixes = (switch_prefix(self.endpoint), guard_prefix(self.endpoint))
        return all(name.startswith(prefixes) and name != carried for name in names)

    def _may_update(self, request: Mapping[str, Any]) -> bool:
        alarms = request["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
        switch = [self.own_switch.alarm_name] if self.has_switch else []
        names = (request["EndpointName"], request["EndpointConfigName"])
        carries = [alarm["AlarmName"] for alarm in alarms]
        return names == (self.endpoint, self.new) and carries == [self.alarm, *switch]

    # What there is to know of it.

    @property
    def own_update(self) -> Update | None:
        """The last update that it has launched."""
        return next((update for update in self.updates[::-1] if update.owner is self), None)

    @property
    def intent(self) -> Intent | None:
        """What a retry can read of its intent."""
        kept = []
        if self.stores.task_state:
            kept += stored_intents(self.context["task_state_store"])
        if self.stores.tags:
            kept.append(parse_intent(self.account.tags(self.new).get(self.tag_key)))
        return latest_intent(kept)

    @property
    def left(self) -> tuple[Any, ...]:
        """What it leaves behind if it dies now, without the times."""
        intent, alarms = self.intent, self.account.world.alarms
        return (
            intent and (intent.accepted_at is not None, intent.started_at is not None),
            alarms.state(self.own_switch.alarm_name),
            len(self.updates),
            self.in_flight and self.updates[-1].owner is self,
            alarms.state(self.leftover),
        )


@dataclass(kw_only=True)
class Plan:
    """How two task instances are related, what they may use and how they are set up."""

    stores: Stores
    same_endpoint: bool = True
    same_target: bool = True
    arguments: dict[str, Any] = field(default_factory=dict)


def begin_pair(account: Account, plan: Plan) -> tuple[Instance, Instance]:
    """Make two task instances, mapped from one task, each with an endpoint to update."""
    number = next(account.numbers)
    first = _instance(account, plan, number, endpoint="a", target="v2", map_index=0, updates=[])
    first.begin(ProductionVariants=[VARIANT])
    account.config(first.new, ProductionVariants=[VARIANT])
    endpoint, target = "a" if plan.same_endpoint else "b", "v2" if plan.same_target else "v3"
    updates = first.updates if plan.same_endpoint else []
    second = _instance(account, plan, number, endpoint=endpoint, target=target, map_index=1, updates=updates)
    if not plan.same_endpoint:
        account.world.sagemaker.create_endpoint(
            {"EndpointName": second.endpoint, "EndpointConfigName": second.old}
        )
        account.world.alarms.put_metric_alarm(alarm_request(second.alarm))
        second.set_alarm("OK")
        account.advance(minutes=4)
    if not plan.same_target:
        account.config(second.new, ProductionVariants=[VARIANT])
    return first, second


def forget(first: Instance, second: Instance) -> None:
    """Keep the simulator small, and so quick."""
    first.forget()
    if second.endpoint != first.endpoint:
        second.forget()


def _instance(
    account: Account, plan: Plan, number: int, *, endpoint: str, target: str, map_index: int, updates: list
) -> Instance:
    name = f"churn-{number}"
    context = new_context("update", map_index)
    if plan.stores.task_state:
        context["task_state_store"] = TaskState()
    return Instance(
        account=account,
        endpoint=f"{name}-{endpoint}",
        old=f"{name}-v1",
        new=f"{name}-{target}",
        alarm=f"{name}-{endpoint}-errors",
        context=context,
        stores=plan.stores,
        updates=updates,
        arguments=plan.arguments,
    )


def allow(account: Account, stores: Stores, *, last_deployment_config: str = "at_start") -> None:
    """Let tasks use *stores* and no other, and SageMaker name an update's alarms so soon."""
    simulation = account.running.simulation
    simulation.faults.clear()
    simulation.knobs.update(last_deployment_config=last_deployment_config)
    if not stores.tags:
        for operation in ("AddTags", "ListTags"):
            denied = {"code": "AccessDeniedException", "message": "no", "status": 400}
            simulation.faults.add(Fault(operation=operation, kind="error", **denied))


def requests_are_answered(instance: Instance) -> None:
    """Let the fleet that an update has brought answer some, if one is in flight."""
    world, pending = instance.account.world, instance.describe().get("PendingDeploymentSummary")
    if pending is None:
        return
    dimensions = {"EndpointName": instance.endpoint, "VariantName": VARIANT["VariantName"]}
    fleet = {**dimensions, "EndpointConfigName": pending["EndpointConfigName"]}
    now = world.clock.now()
    world.metrics.record("AWS/SageMaker", "Invocations", fleet, [1.0] * 5, at=now, unit="None")
