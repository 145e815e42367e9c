"""A new fleet compared with the old one while it bakes, and undone if it is worse."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.rollout import canary_process
from airflow_guardrails.exceptions import AccessDenied, EndpointRolledBack, InvalidArgument, PreflightFailed
from airflow_guardrails.rules import CanaryAnalysis, MetricRule
from airflow_guardrails.strategies import AllAtOnce, Canary, Rolling
from tests.support.churn import switch_of
from tests.support.triggers import event_of, executed

SWITCH = switch_of().alarm_name
CANARY = Canary(percent=50, bake=timedelta(minutes=20), termination_wait=timedelta(minutes=5))
RULES = (
    MetricRule("ModelLatency", margin="10%"),
    MetricRule("Invocation5XXErrors", stat="Sum", margin=0.05),
)
ANALYSIS = CanaryAnalysis(rules=RULES)
PER_MINUTE = 60


@pytest.fixture
def busy(churn):
    """``churn`` with traffic for an hour, and both of its configurations as quick as each other."""
    for config in ("churn-v1", "churn-v2"):
        behave(churn, config)
    churn.simulator.client.replay("churn", ["1,2"], per_minute=PER_MINUTE)
    churn.advance(minutes=60)
    return churn


def behave(churn, config: str, **behaviour: float) -> None:
    usual = {"latency_ms": 20, "latency_jitter_ms": 4}
    churn.simulator.client.profile(config, **{**usual, **behaviour})


@pytest.fixture
def update(guarded_update):
    return partial(guarded_update, strategy=CANARY, analysis=ANALYSIS, waiter_delay=60)


# The same in a worker and in a triggerer.


def blocking(operator, context, simulated_sleep) -> dict[str, Any]:
    report: dict[str, Any] = operator.execute(context)
    return report


def deferred(operator, context, simulated_sleep) -> dict[str, Any]:
    operator.deferrable = True
    report: dict[str, Any] = asyncio.run(executed(operator, context, simulated_sleep))
    return report


def deferral(operator, context):
    with pytest.raises(TaskDeferred) as deferred_to:
        operator.execute(context)
    return deferred_to.value.trigger


FOLLOWERS = pytest.mark.parametrize("follower", [blocking, deferred])


@FOLLOWERS
def test_a_slower_configuration_is_rolled_back_and_the_error_says_why(
    busy, update, context, simulated_sleep, follower
):
    """Twenty percent, which is nothing to the alarm."""
    behave(busy, "churn-v2", latency_ms=24)

    with pytest.raises(EndpointRolledBack, match=r"ModelLatency Average: \+\d+.* > limit \+10%") as caught:
        follower(update(), context, simulated_sleep)

    report = caught.value.report
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "judge")
    assert [alarm["name"] for alarm in report["cause"]["alarms"]] == [SWITCH]
    assert report["cause"]["reasons"][0].startswith("ModelLatency Average")
    assert (report["analysis"]["label"], report["analysis"]["acted"]) == ("Fail", True)
    assert report["warnings"] == []
    assert context["ti"].xcoms["rollout_report"] == report
    summary = context["ti"].xcoms["rollout_summary"]
    assert summary.startswith("ROLLED BACK: judge: ModelLatency Average +")
    assert summary.endswith("; churn-v1 serves")
    assert str(caught.value).startswith(f"{summary}. ")
    assert busy.describe()["EndpointConfigName"] == "churn-v1"
    busy.advance(minutes=1)
    assert busy.simulator.client.alarm_state(SWITCH) == "OK"


def test_one_as_good_as_production_passes_and_comes_into_service(busy, update, context, simulated_sleep):
    report = deferred(update(), context, simulated_sleep)

    assert (report["outcome"], report["analysis"]["label"]) == ("Succeeded", "Pass")
    assert report["analysis"]["passed_at"] < report["ended_at"]
    assert not report["analysis"]["acted"]
    assert report["warnings"] == []


@FOLLOWERS
@pytest.mark.proof
def test_a_slower_tail_is_found_by_counting_slow_requests(busy, update, context, simulated_sleep, follower):
    """Thirty requests a minute to each fleet are too few for a percentile of each minute."""
    behave(busy, "churn-v2", latency_ms=26)
    by_tail = CanaryAnalysis(rules=[MetricRule("ModelLatency", stat="p99", margin="10%")])

    with pytest.raises(
        EndpointRolledBack, match=r"p99: \d+\.\d+% of the requests above [\d,]+ > production's"
    ):
        follower(update(analysis=replace(by_tail, on_inconclusive="continue")), context, simulated_sleep)


@FOLLOWERS
@pytest.mark.proof
def test_without_traffic_it_is_not_brought_in_for_lack_of_evidence(
    busy, update, context, simulated_sleep, follower
):
    operator = stopping_traffic(busy, update())

    with pytest.raises(EndpointRolledBack, match="no minute in which both fleets had requests") as caught:
        follower(operator, context, simulated_sleep)

    report = caught.value.report
    assert (report["cause"]["kind"], report["analysis"]["label"]) == ("judge", "Inconclusive")
    assert busy.describe()["EndpointConfigName"] == "churn-v1"


def stopping_traffic(busy, operator):
    return once_launched(operator, lambda: busy.simulator.client.stop_replay("churn"))


def once_launched(operator, change):
    """Call *change* right after the launch, when the operator pushes its links."""
    push_links = operator.push_links

    def change_then_push(*arguments: Any) -> None:
        change()
        push_links(*arguments)

    operator.push_links = change_then_push
    return operator


def test_without_traffic_it_continues_if_so_configured(busy, update, context):
    busy.simulator.client.stop_replay("churn")
    goes_on = update(analysis=replace(ANALYSIS, on_inconclusive="continue"))

    report = goes_on.execute(context)

    assert (report["outcome"], report["analysis"]["label"]) == ("Succeeded", "Inconclusive")
    assert "without a Pass of the analysis" in report["warnings"][-1]


@pytest.mark.proof
def test_an_observer_says_what_it_would_have_done(busy, update, context):
    behave(busy, "churn-v2", latency_ms=24)

    report = update(analysis=replace(ANALYSIS, observe_only=True)).execute(context)

    analysis = report["analysis"]
    assert (report["outcome"], analysis["label"], analysis["acted"]) == ("Succeeded", "Fail", False)
    assert report["started_at"] < analysis["would_have_acted_at"] < report["ended_at"]
    assert "Fail" in {reason["label"] for reason in analysis["reasons"]}


def test_an_update_of_somebody_else_is_judged_and_left_alone(busy, update, context):
    behave(busy, "churn-v2", latency_ms=30)
    theirs = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                "WaitIntervalInSeconds": 2400,
            }
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
    }
    busy.sagemaker.update_endpoint(
        EndpointName="churn", EndpointConfigName="churn-v2", DeploymentConfig=theirs
    )

    report = update().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "foreign")
    assert (report["analysis"]["label"], report["analysis"]["acted"]) == ("Fail", False)
    assert "The analysis could not abort the update: " in report["warnings"][-1]
    assert (
        "nothing proves that the update to churn-v2 in flight has this task's abort switch"
        in report["warnings"][-1]
    )


def test_the_batches_of_a_rolling_update_are_judged_together(busy, update, context):
    behave(busy, "churn-v2", latency_ms=24)
    rolling = Rolling(batch_percent=25, bake=timedelta(minutes=8))

    with pytest.raises(EndpointRolledBack) as caught:
        update(strategy=rolling).execute(context)

    report = caught.value.report
    assert report["cause"]["kind"] == "judge"
    bakes = [stage["instances"] for stage in report["stages"] if stage["stage"] == "Baking"]
    assert max(bakes) > 1


# CloudWatch.


def test_cloudwatch_without_any_response_ends_in_the_abort_with_the_reason(busy, update, context):
    busy.simulator.client.throttle("GetMetricData")

    with pytest.raises(EndpointRolledBack, match="no response from CloudWatch") as caught:
        update().execute(context)

    report = caught.value.report
    assert report["cause"]["kind"] == "judge"
    assert "Rate exceeded" in report["analysis"]["unanswered"]
    assert "analysis_unreadable" in [finding["code"] for finding in report["findings"]]


@pytest.mark.proof
def test_minutes_that_are_published_late_are_waited_for(busy, update, context):
    busy.simulator.client.set_knobs(metric_delay_seconds=150)

    report = update().execute(context)

    assert (report["outcome"], report["analysis"]["label"]) == ("Succeeded", "Pass")


def test_one_call_a_look_while_the_new_fleet_has_traffic(busy, update, context):
    report = update().execute(context)

    assert busy.calls("GetMetricData") == 1 + report["analysis"]["looks"]
    assert report["analysis"]["looks"] == pytest.approx(25, abs=2)


# What it can find.


@FOLLOWERS
def test_what_can_be_found_is_told_before_the_update_and_in_the_report(
    busy, update, context, simulated_sleep, follower
):
    report = follower(update(), context, simulated_sleep)

    power = report["analysis"]["power"]
    (finding,) = [one for one in report["findings"] if one["code"] == "analysis_power"]
    assert (finding["severity"], finding["text"]) == ("note", power["text"])
    latency, errors = power["rules"]
    assert (latency["metric"], errors["metric"]) == ("ModelLatency", "Invocation5XXErrors")
    assert 0.5 < latency["pass_chance"] <= 1.0
    assert 0.1 < latency["found"] < 2.0
    assert 0.05 < errors["found"] < 0.5
    # The bake, and the wait behind it in which the switch acts.
    assert 6 < errors["by_minute"] <= 25


def test_a_past_with_too_many_errors_to_pass_stops_the_update(busy, update, context):
    for config in ("churn-v1", "churn-v2"):
        behave(busy, config, error_rate=0.1)
    busy.advance(minutes=240)
    strict = replace(ANALYSIS, rules=[replace(RULES[1], margin=0.005)])

    with pytest.raises(PreflightFailed, match="as good as production passes with under 5%") as caught:
        update(analysis=strict, alarms=()).execute(context)

    (finding,) = [one for one in caught.value.findings if one["code"] == "analysis_pass_unlikely"]
    assert finding["severity"] == "error"
    assert "no bake of up to an hour suffices; or allow Invocation5XXErrors Sum a margin of" in finding["fix"]
    assert caught.value.report["analysis"]["power"]["rules"][0]["pass_chance"] < 0.05
    assert busy.calls("UpdateEndpoint") == 0


def test_whoever_insists_gets_the_same_as_a_warning(busy, update, context):
    for config in ("churn-v1", "churn-v2"):
        behave(busy, config, error_rate=0.1)
    busy.advance(minutes=240)
    strict = replace(
        ANALYSIS, rules=[replace(RULES[1], margin=0.005)], on_inconclusive="continue", alpha=0.001
    )

    report = update(analysis=strict, alarms=()).execute(context)

    (finding,) = [one for one in report["findings"] if one["code"] == "analysis_pass_unlikely"]
    assert (report["outcome"], finding["severity"]) == ("Succeeded", "warning")


def test_the_past_of_all_rules_is_read_in_one_call(busy, update, context):
    with pytest.raises(PreflightFailed):
        update(abort_switch=False).execute(context)

    assert busy.calls("GetMetricData") == 1


# A crash in the middle.


class Died(BaseException):
    """The worker is gone, and whatever it knew."""


@pytest.mark.proof
def test_a_retry_judges_on_by_all_that_there_is_since_the_start(busy, update, context, simulated_sleep):
    behave(busy, "churn-v2", latency_ms=24)
    first, slept = update(), 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        if slept > 16 * 60:
            raise Died
        simulated_sleep(seconds)

    first.sleep = sleep
    with pytest.raises(Died):
        first.execute(context)

    with pytest.raises(EndpointRolledBack) as caught:
        update().execute(context)

    report = caught.value.report
    assert (report["adopted"], report["cause"]["kind"]) == ("own", "judge")
    assert minutes_judged(report) > report["analysis"]["looks"]
    assert busy.calls("UpdateEndpoint") == 1


@pytest.mark.proof
def test_a_retry_that_finds_the_rollback_over_reports_its_cause(busy, update, context, simulated_sleep):
    behave(busy, "churn-v2", latency_ms=24)
    first = update()

    def sleep(seconds: float) -> None:
        simulated_sleep(seconds)
        if seconds < 60 and busy.simulator.client.alarm_state(SWITCH) == "ALARM":
            busy.advance(minutes=10)
            raise Died

    first.sleep = sleep
    with pytest.raises(Died):
        first.execute(context)

    with pytest.raises(EndpointRolledBack, match="ModelLatency Average") as caught:
        update().execute(context)

    assert caught.value.report["cause"]["kind"] == "judge"
    assert busy.calls("UpdateEndpoint") == 1


@pytest.mark.proof
async def test_triggers_that_share_their_looks_judge_too(busy, update, context):
    """The beat of the shared poller is real here; time passes by a minute at each of its looks."""
    behave(busy, "churn-v2", latency_ms=24)
    with pytest.raises(TaskDeferred) as deferred_to:
        await asyncio.to_thread(update(deferrable=True).execute, context)
    trigger = deferred_to.value.trigger
    trigger.waiter_delay = 0.02

    async def sleep(seconds: float) -> None:
        await asyncio.to_thread(busy.advance, seconds=seconds)

    trigger.sleep = sleep
    await asyncio.to_thread(busy.advance, minutes=18)
    fired_once = asyncio.ensure_future(anext(trigger.run()))
    while not fired_once.done():
        looks = busy.calls("DescribeEndpoint")
        await asyncio.to_thread(busy.advance, minutes=1)
        while busy.calls("DescribeEndpoint") == looks and not fired_once.done():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)

    assert fired_once.result().payload["report"]["cause"]["kind"] == "judge"


def test_the_judge_runs_in_a_thread_of_the_triggerer(busy, update, context, simulated_sleep, monkeypatch):
    behave(busy, "churn-v2", latency_ms=24)
    judges = set()
    judge = canary_process.judge_trial

    def noting(*arguments: Any) -> Any:
        judges.add(threading.get_ident())
        return judge(*arguments)

    monkeypatch.setattr(canary_process, "judge_trial", noting)

    with pytest.raises(EndpointRolledBack, match="ModelLatency Average"):
        deferred(update(), context, simulated_sleep)

    assert len(judges) == 1
    assert threading.get_ident() not in judges


def test_the_triggerer_gets_the_time_that_a_rollback_takes(busy, update, guarded_update, context):
    def timeout_of(operator) -> float:
        with pytest.raises(TaskDeferred) as deferred_to:
            operator.execute(context)
        return deferred_to.value.timeout.total_seconds()

    analysed = timeout_of(update(deferrable=True))
    busy.advance(hours=2)
    back = guarded_update(strategy=CANARY, endpoint_config_name="churn-v1", deferrable=True)

    assert analysed - timeout_of(back) == pytest.approx(ABORTING.total_seconds(), abs=60)


def test_a_restarted_triggerer_judges_on(busy, update, context, simulated_sleep):
    behave(busy, "churn-v2", latency_ms=24)
    trigger = deferral(update(deferrable=True), context)
    busy.advance(minutes=16)

    report = asyncio.run(event_of(trigger, simulated_sleep))["report"]

    assert report["cause"]["kind"] == "judge"
    assert minutes_judged(report) > report["analysis"]["looks"]


def minutes_judged(report) -> int:
    (text,) = [
        reason["text"] for reason in report["analysis"]["reasons"] if reason["metric"] == "ModelLatency"
    ]
    return int(re.search(r"(\d+) minutes", text)[1])


# Refused before.


def test_an_analysis_may_be_a_dict(guarded_update):
    operator = guarded_update(strategy=CANARY, analysis=ANALYSIS.as_dict())

    assert operator.analysis == ANALYSIS


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"analysis": {"every": 1}}, "every must be"),
        ({"analysis": {"evry": 60}}, "evry"),
        ({"analysis": {"rules": [{"metric": ""}]}}, "metric"),
        ({"wait_for_completion": False}, "wait_for_completion must be True"),
    ],
)
def test_nonsense_is_refused_when_the_task_is_built(update, wrong, says):
    with pytest.raises(InvalidArgument, match=says):
        update(**wrong)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"abort_switch": False}, "analysis_no_switch"),
        ({"strategy": AllAtOnce(termination_wait=timedelta(minutes=30))}, "analysis_no_bake"),
        ({"strategy": Canary(percent=50, bake=timedelta(minutes=5))}, "analysis_bake_short"),
        (
            {"analysis": replace(ANALYSIS, rules=[replace(RULES[0], min_requests=5000)])},
            "analysis_traffic_low",
        ),
    ],
)
def test_what_could_not_judge_is_refused_before_anything_is_changed(busy, update, context, wrong, code):
    with pytest.raises(PreflightFailed) as caught:
        update(**wrong).execute(context)

    assert code in [finding["code"] for finding in caught.value.findings if finding["severity"] == "error"]
    assert caught.value.report["analysis"]["looks"] == 0
    assert busy.calls("UpdateEndpoint") == 0


def deny_metrics(busy) -> None:
    busy.simulator.client.fault(
        "GetMetricData",
        kind="error",
        times=1,
        code="AccessDenied",
        message="not authorized to perform: cloudwatch:GetMetricData",
        status=403,
    )


def test_without_permission_to_read_metrics_an_update_that_needs_a_pass_does_not_start(busy, update, context):
    deny_metrics(busy)

    with pytest.raises(AccessDenied, match=r"^Access denied: cloudwatch:GetMetricData on"):
        update().execute(context)

    assert busy.calls("UpdateEndpoint") == 0
    assert busy.calls("DeleteAlarms") == 1


@pytest.mark.parametrize("change", [{"observe_only": True}, {"on_inconclusive": "continue"}])
def test_without_permission_to_read_metrics_any_other_update_has_a_warning(busy, update, context, change):
    deny_metrics(busy)

    report = update(analysis=replace(ANALYSIS, **change)).execute(context)

    (finding,) = [finding for finding in report["findings"] if finding["code"] == "analysis_unreadable"]
    assert report["analysis"]["power"] is None
    assert "not authorized to perform: cloudwatch:GetMetricData" in finding["text"]
    assert report["outcome"] == "Succeeded"


# The verdict as metrics of the user's own.

PUBLISHING = replace(ANALYSIS, verdict_namespace="Shop/Verdicts")


def published(busy, metric: str, dimensions: dict[str, str]) -> list[float]:
    """The values of a metric in Shop/Verdicts, oldest first."""
    answer = busy.cloudwatch.get_metric_statistics(
        Namespace="Shop/Verdicts",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=busy.now() - timedelta(hours=3),
        EndTime=busy.now() + timedelta(hours=1),
        Period=60,
        Statistics=["Maximum"],
    )
    return [point["Maximum"] for point in sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])]


UPDATES = {"EndpointName": "churn", "Trial": "Update"}
TO_V2 = {"EndpointName": "churn", "EndpointConfigName": "churn-v2"}
LATENCY = {**TO_V2, "Metric": "ModelLatency", "Stat": "Average"}


@FOLLOWERS
@pytest.mark.proof
def test_the_verdicts_are_published_and_an_alarm_goes_off_at_a_fail(
    busy, update, context, simulated_sleep, follower
):
    behave(busy, "churn-v2", latency_ms=24)
    busy.cloudwatch.put_metric_alarm(
        AlarmName="judged-worse",
        Namespace="Shop/Verdicts",
        MetricName="VerdictFail",
        Dimensions=[{"Name": name, "Value": value} for name, value in UPDATES.items()],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="ignore",
    )

    with pytest.raises(EndpointRolledBack) as caught:
        follower(update(analysis=PUBLISHING), context, simulated_sleep)

    report = caught.value.report
    assert report["warnings"] == []
    busy.advance(minutes=2)
    assert busy.simulator.client.alarm_state("judged-worse") == "ALARM"
    fails = published(busy, "VerdictFail", TO_V2)
    assert (fails[0], fails[-1]) == (0, 1)
    assert len(fails) == pytest.approx(report["analysis"]["looks"], abs=1)
    assert published(busy, "VerdictPass", UPDATES)[-1] == 0
    (latency,) = [reason for reason in report["analysis"]["reasons"] if reason["metric"] == "ModelLatency"]
    assert published(busy, "Difference", LATENCY)[-1] == latency["measured"]
    assert published(busy, "IntervalLow", LATENCY)[-1] == latency["low"]
    assert published(busy, "Limit", LATENCY)[-1] == 0.1
    # Without any error, the interval of the difference is finite, and so both of its ends are published.
    assert published(busy, "IntervalHigh", {**TO_V2, "Metric": "Invocation5XXErrors", "Stat": "Sum"})


@FOLLOWERS
@pytest.mark.proof
def test_a_verdict_that_may_not_be_published_is_only_a_warning(
    busy, update, context, simulated_sleep, follower
):
    deny = partial(
        busy.simulator.client.fault,
        "PutMetricData",
        kind="error",
        times=None,
        code="AccessDenied",
        message="not authorized to perform: cloudwatch:PutMetricData",
        status=403,
    )

    report = follower(once_launched(update(analysis=PUBLISHING), deny), context, simulated_sleep)

    assert (report["outcome"], report["analysis"]["label"]) == ("Succeeded", "Pass")
    (warning,) = [text for text in report["warnings"] if "published" in text]
    assert warning.startswith("A verdict was not published as metrics of Shop/Verdicts (ClientError: ")
    assert warning.endswith("; allow cloudwatch:PutMetricData for this namespace")
    assert not published(busy, "VerdictPass", UPDATES)
    assert busy.calls("PutMetricData") > report["analysis"]["looks"]


@pytest.mark.proof
def test_a_throttled_put_is_only_a_warning_and_later_verdicts_are_published(busy, update, context):
    throttle = partial(busy.simulator.client.throttle, "PutMetricData", times=5)

    report = once_launched(update(analysis=PUBLISHING), throttle).execute(context)

    assert (report["outcome"], report["analysis"]["label"]) == ("Succeeded", "Pass")
    (warning,) = report["warnings"]
    assert "Shop/Verdicts (ClientError: An error occurred (Throttling" in warning
    assert published(busy, "VerdictPass", UPDATES)[-1] == 1
