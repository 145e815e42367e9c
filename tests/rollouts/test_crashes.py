"""
Every call that a guarded update makes, and a crash at it: a retry never asks twice, and tells what is so.

The calls are recorded from a clean run, so one that is added is crashed at as well; ``CALLS`` makes whoever
adds it think about where it stands.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.aws.abort_switch import publish_request
from airflow_guardrails.domain.abort_switch import THROWN, AbortSwitch
from airflow_guardrails.exceptions import GuardrailsError, LaunchUnknown, RolloutError
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.simulator.metric_publishing import put_metric_data
from airflow_guardrails.strategies import Canary
from tests.crashing import Crash, Died, Moment, Wire, crashable_simulator

pytestmark = pytest.mark.proof

# Not on a whole second: the Date header tells no fractions, LastModifiedTime does.
START = datetime(2026, 3, 2, 10, 0, 0, 400_000, tzinfo=timezone.utc)
CANARY = Canary(percent=25, bake=timedelta(minutes=5))

# Each call is crashed at, and retried after. A new one belongs here once it is clear that a crash there is
# harmless; if it changes anything, what a retry makes of it half done.
LOOK_BACK = ("DescribeEndpointConfig", "ListTags", "DescribeEndpoint")
PREFLIGHT = ("DescribeEndpointConfig", "DescribeEndpointConfig", "DescribeAlarms", "DescribeModel")
READY_SWITCH = ("DescribeAlarms", "PutMetricAlarm", "PutMetricData", *["DescribeAlarms"] * 3)
ASK = ("DescribeEndpoint", "UpdateEndpoint")
MARK_LAUNCHED = "AddTags"
LAUNCH = (*LOOK_BACK, *PREFLIGHT, "AddTags", *READY_SWITCH, *ASK, MARK_LAUNCHED)
LOOK, STAGE = "DescribeEndpoint", ("DescribeEndpoint", "DescribeAlarms")
FIND_CAUSE = ("DescribeAlarmHistory", "DescribeAlarmHistory", "DescribeAlarms")
FIND_TRACES = ("DescribeAlarmHistory", "DescribeAlarmHistory", "GetMetricStatistics")
RESET_SWITCH = "PutMetricData"
CALLS = {
    "deferred": (*LAUNCH, *STAGE),
    "blocking": (*LAUNCH, *STAGE, LOOK, *STAGE, LOOK, LOOK, RESET_SWITCH),
    "rolled back": (*LAUNCH, *STAGE, LOOK, *STAGE, LOOK, LOOK, *FIND_CAUSE, RESET_SWITCH),
    "may not tag": (*LOOK_BACK, *PREFLIGHT, *READY_SWITCH, *ASK, *STAGE),
    "retried after time passes": (*LOOK_BACK, RESET_SWITCH),
    "retried after is aborted": (*LOOK_BACK, *FIND_TRACES, *FIND_CAUSE, RESET_SWITCH),
    "retried after leaves no trace": (*LOOK_BACK, *FIND_TRACES),
}


@dataclass(frozen=True)
class End:
    """How a try ended: ``outcome`` of the report, or the error's name, or ``deferred``."""

    what: str
    adopted: str | None = None


@dataclass
class Case:
    """One endpoint with all that belongs to it, and the task that is to update it."""

    account: Account
    endpoint: str
    old: str
    new: str
    alarm: str
    launches: int = 0
    slept: float = 0.0
    # Something that happens while the task sleeps, once so many seconds are over.
    event: tuple[float, Callable[[], None]] | None = None
    context: dict[str, Any] = field(default_factory=dict)

    def run(self, *, crash: Crash | None = None, deferrable: bool = False) -> End | None:
        """Run a try with a fresh operator; None if it died."""
        operator = SageMakerGuardedUpdateOperator(
            task_id="update",
            endpoint_name=self.endpoint,
            endpoint_config_name=self.new,
            strategy=CANARY,
            alarms=[self.alarm],
            deferrable=deferrable,
            waiter_delay=240,
        )
        operator.sleep, operator.now = self._sleep, self.account.time
        wire = self.account.wire
        wire.begin(crash)
        before = len(wire.accepted)
        try:
            end = _end_of(operator, self.context)
            wire.go_on()
        except Died:
            return None
        finally:
            self.launches += len(wire.accepted) - before
        return end

    def _sleep(self, seconds: float) -> None:
        self.account.wire.go_on()
        self.account.advance(seconds=seconds)
        self.slept += seconds
        if self.event and self.slept >= self.event[0]:
            happens, self.event = self.event[1], None
            happens()

    # The truth, asked by somebody else.

    def describe(self) -> dict[str, Any]:
        return self.account.world.sagemaker.describe_endpoint({"EndpointName": self.endpoint})

    @property
    def in_flight(self) -> bool:
        return self.describe()["EndpointStatus"] != "InService"

    @property
    def serves(self) -> str:
        return self.describe()["EndpointConfigName"]

    @property
    def intent(self) -> dict[str, str]:
        tags = self.context["task_state_store"].values() if "task_state_store" in self.context else self._tags
        return {tag["Key"].partition(":")[2]: tag["Value"] for tag in tags}

    @property
    def _tags(self) -> list[dict[str, str]]:
        catalogue = self.account.world.sagemaker.catalogue
        config = catalogue.describe_endpoint_config({"EndpointConfigName": self.new})
        return catalogue.tags.list({"ResourceArn": config["EndpointConfigArn"]})["Tags"]

    def set_alarm(self, state: str) -> None:
        self.account.world.alarms.set_state(self.alarm, state=state, reason="Set by the test")

    @property
    def switch(self) -> AbortSwitch:
        return AbortSwitch(endpoint_name=self.endpoint)


def _end_of(operator: SageMakerGuardedUpdateOperator, context: dict[str, Any]) -> End:
    try:
        report = operator.execute(context)
    except TaskDeferred:
        return End("deferred")
    except RolloutError as error:
        report = error.report
    except GuardrailsError as error:
        return End(type(error).__name__)
    return End(report["outcome"], report["adopted"])


class TaskState:
    """The part of Airflow 3.3's task state that outlives a try."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return json.loads(self._kept[key]) if key in self._kept else None

    def set(self, key: str, value: Any) -> None:
        self._kept[key] = json.dumps(value)

    def values(self) -> list[Any]:
        return [tag for kept in self._kept.values() for tag in json.loads(kept)["tags"]]


@dataclass
class Account:
    """
    One simulator for all cases; each has an endpoint of its own there.

    Only the task comes by the wire: all else uses the simulator's objects, which takes half of the time.
    """

    running: Any
    wire: Wire
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def world(self) -> Any:
        return self.running.simulation.world("us-east-1")

    def advance(self, **time: float) -> None:
        self.running.simulation.clock.advance(timedelta(**time).total_seconds())

    def time(self) -> float:
        return self.running.simulation.clock.now().timestamp()

    def case(self) -> Case:
        number = next(self.numbers)
        case = Case(
            account=self,
            endpoint=f"churn-{number}",
            old=f"churn-{number}-v1",
            new=f"churn-{number}-v2",
            alarm=f"errors-{number}",
            context={"ti": _task_instance()},
        )
        for name in (case.old, case.new):
            self._config(name)
        self.world.sagemaker.create_endpoint({"EndpointName": case.endpoint, "EndpointConfigName": case.old})
        self._alarm(case.alarm)
        # Alarms are judged every 10 s: begun on a full minute, every case makes the same calls.
        self.advance(minutes=10)
        self.advance(seconds=60.4 - self.time() % 60)
        return case

    def forget(self, case: Case) -> None:
        """Keep the simulator small, and so quick."""
        self.world.sagemaker.vanish(case.endpoint)
        known = {alarm.name for alarm in self.world.alarms.all()}
        self.world.alarms.delete(known & {case.alarm, case.switch.alarm_name})

    def _config(self, name: str) -> None:
        variant = {"VariantName": "All", "ModelName": "churn", "InstanceType": "ml.m5.large"}
        self.world.sagemaker.catalogue.create_endpoint_config(
            {"EndpointConfigName": name, "ProductionVariants": [{**variant, "InitialInstanceCount": 4}]}
        )

    def _alarm(self, name: str) -> None:
        self.world.alarms.put_metric_alarm(
            {
                "AlarmName": name,
                "Namespace": "AWS/SageMaker",
                "MetricName": "Invocation5XXErrors",
                "Statistic": "Average",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 0.05,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "ignore",
            }
        )
        self.world.alarms.set_state(name, state="OK", reason="Set by the test")


def _task_instance() -> SimpleNamespace:
    return SimpleNamespace(
        dag_id="deploy", run_id="r", task_id="update", map_index=-1, xcom_push=lambda **_: None
    )


@pytest.fixture(scope="module")
def account(shared_models):
    with crashable_simulator(START) as (running, wire):
        account = Account(running=running, wire=wire)
        account.world.sagemaker.catalogue.create_model(
            {
                "ModelName": "churn",
                "PrimaryContainer": {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"},
                "ExecutionRoleArn": "arn:aws:iam::123456789012:role/sagemaker",
            }
        )
        yield account


# What happens between the crash and the retry; the alarm is OK again by then, as a retry would not get by it.


def time_passes(case: Case) -> None:
    case.account.advance(minutes=60)


def is_rolled_back(case: Case) -> None:
    case.account.advance(minutes=5)
    case.set_alarm("ALARM")
    case.account.advance(minutes=30)
    case.set_alarm("OK")
    case.account.advance(minutes=1)


def is_in_flight(case: Case) -> None:
    case.account.advance(seconds=30)


def is_aborted(case: Case) -> None:
    if case.in_flight:
        throw(case)
    case.account.advance(minutes=40)


def leaves_no_trace(case: Case) -> None:
    if case.in_flight:
        case.account.world.sagemaker.script_ending(
            case.endpoint, status="InService", endpoint_config_name=case.old, after_seconds=120
        )
    case.account.advance(minutes=60)


def is_scaled(case: Case) -> None:
    if not case.in_flight:
        case.account.world.sagemaker.update_endpoint_weights_and_capacities(
            {
                "EndpointName": case.endpoint,
                "DesiredWeightsAndCapacities": [{"VariantName": "All", "DesiredInstanceCount": 3}],
            }
        )
    case.account.advance(minutes=60)


def time_passes_until_the_alarm_trips(case: Case) -> None:
    if case.event:
        case.account.advance(minutes=4)
        case.event[1]()
    case.account.advance(minutes=60)


def throw(case: Case) -> None:

    account = case.account
    request = publish_request(case.switch, THROWN)
    put_metric_data(account.world.metrics, request, now=account.world.clock.now())


@dataclass(frozen=True)
class Story:
    """What happens, and how an update that ran meanwhile is told of; if there was none, it is launched."""

    happens: Callable[[Case], None]
    launched: End
    changed_by_others: bool = False
    needs_a_launch: bool = False

    def __str__(self) -> str:
        return self.happens.__name__.replace("_", " ")


WENT_WELL = End("Succeeded", adopted="own")
UNDONE = End("RolledBack", adopted="own")
UNKNOWN = End(LaunchUnknown.__name__)
LAUNCHED_ANEW = End("Succeeded")

GOES_WELL = Story(time_passes, WENT_WELL)
IS_ROLLED_BACK = Story(is_rolled_back, UNDONE)
IS_ABORTED = Story(is_aborted, UNDONE, needs_a_launch=True)
LEAVES_NO_TRACE = Story(leaves_no_trace, UNKNOWN, needs_a_launch=True)
STORIES = [
    GOES_WELL,
    IS_ROLLED_BACK,
    Story(is_in_flight, WENT_WELL),
    IS_ABORTED,
    LEAVES_NO_TRACE,
    Story(is_scaled, WENT_WELL, changed_by_others=True),
]
RETRIED = [GOES_WELL, IS_ABORTED, LEAVES_NO_TRACE]


def retry_after(case: Case, story: Story, *crashed: Crash, **first: Any) -> End:
    """
    Crash, let the story happen, crash again if there is more, retry; then what must be so is so.
    """
    assert case.run(crash=crashed[0], **first) is None, f"the first try did not die at {crashed[0]}"
    launched, meant = case.launches > 0, bool(case.intent.get("owner"))
    known = bool(case.intent.get("launched-at"))
    story.happens(case)
    for crash in crashed[1:]:
        assert case.run(crash=crash) is None, f"the second try did not die at {crash}"

    end = case.run()

    assert end == expected(story, launched=launched, meant=meant, known=known), crashed
    assert case.launches == (0 if end == UNKNOWN and not launched else 1), crashed
    assert case.serves == (case.new if end.what == "Succeeded" else case.old), crashed
    assert not case.in_flight, crashed
    assert case.intent["owner"], crashed
    assert case.intent["previous-config"] == case.old, crashed
    case.account.advance(minutes=1)
    assert case.account.world.alarms.state(case.switch.alarm_name) != "ALARM", crashed
    return end


def expected(story: Story, *, launched: bool, meant: bool, known: bool) -> End:
    if launched:
        return UNDONE if known and story.launched == UNKNOWN else story.launched
    return UNKNOWN if story.changed_by_others and meant else LAUNCHED_ANEW


def crashes(calls: Sequence[str], *, beginning: int = 0) -> Iterator[Crash]:
    for at in range(beginning, len(calls)):
        yield from (Crash(at, moment) for moment in Moment)


@pytest.fixture
def case(account):
    """Make a case anew, and forget the one before."""
    cases: list[Case] = []

    def make() -> Case:
        while cases:
            account.forget(cases.pop())
        cases.append(account.case())
        return cases[-1]

    yield make
    account.running.client.clear_faults()
    account.forget(cases.pop())


@pytest.fixture(scope="module")
def clean(account):
    """What each run calls when nothing crashes in it."""

    def calls_of(case: Case, **tries: Any) -> tuple[str, ...]:
        assert case.run(**tries) is not None
        account.forget(case)
        return tuple(account.wire.calls)

    recorded = {
        "deferred": calls_of(account.case(), deferrable=True),
        "blocking": calls_of(account.case()),
        "rolled back": calls_of(trips_while_baking(account.case())),
    }
    asked = Crash(recorded["deferred"].index("UpdateEndpoint"), Moment.UNANSWERED)
    for story in RETRIED:
        case = account.case()
        case.run(crash=asked)
        story.happens(case)
        recorded[f"retried after {story}"] = calls_of(case)
    may_not_tag(account)
    recorded["may not tag"] = calls_of(with_task_state(account.case()), deferrable=True)
    account.running.client.clear_faults()
    return recorded


def may_not_tag(account: Account) -> None:
    for operation in ("AddTags", "ListTags"):
        account.running.client.fault(
            operation, kind="error", code="AccessDeniedException", message="no", status=400, times=None
        )


def with_task_state(case: Case) -> Case:
    case.context["task_state_store"] = TaskState()
    return case


def trips_while_baking(case: Case) -> Case:
    case.event = (250, lambda: case.set_alarm("ALARM"))
    return case


@pytest.mark.parametrize("run", list(CALLS))
def test_every_call_has_been_thought_about(clean, run):
    assert clean[run] == CALLS[run]


def test_nothing_is_recorded_that_is_not_listed(clean):
    assert set(clean) == set(CALLS)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_crash_before_the_task_defers(case, clean, story):
    calls = clean["deferred"]
    # Where nothing runs yet, there is nothing to abort or undo.
    beginning = calls.index("UpdateEndpoint") if story.needs_a_launch else 0
    points = list(crashes(calls, beginning=beginning))

    ends = {point: retry_after(case(), story, point, deferrable=True) for point in points}

    unknown = [point for point, end in ends.items() if end == UNKNOWN]
    assert unknown == unknowable(points, calls, story)


# Where nothing can be known: the endpoint has changed, and nothing tells whether that was the update or not.
UNKNOWABLE = {
    # Asked for, not yet marked as launched, and undone before it had any traffic, by nothing that has a name.
    "leaves no trace": (("UpdateEndpoint", Moment.UNANSWERED), ("AddTags", Moment.UNSENT)),
    # Meant, not asked for, and somebody else has changed the endpoint since.
    "is scaled": (("AddTags", Moment.UNANSWERED), ("UpdateEndpoint", Moment.UNSENT)),
}


def unknowable(points: list[Crash], calls: Sequence[str], story: Story) -> list[Crash]:
    if str(story) not in UNKNOWABLE:
        return []
    named = [(calls[point.at], point.moment) for point in points]
    first, last = UNKNOWABLE[str(story)]
    return points[named.index(first) : len(named) - named[::-1].index(last)]


def test_a_crash_while_the_task_waits(case, clean):
    calls = clean["blocking"]
    assert calls[: len(clean["deferred"])] == clean["deferred"], "those have been crashed at"

    for crash in crashes(calls, beginning=len(clean["deferred"])):
        retry_after(case(), GOES_WELL, crash)


def test_a_crash_while_the_task_waits_for_an_update_that_is_rolled_back(case, clean):
    for crash in crashes(clean["rolled back"], beginning=len(clean["deferred"])):
        retry_after(trips_while_baking(case()), Story(time_passes_until_the_alarm_trips, UNDONE), crash)


@pytest.mark.parametrize("story", RETRIED, ids=str)
def test_a_crash_of_the_retry_too(case, clean, story):
    asked = Crash(clean["deferred"].index("UpdateEndpoint"), Moment.UNANSWERED)

    for crash in crashes(clean[f"retried after {story}"]):
        retry_after(case(), story, asked, crash)


def test_a_crash_of_a_task_that_may_not_tag(case, clean, account):
    calls = clean["may not tag"]
    may_not_tag(account)

    for crash in crashes(calls, beginning=calls.index("DescribeModel")):
        retry_after(with_task_state(case()), IS_ROLLED_BACK, crash, deferrable=True)
