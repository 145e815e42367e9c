"""The report of a shadow test: one JSON document, the same from operators, sensor and trigger."""

from __future__ import annotations

from typing import Any

from airflow_guardrails.domain.shadow.state import ShadowTestOutcome, ShadowTestState
from airflow_guardrails.domain.snapshots.experiment import ExperimentStatus, ModelVariant
from airflow_guardrails.domain.times import format_time

# Increased when a field of the report is renamed or removed.
_SCHEMA_VERSION = 1

ShadowReport = dict[str, Any]


def shadow_test_report(state: ShadowTestState) -> ShadowReport:
    """
    Return the report of a wait for a shadow test, finished or not.

    Times are ISO 8601 on AWS's clock. Unknown values are None.
    """
    look = state.look
    return {
        "schema_version": _SCHEMA_VERSION,
        "name": state.name,
        "outcome": state.outcome.value if state.outcome else None,
        "status": look.status.value if look else None,
        "reason": look.reason if look else None,
        "endpoint_name": look.endpoint_name if look else None,
        "endpoint_failure_reason": look.endpoint_failure_reason if look else None,
        "starts_at": format_time(look.starts_at if look else None),
        "ends_at": format_time((look.completed_at or look.ends_at) if look else None),
        "production": _variant(look.production if look else None),
        "shadow": _variant(look.shadow if look else None),
        "sampling_percentage": look.sampling_percentage if look else None,
        "data_storage_uri": look.storage.uri if look and look.storage else None,
        "min_requests": state.min_requests,
        "requests": dict(state.requests) if state.requests is not None else None,
        "adopted": state.adopted,
        "warnings": list(state.warnings),
    }


def shadow_test_message(report: ShadowReport) -> str:
    """
    Return how the wait ended and what to do, in one or two sentences.

    :param report: of a wait that has an outcome.
    """
    return _SENTENCES[ShadowTestOutcome(report["outcome"])](report)


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
        "each. Run the test longer, or lower min_requests"
    )


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
