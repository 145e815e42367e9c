"""What the demo promises of its acts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_guardrails.demo.production import ENDPOINT
from airflow_guardrails.demo.scenario import JUDGE, STOP, UPDATE, DemoResults, DemoRun, EndpointAnswers

_Expectation = tuple[str, Any, Any]


def differences(results: DemoResults) -> list[str]:
    """Everything that is not as the demo promises; empty when all is."""
    promised = (
        *_good_model(results.good),
        *_bad_model(results.bad, results.good),
        *_wrong_model(results.wrong, results.good),
        *_slow_model(results.slow, results.good),
        *_no_traffic(results.no_traffic, results.good),
        *_endpoint_answers(results.answers),
    )
    return [f"{what}: {found!r}, not {wanted!r}" for what, found, wanted in promised if found != wanted]


def _good_model(good: DemoRun) -> Iterator[_Expectation]:
    yield "state of the good run", good.state, "success"
    yield "verdict on the good model", good.verdict.get("label"), "Pass"
    yield "outcome of the good run", good.report.get("outcome"), "Succeeded"
    yield "what the comparison said of it", _analysis(good).get("label"), "Pass"
    yield "configuration in service after it", good.serving, good.version
    yield "live requests that the good model failed", good.failed_requests, 0


def _bad_model(bad: DemoRun, good: DemoRun) -> Iterator[_Expectation]:
    alarms = [alarm["name"] for alarm in (bad.report.get("cause") or {}).get("alarms", ())]
    yield "state of the bad run", bad.state, "failed"
    yield "tasks of the bad run that failed", bad.in_state("failed"), [UPDATE]
    yield "its tasks that succeeded", bad.in_state("success"), sorted(set(bad.tasks) - {UPDATE})
    yield "outcome of the bad run", bad.report.get("outcome"), "RolledBack"
    yield "alarms named as its cause", alarms, [f"{ENDPOINT}-errors"]
    yield "error that ended its task", bad.error.partition(":")[0], "EndpointRolledBack"
    yield "configuration in service after the bad run", bad.serving, good.version
    yield "whether the bad model failed live requests", bad.failed_requests > 0, True
    yield "whether the bad model looks better offline", bad.accuracy > good.accuracy, True


def _wrong_model(wrong: DemoRun, good: DemoRun) -> Iterator[_Expectation]:
    yield "state of the run that the judge stopped", wrong.state, "failed"
    yield "its tasks that failed", wrong.in_state("failed"), [JUDGE]
    yield "its tasks that did not run", wrong.in_state("upstream_failed"), [UPDATE]
    yield "whether its shadow was taken down", STOP in wrong.in_state("success"), True
    yield "verdict on its model", wrong.verdict.get("label"), "Fail"
    yield "what it failed by", _worse_in(wrong.verdict), ["predictions"]
    yield "error that ended its judge", wrong.error.partition(":")[0], "CandidateRejected"
    yield "configuration in service after all", wrong.serving, good.version
    yield "requests that clients sent to it", wrong.requests, 0
    yield "errors that clients got during its test", wrong.client_errors, 0
    yield "whether it looks better offline", wrong.accuracy > good.accuracy, True


def _slow_model(slow: DemoRun, good: DemoRun) -> Iterator[_Expectation]:
    yield "outcome of the slow model's run", slow.report.get("outcome"), "RolledBack"
    yield "cause of that", _cause(slow), "judge"
    yield "what the comparison said", _analysis(slow).get("label"), "Fail"
    yield "what it is worse in", _worse_in(_analysis(slow)), ["ModelLatency"]
    yield "error that ended its task", slow.error.partition(":")[0], "EndpointRolledBack"
    yield "configuration in service after it", slow.serving, good.version


def _no_traffic(no_traffic: DemoRun, good: DemoRun) -> Iterator[_Expectation]:
    yield "outcome of the run whose model nobody asked", no_traffic.report.get("outcome"), "RolledBack"
    yield "cause of that", _cause(no_traffic), "judge"
    yield "what the comparison said", _analysis(no_traffic).get("label"), "Inconclusive"
    yield "configuration in service at the end", no_traffic.serving, good.version


def _endpoint_answers(answers: EndpointAnswers) -> Iterator[_Expectation]:
    yield "whether rows were found on which the models differ", answers.rows > 0, True
    yield "answers of the endpoint like the good model's", answers.like_old_model, answers.rows
    yield "answers of the endpoint like the bad model's", answers.like_new_model, 0
    yield "whether a row with a gap is answered", answers.on_incomplete_row in ("0", "1"), True


def _cause(run: DemoRun) -> str | None:
    kind: str | None = (run.report.get("cause") or {}).get("kind")
    return kind


def _analysis(run: DemoRun) -> dict[str, Any]:
    return run.report.get("analysis") or {}


def _worse_in(verdict: dict[str, Any]) -> list[str]:
    return [reason["metric"] for reason in verdict.get("reasons", ()) if reason["label"] == "Fail"]
