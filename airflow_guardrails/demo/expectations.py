"""What the demo expects of its runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_guardrails.demo.scenario import JUDGE, STOP, UPDATE, DemoResults, DemoRun, EndpointAnswers
from airflow_guardrails.demo.texts import alarm_title

_Expectation = tuple[str, Any, Any]


def differences(results: DemoResults) -> list[str]:
    """Return a line for each result that is not as expected."""
    expected = (
        *_good_model(results.good),
        *_bad_model(results.bad, results.good),
        *_wrong_model(results.wrong, results.good),
        *_slow_model(results.slow, results.good),
        *_no_traffic(results.no_traffic, results.good),
        *_endpoint_answers(results.answers),
    )
    return [
        f"{what} is {found!r}, expected {wanted!r}" for what, found, wanted in expected if found != wanted
    ]


def _good_model(good: DemoRun) -> Iterator[_Expectation]:
    yield "good run: state", good.state, "success"
    yield "good run: verdict of the shadow test", good.verdict.get("label"), "Pass"
    yield "good run: outcome", good.report.get("outcome"), "Succeeded"
    yield "good run: result of the comparison", _analysis(good).get("label"), "Pass"
    yield "good run: configuration in service", good.serving, good.version
    yield "good run: failed requests", good.failed_requests, 0


def _bad_model(bad: DemoRun, good: DemoRun) -> Iterator[_Expectation]:
    yield "bad run: state", bad.state, "failed"
    yield "bad run: failed tasks", bad.in_state("failed"), [UPDATE]
    yield "bad run: successful tasks", bad.in_state("success"), sorted(set(bad.tasks) - {UPDATE})
    yield "bad run: outcome", bad.report.get("outcome"), "RolledBack"
    yield "bad run: cause", _cause(bad), "alarm"
    yield "bad run: guards that caused the rollback", _guards(bad), ["5xx errors of the new fleet"]
    yield "bad run: error", bad.error.partition(":")[0], "EndpointRolledBack"
    yield "bad run: configuration in service", bad.serving, good.version
    yield "bad run: whether requests failed", bad.failed_requests > 0, True
    yield "bad run: whether the accuracy is better", bad.accuracy > good.accuracy, True


def _wrong_model(wrong: DemoRun, good: DemoRun) -> Iterator[_Expectation]:
    yield "wrong run: state", wrong.state, "failed"
    yield "wrong run: failed tasks", wrong.in_state("failed"), [JUDGE]
    yield "wrong run: tasks that did not run", wrong.in_state("upstream_failed"), [UPDATE]
    yield "wrong run: whether the shadow was removed", STOP in wrong.in_state("success"), True
    yield "wrong run: verdict of the shadow test", wrong.verdict.get("label"), "Fail"
    yield "wrong run: metrics that failed", _failed_metrics(wrong.verdict), ["predictions"]
    yield "wrong run: error", wrong.error.partition(":")[0], "CandidateRejected"
    yield "wrong run: configuration in service", wrong.serving, good.version
    # The shadow test stops it, so no client may notice this model.
    yield "wrong run: configuration that was deployed", wrong.version, ""
    yield "wrong run: requests to the new fleet", wrong.requests, 0
    yield "wrong run: failed requests of clients", wrong.client_errors, 0
    yield "wrong run: whether the accuracy is better", wrong.accuracy > good.accuracy, True


def _slow_model(slow: DemoRun, good: DemoRun) -> Iterator[_Expectation]:
    yield "slow run: outcome", slow.report.get("outcome"), "RolledBack"
    yield "slow run: cause", _cause(slow), "judge"
    yield "slow run: result of the comparison", _analysis(slow).get("label"), "Fail"
    yield "slow run: metrics that failed", _failed_metrics(_analysis(slow)), ["ModelLatency"]
    yield "slow run: error", slow.error.partition(":")[0], "EndpointRolledBack"
    yield "slow run: configuration in service", slow.serving, good.version


def _no_traffic(no_traffic: DemoRun, good: DemoRun) -> Iterator[_Expectation]:
    yield "run without traffic: outcome", no_traffic.report.get("outcome"), "RolledBack"
    yield "run without traffic: cause", _cause(no_traffic), "judge"
    yield "run without traffic: result of the comparison", _analysis(no_traffic).get("label"), "Inconclusive"
    yield "run without traffic: configuration in service", no_traffic.serving, good.version


def _endpoint_answers(answers: EndpointAnswers) -> Iterator[_Expectation]:
    yield "endpoint: whether the models differ on any row", answers.rows > 0, True
    yield "endpoint: answers like the good model's", answers.like_old_model, answers.rows
    yield "endpoint: answers like the wrong model's", answers.like_new_model, 0
    yield (
        "endpoint: whether it answers a row with a missing measurement",
        answers.on_incomplete_row in ("0", "1"),
        True,
    )


def _cause(run: DemoRun) -> str | None:
    kind: str | None = (run.report.get("cause") or {}).get("kind")
    return kind


def _guards(run: DemoRun) -> list[str]:
    """Return what the guards watch that caused the rollback."""
    cause = run.report.get("cause") or {}
    return [alarm_title(run.report, alarm["name"]) for alarm in cause.get("alarms", ())]


def _analysis(run: DemoRun) -> dict[str, Any]:
    return run.report.get("analysis") or {}


def _failed_metrics(verdict: dict[str, Any]) -> list[str]:
    return [reason["metric"] for reason in verdict.get("reasons", ()) if reason["label"] == "Fail"]
