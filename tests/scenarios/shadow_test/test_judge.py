"""The judge of a shadow test reads what both variants did, and says what that means."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
from airflow.sdk.timezone import utcnow

from airflow_guardrails.domain.judge import History
from airflow_guardrails.exceptions import (
    CandidateRejected,
    CandidateUndecided,
    InvalidArgument,
    ShadowTestCancelled,
    ShadowTestNotFound,
)
from airflow_guardrails.operators._judging import shadow_test
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.rules import MetricRule
from tests.support.lab import in_simulated_time
from tests.support.metrics import counted
from tests.support.simulated import START


@pytest.fixture
def judge(lab, simulated_sleep):
    def build(**changes: Any) -> SageMakerJudgeShadowTestOperator:
        operator = SageMakerJudgeShadowTestOperator(**{"task_id": "judge", "name": "trial", **changes})
        return in_simulated_time(operator, lab, simulated_sleep)

    return build


@pytest.fixture
def trial(lab):
    """Run the test ``trial``, for an hour by default; profiles say how the two models behave."""

    def run(
        *,
        candidate: dict[str, float] | None = None,
        per_minute: float = 60,
        percent: int = 100,
        minutes: float = 60,
        **more: Any,
    ):
        control = lab.simulator.client
        control.profile("churn", latency_ms=20, latency_jitter_ms=10)
        control.profile("churn-candidate", **{"latency_ms": 20, "latency_jitter_ms": 10, **(candidate or {})})
        mode = lab.request()["ShadowModeConfig"]
        mode["ShadowModelVariants"][0]["SamplingPercentage"] = percent
        lab.replay(per_minute=per_minute)
        lab.run(ShadowModeConfig=mode, **more)
        lab.advance(minutes=minutes)
        return lab

    return run


def labels(report):
    return {f"{reason['metric']} {reason['stat']}": reason["label"] for reason in report["reasons"]}


def test_a_candidate_as_good_as_production_passes(judge, trial, context, task_instance):
    trial()

    report = judge().execute(context)

    assert report["label"] == "Pass"
    assert set(labels(report).values()) == {"Pass"}
    assert task_instance.xcoms["verdict"] == report


def test_a_slower_candidate_is_rejected_and_the_reason_shows_its_arithmetic(
    judge, trial, context, task_instance
):
    trial(candidate={"latency_ms": 30})

    with pytest.raises(CandidateRejected) as rejected:
        judge().execute(context)

    report = task_instance.xcoms["verdict"]
    assert rejected.value.report == report
    failed = {name for name, label in labels(report).items() if label == "Fail"}
    assert failed == {"ModelLatency Average", "ModelLatency p90"}
    (mean,) = [reason for reason in report["reasons"] if reason["stat"] == "Average"][:1]
    assert mean["limit"] == pytest.approx(0.1)
    assert mean["limit"] < mean["low"] < mean["measured"] < mean["high"]


def test_a_candidate_that_fails_requests_is_rejected_by_its_errors(judge, trial, context, task_instance):
    trial(candidate={"error_rate": 0.1})

    with pytest.raises(CandidateRejected, match="Invocation5XXErrors"):
        judge().execute(context)


def test_without_traffic_nothing_passes(judge, trial, context):
    trial(per_minute=0.0001)

    with pytest.raises(CandidateUndecided):
        judge().execute(context)


def test_what_production_did_before_the_test_is_read_with_it(judge, trial, lab):
    lab.replay(per_minute=60)
    lab.advance(hours=8)
    begin = lab.now()
    trial()

    operator = judge()
    experiment = operator.hook.describe_inference_experiment("trial")
    evidence = operator._judge().evidence(experiment)

    history = evidence.history
    minutes = [begin - timedelta(minutes=after) for after in range(360, 0, -1)]
    assert experiment.starts_at == begin
    assert sorted(history.requests) == minutes
    assert set(history.requests.values()) == {60}
    assert {rule.metric for rule in history.metrics} >= {"ModelLatency", "Invocation5XXErrors"}
    assert all(sorted(points) == minutes for points in history.metrics.values())
    compared = [evidence.requests, *evidence.metrics.values()]
    assert all(min((*side.control, *side.candidate)) >= begin for side in compared)


def test_an_endpoint_without_a_past_has_no_history(judge, trial):
    trial()

    operator = judge()
    evidence = operator._judge().evidence(operator.hook.describe_inference_experiment("trial"))

    assert evidence.history == History()


def test_a_shadow_that_gets_a_part_of_the_requests_is_held_to_that_part(judge, trial, context):
    trial(percent=25, per_minute=240)

    assert judge().execute(context)["label"] == "Pass"


def test_a_shadow_whose_part_somebody_changes_half_way_is_not_passed(judge, trial, context, lab):
    trial()
    mode = lab.request()["ShadowModeConfig"]
    mode["ShadowModelVariants"][0]["SamplingPercentage"] = 10
    lab.sagemaker.update_inference_experiment(Name="trial", ShadowModeConfig=mode)
    lab.advance(hours=1)

    with pytest.raises(CandidateUndecided, match="share"):
        judge().execute(context)


@pytest.mark.parametrize("so_far", ["Running", "Completed"])
def test_a_test_is_judged_while_it_runs_and_afterwards(judge, trial, context, lab, so_far):
    trial(end=timedelta(hours=1, minutes=15))
    if so_far == "Completed":
        lab.advance(hours=1)
    assert lab.status() == so_far

    assert judge().execute(context)["label"] == "Pass"


def test_a_cancelled_test_is_no_trial(judge, trial, context, lab):
    trial()
    lab.stop(state="Cancelled", reason="somebody thought better of it")
    lab.advance(minutes=30)

    with pytest.raises(ShadowTestCancelled, match="somebody thought better of it"):
        judge().execute(context)


def test_a_name_that_no_test_has_is_an_error(judge, context):
    with pytest.raises(ShadowTestNotFound, match="ghost"):
        judge(name="ghost").execute(context)


def test_a_fail_can_skip_what_depends_on_it(judge, trial, context):
    trial(candidate={"latency_ms": 40})

    with pytest.raises(AirflowSkipException):
        judge(on_fail="skip").execute(context)


def test_the_verdict_is_counted_and_shown_in_the_list_of_tasks(judge, trial, context, monkeypatch):
    tags_of = counted(monkeypatch)
    trial(candidate={"latency_ms": 40})

    with pytest.raises(CandidateRejected):
        judge().execute(context)

    assert context["outcome"] == "JUDGE: FAIL"
    assert tags_of("guardrails.judge.verdict") == [{"label": "Fail", "endpoint": "churn"}]


def test_a_fail_can_be_returned_for_the_dag_to_decide(judge, trial, context):
    trial(candidate={"latency_ms": 40})

    assert judge(on_fail="return").execute(context)["label"] == "Fail"


def test_an_inconclusive_verdict_can_be_returned(judge, trial, context):
    trial(per_minute=0.0001)

    assert judge(on_inconclusive="return").execute(context)["label"] == "Inconclusive"


@pytest.mark.parametrize(("latency_ms", "label"), [(30, "Fail"), (20, "Pass")])
def test_a_test_that_is_judged_until_it_is_decided_need_not_run_to_its_end(
    judge, trial, context, lab, latency_ms, label
):
    trial(candidate={"latency_ms": latency_ms}, minutes=1, end=timedelta(hours=12))

    report = judge(until_decided=True, on_fail="return").execute(context)

    assert report["label"] == label
    assert lab.status() == "Running"
    assert lab.now() - START < timedelta(hours=2)


def test_what_is_never_decided_ends_with_the_test(judge, trial, context, lab):
    trial(per_minute=0.0001, minutes=1, end=timedelta(hours=2))

    with pytest.raises(CandidateUndecided):
        judge(until_decided=True).execute(context)

    assert lab.status() == "Completed"


def test_between_two_looks_a_deferrable_judge_leaves_the_worker(judge, trial, context):
    trial(minutes=1, end=timedelta(hours=12))

    with pytest.raises(TaskDeferred) as deferred:
        judge(until_decided=True, deferrable=True).execute(context)

    assert deferred.value.method_name == "execute_again"
    assert deferred.value.trigger.moment - utcnow() > timedelta(minutes=4)


def test_a_judge_that_comes_back_judges_anew(judge, trial, context):
    trial()

    report = judge(until_decided=True, deferrable=True).execute_again(context, event={"any": "thing"})

    assert report["label"] == "Pass"


def test_rules_are_the_authors_own_objects_or_dicts(judge, trial, context):
    trial(candidate={"latency_ms": 30})
    rules = [MetricRule("ModelLatency", margin="200%"), {"metric": "Invocation5XXErrors", "margin": 0.01}]

    report = judge(metrics=rules).execute(context)

    assert {"ModelLatency Average", "Invocation5XXErrors Sum"} & set(labels(report))
    assert report["label"] == "Pass"


def test_predictions_that_are_to_be_judged_and_were_not_kept_are_no_pass(judge, trial, context):
    trial()

    with pytest.raises(CandidateUndecided, match="no requests and answers were captured"):
        judge(predictions={}).execute(context)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": [{"metric": "ModelLatency", "margin": "-10%"}]},
        {"metrics": [{"name": "ModelLatency"}]},
        {"predictions": {"max_disagreement": 2}},
    ],
)
def test_a_rule_that_says_nothing_sensible_is_refused(judge, trial, context, wrong):
    with pytest.raises(InvalidArgument, match="cannot be built"):
        judge(**wrong).execute(context)


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0},
        {"alpha": 0.5},
        {"warm_up": timedelta(-1)},
        {"on_fail": "ignore"},
    ],
)
def test_an_argument_out_of_range_is_refused_when_the_dag_is_parsed(judge, wrong):
    with pytest.raises(InvalidArgument, match="got"):
        judge(**wrong)


# A judge that fails.


def test_a_judge_that_raises_is_undecided_with_the_reason(judge, trial, context, task_instance, monkeypatch):
    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division by zero")

    trial()
    monkeypatch.setattr(shadow_test, "judge", fails)

    with pytest.raises(
        CandidateUndecided, match=r"could not be judged \(ZeroDivisionError: division by zero\)"
    ):
        judge().execute(context)

    report = task_instance.xcoms["verdict"]
    assert report["label"] == "Inconclusive"
    assert [reason["metric"] for reason in report["reasons"]] == ["metrics"]


def test_answers_that_cannot_be_judged_are_undecided_with_the_reason(judge, trial, context, monkeypatch):
    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("no scores")

    trial()
    monkeypatch.setattr(shadow_test, "prediction_reason", fails)

    with pytest.raises(CandidateUndecided, match=r"predictions could not be judged \(ValueError: "):
        judge(predictions={}).execute(context)


def test_a_test_that_still_runs_is_judged_again_after_a_judge_that_raises(judge, trial, context, monkeypatch):
    judged, calls = shadow_test.judge, []

    def fails_once(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise ZeroDivisionError("division by zero")
        return judged(*arguments, **more)

    trial()
    monkeypatch.setattr(shadow_test, "judge", fails_once)

    assert judge(until_decided=True).execute(context)["label"] == "Pass"
    assert len(calls) > 1


# A ratio.


def publish_clicks(lab, *, per_answer: dict[str, float]) -> None:
    """Publish Clicks and Answers of both variants, for each of the last 60 minutes."""
    begin = lab.now() - timedelta(minutes=60)
    for variant, rate in per_answer.items():
        own = [{"Name": "EndpointName", "Value": "churn"}, {"Name": "VariantName", "Value": variant}]
        data = [
            {
                "MetricName": name,
                "Dimensions": own,
                "Timestamp": begin + timedelta(minutes=minute),
                "Value": value,
            }
            for minute in range(60)
            for answers in [50 + minute % 5]
            for name, value in (
                ("Answers", answers),
                ("Clicks", rate * answers * (1 + 0.02 * (-1) ** minute)),
            )
        ]
        lab.cloudwatch.put_metric_data(Namespace="Shop", MetricData=data)


@pytest.mark.parametrize(("rate", "label"), [(0.3, "Pass"), (0.2, "Fail")])
def test_clicks_per_answer_are_judged(judge, trial, context, lab, rate, label):
    trial(minutes=70)
    publish_clicks(lab, per_answer={"AllTraffic": 0.3, "candidate": rate})
    rule = {"metric": "Clicks", "stat": "Sum", "per": "Answers", "namespace": "Shop", "direction": "decrease"}

    report = judge(metrics=[rule], on_fail="return").execute(context)

    assert report["label"] == label
    assert labels(report)["Clicks per Answers"] == label


# The verdict as metrics of the user's own.


def published(lab, metric: str, **dimensions: str) -> list[float]:
    """The values of a metric of the endpoint in Shop/Verdicts, oldest first."""
    dimensions = {"EndpointName": "churn", **dimensions}
    answer = lab.cloudwatch.get_metric_statistics(
        Namespace="Shop/Verdicts",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=START,
        EndTime=lab.now() + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum"],
    )
    return [point["Maximum"] for point in sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])]


def deny_publishing(lab) -> None:
    lab.simulator.client.fault(
        "PutMetricData",
        kind="error",
        times=None,
        code="AccessDenied",
        message="not authorized to perform: cloudwatch:PutMetricData",
        status=403,
    )


def test_a_verdict_is_published_in_the_namespace_that_is_given(judge, trial, context, lab):
    trial(candidate={"latency_ms": 30})

    report = judge(on_fail="return", verdict_namespace="Shop/Verdicts").execute(context)

    assert published(lab, "VerdictFail", Trial="ShadowTest") == [1]
    assert published(lab, "VerdictFail", ShadowTestName="trial") == [1]
    assert published(lab, "VerdictPass", Trial="ShadowTest") == [0]
    p90 = {"ShadowTestName": "trial", "Metric": "ModelLatency", "Stat": "p90"}
    (reason,) = [reason for reason in report["reasons"] if reason["stat"] == "p90"]
    assert published(lab, "Difference", **p90) == [reason["measured"]]
    assert published(lab, "IntervalHigh", **p90) == [reason["high"]]
    assert published(lab, "Limit", **p90) == [0.1]
    assert report["warnings"] == []


def test_each_verdict_of_a_running_test_is_published(judge, trial, context, lab):
    trial(minutes=1, end=timedelta(hours=12))

    judge(until_decided=True, verdict_namespace="Shop/Verdicts").execute(context)

    passes = published(lab, "VerdictPass", Trial="ShadowTest")
    assert passes == [0] * (len(passes) - 1) + [1]
    assert len(passes) > 1


def test_without_a_namespace_nothing_is_published(judge, trial, context, lab):
    trial()
    before = lab.calls("PutMetricData")

    judge().execute(context)

    assert lab.calls("PutMetricData") == before


def test_a_verdict_that_may_not_be_published_is_only_a_warning(
    judge, trial, context, lab, task_instance, caplog
):
    trial(minutes=1, end=timedelta(hours=12))
    deny_publishing(lab)

    report = judge(until_decided=True, verdict_namespace="Shop/Verdicts").execute(context)

    assert report["label"] == "Pass"
    (warning,) = report["warnings"]
    assert warning.startswith("A verdict was not published as metrics of Shop/Verdicts (ClientError: ")
    assert warning.endswith("; allow cloudwatch:PutMetricData for this namespace")
    assert task_instance.xcoms["verdict"] == report
    assert lab.calls("PutMetricData") > 1


def test_a_deferred_judge_does_not_repeat_its_warning(judge, trial, context, lab):
    trial(minutes=1, end=timedelta(hours=12))
    deny_publishing(lab)
    operator = judge(until_decided=True, deferrable=True, verdict_namespace="Shop/Verdicts")
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    kwargs = json.loads(json.dumps(deferred.value.kwargs))
    lab.advance(hours=1)

    again = judge(until_decided=True, deferrable=True, verdict_namespace="Shop/Verdicts")
    warned = []
    again.warn = warned.append
    report = again.execute_again(context, event=None, **kwargs)

    assert report["label"] == "Pass"
    assert report["warnings"] == kwargs["warnings"]
    assert len(kwargs["warnings"]) == 1
    assert warned == []


@pytest.mark.parametrize("namespace", ["AWS/SageMaker", ":Shop", "", "Läden", "x" * 256])
def test_a_namespace_that_cloudwatch_would_refuse_is_refused_before_any_call(judge, context, lab, namespace):
    before = lab.calls("DescribeInferenceExperiment")

    with pytest.raises(InvalidArgument, match=r"^verdict_namespace must be .*\(got "):
        judge(verdict_namespace=namespace).execute(context)

    assert lab.calls("DescribeInferenceExperiment") == before
