"""The report of a shadow test: one JSON document, the same from operators, sensor and trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.domain.rollout.summary import MAX_LENGTH
from airflow_guardrails.domain.shadow.state import ShadowTestOutcome, ShadowTestState
from airflow_guardrails.domain.snapshots.arn import place_of
from airflow_guardrails.domain.snapshots.console import console_url, endpoint_page, shadow_test_page
from airflow_guardrails.domain.snapshots.experiment import ExperimentStatus, ModelVariant, Phase
from airflow_guardrails.domain.text import cut
from airflow_guardrails.domain.times import format_time

# Version 1 has no summary, times of looks, region, account, stopping and links.
_SCHEMA_VERSION = 2

ShadowReport = dict[str, Any]


def shadow_test_report(state: ShadowTestState) -> ShadowReport:
    """
    Return the report of a wait for a shadow test, finished or not.

    Times are ISO 8601 on AWS's clock. Unknown values are None.
    """
    look = state.look
    place = place_of(look.arn if look else None)
    report: ShadowReport = {
        "schema_version": _SCHEMA_VERSION,
        "summary": "",
        "name": state.name,
        "outcome": state.outcome.value if state.outcome else None,
        "status": look.status.value if look else None,
        "reason": look.reason if look else None,
        "endpoint_name": look.endpoint_name if look else None,
        "endpoint_failure_reason": look.endpoint_failure_reason if look else None,
        "region": place.region,
        "account": place.account,
        "as_of": format_time(state.as_of),
        "deadline": format_time(state.deadline),
        "starts_at": format_time(look.starts_at if look else None),
        "ends_at": format_time((look.completed_at or look.ends_at) if look else None),
        "production": _variant(look.production if look else None),
        "shadow": _variant(look.shadow if look else None),
        "sampling_percentage": look.sampling_percentage if look else None,
        "data_storage_uri": look.storage.uri if look and look.storage else None,
        "min_requests": state.min_requests,
        "warm_up_minutes": state.warm_up.total_seconds() / 60 if state.min_requests else None,
        "requests": dict(state.requests) if state.requests is not None else None,
        "adopted": state.adopted,
        "stopping": _stopping(state),
        "links": {
            "test": console_url(place, shadow_test_page, state.name),
            "endpoint": console_url(place, endpoint_page, look.endpoint_name) if look else None,
        },
        "warnings": list(state.warnings),
    }
    return {**report, "summary": _summary(report)}


_UNKNOWN: ShadowReport = {
    **dict.fromkeys(
        (
            *("summary", "name", "status", "reason", "endpoint_name", "endpoint_failure_reason", "region"),
            *("account", "as_of", "deadline", "starts_at", "ends_at", "production", "shadow"),
            *("sampling_percentage", "data_storage_uri", "min_requests", "warm_up_minutes", "requests"),
            *("stopping",),
        )
    ),
    "adopted": False,
    "links": {"test": None, "endpoint": None},
    "warnings": [],
}


def parse_shadow_report(value: Mapping[str, Any]) -> ShadowReport:
    """
    Read a report of this release or an older one; what the older one did not write is unknown.

    :raises ValueError: if its outcome is not known to this release.
    """
    # Before version 1 had its name, the outcome was the ending.
    report = {**_UNKNOWN, "outcome": value.get("ending"), **value, "schema_version": _SCHEMA_VERSION}
    return {**report, "summary": report["summary"] or _summary(report)}


def _stopping(state: ShadowTestState) -> dict[str, Any] | None:
    """Return what marking the task failed would do; None if the wait has ended."""
    if state.outcome is not None:
        return None
    look = state.look
    if state.on_kill != "stop":
        text = 'Marking this task failed leaves the test running, because on_kill is "leave"'
    elif look is None or look.phase is not Phase.RUNNING:
        status = look.status.value if look else "unknown"
        text = f"The test cannot be stopped now: its status is {status}"
    else:
        text = "Marking this task failed stops the test: its shadow is removed, and production stays as it is"
        return {"aborts": True, "text": text}
    return {"aborts": False, "text": text}


_WORDS = {
    ShadowTestOutcome.REACHED: "REACHED",
    ShadowTestOutcome.CANCELLED: "CANCELLED",
    ShadowTestOutcome.NOT_FOUND: "NOT FOUND",
    ShadowTestOutcome.TOO_FEW_REQUESTS: "TOO FEW REQUESTS",
    ShadowTestOutcome.TIMED_OUT: "TIMED OUT",
}


def _summary(report: ShadowReport) -> str:
    """Return what happened in at most 100 characters, the outcome first."""
    if report["outcome"] is None:
        text = f"{(report['status'] or 'not seen yet').upper()}: shadow test {report['name']}"
    else:
        text = f"{_WORDS[ShadowTestOutcome(report['outcome'])]}: shadow test {report['name']}"
        text += f" is {report['status']}" if report["status"] else ""
        text += f": {report['reason']}" if report["reason"] else ""
    if report["requests"]:
        text += f", {_counts(report)} requests"
    return cut(text, MAX_LENGTH)


def shadow_test_message(report: ShadowReport) -> str:
    """
    Return the summary, and then how the wait ended and what to do, in one or two sentences.

    :param report: of a wait that has an outcome.
    """
    return f"{report['summary'].rstrip('.')}. {_SENTENCES[ShadowTestOutcome(report['outcome'])](report)}"


def _reached(report: ShadowReport) -> str:
    return f"{_named(report)} is {report['status']}{_with_requests(report)}"


def _cancelled(report: ShadowReport) -> str:
    failure = report["endpoint_failure_reason"]
    of_the_endpoint = f"; failure reason of the endpoint: {failure.rstrip('.')}" if failure else ""
    reason = report["reason"] or "SageMaker gives no reason"
    # A test that was stopped before its start is Completed to AWS, although it never ran.
    if report["status"] == ExperimentStatus.COMPLETED.value:
        return f"{_named(report)} was stopped before it began: {reason}"
    return (
        f"{_named(report)} was cancelled: {reason.rstrip('.')}{of_the_endpoint}. Its shadow is removed, or "
        "will be. If this task created the test, fix the reason and clear the task to create another one"
    )


def _not_found(report: ShadowReport) -> str:
    if report["status"]:
        return f"{_named(report)} was deleted by somebody; its last status was {report['status']}"
    return f"There is no shadow test {report['name']}: correct name, region_name or aws_conn_id"


def _too_few(report: ShadowReport) -> str:
    return (
        f"{_named(report)} has ended with too few requests: {_counts(report)} < {report['min_requests']} "
        f"each{_after(report)}. Run the test longer, or lower min_requests"
    )


def _after(report: ShadowReport) -> str:
    minutes = report.get("warm_up_minutes")
    return f" after a warm-up of {minutes:g} min" if minutes else ""


def _timed_out(report: ShadowReport) -> str:
    status, requests = report["status"] or "not visible", _with_requests(report)
    return f"{_named(report)} timed out: it was still {status}{requests}. The test is not changed"


_SENTENCES = {
    ShadowTestOutcome.REACHED: _reached,
    ShadowTestOutcome.CANCELLED: _cancelled,
    ShadowTestOutcome.NOT_FOUND: _not_found,
    ShadowTestOutcome.TOO_FEW_REQUESTS: _too_few,
    ShadowTestOutcome.TIMED_OUT: _timed_out,
}


def _named(report: ShadowReport) -> str:
    return f"Shadow test {report['name']}"


def _with_requests(report: ShadowReport) -> str:
    return f", with {_counts(report)} requests" if report["requests"] else ""


def _counts(report: ShadowReport) -> str:
    counts = report["requests"] or {}
    return " and ".join(f"{count:g} ({name})" for name, count in counts.items()) or "no"


def _variant(variant: ModelVariant | None) -> dict[str, Any] | None:
    if variant is None:
        return None
    return {
        "variant_name": variant.name,
        "model_name": variant.model_name,
        "instance_type": variant.instance_type,
        "instances": variant.instances,
        "status": variant.status,
    }
