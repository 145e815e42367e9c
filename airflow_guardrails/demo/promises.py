"""What the demo promises of its acts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_guardrails.demo.production import ENDPOINT
from airflow_guardrails.demo.story import JUDGE, STOP, UPDATE, Act, Answers, Ending

Promise = tuple[str, Any, Any]


def differences(ending: Ending) -> list[str]:
    """Everything that is not as the demo promises; empty when all is."""
    promised = (
        *_of_the_good(ending.good),
        *_of_the_bad(ending.bad, ending.good),
        *_of_the_wrong(ending.wrong, ending.good),
        *_of_the_slow(ending.slow, ending.good),
        *_of_the_unasked(ending.unasked, ending.good),
        *_of_the_answers(ending.answers),
    )
    return [f"{what}: {found!r}, not {wanted!r}" for what, found, wanted in promised if found != wanted]


def _of_the_good(good: Act) -> Iterator[Promise]:
    yield "state of the good run", good.state, "success"
    yield "verdict on the good model", good.verdict.get("label"), "Pass"
    yield "outcome of the good run", good.report.get("outcome"), "Succeeded"
    yield "what the comparison said of it", _analysis(good).get("label"), "Pass"
    yield "configuration in service after it", good.serving, good.version
    yield "live requests that the good model failed", good.failed_requests, 0


def _of_the_bad(bad: Act, good: Act) -> Iterator[Promise]:
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


def _of_the_wrong(wrong: Act, good: Act) -> Iterator[Promise]:
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


def _of_the_slow(slow: Act, good: Act) -> Iterator[Promise]:
    yield "outcome of the slow model's run", slow.report.get("outcome"), "RolledBack"
    yield "cause of that", _cause(slow), "judge"
    yield "what the comparison said", _analysis(slow).get("label"), "Fail"
    yield "what it is worse in", _worse_in(_analysis(slow)), ["ModelLatency"]
    yield "error that ended its task", slow.error.partition(":")[0], "EndpointRolledBack"
    yield "configuration in service after it", slow.serving, good.version


def _of_the_unasked(unasked: Act, good: Act) -> Iterator[Promise]:
    yield "outcome of the run whose model nobody asked", unasked.report.get("outcome"), "RolledBack"
    yield "cause of that", _cause(unasked), "judge"
    yield "what the comparison said", _analysis(unasked).get("label"), "Inconclusive"
    yield "configuration in service at the end", unasked.serving, good.version


def _of_the_answers(answers: Answers) -> Iterator[Promise]:
    yield "whether rows were found on which the models differ", answers.rows > 0, True
    yield "answers of the endpoint like the good model's", answers.as_old_model, answers.rows
    yield "answers of the endpoint like the bad model's", answers.as_new_model, 0
    yield "whether a row with a gap is answered", answers.to_incomplete_row in ("0", "1"), True


def _cause(act: Act) -> str | None:
    kind: str | None = (act.report.get("cause") or {}).get("kind")
    return kind


def _analysis(act: Act) -> dict[str, Any]:
    return act.report.get("analysis") or {}


def _worse_in(verdict: dict[str, Any]) -> list[str]:
    return [reason["metric"] for reason in verdict.get("reasons", ()) if reason["label"] == "Fail"]
