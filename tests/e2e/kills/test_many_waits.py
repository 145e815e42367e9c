"""Three hundred waits in one triggerer, which is killed: each reports the truth, and all share calls."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

DAG_ID, RUN_ID, TASK = "waits", "all", "wait"
# For hundreds of tasks to begin or to end; minutes, where other programs need the machine too.
PATIENCE_SECONDS = 600
# How the updates end: so many while there is no triggerer, and so many under the eyes of the next one.
ENDINGS = {
    "succeeds": {"unseen": 40, "seen": 120},
    "rolls back": {"unseen": 30, "seen": 60},
    "cannot roll back": {"unseen": 5, "seen": 10},
    "fails": {"unseen": 5, "seen": 10},
    "vanishes": {"unseen": 5, "seen": 5},
    # Another update begins after the end of this one, and only while no triggerer runs: it would be seen.
    "is superseded": {"unseen": 10},
}
WAITS = 300
BEATS = 10
ENDPOINTS_ON_A_PAGE = 100
# The unseen ones, the third version included, are over before the others have baked.
BAKE_SECONDS = {"unseen": 600, "seen": 3600}
OUTCOME_BY_ENDING = {
    "succeeds": "Succeeded",
    "rolls back": "RolledBack",
    "cannot roll back": "RollbackFailed",
    "fails": "Failed",
    "vanishes": "Failed",
    "is superseded": "Superseded",
}
OUTCOME_BY_STATUS = {"Failed": "Failed", "UpdateRollbackFailed": "RollbackFailed"}
OUTCOME_BY_VERSION = {"v1": "RolledBack", "v2": "Succeeded", "v3": "Superseded"}
ENDED = {"success", "failed", "upstream_failed", "skipped", "removed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """An update of an endpoint of its own from version 1 to version 2."""

    name: str
    ending: str
    when: str

    @property
    def alarm(self) -> str:
        """One alarm for all updates that share an ending."""
        return f"{self.ending}, {self.when}"

    def config(self, version: int) -> str:
        return f"{self.name}-v{version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a report and AWS have to agree on."""

    outcome: str
    status: str | None
    serving: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What so many waits asked of SageMaker in ``BEATS`` beats."""

    waits: int
    described: int
    listed: int


class Fleet:
    """Endpoints with updates in flight, on a clock that stands still but for what is done here."""

    def __init__(self, cloud: Any) -> None:
        self._control = cloud.control
        self._sagemaker = cloud.client("sagemaker")
        self._cloudwatch = cloud.client("cloudwatch")
        kinds = [(e, when) for e, counts in ENDINGS.items() for when, n in counts.items() for _ in range(n)]
        random.Random(0).shuffle(kinds)
        self.updates = [
            Update(name=f"churn-{number}", ending=ending, when=when)
            for number, (ending, when) in enumerate(kinds)
        ]

    def launch(self) -> None:
        """Go on when the canaries bake."""
        self._control.set_speed(0)
        self._sagemaker.create_model(
            ModelName="churn",
            PrimaryContainer={"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"},
            ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
        )
        for alarm in sorted({update.alarm for update in self.updates}):
            self._create_alarm(alarm)
        for update in self.updates:
            self._create_config(update.config(1))
            self._sagemaker.create_endpoint(EndpointName=update.name, EndpointConfigName=update.config(1))
        self._control.clock.advance(minutes=5)
        for update in self.updates:
            self._update(update, 2)
        self._control.clock.advance(minutes=2)

    def end(self, when: str) -> None:
        """Let those updates end whose time is *when*."""
        self._cloudwatch.set_alarm_state(
            AlarmName=f"rolls back, {when}", StateValue="ALARM", StateReason="A bad model"
        )
        ending = [update for update in self.updates if update.when == when]
        for update in ending:
            if update.ending == "vanishes":
                self._control.vanish(update.name)
            elif update.ending == "fails":
                self._control.script_ending(update.name, status="Failed")
            elif update.ending == "cannot roll back":
                self._control.script_ending(update.name, status="UpdateRollbackFailed")
        self._control.clock.advance(minutes=5, seconds=BAKE_SECONDS[when])
        if superseded := [update for update in ending if update.ending == "is superseded"]:
            for update in superseded:
                self._update(update, 3)
            self._control.clock.advance(minutes=5, seconds=BAKE_SECONDS[when])

    def truth(self, update: Update) -> Truth:
        try:
            endpoint = self._sagemaker.describe_endpoint(EndpointName=update.name)
        except self._sagemaker.exceptions.ClientError as error:
            if "Could not find endpoint" not in str(error):
                raise
            return Truth(outcome="Failed", status=None, serving=None)
        status, serving = endpoint["EndpointStatus"], endpoint["EndpointConfigName"]
        version = serving.removeprefix(f"{update.name}-")
        outcome = OUTCOME_BY_VERSION[version] if status == "InService" else OUTCOME_BY_STATUS[status]
        return Truth(outcome=outcome, status=status, serving=serving)

    def calls(self, operation: str) -> int:
        count: int = self._control.calls(operation)
        return count

    def _create_alarm(self, name: str) -> None:
        self._cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "main"}],
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0.05,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
        )
        self._cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="No bad model yet")

    def _create_config(self, name: str) -> None:
        variant = {
            "VariantName": "main",
            "ModelName": "churn",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 4,
        }
        self._sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    def _update(self, update: Update, version: int) -> None:
        self._create_config(update.config(version))
        routing = {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            "WaitIntervalInSeconds": BAKE_SECONDS[update.when],
        }
        self._sagemaker.update_endpoint(
            EndpointName=update.name,
            EndpointConfigName=update.config(version),
            DeploymentConfig={
                "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": update.alarm}]},
            },
        )


class Waits:
    """A run of the DAG, with a wait for each update of a fleet."""

    def __init__(self, house: Any, fleet: Fleet) -> None:
        self._house = house
        self._fleet = fleet

    def start(self) -> None:
        updates = [
            {"endpoint_name": update.name, "endpoint_config_name": update.config(2)}
            for update in self._fleet.updates
        ]
        self._house.trigger(DAG_ID, RUN_ID, {"updates": updates})

    def until_held(self, number: int) -> int:
        """Go on when one triggerer holds that many waits, and all others have ended; its id."""
        self._until(lambda: self._holder(number) is not None, f"a triggerer that holds {number} waits")
        holder = self._holder(number)
        assert holder is not None
        return holder

    def until_ended(self) -> None:
        self._until(lambda: set(self._places()) <= ENDED, "the end of all waits")

    def look_on(self, number: int) -> Looks:
        """Count the calls of so many waits; one list of all their endpoints makes a beat."""
        pages = math.ceil(number / ENDPOINTS_ON_A_PAGE)
        described, listed = self._fleet.calls("DescribeEndpoint"), self._fleet.calls("ListEndpoints")
        self._until(
            lambda: self._fleet.calls("ListEndpoints") >= listed + BEATS * pages,
            f"{BEATS} lists of all endpoints",
        )
        return Looks(
            waits=number,
            described=self._fleet.calls("DescribeEndpoint") - described,
            listed=self._fleet.calls("ListEndpoints") - listed,
        )

    def tasks(self) -> list[dict[str, Any]]:
        """The tasks there are by now, in the order of the updates."""
        found: list[dict[str, Any]] = self._house.mapped_tasks(DAG_ID, RUN_ID, TASK)
        return found

    def told(self, task: dict[str, Any], key: str) -> dict[str, Any] | None:
        told: dict[str, Any] | None = self._house.mapped_xcom(DAG_ID, RUN_ID, TASK, key, task["map_index"])
        return told

    def _holder(self, number: int) -> int | None:
        held = {place: count for place, count in self._places().items() if place not in ENDED}
        (place, count), *others = held.items() or [("nowhere", 0)]
        return place if isinstance(place, int) and count == number and not others else None

    def _places(self) -> Counter[str | int]:
        """How many tasks are where: with a triggerer of this id, or in that state."""
        tasks = self.tasks()
        return Counter(map(_place, tasks)) + Counter({"unmapped": WAITS - len(tasks)})

    def _until(self, so: Callable[[], bool], what: str) -> None:
        self._house.until(so, what, instead=self._all_there_is, patience=PATIENCE_SECONDS, every=3)

    def _all_there_is(self) -> str:
        return f"{dict(self._places())}"


def _place(task: dict[str, Any]) -> str | int:
    holder = task["triggerer_job"] if task["state"] == "deferred" else None
    place: str | int = holder["id"] if holder else task["state"] or "none"
    return place


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What became of an update by AWS, and what by Airflow."""

    update: Update
    truth: Truth
    task: dict[str, Any]
    report: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """How the waits went, under the triggerer that was killed and under the next one."""

    waits: Waits
    ends: list[End]
    triggerers: tuple[int, int]
    looks: dict[str, Looks]


@pytest.fixture(scope="module")
def story(house, cloud) -> Story:
    """Kill the triggerer in the middle of all waits, and go on when all have ended."""
    house.wait_until_ready(DAG_ID)
    fleet = Fleet(cloud)
    waits = Waits(house, fleet)
    fleet.launch()
    waits.start()
    killed = waits.until_held(WAITS)
    looks = {"killed": waits.look_on(WAITS)}

    house.kill_triggerer()
    fleet.end("unseen")
    house.start_component("triggerer")
    left = sum(update.when == "seen" for update in fleet.updates)
    following = waits.until_held(left)
    looks["following"] = waits.look_on(left)

    fleet.end("seen")
    waits.until_ended()
    ends = [
        End(update=update, truth=fleet.truth(update), task=task, report=waits.told(task, "rollout_report"))
        for update, task in zip(fleet.updates, waits.tasks(), strict=True)
    ]
    return Story(waits=waits, ends=ends, triggerers=(killed, following), looks=looks)


def test_every_wait_reports_the_true_outcome_of_its_own_endpoint(story):
    told = {
        end.update: (end.report["endpoint_name"], end.report["previous_endpoint_config_name"], _told(end))
        for end in story.ends
    }
    assert told == {end.update: (end.update.name, end.update.config(1), end.truth) for end in story.ends}


def test_the_task_of_a_wait_succeeds_only_if_the_update_did_and_is_not_tried_again(story):
    ended = {end.update: (end.task["state"], end.task["try_number"]) for end in story.ends}
    assert ended == {
        end.update: ("success" if end.truth.outcome == "Succeeded" else "failed", 1) for end in story.ends
    }


def test_the_task_of_a_successful_wait_returns_its_report(story):
    succeeded = [end for end in story.ends if end.truth.outcome == "Succeeded"]
    assert [story.waits.told(end.task, "return_value") for end in succeeded] == [
        end.report for end in succeeded
    ]


def test_the_alarm_behind_a_rollback_is_named_even_if_it_was_not_seen_in_alarm(story):
    causes = {
        end.update: (end.report["cause"]["kind"], [alarm["name"] for alarm in end.report["cause"]["alarms"]])
        for end in story.ends
        if end.truth.outcome == "RolledBack"
    }
    assert causes == {update: ("alarm", [update.alarm]) for update in causes}


def test_the_endings_are_those_that_were_meant(story):
    """Were it not so, all of the above could be said of three hundred successes."""
    meant = Counter(OUTCOME_BY_ENDING[end.update.ending] for end in story.ends)
    assert Counter(end.truth.outcome for end in story.ends) == meant
    assert meant.total() == WAITS


def test_the_triggerer_that_is_started_next_takes_the_waits_over(story):
    killed, following = story.triggerers
    assert killed != following


@pytest.mark.parametrize("triggerer", ["killed", "following"])
def test_waits_of_a_triggerer_share_their_looks(story, triggerer):
    looks = story.looks[triggerer]
    assert looks.listed >= BEATS
    # Each by itself would have its endpoint described in every beat.
    assert looks.described < looks.waits * BEATS / 10


def _told(end: End) -> Truth:
    report = end.report
    return Truth(
        outcome=report["outcome"],
        status=report["endpoint_status"],
        serving=report["serving_endpoint_config_name"],
    )
