"""A rollout followed to its end: a script answers what is asked, and time passes only in pauses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain, repeat

import pytest

from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import Canary
from airflow_guardrails.domain.effects import (
    DeleteRolloutAlarms,
    DescribeAlarmHistory,
    DescribeAlarms,
    DescribeEndpoint,
    LogMessage,
    NoResponse,
    PublishReport,
    SetAbortSwitch,
    Sleep,
    WaitForChange,
)
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.rollout.messages import outcome_message
from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome, TimeoutAction
from airflow_guardrails.domain.rollout.process import WaitPolicy, finish, poll_once, wait_until_finished
from airflow_guardrails.domain.rollout.report import reported_outcome
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import RESET, THROWN
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmState, AlarmTransition
from airflow_guardrails.domain.snapshots.endpoint import (
    EndpointStatus,
    MissingEndpoint,
    PendingDeployment,
    Stage,
)
from airflow_guardrails.domain.snapshots.guard_alarms import rollout_prefix
from tests.support.churn import switch_of
from tests.support.rollouts import LAUNCH, after, flying, in_service

CANARY = Canary(percent=25, bake=timedelta(minutes=10))
THROTTLED = NoResponse("ThrottlingException: Rate exceeded")
OK = Alarm(name="errors", state=AlarmState.OK)
SWITCH = switch_of()


def launched(*alarms, **facts):
    guardrails = Guardrails(strategy=CANARY, alarms=alarms)
    known = {"previous": "v1", "launched_at": LAUNCH, "guardrails": guardrails, **facts}
    return RolloutState(rollout=Rollout(endpoint_name="churn", target="v2", **known))


@dataclass
class Script:
    """Answers looks one after the other, the last one for ever; keeps what was asked."""

    looks: list
    states: object = (OK,)
    history: object = ()
    switch: object = None
    deleted: object = None
    passed: float = 0.0
    asked: list = field(default_factory=list)

    def monotonic(self):
        return 12_345.0 + self.passed

    def run_effects(self, steps):
        looks, answer = chain(self.looks, repeat(self.looks[-1])), None
        while True:
            try:
                ask = steps.send(answer)
            except StopIteration as end:
                return end.value
            self.asked.append(ask)
            answer = self.answer(ask, looks)

    def answer(self, ask, looks):
        match ask:
            case DescribeEndpoint("churn"):
                return self.look(next(looks))
            case DescribeAlarms():
                return self.states
            case DescribeAlarmHistory():
                return self.history
            case SetAbortSwitch():
                return self.switch
            case DeleteRolloutAlarms():
                return self.deleted
            case Sleep(seconds) | WaitForChange(seconds=seconds):
                self.passed += seconds
        return None

    def look(self, look):
        return look(self.passed) if callable(look) else look

    def follow(self, watch, *, every=30.0, began_at=LAUNCH, **more):
        policy = WaitPolicy(every=every, monotonic=self.monotonic, began_at=began_at, **more)
        _, report = self.run_effects(wait_until_finished(watch, policy))
        return report

    def of(self, kind):
        return [ask for ask in self.asked if isinstance(ask, kind)]

    @property
    def rests(self):
        return [rest.seconds for rest in self.of(WaitForChange)]

    @property
    def said(self):
        return [ask.sentence for ask in self.of(LogMessage)]


# To the end


def test_the_first_thing_asked_for_is_a_look_and_an_end_is_not_waited_for():
    script = Script([in_service(3, "v2")])
    assert script.follow(launched())["outcome"] == "Succeeded"
    assert script.of(DescribeEndpoint) == [DescribeEndpoint("churn")]
    assert script.rests == [0.0]


def test_looks_are_taken_at_the_pace_that_was_asked_for():
    script = Script([flying(30), flying(60), in_service(90, "v2")])
    script.follow(launched(), every=17.0)
    assert script.rests == [0.0, 17.0, 17.0]


def test_no_answer_never_ends_a_watch():
    script = Script([*[THROTTLED] * 200, flying(30), *[THROTTLED] * 50, in_service(900, "v2")])
    assert script.follow(launched())["outcome"] == "Succeeded"


def test_no_answer_neither_confirms_a_suspicion_nor_takes_it_back():
    watch = launched().after(flying(30)).after(in_service(300))
    assert watch.suspected is Outcome.ROLLED_BACK
    seen = Script([THROTTLED]).run_effects(poll_once(watch))
    assert (seen.suspected, seen.outcome, seen.last_look) == (watch.suspected, None, watch.last_look)


def test_missing_responses_are_logged_once_each_time_they_begin():
    script = Script([THROTTLED, THROTTLED, in_service(60), THROTTLED, THROTTLED, in_service(900, "v2")])
    script.follow(launched())
    sentence = "No response from SageMaker (ThrottlingException: Rate exceeded); trying again"
    assert script.said == [sentence, sentence]


def test_a_silence_that_is_final_ends_the_watch_with_the_report_so_far():
    denied = NoResponse("AccessDenied: not authorized", final=True)
    script = Script([flying(30), flying(230, Stage.BAKING, since=210, instances=1), denied])
    with pytest.raises(Unwatchable, match="AccessDenied: not authorized") as raised:
        script.follow(launched("errors"))
    report = raised.value.report
    assert (report["outcome"], report["endpoint_status"]) == (None, "Updating")
    assert [stage["stage"] for stage in report["stages"]] == ["Creating", "Baking"]
    assert script.of(DescribeEndpoint) == [DescribeEndpoint("churn")] * 3


# The deadline, on AWS's clock


def test_the_deadline_passes_though_aws_stops_answering():
    script = Script([flying(30), THROTTLED])
    report = script.follow(launched(deadline=after(1030)))
    assert (report["outcome"], script.passed) == ("TimedOut", 1000.0)
    assert report["endpoint_status"] == "Updating"


@pytest.mark.parametrize(
    ("began_at", "waited"), [(after(0), 1000.0), (after(600), 400.0), (after(-600), 1600.0)]
)
def test_only_where_aws_has_never_answered_this_machines_time_of_day_counts(began_at, waited):
    script = Script([THROTTLED])
    report = script.follow(launched(deadline=after(1000)), began_at=began_at)
    assert (report["outcome"], script.passed) == ("TimedOut", waited)
    assert report["serving_endpoint_config_name"] is None


def test_what_aws_said_before_the_watch_was_resumed_goes_before_this_machines_time_of_day():
    script = Script([THROTTLED])
    watch = replace(launched(deadline=after(1000)), as_of=after(400))
    script.follow(watch, began_at=after(-600))
    assert script.passed == 600.0


def test_the_last_pause_ends_at_the_deadline_and_what_is_seen_then_counts():
    script = Script([flying(0), flying(30), in_service(40, "v2")])
    assert script.follow(launched(deadline=after(40)), every=30.0)["outcome"] == "Succeeded"
    assert script.rests == [0.0, 30.0, 10.0]


def test_a_deadline_already_passed_still_allows_one_look():
    watch = launched(deadline=after(-5))
    assert Script([in_service(3, "v2")]).follow(watch)["outcome"] == "Succeeded"
    script = Script([flying(3)])
    assert script.follow(watch)["outcome"] == "TimedOut"
    assert script.rests == [0.0]


CLOCKS = {"right": timedelta(0), "fast": timedelta(minutes=10), "slow": timedelta(minutes=-10)}


@pytest.mark.parametrize("off", CLOCKS.values(), ids=CLOCKS)
def test_a_healthy_rollout_is_neither_ended_early_nor_aborted_by_a_clock_that_is_wrong(off):
    script = Script([lambda passed: flying(passed) if passed < 1140 else in_service(passed, "v2")])
    report = script.follow(
        switched(max_wait=timedelta(minutes=20)), began_at=LAUNCH + off, on_timeout=TimeoutAction.ABORT
    )
    assert (report["outcome"], script.passed) == ("Succeeded", 1140.0)
    assert THROWN not in [ask.value for ask in script.of(SetAbortSwitch)]


@pytest.mark.parametrize("off", CLOCKS.values(), ids=CLOCKS)
def test_a_rollout_that_hangs_times_out_at_its_minute_whatever_this_machines_clock_shows(off):
    script = Script([flying])
    report = script.follow(launched(max_wait=timedelta(minutes=20)), began_at=LAUNCH + off)
    assert (report["outcome"], script.passed) == ("TimedOut", 1201.0)


@pytest.mark.parametrize("off", CLOCKS.values(), ids=CLOCKS)
def test_a_silence_ends_by_the_time_passed_since_the_last_answer(off):
    """The last look was 300 s after the launch, so 901 s were left."""
    script = Script([lambda passed: flying(passed) if passed <= 300 else THROTTLED])
    report = script.follow(launched(max_wait=timedelta(minutes=20)), began_at=LAUNCH + off)
    assert (report["outcome"], script.passed) == ("TimedOut", 1201.0)


def test_a_machine_that_slept_is_put_right_by_the_next_answer():
    """Its seconds stood still: AWS says that the time is up."""
    script = Script([flying(30), flying(1300)])
    assert script.follow(launched(max_wait=timedelta(minutes=20)))["outcome"] == "TimedOut"
    assert script.passed == 30.0


def test_a_rollback_seen_once_before_the_deadline_is_reported_with_its_cause():
    tripped = AlarmTransition(name="errors", state=AlarmState.ALARM, at=after(200))
    script = Script([flying(30), in_service(300), THROTTLED], history=(tripped,))
    report = script.follow(launched("errors", deadline=after(310)))
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "alarm")


# News

STAGES = [
    flying(30),
    flying(60),
    flying(230, Stage.BAKING, since=210, instances=1),
    flying(240),  # stale
    flying(250, Stage.BAKING, since=210, instances=1),
    flying(920, Stage.BAKING, since=910, instances=4),
    in_service(1000, "v2"),
]


def test_each_stage_is_logged_once():
    script = Script(STAGES)
    script.follow(launched("errors"))
    assert script.said == [
        "canary: no instance serves green; launching the green fleet; 1 alarm OK",
        "canary: 1 of 4 instances serve green; baking 10 min; 1 alarm OK",
        "canary: 4 of 4 instances serve green; baking 0 s; 1 alarm OK",
    ]


def test_a_wait_that_is_continued_does_not_log_the_same_again():
    watch = Script(STAGES[:3]).run_effects(poll_once(launched().after(STAGES[0])))
    script = Script(STAGES[2:])
    script.follow(watch)
    assert [sentence.split("; ")[0] for sentence in script.said] == [
        "canary: 1 of 4 instances serve green",
        "canary: 4 of 4 instances serve green",
    ]


def test_a_report_at_a_new_stage_is_of_a_rollout_in_flight():
    script = Script(STAGES)
    script.follow(launched("errors"))
    reports = [say.report for say in script.of(LogMessage)]
    assert [report["outcome"] for report in reports] == [None, None, None]
    assert [len(report["stages"]) for report in reports] == [1, 2, 3]


def test_alarms_that_cannot_be_read_are_not_reported_as_none():
    script = Script([flying(30), in_service(900, "v2")], states=THROTTLED)
    script.follow(launched("errors"))
    assert script.said == ["canary: no instance serves green; launching the green fleet; alarms unknown"]


def test_unknown_alarms_are_not_reported_as_none():
    script = Script([flying(30), in_service(900, "v2")])
    script.follow(launched(guardrails=None))
    assert script.said == ["update: no instance serves green; launching the green fleet; alarms unknown"]


def test_cloudwatch_is_not_asked_where_there_are_no_alarms():
    script = Script([flying(30), in_service(300), in_service(330)])
    assert script.follow(launched())["cause"] == {"kind": "unknown", "alarms": []}
    assert script.said == ["canary: no instance serves green; launching the green fleet; no alarms"]
    assert script.of(DescribeAlarms) == script.of(DescribeAlarmHistory) == []


# The cause

ROLLED_BACK = [flying(30), in_service(300), in_service(330)]
AFTER_THE_ROLLBACK = AlarmTransition(name="late", state=AlarmState.ALARM, at=after(400))
TRIPPED = AlarmTransition(name="errors", state=AlarmState.ALARM, at=after(250), reason="2 % > 1 %")


def test_the_cause_is_looked_for_between_start_and_end():
    script = Script(ROLLED_BACK, history=(TRIPPED, AFTER_THE_ROLLBACK))
    report = script.follow(launched("errors", "late"))
    assert script.of(DescribeAlarmHistory) == [DescribeAlarmHistory(("errors", "late"), after(1), after(325))]
    alarm = {"name": "errors", "state": "ALARM", "at": "2026-03-02T10:04:10+00:00", "reason": "2 % > 1 %"}
    assert report["cause"] == {"kind": "alarm", "alarms": [alarm]}
    assert report["warnings"] == []


def test_an_alarm_that_was_in_alarm_all_along_is_a_cause_too():
    held = Alarm(name="errors", state=AlarmState.ALARM, since=after(-3600))
    report = Script(ROLLED_BACK, states=(held,)).follow(launched("errors"))
    assert [alarm["name"] for alarm in report["cause"]["alarms"]] == ["errors"]


@pytest.mark.parametrize(
    ("unanswered", "warnings"),
    [
        ({"history": THROTTLED}, 1),
        ({"states": THROTTLED}, 1),
        ({"history": THROTTLED, "states": THROTTLED}, 2),
    ],
)
def test_a_cause_that_may_be_incomplete_is_warned_about(unanswered, warnings):
    report = Script(ROLLED_BACK, **unanswered).follow(launched("errors"))
    assert report["cause"] == {"kind": "unknown", "alarms": []}
    expected = "The cause may be incomplete: no response from CloudWatch (ThrottlingException: Rate exceeded)"
    assert report["warnings"] == [expected] * warnings


def test_what_one_question_answered_names_the_cause_though_the_other_was_not():
    report = Script(ROLLED_BACK, history=(TRIPPED,), states=THROTTLED).follow(launched("errors"))
    assert report["cause"]["kind"] == "alarm"
    assert len(report["warnings"]) == 1


@pytest.mark.parametrize("status", ["Failed", "UpdateRollbackFailed"])
def test_the_cause_of_a_failure_is_looked_for_too(status):
    ended = replace(in_service(300), status=EndpointStatus(status))
    reason = "The primary container for production variant A did not pass the ping health check. Please"
    report = Script([flying(30), replace(ended, failure_reason=reason)]).follow(launched("errors"))
    assert report["cause"] == {"kind": "health_check", "alarms": []}


def test_the_cause_of_an_endpoint_that_is_gone_is_its_alarms_or_unknown():
    gone = MissingEndpoint(name="churn", seen_at=after(300))
    report = Script([flying(30), gone]).follow(launched("errors"))
    assert (report["outcome"], report["cause"]) == ("Failed", {"kind": "unknown", "alarms": []})


@pytest.mark.parametrize(
    ("looks", "outcome"),
    [
        ([in_service(3, "v2")], "Succeeded"),
        ([flying(30), in_service(300, "v3")], "Superseded"),
        ([replace(in_service(300), last_modified_at=None)], "NotStarted"),
    ],
)
def test_what_was_not_undone_has_no_cause_and_asks_for_none(looks, outcome):
    script = Script(looks)
    report = script.follow(launched("errors"))
    assert (report["outcome"], report["cause"]) == (outcome, None)
    assert script.of(DescribeAlarmHistory) == []


# The abort switch


def switched(**facts):
    return launched("errors", SWITCH.alarm_name, **{"switch": SWITCH, **facts})


@pytest.mark.parametrize(
    ("looks", "reset"),
    [
        ([flying(30), in_service(900, "v2")], True),
        (ROLLED_BACK, True),
        ([flying(30), replace(flying(400), pending=PendingDeployment(endpoint_config_name="v3"))], False),
    ],
    ids=["succeeded", "rolled back", "superseded in flight"],
)
def test_the_switch_is_reset_at_the_end_unless_another_update_is_in_flight(looks, reset):
    script = Script(looks)
    script.follow(switched())
    assert script.of(SetAbortSwitch) == [SetAbortSwitch(SWITCH, RESET)] * reset


def test_a_time_out_leaves_the_switch_alone():
    script = Script([flying])
    assert script.follow(switched(deadline=after(60)))["outcome"] == "TimedOut"
    assert script.of(SetAbortSwitch) == script.of(DeleteRolloutAlarms) == []


def test_a_switch_that_could_not_be_reset_is_warned_about():
    report = Script([in_service(900, "v2")], switch=THROTTLED).follow(switched())
    assert report["warnings"] == [f"The abort switch could not be reset ({THROTTLED.reason})"]


NO_SWITCH = "the update has no abort switch (abort_switch=False)"


def test_an_update_without_the_switch_never_touches_it():
    script = Script([flying])
    report = script.follow(launched("errors", deadline=after(60)), on_timeout=TimeoutAction.ABORT)
    assert script.of(SetAbortSwitch) == script.of(DeleteRolloutAlarms) == []
    assert report["warnings"] == [f"The update timed out and was not aborted: {NO_SWITCH}"]


def test_an_abort_at_the_time_out_waits_for_the_rollback_and_says_why():
    thrown = AlarmTransition(name=SWITCH.alarm_name, state=AlarmState.ALARM, at=after(70))
    script = Script([flying(30), flying(60), flying(90), in_service(300), in_service(330)], history=(thrown,))
    report = script.follow(switched(deadline=after(60)), on_timeout=TimeoutAction.ABORT)
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "timeout")
    assert script.of(SetAbortSwitch) == [SetAbortSwitch(SWITCH, THROWN), SetAbortSwitch(SWITCH, RESET)]
    assert "max_wait is over: the abort switch was thrown; it acts in the next bake (10 min)" in script.said


def test_a_switch_thrown_by_somebody_else_is_an_abort():
    thrown = AlarmTransition(name=SWITCH.alarm_name, state=AlarmState.ALARM, at=after(70))
    assert Script(ROLLED_BACK, history=(thrown,)).follow(switched())["cause"]["kind"] == "abort"


def test_an_abort_without_effect_times_out_after_the_time_a_rollback_takes():
    script = Script([flying])
    report = script.follow(switched(deadline=after(60)), on_timeout=TimeoutAction.ABORT)
    assert (report["outcome"], script.passed) == ("TimedOut", 60.0 + ABORTING.total_seconds())
    assert script.of(SetAbortSwitch) == [SetAbortSwitch(SWITCH, THROWN)]
    assert report["abort_switch_thrown_at"] == after(60).isoformat()
    assert "left running" not in outcome_message(reported_outcome(report), report)
    assert f"its abort switch was thrown at {after(60).isoformat()}" in outcome_message(
        reported_outcome(report), report
    )


def test_a_switch_is_reset_only_a_period_after_it_was_thrown():
    """The alarm takes the highest value of a period: a reset within it would undo nothing, nor an abort."""
    script = Script([flying, lambda passed: in_service(passed, "v2")])
    script.follow(switched(deadline=after(0)), on_timeout=TimeoutAction.ABORT, every=0.0)
    first, last = (script.asked.index(SetAbortSwitch(SWITCH, value)) for value in (THROWN, RESET))
    assert Sleep(10) in script.asked[first:last]


def test_an_abort_that_could_not_be_asked_for_ends_the_wait_and_is_warned_about():
    script = Script([flying], switch=THROTTLED)
    report = script.follow(switched(deadline=after(60)), on_timeout=TimeoutAction.ABORT)
    assert (report["outcome"], script.passed) == ("TimedOut", 60.0)
    warning = (
        f"The update timed out and was not aborted: the abort switch could not be thrown ({THROTTLED.reason})"
    )
    assert report["warnings"] == [warning]
    assert report["abort_switch_thrown_at"] is None
    assert "it was left running" in outcome_message(reported_outcome(report), report)


def test_a_rollout_of_somebody_else_is_not_aborted():
    script = Script([flying])
    foreign = switched(adopted=Adopted.FOREIGN, launched_at=None, switch=None, deadline=after(60))
    report = script.follow(foreign, on_timeout=TimeoutAction.ABORT)
    assert script.of(SetAbortSwitch) == []
    warning = (
        "The update timed out and was not aborted: nothing proves that the update to v2 in flight has this "
        "task's abort switch"
    )
    assert report["warnings"] == [warning]


def test_a_later_update_to_the_same_target_is_not_aborted():
    """Its own has ended unseen, and the one in flight is another: seen once, reported at the time-out."""
    theirs = replace(flying(60), pending=replace(flying(60).pending, started_at=after(50)))
    script = Script([flying(30), theirs])
    report = script.follow(switched(deadline=after(60)), on_timeout=TimeoutAction.ABORT)
    assert (report["outcome"], script.of(SetAbortSwitch)) == ("Superseded", [])


def test_a_rollout_is_aborted_though_sagemaker_has_fallen_silent():
    """The switch is this rollout's own, so whatever goes on meanwhile, it hits nothing else."""
    script = Script([flying(30), THROTTLED, THROTTLED, in_service(300), in_service(330)])
    report = script.follow(switched(deadline=after(60)), on_timeout=TimeoutAction.ABORT)
    assert report["outcome"] == "RolledBack"
    assert script.of(SetAbortSwitch)[0] == SetAbortSwitch(SWITCH, THROWN)
    assert report["abort_switch_thrown_at"] == after(60).isoformat()


def test_missing_responses_after_the_abort_are_not_said_to_have_prevented_it():
    script = Script([flying(30), flying(60), THROTTLED])
    report = script.follow(switched(deadline=after(60)), on_timeout=TimeoutAction.ABORT)
    assert (report["outcome"], report["warnings"]) == ("TimedOut", [])


# Cleaning up after earlier rollouts


def test_switches_of_earlier_rollouts_are_deleted_but_for_those_that_may_be_needed():
    """This one's own stays, and whatever the last deployment names; and what was made since it began."""
    named = ("errors", "airflow-guardrails-abort-named")
    script = Script([flying(30), in_service(900, "v2", rollback_alarms=named)])
    report = script.follow(switched())
    assert script.of(DeleteRolloutAlarms) == [
        DeleteRolloutAlarms("churn", (SWITCH.alarm_name, rollout_prefix(SWITCH), *named), after(1))
    ]
    assert report["warnings"] == []


def test_where_no_start_was_seen_the_launch_counts():
    script = Script([in_service(3, "v2")])
    script.follow(switched())
    own = (SWITCH.alarm_name, rollout_prefix(SWITCH))
    assert script.of(DeleteRolloutAlarms) == [DeleteRolloutAlarms("churn", own, LAUNCH)]


@pytest.mark.parametrize(
    "facts", [{"adopted": Adopted.FOREIGN}, {"launched_at": None}], ids=["foreign", "unknown"]
)
def test_without_a_start_time_no_switch_is_deleted(facts):
    script = Script([in_service(3, "v2")])
    script.follow(switched(**facts))
    assert script.of(DeleteRolloutAlarms) == []


def test_a_clean_up_that_is_refused_is_a_warning_and_no_more():
    denied = NoResponse("AccessDenied: not authorized to perform cloudwatch:DeleteAlarms")
    report = Script([flying(30), in_service(900, "v2")], deleted=denied).follow(switched())
    assert report["outcome"] == "Succeeded"
    warning = (
        "Alarms of earlier rollouts could not be deleted (AccessDenied: not authorized to perform "
        "cloudwatch:DeleteAlarms): allow cloudwatch:DescribeAlarms and DeleteAlarms, or delete the "
        "alarms by hand"
    )
    assert report["warnings"] == [warning]


# Alarms that somebody changes while they guard


def dimensions(endpoint):
    return f'[{{"Name": "EndpointName", "Value": "{endpoint}"}}]'


def alarm(name="errors", *, state=AlarmState.OK, threshold="0.01", endpoint="churn"):
    settings = (
        ("Dimensions", dimensions(endpoint)),
        ("Threshold", threshold),
    )
    return Alarm(name=name, state=state, definition=settings)


@dataclass
class Changing(Script):
    """The alarms are *changed* from so many seconds on."""

    changed: tuple = ()
    since: float = 200

    def answer(self, ask, looks):
        if isinstance(ask, DescribeAlarms):
            return self.changed if self.passed >= self.since else (alarm(), alarm("latency"))
        return super().answer(ask, looks)


def baking(passed):
    """Stages every minute, so that the alarms are read again and again."""
    return flying(passed, Stage.BAKING, since=passed, instances=1 + int(passed) // 60 % 3)


def until(seconds, then="v2"):
    return lambda passed: baking(passed) if passed < seconds else in_service(passed, then)


CHANGES = {
    "threshold": ((alarm(threshold="0.9"), alarm("latency")), "was changed (Threshold 0.01 -> 0.9)"),
    "dimensions": (
        (alarm(endpoint="other"), alarm("latency")),
        f"was changed (Dimensions {dimensions('churn')} -> {dimensions('other')})",
    ),
    "deleted": ((alarm("latency"),), "was deleted"),
}


@pytest.mark.parametrize(("changed", "words"), CHANGES.values(), ids=CHANGES)
def test_a_changed_alarm_is_logged_at_once_and_reported(changed, words):
    script = Changing([until(600)], changed=changed)
    report = script.follow(switched())
    warning = f"Alarm errors {words} during the update, so it may no longer guard it"
    (told,) = [say for say in script.of(LogMessage) if say.sentence == warning]
    assert told.report["warnings"] == [warning]
    looks_before = script.asked[: script.asked.index(told)].count(DescribeEndpoint("churn"))
    assert looks_before == 9  # the first at which a stage had the alarms read, 240 s after the launch
    assert (report["outcome"], report["warnings"]) == ("Succeeded", [warning])
    assert THROWN not in [ask.value for ask in script.of(SetAbortSwitch)]


@pytest.mark.parametrize(("changed", "words"), CHANGES.values(), ids=CHANGES)
def test_an_update_that_must_be_guarded_is_aborted_where_an_alarm_is_changed(changed, words):
    script = Changing([until(300, "v1")], changed=changed)
    report = script.follow(switched(require_alarms_ok=True))
    assert [ask.value for ask in script.of(SetAbortSwitch)] == [THROWN, RESET]
    assert (report["outcome"], report["abort_switch_thrown_at"]) == ("RolledBack", after(240).isoformat())
    assert f"Abort switch thrown: alarm errors {words}; it acts now, because the update is baking" in (
        script.said
    )


def test_a_changed_alarm_of_an_update_that_cannot_be_aborted_is_reported_as_such():
    script = Changing([until(600)], changed=CHANGES["deleted"][0])
    report = script.follow(launched("errors", require_alarms_ok=True))
    assert report["warnings"] == [
        "Alarm errors was deleted during the update, so it may no longer guard it",
        f"The update was not aborted: {NO_SWITCH}",
    ]


@pytest.mark.parametrize("state", AlarmState)
def test_an_alarm_that_changes_its_state_alone_is_not_changed(state):
    script = Changing([until(600)], changed=(alarm(state=state), alarm("latency")))
    report = script.follow(switched(require_alarms_ok=True))
    assert report["warnings"] == []
    assert THROWN not in [ask.value for ask in script.of(SetAbortSwitch)]


def test_alarms_that_cannot_be_read_are_not_taken_for_deleted():
    script = Changing([until(600)], changed=THROTTLED)
    report = script.follow(switched(require_alarms_ok=True))
    assert report["warnings"] == []
    assert THROWN not in [ask.value for ask in script.of(SetAbortSwitch)]


def test_a_wait_that_is_continued_compares_with_the_first_definitions():
    script = Script([baking(30)], states=(alarm(),))
    watch = script.run_effects(poll_once(switched()))
    assert [each.name for each in watch.definitions] == ["errors"]
    resumed = Script([until(600)], states=(alarm(threshold="0.9"),))
    assert len(resumed.follow(watch)["warnings"]) == 1


# Ended


def test_concluding_needs_no_look():
    watch = launched().after(in_service(3, "v2"))
    script = Script([THROTTLED])
    assert script.run_effects(finish(watch))["outcome"] == "Succeeded"
    assert script.asked == []


# What is published


def published(script):
    return [effect.report for effect in script.of(PublishReport)]


def test_the_report_of_a_rollout_in_flight_is_published_about_once_a_minute():
    looks = [flying(seconds) for seconds in range(30, 330, 30)]
    script = Script([*looks, in_service(330, "v2")])
    script.follow(launched("errors"))
    ages = [report["as_of"] for report in published(script)]
    assert ages == [after(seconds).isoformat() for seconds in (30, 90, 150, 210, 270)]


def test_alarms_are_read_again_for_each_published_report():
    script = Script([flying(seconds) for seconds in range(30, 330, 30)] + [in_service(330, "v2")])
    script.follow(launched("errors"))
    assert [report["alarms"][0]["state"] for report in published(script)] == ["OK"] * 5
    assert [report["alarms_as_of"] for report in published(script)] == [
        report["as_of"] for report in published(script)
    ]


def test_an_old_state_of_the_alarms_is_not_given_as_a_new_one():
    script = Script([flying(30), flying(90), in_service(120, "v2")])
    known = launched("errors")
    script.states = THROTTLED
    script.follow(replace(known, alarms_seen=(OK,), alarms_as_of=after(0)))
    assert {report["alarms_as_of"] for report in published(script)} == {after(0).isoformat()}


def test_nothing_is_published_without_a_response():
    script = Script([*[THROTTLED] * 20, in_service(700, "v2")])
    script.follow(launched("errors"))
    assert published(script) == []


# Looks at the stages


def pauses_without_lists(script):
    """The longest pause before each look, whatever lists show."""
    return [effect.within for effect in script.of(WaitForChange)]


def test_a_look_comes_when_the_bake_ends_by_the_schedule():
    baking = flying(300, Stage.BAKING, since=290, instances=1)
    script = Script(
        [baking, flying(892, Stage.ACTIVATING_TRAFFIC, since=891, instances=1), in_service(930, "v2")]
    )
    script.follow(launched("errors"))
    # It bakes for 10 minutes since second 290, and half of that is the longest pause.
    assert pauses_without_lists(script)[1] == 300.0
    late = flying(600, Stage.BAKING, since=290, instances=1)
    script = Script([late, in_service(930, "v2")])
    script.follow(launched("errors"))
    assert pauses_without_lists(script)[1] == 290 + 600 - 600 + 2.0


def test_short_bakes_are_looked_at_often_enough_to_be_seen():
    quick = Guardrails(strategy=Canary(percent=25, bake=timedelta(minutes=2)), alarms=("errors",))
    script = Script([flying(30), in_service(60, "v2")])
    script.follow(launched(guardrails=quick))
    assert pauses_without_lists(script)[1] == 60.0
