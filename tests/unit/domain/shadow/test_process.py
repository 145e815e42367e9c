"""A shadow test followed to its end: a script answers, and time passes only in pauses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain, repeat

import pytest

from airflow_guardrails.domain.effects import LogMessage, NoResponse, WaitForChange
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.rollout.process import WaitPolicy
from airflow_guardrails.domain.shadow.process import (
    CountRequests,
    DescribeExperiment,
    FindFirstRequest,
    follow_test,
    observe_test,
)
from airflow_guardrails.domain.shadow.state import ShadowTestOutcome, ShadowTestState, Until
from airflow_guardrails.domain.snapshots.experiment import ExperimentStatus, MissingExperiment
from tests.support.experiments import TEN, after, experiment

THROTTLED = NoResponse("ThrottlingException: Rate exceeded")
CREATED, STARTING = ExperimentStatus.CREATED, ExperimentStatus.STARTING
RUNNING, UPDATING = ExperimentStatus.RUNNING, ExperimentStatus.UPDATING
COMPLETED, CANCELLED = ExperimentStatus.COMPLETED, ExperimentStatus.CANCELLED


def seen(status, minutes=30.0, **changes):
    known = {
        "seen_at": after(minutes),
        "variants": (),
        "shadow_name": "candidate",
        "starts_at": TEN,
        "last_modified_at": TEN,
    }
    return experiment(status=status, **{**known, **changes})


@dataclass
class Script:
    """Answers looks and counts one after the other, the last one for ever; keeps what was asked."""

    looks: list
    counts: list = field(default_factory=lambda: [{"live": 0, "candidate": 0}])
    first: object = None
    passed: float = 0.0
    asked: list = field(default_factory=list)

    def monotonic(self):
        return 12_345.0 + self.passed

    def run_effects(self, steps):
        looks = chain(self.looks, repeat(self.looks[-1]))
        counts, answer = chain(self.counts, repeat(self.counts[-1])), None
        while True:
            try:
                ask = steps.send(answer)
            except StopIteration as end:
                return end.value
            self.asked.append(ask)
            answer = self.answer(ask, looks, counts)

    def answer(self, ask, looks, counts):
        match ask:
            case DescribeExperiment("trial"):
                return next(looks)
            case CountRequests():
                return next(counts)
            case FindFirstRequest():
                return self.first
            case WaitForChange(seconds=seconds):
                self.passed += seconds
        return None

    def follow(self, *, every=60.0, began_at=TEN, **facts):
        following = WaitPolicy(every=every, monotonic=self.monotonic, began_at=began_at)
        return self.run_effects(follow_test(ShadowTestState(name="trial", **facts), following))

    def kept(self, kind):
        return [ask for ask in self.asked if isinstance(ask, kind)]

    @property
    def said(self):
        return [ask.sentence for ask in self.kept(LogMessage)]


def test_a_test_is_polled_until_it_has_ended():
    script = Script([seen(CREATED), seen(STARTING), seen(RUNNING), seen(RUNNING), seen(COMPLETED)])
    watch = script.follow()

    assert watch.outcome is ShadowTestOutcome.REACHED
    assert [rest.seconds for rest in script.kept(WaitForChange)] == [0, 60, 60, 60, 60]


def test_each_wait_says_which_status_means_no_change():
    script = Script([seen(RUNNING), seen(COMPLETED)])
    script.follow(deadline=after(40))

    first, second = script.kept(WaitForChange)
    assert (first.name, first.expected, first.modified_at, first.within) == ("trial", None, None, 2400.0)
    # AWS has said that it is half past ten.
    assert (second.expected, second.modified_at, second.within) == (RUNNING, TEN, 600.0)


def test_each_status_is_logged_once():
    script = Script([seen(STARTING), seen(RUNNING, ends_at=after(90)), seen(RUNNING), seen(COMPLETED)])
    script.follow()

    assert script.said == [
        "Shadow test trial is Starting",
        "Shadow test trial is Running, until 2026-03-02T11:30:00+00:00",
        "Shadow test trial is Completed",
    ]
    assert [say.report["status"] for say in script.kept(LogMessage)] == ["Starting", "Running", "Completed"]


def test_the_reason_of_a_cancelled_test_is_logged():
    script = Script([seen(CANCELLED, reason="No capacity.")])
    assert script.follow().outcome is ShadowTestOutcome.CANCELLED
    assert script.said == ["Shadow test trial is Cancelled (No capacity.)"]


def test_a_status_that_was_already_seen_is_not_logged():
    script = Script([seen(RUNNING)])
    script.run_effects(observe_test(ShadowTestState(name="trial", look=seen(RUNNING))))
    assert script.said == []


def test_no_response_is_logged_once_and_does_not_end_the_wait():
    script = Script([THROTTLED, THROTTLED, seen(RUNNING), THROTTLED, seen(COMPLETED)])
    assert script.follow().outcome is ShadowTestOutcome.REACHED
    silences = [sentence for sentence in script.said if "No response" in sentence]
    assert silences == ["No response from SageMaker (ThrottlingException: Rate exceeded); trying again"] * 2


def test_a_final_error_ends_the_wait_with_the_report_so_far():
    script = Script([seen(RUNNING), NoResponse("AccessDenied: no", final=True)])
    with pytest.raises(Unwatchable, match="AccessDenied: no") as raised:
        script.follow()
    assert (raised.value.report["status"], raised.value.report["name"]) == ("Running", "trial")


@pytest.mark.parametrize(
    ("began_at", "rests"),
    [(TEN, [0, 60, 40]), (after(1), [0, 40]), (after(-1), [0, 60, 60, 40])],
    ids=["right", "fast", "slow"],
)
def test_the_deadline_ends_the_wait_without_any_response(began_at, rests):
    """Only then this machine's time of day counts."""
    script = Script([THROTTLED])
    watch = script.follow(began_at=began_at, deadline=TEN + timedelta(seconds=100))

    assert watch.outcome is ShadowTestOutcome.TIMED_OUT
    assert [rest.seconds for rest in script.kept(WaitForChange)] == rests


@pytest.mark.parametrize("off", [0, 10, -10])
def test_the_clock_of_aws_ends_the_wait_once_it_has_answered(off):
    script = Script([seen(RUNNING, 30), THROTTLED])
    watch = script.follow(began_at=after(off), deadline=after(33))

    assert watch.outcome is ShadowTestOutcome.TIMED_OUT
    assert [rest.seconds for rest in script.kept(WaitForChange)] == [0, 60, 60, 60]


def test_what_is_seen_at_the_deadline_counts():
    script = Script([seen(RUNNING, 30), seen(COMPLETED, 31)])
    assert script.follow(deadline=after(31)).outcome is ShadowTestOutcome.REACHED


def test_a_missing_test_is_polled_until_the_grace_period_ends():
    script = Script([MissingExperiment("trial", after(minutes)) for minutes in range(5)])
    assert script.follow().outcome is ShadowTestOutcome.NOT_FOUND
    assert len(script.kept(DescribeExperiment)) == 3


# By its requests.


def counts(*of_the_shadow):
    return [{"live": 1000.0, "candidate": number} for number in of_the_shadow]


def test_requests_are_counted_from_the_start_of_the_test_to_each_look():
    script = Script([seen(RUNNING, 5), seen(RUNNING, 6)], counts=counts(90, 100))
    watch = script.follow(min_requests=100)

    assert watch.outcome is ShadowTestOutcome.REACHED
    assert script.kept(CountRequests) == [
        CountRequests("churn", ("live", "candidate"), TEN, after(5)),
        CountRequests("churn", ("live", "candidate"), TEN, after(6)),
    ]


WARM = {"min_requests": 100, "warm_up": timedelta(minutes=5)}


def test_requests_are_counted_from_the_end_of_the_warm_up_which_begins_with_the_first_one():
    script = Script([seen(RUNNING, 20), seen(RUNNING, 21)], counts=counts(90, 100), first=after(8))
    watch = script.follow(**WARM)

    assert watch.outcome is ShadowTestOutcome.REACHED
    assert script.kept(FindFirstRequest) == [FindFirstRequest("churn", "candidate", TEN, after(20))]
    assert [(ask.start, ask.end) for ask in script.kept(CountRequests)] == [
        (after(13), after(20)),
        (after(13), after(21)),
    ]


@pytest.mark.parametrize("first", [None, after(27)], ids=["no request yet", "warming up"])
def test_during_the_warm_up_no_request_counts(first):
    script = Script([seen(RUNNING, 30), seen(RUNNING, 31)], counts=counts(1e9), first=first)
    watch = script.follow(**WARM, deadline=after(31))

    assert watch.outcome is ShadowTestOutcome.TIMED_OUT
    assert watch.requests == {"live": 0.0, "candidate": 0.0}
    assert script.kept(CountRequests) == []


def test_a_test_that_ends_within_the_warm_up_has_had_too_few_requests():
    over = seen(COMPLETED, 90, completed_at=after(60))
    script = Script([over], counts=counts(1e9), first=after(58))

    assert script.follow(**WARM).outcome is ShadowTestOutcome.TOO_FEW_REQUESTS


def test_a_first_request_that_cannot_be_found_now_is_looked_for_again():
    script = Script([seen(RUNNING, 20)], counts=counts(100), first=THROTTLED)
    watch = script.follow(**WARM, deadline=after(21))

    assert watch.outcome is ShadowTestOutcome.TIMED_OUT
    assert len(script.kept(FindFirstRequest)) > 1
    assert script.kept(CountRequests) == []


def test_requests_are_counted_until_the_end_of_the_test():
    over = seen(COMPLETED, 90, completed_at=after(60))
    script = Script([over], counts=counts(90))

    assert script.follow(min_requests=100).outcome is ShadowTestOutcome.TOO_FEW_REQUESTS
    assert [ask.end for ask in script.kept(CountRequests)] == [after(60)]


def test_the_last_minutes_of_a_test_are_waited_for():
    looks = [seen(COMPLETED, minutes, completed_at=after(60)) for minutes in (60, 61, 62, 63)]
    script = Script(looks, counts=counts(80, 90, 99, 100))

    assert script.follow(min_requests=100).outcome is ShadowTestOutcome.REACHED


def test_nothing_is_counted_without_min_requests():
    script = Script([seen(RUNNING), seen(COMPLETED)])
    script.follow()
    assert script.kept(CountRequests) == []


def test_before_its_start_a_test_has_had_no_requests():
    updating = seen(UPDATING, starts_at=after(300))
    script = Script([updating, seen(RUNNING, 330, starts_at=after(300))], counts=counts(100))
    watch = script.follow(min_requests=100)

    assert watch.outcome is ShadowTestOutcome.REACHED
    assert [ask.start for ask in script.kept(CountRequests)] == [after(300)]


@pytest.mark.parametrize("until", [Until.RUNNING, Until.COMPLETED])
def test_a_test_that_was_stopped_before_it_began_ends_the_wait_for_its_requests(until):
    never = seen(COMPLETED, 70, starts_at=after(300), completed_at=after(60))
    script = Script([never])
    assert script.follow(until=until, min_requests=100).outcome is ShadowTestOutcome.CANCELLED


def test_without_a_start_the_creation_is_the_start():
    script = Script([seen(RUNNING, starts_at=None, created_at=after(2))], counts=counts(100))
    script.follow(min_requests=100)
    assert [ask.start for ask in script.kept(CountRequests)] == [after(2)]


def test_without_start_and_creation_nothing_is_counted():
    script = Script([seen(RUNNING, starts_at=None)], counts=counts(1e9))
    watch = script.follow(min_requests=100, deadline=after(40))

    assert (watch.outcome, watch.requests) == (ShadowTestOutcome.TIMED_OUT, None)
    assert len([sentence for sentence in script.said if "No response" in sentence]) == 1


def test_a_failed_count_is_logged_once_and_repeated_at_the_next_look():
    script = Script([seen(RUNNING)], counts=[THROTTLED, THROTTLED, THROTTLED, *counts(100)])
    assert script.follow(min_requests=100).outcome is ShadowTestOutcome.REACHED
    assert len([sentence for sentence in script.said if "No response" in sentence]) == 1


def test_an_earlier_count_does_not_replace_a_failed_one():
    script = Script(
        [seen(RUNNING), seen(COMPLETED, 90, completed_at=after(60))], counts=[*counts(90), THROTTLED]
    )
    watch = script.follow(min_requests=90.5, deadline=after(100))

    assert watch.outcome is ShadowTestOutcome.TIMED_OUT
    assert watch.requests == {"live": 1000.0, "candidate": 90}


def test_no_response_is_logged_again_after_a_response():
    script = Script([seen(RUNNING)], counts=[THROTTLED, *counts(9), THROTTLED, *counts(100)])
    script.follow(min_requests=100)
    assert len([sentence for sentence in script.said if "No response" in sentence]) == 2


def test_another_look_does_not_change_the_test():
    watch = ShadowTestState(name="trial", adopted=True, warnings=("short",))
    again = Script([seen(RUNNING)]).run_effects(observe_test(watch))
    assert again.as_of == after(30)
    assert replace(again, look=None, outcome=None, as_of=None) == watch
