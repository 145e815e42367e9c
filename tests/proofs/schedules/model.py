"""What is drawn for a schedule: tasks, what befalls them, other people, and how AWS behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling

ENDPOINTS = ("churn", "fraud")
# What each endpoint serves when a schedule begins; the others are shared by both endpoints.
BASE, CONFIGS, SCRIPTED = "v1", ("v1", "v2", "v3"), "v4"
PEOPLES_ALARMS = ("errors", "theirs")


@dataclass(frozen=True)
class Event:
    """Something that happens so many seconds *after* the beginning, to an *endpoint* or to a task."""

    after: int
    does: str
    what: Any = None
    # Which endpoint, or which actor, counted on from the first one.
    whom: int = 0


@dataclass(frozen=True)
class Crash:
    """A worker dies at a call of this *operation*: before it is ``sent``, or when it is carried out."""

    operation: str
    time: int
    sent: bool


@dataclass(frozen=True)
class Run:
    """One task instance: its operator's arguments, its tries (a crash or None), and its Airflow."""

    arguments: dict[str, Any]
    endpoint: int = 0
    kind: str = "update"
    begins: int = 0
    tries: tuple[Crash | None, ...] = (None,)
    retry_after: int = 60
    # Another map index of the same task as the run before, instead of another task.
    mapped: bool = False
    tags: str = "allowed"
    task_state: str = "kept"
    xcom: str = "works"
    supervisor_late: int = 0
    worker_clock: int = 0
    triggerer_clock: int = 0


@dataclass(frozen=True)
class Schedule:
    runs: tuple[Run, ...]
    events: tuple[Event, ...] = ()
    knobs: dict[str, Any] = field(default_factory=dict)
    # How long a call is on its way, there and back; things happen meanwhile.
    latency: float = 0.0
    # Whether the endpoints are asked for predictions, which proves that a fleet ran.
    traffic: bool = False
    seed: int = 0


MINUTES = st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15)])
BAKES = MINUTES.filter(bool)
MOST = st.sampled_from([None, None, timedelta(minutes=45)])
STRATEGIES = st.one_of(
    st.builds(AllAtOnce, termination_wait=MINUTES, max_duration=MOST),
    st.builds(Canary, percent=st.just(25), bake=BAKES, termination_wait=MINUTES, max_duration=MOST),
    st.builds(Linear, percent=st.just(50), bake=BAKES, termination_wait=MINUTES),
    st.builds(
        Rolling,
        batch_percent=st.just(50),
        bake=BAKES,
        rollback_batch_percent=st.sampled_from([None, 25, 100]),
    ),
)
SECONDS = st.integers(0, 60) | st.integers(0, 600) | st.integers(0, 500).map(lambda n: n * 5)
TARGETS = st.sampled_from(["v2", "v2", "v3"])
CALLS = st.sampled_from(
    ["DescribeEndpoint"] * 3
    + ["UpdateEndpoint", "AddTags", "ListTags", "DescribeAlarms", "DescribeAlarmHistory", "PutMetricData"]
    + ["PutMetricAlarm", "DescribeEndpointConfig", "DescribeModel", "DeleteAlarms", "GetMetricStatistics"]
)
FAULTS = st.one_of(
    st.tuples(CALLS, st.sampled_from(["throttle", "error", "hang", "lose"]), st.integers(1, 6)),
    st.tuples(st.just("UpdateEndpoint"), st.just("lose"), st.just(1)),
    st.tuples(
        st.sampled_from(["DescribeEndpoint", "UpdateEndpoint"]),
        st.sampled_from(["missing", "malformed", "doubled", "repeated", "without_zone", "unknown_zone"]),
        st.integers(1, 20),
    ),
)


def _event(does: str, what: Any = None, *, seconds: Any = SECONDS) -> Any:
    what = st.just(what) if what is None else what
    return st.builds(Event, seconds, st.just(does), what, st.sampled_from([0, 0, 1, 2]))


# While an update is likely to be in flight.
MEANWHILE = st.integers(20, 900)


RESTARTS = st.tuples(st.sampled_from(["killed", "shut down"]), st.sampled_from([0, 30, 1200]))
EVENTS = st.one_of(
    _event("trip"),
    _event("calm"),
    _event("update", st.tuples(st.sampled_from(CONFIGS), st.sampled_from(["plain", "canary", "theirs"]))),
    _event("update", st.tuples(st.sampled_from(CONFIGS), st.sampled_from(["plain", "retain", "retain"]))),
    _event("scale", st.integers(1, 4)),
    _event("system_update", st.sampled_from([30, 300])),
    _event("fault", FAULTS),
    _event("fault", FAULTS),
    _event("fault", st.just(("UpdateEndpoint", "lose", 1)), seconds=st.integers(0, 20)),
    _event("mark_failed"),
    _event("clear"),
    _event("capacity", st.booleans()),
    _event("repoint"),
    _event(
        "ending",
        st.tuples(
            st.sampled_from(["UpdateRollbackFailed", "Failed", "OutOfService", "InService"]),
            st.sampled_from([60, 400]),
        ),
    ),
    _event("delete_config", st.booleans(), seconds=st.integers(60, 900)),
    _event("vanish", seconds=st.integers(600, 3000)),
)
# They come by themselves, for most do little to a task that is over.
INTERRUPTIONS = st.one_of(
    _event("mark_failed", seconds=MEANWHILE),
    _event("mark_failed", seconds=MEANWHILE),
    _event("clear", seconds=MEANWHILE),
    _event("restart", RESTARTS, seconds=MEANWHILE),
    _event("copy", st.sampled_from([2, 60, 900]), seconds=MEANWHILE),
)
OUR_ARGUMENTS = st.fixed_dictionaries(
    {
        "endpoint_config_name": TARGETS,
        "strategy": STRATEGIES,
        "alarms": st.sampled_from([["errors"], ["errors"], []]),
        "guards": st.sampled_from([[], [{"guard": "ErrorRate", "above": 0.01}]]),
        "abort_switch": st.sampled_from([True, True, True, False]),
        "deferrable": st.sampled_from([True, True, False]),
        "waiter_delay": st.sampled_from([5, 30, 60]),
        "max_wait": st.sampled_from([None, None, timedelta(minutes=4), timedelta(minutes=20)]),
        "on_timeout": st.sampled_from(["fail", "abort"]),
        "on_kill": st.sampled_from(["leave", "abort", "abort"]),
        "on_rollback": st.sampled_from(["fail", "fail", "return", "skip"]),
        "if_busy": st.sampled_from(["fail", "wait"]),
        "if_already_live": st.sampled_from(["fail", "succeed"]),
        "relaunch": st.sampled_from([False, False, False, True]),
        "require_alarms_ok": st.sampled_from([False, False, True]),
        # Some have no bake, or no alarm; that they are refused is shown elsewhere.
        "allow_unguarded": st.sampled_from([True, True, True, False]),
    }
)
ABORT_ARGUMENTS = st.fixed_dictionaries(
    {"endpoint_config_name": st.none() | st.sampled_from(CONFIGS), "deferrable": st.booleans()}
)
SENSOR_ARGUMENTS = st.fixed_dictionaries(
    {
        "endpoint_config_name": TARGETS,
        "deferrable": st.booleans(),
        "previous_endpoint_config_name": st.sampled_from([None, BASE]),
        "poke_interval": st.sampled_from([10, 60]),
        "timeout": st.sampled_from([600, 7200]),
        "soft_fail": st.booleans(),
    }
)
CRASHES = st.one_of(
    st.none(),
    st.none(),
    st.builds(Crash, st.just("UpdateEndpoint"), st.just(1), st.booleans()),
    st.builds(Crash, CALLS, st.integers(1, 4), st.booleans()),
)
CLOCKS = st.sampled_from([0, -600, 600]) | st.integers(-600, 600)


def _runs(kind: str, arguments: Any, *, begins: Any, tries: Any = CRASHES) -> Any:
    return st.builds(
        Run,
        arguments=arguments,
        endpoint=st.sampled_from([0, 0, 1]),
        kind=st.just(kind),
        begins=begins,
        tries=st.lists(tries, min_size=1, max_size=4).map(tuple),
        retry_after=st.sampled_from([0, 5, 60, 300, 3600]),
        mapped=st.booleans(),
        tags=st.sampled_from(["allowed", "allowed", "allowed", "denied", "full"]),
        task_state=st.sampled_from(["kept", "absent", "absent", "failing"]),
        xcom=st.sampled_from(["works", "works", "works", "failing"]),
        supervisor_late=st.sampled_from([0, 0, 6, 30]),
        worker_clock=CLOCKS,
        triggerer_clock=CLOCKS,
    )


UPDATES = _runs("update", OUR_ARGUMENTS, begins=st.just(0) | st.just(0) | st.integers(0, 900))
ABORTS = _runs("abort", ABORT_ARGUMENTS, begins=SECONDS | MEANWHILE | MEANWHILE)
SENSORS = _runs("sensor", SENSOR_ARGUMENTS, begins=st.integers(0, 300), tries=st.none())
KNOBS = st.fixed_dictionaries(
    {},
    optional={
        "provisioning_seconds": st.sampled_from([5.0, 60.0, 400.0]),
        "activation_seconds": st.just(0.0),
        "deleting_seconds": st.sampled_from([30.0, 300.0]),
        "describe_lag_seconds": st.sampled_from([5.0, 30.0, 90.0]),
        "stale_read_probability": st.sampled_from([0.1, 0.4]),
        "stale_read_seconds": st.sampled_from([30.0, 90.0]),
        "metric_delay_seconds": st.sampled_from([5.0, 30.0, 90.0]),
        "rollback_failure_reason": st.sampled_from([None, "", "An alarm tripped."]),
        "show_rolling_back": st.just(True),
        "alarms_judged": st.just("always"),
        "alarm_poll_seconds": st.just(60.0),
        "alarm_already_in_alarm": st.just("ignored"),
        "insufficient_data": st.just("rolls_back"),
        "timeout_ends_in": st.just("Failed"),
        "rolling_rollback_ends_in": st.just("UpdateRollbackFailed"),
        "linear_last_step_bakes": st.just(False),
        "same_config_update": st.just("reject"),
        "scaling_ends_in": st.just("rollback"),
        "last_deployment_config": st.just("at_end"),
        "start_time_delay_seconds": st.sampled_from([40.0, 100.0]),
        "pending_before_start": st.just("hidden"),
    },
)


@st.composite
def schedules(draw: Any) -> Schedule:
    runs = draw(st.lists(UPDATES, min_size=1, max_size=3))
    runs += draw(st.lists(SENSORS, max_size=1))
    runs += draw(st.lists(ABORTS, max_size=2))
    events = draw(st.lists(EVENTS, max_size=6)) + draw(st.lists(INTERRUPTIONS, max_size=2))
    return Schedule(
        runs=tuple(runs),
        events=tuple(events),
        knobs=draw(KNOBS),
        latency=draw(st.sampled_from([0.0, 0.0, 0.5, 4.0])),
        traffic=draw(st.booleans()),
        seed=draw(st.integers(0, 1000)),
    )
