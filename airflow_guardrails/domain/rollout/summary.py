"""
The summary of a rollout in at most 100 characters: what happened, why, and what serves now.

The line is for somebody who is woken up by it: it stands first in the error, in the log and in the report.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_guardrails.domain.deployment.metric_units import value_in_words
from airflow_guardrails.domain.rollout.outcome import CauseKind, Outcome
from airflow_guardrails.domain.snapshots.endpoint import Stage
from airflow_guardrails.domain.text import cut

if TYPE_CHECKING:
    from airflow_guardrails.domain.rollout.progress import WatchedAlarm
    from airflow_guardrails.domain.rollout.report import AlarmReport, CauseReport, RolloutReport

# A line of Airflow's log has room for it without being wrapped.
MAX_LENGTH = 100

_WORDS = {
    Outcome.SUCCEEDED: "SUCCEEDED",
    Outcome.ROLLED_BACK: "ROLLED BACK",
    Outcome.ROLLBACK_FAILED: "ROLLBACK FAILED",
    Outcome.FAILED: "FAILED",
    Outcome.SUPERSEDED: "SUPERSEDED",
    Outcome.NOT_STARTED: "NOT STARTED",
    Outcome.TIMED_OUT: "TIMED OUT",
}
_CAUSES = {
    CauseKind.ABORT: "aborted",
    CauseKind.TIMEOUT: "aborted after max_wait",
    CauseKind.HEALTH_CHECK: "health check",
    CauseKind.CAPACITY: "no capacity",
    CauseKind.UNKNOWN: "cause unknown",
}

# As CloudWatch writes it: "Threshold Crossed: 1 datapoint [0.3 (24/11/26 10:01:00)] was greater than the
# threshold (0.05)." https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
_CROSSED = re.compile(
    r"\[(?P<value>[-+0-9.eE]+) \(.*?(?:was|were) (?P<than>greater|less) than (?P<equal>or equal to )?"
    r"the threshold \((?P<limit>[-+0-9.eE]+)\)"
)


def headline_of(report: RolloutReport) -> str:
    """Return the outcome in capitals; IN FLIGHT before there is one."""
    return _WORDS[Outcome(report["outcome"])] if report["outcome"] else "IN FLIGHT"


def summary_of(report: RolloutReport) -> str:
    """Return the summary of a rollout that has ended, or of one in flight."""
    if report["outcome"] is None:
        return _fitting(_in_flight(report), "", _serving(report))
    outcome = Outcome(report["outcome"])
    why = _why(outcome, report)
    return _fitting(_WORDS[outcome], why, "" if outcome is Outcome.SUCCEEDED else _serving(report))


def _why(outcome: Outcome, report: RolloutReport) -> str:
    target, status = report["endpoint_config_name"], report["endpoint_status"]
    match outcome:
        case Outcome.SUCCEEDED:
            why = f"{report['endpoint_name']} serves {target}"
        case Outcome.SUPERSEDED:
            why = "by another update"
        case Outcome.NOT_STARTED:
            why = f"no update to {target} was seen"
        case Outcome.TIMED_OUT:
            aborted = report["abort_switch_thrown_at"]
            left = "aborted and not rolled back yet" if aborted else "left as it is"
            why = f"status {status or 'unknown'}, {left}"
        case Outcome.FAILED if report["cause"] is None:
            why = f"status {status}" if status else "the endpoint is gone"
        case _:
            why = _cause(report["cause"], report) if report["cause"] else _CAUSES[CauseKind.UNKNOWN]
    return why


def _cause(cause: CauseReport, report: RolloutReport) -> str:
    kind = CauseKind(cause["kind"])
    if kind is CauseKind.JUDGE:
        return f"judge: {_first_reason(cause)}"
    if kind is CauseKind.ALARM:
        first = cause["alarms"][0]
        # A report of an older release has no titles.
        watched = report.get("alarms") or ()
        known = [each for each in watched if each.get("title") and each["name"] == first["name"]]
        return _alarm(first, known[0] if known else None)
    return _CAUSES[kind]


def _first_reason(cause: CauseReport) -> str:
    reasons = cause.get("reasons") or ["the candidate is worse"]
    # What stands in parentheses is for the report: the interval and the minutes.
    reason = reasons[0].partition(" (")[0]
    # Names of configurations are long, and measured and limit must not be cut off for them.
    return re.sub(r": (?=[-+\d])", " ", reason, count=1).replace("> limit ", "> ")


def _alarm(alarm: AlarmReport, guard: WatchedAlarm | None) -> str:
    """:param guard: the alarm as it is watched, if it is a guard; that has a title instead of a name."""
    name, unit = (guard["title"], guard["unit"]) if guard else (f"alarm {alarm['name']}", None)
    found = _CROSSED.search(alarm["reason"])
    if found is None:
        return f"{name}"
    sign = {"greater": ">", "less": "<"}[found["than"]] + ("=" if found["equal"] else "")
    return f"{name} {_number(found['value'], unit)} {sign} {_number(found['limit'], unit)}"


def _number(text: str, unit: str | None) -> str:
    try:
        return value_in_words(float(text), unit) if unit else f"{float(text):.4g}"
    except ValueError:
        return text


def _in_flight(report: RolloutReport) -> str:
    last: dict[str, Any] | None = dict(report["stages"][-1]) if report["stages"] else None
    if last is None:
        return f"IN FLIGHT: {report['endpoint_config_name']}"
    # After a success SageMaker removes the old fleet, and the new one has instances.
    if last["stage"] == Stage.DELETING.value and not last["instances"]:
        return f"ROLLING BACK: {report['endpoint_config_name']}"
    share = ""
    if last["desired_instances"]:
        share = f" {last['instances']} of {last['desired_instances']} instances"
    return f"{last['stage'].upper()}{share}: {report['endpoint_config_name']}"


def _serving(report: RolloutReport) -> str:
    if report["outcome"] == Outcome.ROLLBACK_FAILED.value:
        return "a mix of both models serves"
    serving = report["serving_endpoint_config_name"]
    return f"{serving} serves" if serving else ""


def _fitting(first: str, why: str, serving: str) -> str:
    """Put the parts together; the cause is shortened first, then what serves is left out."""
    head = f"{first}: " if why else first
    tail = f"; {serving}" if serving else ""
    room = MAX_LENGTH - len(head) - len(tail)
    if len(why) <= room:
        return f"{head}{why}{tail}" if why else cut(f"{head}{tail}", MAX_LENGTH)
    # A cause of less than this many characters would say nothing.
    least = 30
    return f"{head}{cut(why, room)}{tail}" if room >= least else cut(f"{head}{why}", MAX_LENGTH)
