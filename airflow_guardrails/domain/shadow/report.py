"""The report of a shadow test: one JSON document, the same from operators, sensor and trigger."""

from __future__ import annotations

from typing import Any

from airflow_guardrails.domain.shadow.state import ShadowTestOutcome, ShadowTestState
from airflow_guardrails.domain.snapshots.experiment import ExperimentStatus, ModelVariant
from airflow_guardrails.domain.times import format_time

SCHEMA_VERSION = 1

ShadowReport = dict[str, Any]


def shadow_test_report(watch: ShadowTestState) -> ShadowReport:
    """
    Say what became of a shadow test, or how far it is.

    Times are ISO 8601 on AWS's clock. What is not known is null: nothing is made up.
    """
    look = watch.look
    return {
        "schema_version": SCHEMA_VERSION,
        "name": watch.name,
        "outcome": watch.outcome.value if watch.outcome else None,
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
        "min_requests": watch.min_requests,
        "requests": dict(watch.requests) if watch.requests is not None else None,
        "adopted": watch.adopted,
        "warnings": list(watch.warnings),
    }


def shadow_test_message(report: ShadowReport) -> str:
    """Say how the wait ended, and what to do about it."""
    return _SENTENCES[ShadowTestOutcome(report["outcome"])](report)


def _reached(report: ShadowReport) -> str:
    return f"{_named(report)} is {report['status']}{_with_requests(report)}"


def _cancelled(report: ShadowReport) -> str:
    said = report["endpoint_failure_reason"]
    of_the_endpoint = f"; of the endpoint SageMaker says: {said}" if said else ""
    reason = report["reason"] or "SageMaker gives no reason"
    if report["status"] == ExperimentStatus.COMPLETED.value:
        return f"{_named(report)} was stopped before it began: {reason}"
    return (
        f"{_named(report)} was cancelled: {reason}{of_the_endpoint}. Its shadow is gone, or going; where "
        "this task made it, clear the task to begin another once the reason is mended"
    )


def _not_found(report: ShadowReport) -> str:
    if report["status"]:
        return f"{_named(report)} is gone: it was {report['status']}, and somebody has deleted it"
    return f"There is no shadow test {report['name']}: correct name, region_name or aws_conn_id"


def _too_few(report: ShadowReport) -> str:
    return (
        f"{_named(report)} is over, and its variants have had {_counts(report)} requests < "
        f"{report['min_requests']} each: let it run longer, or ask for fewer"
    )


def _timed_out(report: ShadowReport) -> str:
    status, requests = report["status"] or "not to be seen", _with_requests(report)
    return f"{_named(report)} was still {status} when the time was up{requests}; it is left as it is"


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
