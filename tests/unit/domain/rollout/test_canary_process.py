"""An update analysed between looks: a script answers, and records what was requested and done."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.effects import (
    DescribeAlarmHistory,
    GetMetricData,
    LogMessage,
    NoResponse,
    PutMetricData,
    SetAbortSwitch,
    WaitForChange,
)
from airflow_guardrails.domain.judge.evidence import MAX_HISTORY
from airflow_guardrails.domain.judge.verdict import Label, Verdict
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.rollout.messages import outcome_message
from airflow_guardrails.domain.rollout.outcome import Adopted, TimeoutAction
from airflow_guardrails.domain.rollout.report import reported_outcome
from airflow_guardrails.domain.snapshots.abort_switch import RESET, THROWN
from airflow_guardrails.domain.snapshots.endpoint import (
    EndpointStatus,
)
from tests.support.canary_update import (
    ALL_ON,
    GO_ON,
    HOLD,
    OBSERVE,
    OVER,
    RULE,
    SWITCH,
    TRAFFIC_ON,
    Update,
    thrown_before,
    tripped,
    watch,
)
from tests.support.rollouts import LAUNCH, after

THROTTLED = NoResponse("ThrottlingException: Rate exceeded")


def moment(report, name):
    found = report["analysis"][name]
    return None if found is None else (datetime.fromisoformat(found) - LAUNCH).total_seconds()


# Fail.


def test_a_fail_throws_the_switch_once_and_is_the_cause_with_its_reasons():
    update = Update(errors=0.3)

    report = update.follow(watch())

    assert update.switched == [THROWN, RESET]
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    (reason,) = report["cause"]["reasons"]
    assert reason.startswith("Invocation5XXErrors Sum: +30 points > limit +5 points")
    assert reason in outcome_message(reported_outcome(report), report)
    assert report["analysis"]["acted"]
    assert moment(report, "first_fail_at") == update.thrown_at
    assert report["warnings"] == []


def test_each_decision_is_logged_with_the_report_so_far():
    update = Update(errors=0.3)
    update.follow(watch())

    fail, thrown = [say for say in update.of(LogMessage) if "Fail" in say.sentence]
    assert "> limit +5 points" in fail.sentence
    assert fail.report["analysis"]["label"] == "Fail"
    assert (fail.report["analysis"]["acted"], thrown.report["analysis"]["acted"]) == (False, True)


def test_nothing_is_judged_once_the_switch_is_thrown():
    update = Update(errors=0.3, deaf=True)
    report = update.follow(watch(GO_ON))

    thrown = update.asked.index(SetAbortSwitch(SWITCH, THROWN))
    assert not [ask for ask in update.asked[thrown:] if isinstance(ask, GetMetricData)]
    assert update.switched == [THROWN, RESET]
    assert report["outcome"] == "Succeeded"
    assert report["warnings"] == ["The analysis threw the abort switch, but the target came into service"]


def test_a_rollback_by_another_alarm_is_that_alarms():
    update = Update(errors=0.3)
    answer = update.answer

    def with_errors(ask):
        given = answer(ask)
        return (tripped("errors", TRAFFIC_ON), *given) if isinstance(ask, DescribeAlarmHistory) else given

    update.answer = with_errors

    report = update.follow(watch())

    assert report["cause"]["kind"] == "alarm"
    assert "reasons" not in report["cause"]


def test_the_deadline_is_extended_for_the_rollback():
    update = Update(errors=0.3, deaf=True)

    report = update.follow(watch(deadline=after(1000)), every=50.0)

    assert report["outcome"] == "Succeeded"
    assert update.passed < 1000 + ABORTING.total_seconds()


# Whoever has thrown it may have been restarted since.


def test_a_restarted_task_reports_the_verdict_that_threw_the_switch():
    update = Update(errors=0.3)

    report = thrown_before(update, watch())

    assert report["cause"]["kind"] == "judge"
    assert report["cause"]["reasons"][0].startswith("Invocation5XXErrors Sum: +30 points")
    assert (report["analysis"]["label"], report["analysis"]["acted"]) == ("Fail", True)
    (asked,) = update.of(GetMetricData)
    assert asked.start == after(1) - MAX_HISTORY
    assert asked.end < after(update.thrown_at)


@pytest.mark.parametrize("update", [Update(), Update(requests=0), Update(errors=0.3, silent=THROTTLED)])
def test_a_thrown_switch_without_a_fail_is_an_abort(update):
    report = thrown_before(update, watch())

    assert report["cause"]["kind"] == "abort"
    assert not report["analysis"]["acted"]


@pytest.mark.parametrize(
    "watched", [watch(OBSERVE), watch(launched_at=None, adopted=Adopted.FOREIGN)], ids=["observer", "foreign"]
)
def test_a_task_that_may_not_abort_is_not_the_cause(watched):
    assert thrown_before(Update(errors=0.3), watched)["cause"]["kind"] == "abort"


def test_an_abort_while_the_judge_is_undecided_is_by_a_person():
    update = Update()
    answer = update.answer

    def by_a_person(ask):
        if update.thrown_at is None and update.passed > TRAFFIC_ON + 240:
            update.thrown_at = update.passed
        return answer(ask)

    update.answer = by_a_person

    report = update.follow(watch())

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "abort")
    assert not report["analysis"]["acted"]


# The switch that cannot be thrown.


def test_a_foreign_update_is_not_aborted_and_warned_about_once():
    update = Update(errors=0.3)

    report = update.follow(watch(launched_at=None, adopted=Adopted.FOREIGN, switch=None))

    assert (report["outcome"], update.thrown_at) == ("Succeeded", None)
    (warning,) = report["warnings"]
    assert warning.startswith(
        "The analysis could not abort the update: nothing proves that the update to v2 "
    )
    assert "(Fail: Invocation5XXErrors Sum: +30 points" in warning
    assert len([sentence for sentence in update.said if "could not abort" in sentence]) == 1
    assert not report["analysis"]["acted"]


def test_a_switch_that_fails_is_tried_again():
    update = Update(errors=0.3, switch=THROTTLED)
    answer = update.answer

    def recovering(ask):
        if isinstance(ask, SetAbortSwitch) and len(update.of(SetAbortSwitch)) == 3:
            update.switch = None
        return answer(ask)

    update.answer = recovering

    report = update.follow(watch())

    assert update.switched == [THROWN, THROWN, THROWN, RESET]
    assert report["outcome"] == "RolledBack"
    assert report["warnings"] == []


def test_a_switch_that_never_works_leaves_a_warning():
    report = Update(errors=0.3, switch=THROTTLED).follow(watch())

    assert report["outcome"] == "Succeeded"
    assert (
        "the abort switch could not be thrown (ThrottlingException: Rate exceeded)" in report["warnings"][-1]
    )


# Pass, and neither.


def test_a_pass_lets_the_update_finish():
    update = Update()
    report = update.follow(watch())

    assert (report["outcome"], update.switched, report["warnings"]) == ("Succeeded", [RESET], [])
    assert report["analysis"]["label"] == "Pass"
    assert TRAFFIC_ON < moment(report, "passed_at") < ALL_ON


def test_errors_before_the_update_do_not_count():
    update = Update(lived=8 * 3600)
    report = update.follow(watch())

    first, *_ = report["analysis"]["reasons"]
    assert "in 20 minutes" in first["text"]
    assert (report["outcome"], report["analysis"]["label"]) == ("Succeeded", "Pass")


def test_a_pass_stays_although_a_later_verdict_is_inconclusive():
    update = Update()
    answer = update.answer

    def worsening(ask):
        if isinstance(ask, GetMetricData) and any("Pass" in sentence for sentence in update.said):
            update.errors = 0.05
        return answer(ask)

    update.answer = worsening

    report = update.follow(watch())

    assert report["analysis"]["label"] == "Inconclusive"
    assert (report["outcome"], update.thrown_at) == ("Succeeded", None)
    assert report["warnings"] == []
    course = f"passed at {turn(report, 'passed_at')}, Inconclusive now, but the Pass stands"
    assert report["analysis"]["course"] == course
    assert [said for said in update.said if said.startswith(f"Analysis of the new fleet: {course}: Inc")]


def turn(report, name):
    """Say when something of the analysis was, as the course does; the update began a second after 10:00."""
    seconds = int(moment(report, name))
    return f"{after(seconds):%H:%M} UTC (minute {(seconds - 1) // 60})"


def test_a_fail_after_a_pass_still_aborts():
    update = Update()
    answer = update.answer

    def worsening(ask):
        if isinstance(ask, GetMetricData) and any("Pass" in sentence for sentence in update.said):
            update.errors = 0.6
        return answer(ask)

    update.answer = worsening

    report = update.follow(watch())

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert report["analysis"]["passed_at"] < report["analysis"]["first_fail_at"]
    course = f"passed at {turn(report, 'passed_at')}, failed at {turn(report, 'first_fail_at')}"
    assert report["analysis"]["course"] == course
    (reason,) = report["cause"]["reasons"]
    assert f"{course}: {reason}" in outcome_message(reported_outcome(report), report)
    assert f"Analysis of the new fleet: {course}: Fail: {reason}" in update.said


def test_the_analysis_continues_after_a_pass_until_the_update_cannot_be_aborted():
    update = Update()
    report = update.follow(watch())

    ends = [ask.end for ask in update.of(GetMetricData)]
    assert moment(report, "passed_at") < ALL_ON - 300
    assert max(ends) >= after(OVER - HOLD.every.total_seconds() - 240)


def test_a_pass_before_a_fail_does_not_count_if_the_switch_failed():
    """The switch is refused once. When it works again, the verdict is Inconclusive, as before the Pass."""
    state = AnalysisState(config=HOLD)
    for label in (Label.PASS, Label.FAIL, Label.INCONCLUSIVE):
        state = state.judged(Verdict(label=label, reasons=()), LAUNCH)
        assert state.pass_stands == (label is Label.PASS)

    assert state.wants_abort(abort_cutoff=True)
    assert not state.wants_abort(abort_cutoff=False)


def test_a_fall_of_the_share_takes_a_pass_back():
    """The new fleet bakes from minute 10 to 30, and gets a tenth of its requests from minute 22 on."""
    update = Update(loses_at=1320)
    report = update.follow(watch())

    assert report["analysis"]["label"] == "Inconclusive"
    assert moment(report, "passed_at") < 1320 < moment(report, "share_fell_at")
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert update.thrown_at >= ALL_ON
    course = (
        f"passed at {turn(report, 'passed_at')}, lost its share of the requests at "
        f"{turn(report, 'share_fell_at')}"
    )
    assert report["analysis"]["course"] == course
    (reason,) = report["cause"]["reasons"]
    assert "fell from 50% to 9% at 10:22 UTC, while its instances stayed at 1 of 4" in reason
    assert [said for said in update.said if said.startswith(f"Analysis of the new fleet: {course}: Inc")]
    assert f"{course}: {reason}" in outcome_message(reported_outcome(report), report)


def test_a_fall_of_the_share_is_a_warning_if_the_update_continues():
    update = Update(loses_at=1320)
    report = update.follow(watch(GO_ON))

    assert (report["outcome"], update.thrown_at) == ("Succeeded", None)
    (warning,) = report["warnings"]
    assert "without a Pass of the analysis" in warning
    assert "share of the requests fell from 50% to 9%" in warning


def test_a_fall_of_the_share_is_logged_once_although_the_label_stays():
    update = Update(loses_at=1320, errors=0.05)
    report = update.follow(watch(GO_ON))

    assert report["analysis"]["passed_at"] is None
    told = [said for said in update.said if "share of the requests fell" in said]
    assert len(told) == 1


def test_a_restarted_wait_finds_the_fall_of_the_current_bake_too():
    update = Update(loses_at=1320, passed=1700)
    rollout = replace(watch().rollout, started_at=after(1))
    report = update.follow(replace(watch(), rollout=rollout, seen_in_flight=True))

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert "share of the requests fell from 50% to 9% at 10:22" in report["cause"]["reasons"][0]


def test_without_data_the_update_is_aborted_before_the_last_bake_ends():
    update = Update(requests=0)

    report = update.follow(watch())

    assert ALL_ON < update.thrown_at <= OVER - HOLD.abort_cutoff.total_seconds()
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert "no minute in which both" in "; ".join(report["cause"]["reasons"])
    assert "missing:" in "; ".join(report["cause"]["reasons"])
    assert report["analysis"]["label"] == "Inconclusive"


@pytest.mark.parametrize("every", [7.0, 30.0, 200.0, 3600.0])
def test_the_abort_is_in_time_with_any_interval_between_looks(every):
    update = Update(requests=0)
    update.follow(watch(), every=every)

    assert update.thrown_at is not None
    assert OVER - update.thrown_at >= 60


def test_an_inconclusive_update_continues_with_a_warning_if_so_configured():
    update = Update(requests=0)

    report = update.follow(watch(GO_ON))

    assert (report["outcome"], update.thrown_at) == ("Succeeded", None)
    (warning,) = report["warnings"]
    assert warning.startswith("The target came into service without a Pass of the analysis (Inconclusive: ")


def test_on_missing_applies_at_the_end():
    rules = [replace(RULE, on_missing="fail", min_requests=10**6)]
    update = Update()

    report = update.follow(watch(replace(GO_ON, rules=rules)))

    assert update.thrown_at >= ALL_ON
    assert (report["outcome"], report["analysis"]["label"]) == ("RolledBack", "Fail")


def test_an_unknown_strategy_is_not_aborted_and_warned_about():
    update = Update(requests=0)

    report = update.follow(watch(guardrails=Guardrails(strategy=None, alarms=(SWITCH.alarm_name,))))

    assert (report["outcome"], update.thrown_at) == ("Succeeded", None)
    assert 'without a Pass of the analysis, although on_inconclusive is "hold"' in report["warnings"][0]


def test_a_pass_stays_without_its_data():
    """CloudWatch loses what it had of the errors once there was a Pass."""
    update = Update()
    points = update.points

    def losing(query, ask):
        passed = any("Pass" in sentence for sentence in update.said)
        return {} if passed and query.metric != "Invocations" else points(query, ask)

    update.points = losing

    report = update.follow(watch(HOLD))

    assert (report["outcome"], report["analysis"]["label"]) == ("Succeeded", "Inconclusive")


# No response from CloudWatch.


def test_no_response_is_no_verdict_and_ends_in_an_abort():
    update = Update(silent=THROTTLED)

    report = update.follow(watch())

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert report["cause"]["reasons"] == ["no response from CloudWatch (ThrottlingException: Rate exceeded)"]
    assert (report["analysis"]["label"], report["analysis"]["looks"]) == (None, 0)
    assert report["analysis"]["unanswered"] == THROTTLED.reason
    assert len([sentence for sentence in update.said if "CloudWatch" in sentence]) == 2


def test_a_response_clears_the_missing_ones():
    update = Update(silent=THROTTLED)
    answer = update.answer

    def recovering(ask):
        if len(update.of(GetMetricData)) > 5:
            update.silent = None
        return answer(ask)

    update.answer = recovering

    report = update.follow(watch())

    assert (report["outcome"], report["analysis"]["label"]) == ("Succeeded", "Pass")
    assert report["analysis"]["unanswered"] is None


# Only observing.


@pytest.mark.parametrize(
    ("update", "label"), [(Update(errors=0.3), "Fail"), (Update(requests=0), "Inconclusive")]
)
def test_observe_only_reports_when_it_would_have_aborted(update, label):
    report = update.follow(watch(OBSERVE))

    assert (report["outcome"], update.thrown_at) == ("Succeeded", None)
    assert (report["analysis"]["label"], report["analysis"]["acted"]) == (label, False)
    assert TRAFFIC_ON < moment(report, "would_have_acted_at") < OVER
    assert any(
        f"would throw the abort switch now; it only observes ({label}" in sentence for sentence in update.said
    )
    assert report["warnings"] == []


def test_observe_only_of_a_pass_would_have_done_nothing():
    report = Update().follow(watch(OBSERVE))

    assert report["analysis"]["would_have_acted_at"] is None
    assert report["analysis"]["label"] == "Pass"


# What it costs.


def test_metrics_are_read_each_interval_while_the_new_fleet_has_traffic():
    update = Update()
    update.follow(watch(replace(HOLD, every=timedelta(seconds=120))), every=30.0)

    ends = [ask.end for ask in update.of(GetMetricData)]
    assert len(ends) == pytest.approx((OVER - TRAFFIC_ON) / 120, abs=1)
    assert min(ends) >= after(TRAFFIC_ON - 240)


def test_the_history_is_read_once_per_wait():
    update = Update()
    update.follow(watch())

    first, *later = update.of(GetMetricData)
    assert first.start == after(1) - MAX_HISTORY
    assert len(later) > 10
    assert {ask.start for ask in later} == {after(1)}
    assert configs(first) == {"v1", "v2", None}
    assert [configs(ask) for ask in later] == [{"v1", "v2"}] * len(later)
    assert {len(ask.queries) for ask in later} == {4}


def configs(ask):
    return {dict(query.dimensions).get("EndpointConfigName") for query in ask.queries}


def test_the_history_is_read_again_after_no_response():
    update = Update(silent=THROTTLED)
    answer = update.answer

    def recovering(ask):
        if len(update.of(GetMetricData)) == 3:
            update.silent = None
        return answer(ask)

    update.answer = recovering
    update.follow(watch())

    starts = [ask.start for ask in update.of(GetMetricData)]
    assert starts[:4] == [after(1) - MAX_HISTORY] * 3 + [after(1)]


@pytest.mark.parametrize("errors", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("lived", [0.0, 1800.0, 8 * 3600.0])
def test_verdicts_are_the_same_whether_or_not_the_history_is_kept(monkeypatch, errors, lived):
    kept = Update(errors=errors, lived=lived)
    report = kept.follow(watch())

    monkeypatch.setattr(AnalysisState, "judged", forgetting_history(AnalysisState.judged))
    read_again = Update(errors=errors, lived=lived)

    assert read_again.follow(watch()) == report
    assert read_again.said == kept.said
    assert len(read_again.of(GetMetricData)) == len(kept.of(GetMetricData))
    assert {ask.start for ask in read_again.of(GetMetricData)} == {after(1) - MAX_HISTORY}


def forgetting_history(judged):
    return lambda *arguments: replace(judged(*arguments), history=None)


def test_lists_do_not_replace_looks_until_the_analysis_is_over():
    update = Update(errors=0.3, deaf=True)
    update.follow(watch(), every=600.0)

    thrown = update.asked.index(SetAbortSwitch(SWITCH, THROWN))
    before = [ask for ask in update.asked[:thrown] if isinstance(ask, WaitForChange)]
    behind = [ask for ask in update.asked[thrown:] if isinstance(ask, WaitForChange)]
    assert {rest.expected for rest in before} == {None}
    assert {rest.seconds for rest in before[1:]} == {60.0}
    assert behind[0].expected is EndpointStatus.UPDATING
    assert behind[0].seconds == 600.0


def test_without_an_analysis_no_metric_is_read():
    update = Update(errors=0.3)
    report = update.follow(watch(None))

    assert update.of(GetMetricData) == []
    assert (report["outcome"], report["analysis"]) == ("Succeeded", None)


def test_a_verdict_is_logged_once():
    update = Update()
    update.follow(watch())

    assert [sentence.partition(": ")[2][:5] for sentence in update.said if "Analysis of" in sentence] == [
        "Incon",
        "Pass:",
    ]
    assert len(update.of(GetMetricData)) > 10


def test_nothing_is_judged_after_a_time_out():
    update = Update(errors=0.3, deaf=True)
    report = update.follow(watch(deadline=after(500)), on_timeout=TimeoutAction.ABORT)

    assert update.of(GetMetricData) == []
    assert report["outcome"] == "Succeeded"


@pytest.mark.parametrize("silent_from", [TRAFFIC_ON, ALL_ON])
def test_the_analysis_does_not_act_on_a_look_before_a_missing_response(silent_from):
    update = Update(errors=0.3)
    look = update.look
    update.look = lambda: THROTTLED if silent_from <= update.passed < OVER else look()
    update.errors = 0.3 if silent_from == TRAFFIC_ON else 0.05

    report = update.follow(watch())

    assert (report["outcome"], update.thrown_at) == ("Succeeded", None)
    assert 'although on_inconclusive is "hold"' in report["warnings"][0]


# The verdict as metrics.


def published(update):
    return [{datum.metric: datum.value for datum in ask.data} for ask in update.of(PutMetricData)]


def publishing(analysis=HOLD):
    return watch(replace(analysis, verdict_namespace="Shop/Verdicts"))


def test_each_verdict_is_published_once():
    update = Update(errors=0.0)

    report = update.follow(publishing())

    assert len(update.of(PutMetricData)) == report["analysis"]["looks"]
    assert {ask.namespace for ask in update.of(PutMetricData)} == {"Shop/Verdicts"}
    assert (published(update)[0]["VerdictInconclusive"], published(update)[-1]["VerdictPass"]) == (1, 1)
    assert report["warnings"] == []


def test_without_a_namespace_nothing_is_published():
    update = Update(errors=0.3)
    update.follow(watch())

    assert not update.of(PutMetricData)


def test_a_fail_is_published_after_the_switch_is_thrown():
    update = Update(errors=0.3)
    update.follow(publishing())

    assert [values["VerdictFail"] for values in published(update)][-1] == 1
    last = [n for n, ask in enumerate(update.asked) if isinstance(ask, PutMetricData)][-1]
    assert update.asked.index(SetAbortSwitch(SWITCH, THROWN)) < last


def test_nothing_is_published_without_a_response_of_cloudwatch():
    update = Update(silent=THROTTLED)
    update.follow(publishing(GO_ON))

    assert not update.of(PutMetricData)


@pytest.mark.parametrize("errors", [0.0, 0.3])
@pytest.mark.parametrize("why", [THROTTLED, NoResponse("no", denied="cloudwatch:PutMetricData")])
def test_a_verdict_that_is_not_published_changes_nothing_but_a_warning(errors, why):
    silent, heard = Update(errors=errors, unpublished=why), Update(errors=errors)

    report, expected = silent.follow(publishing()), heard.follow(publishing())

    (warning,) = report.pop("warnings")
    assert expected.pop("warnings") == []
    assert report == expected
    assert len(silent.of(PutMetricData)) == len(heard.of(PutMetricData)) > 1
    assert warning.startswith(f"A verdict was not published as metrics of Shop/Verdicts ({why.reason})")
    assert ("allow cloudwatch:PutMetricData" in warning) == bool(why.denied)
    assert silent.said.count(warning) == 1


def test_a_warning_that_was_given_before_a_restart_is_not_given_again():
    update = Update(unpublished=THROTTLED)
    state = publishing().with_warning("A verdict was not published as metrics of Shop/Verdicts (denied)")

    report = update.follow(state)

    assert report["warnings"] == ["A verdict was not published as metrics of Shop/Verdicts (denied)"]
    assert not [said for said in update.said if "published" in said]
