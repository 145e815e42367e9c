"""The report of a shadow test: one JSON document, the same from operators, sensor and trigger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow_guardrails.domain.experiment import ModelVariant
from airflow_guardrails.domain.shadow_watch import Ending, ShadowWatch

SCHEMA_VERSION = 1

ShadowReport = dict[str, Any]


def shadow_test_report(watch: ShadowWatch) -> ShadowReport:
    """
    Say what became of a shadow test, or how far it is.

    Times are ISO 8601 on AWS's clock. What is not known is null: nothing is made up.
    """
    look = watch.look
    return {
        "schema_version": SCHEMA_VERSION,
        "name": watch.name,
        "ending": watch.ending.value if watch.ending else None,
        "status": look.status.value if look else None,
        "reason": look.reason if look else None,
        "endpoint_name": look.endpoint_name if look else None,
        "endpoint_failure_reason": look.endpoint_failure_reason if look else None,
        "starts_at": _iso(look.starts_at if look else None),
        "ends_at": _iso((look.completed_at or look.ends_at) if look else None),
        "production": _variant(look.production if look else None),
        "shadow": _variant(look.shadow if look else None),
        "sampling_percentage": look.sampling_percentage if look else None,
        "data_storage_uri": look.storage.uri if look and look.storage else None,
        "requests": dict(watch.requests) if watch.requests is not None else None,
        "adopted": watch.adopted,
        "warnings": list(watch.warnings),
    }


def narrate_ending(watch: ShadowWatch) -> str:
    """Say how the wait ended, and what to do about it."""
    look, name = watch.look, f"Shadow test {watch.name}"
    status = look.status.value if look else "not to be seen"
    reason = look.reason if look and look.reason else "SageMaker gives no reason"
    if watch.ending is Ending.REACHED:
        return f"{name} is {status}{_with_requests(watch)}"
    if watch.ending is Ending.CANCELLED:
        return (
            f"{name} was cancelled: {reason}{_endpoint_reason(watch)}. Its shadow is gone, or going; clear "
            "this task to begin another test once the reason is mended"
        )
    if watch.ending is Ending.NOT_FOUND:
        return f"There is no shadow test {watch.name}: correct name, region_name or aws_conn_id"
    if watch.ending is Ending.TOO_FEW_REQUESTS:
        return (
            f"{name} is over, and its variants have had {_counts(watch)} requests < {watch.min_requests} "
            "each: let it run longer, or ask for fewer"
        )
    return f"{name} was still {status} when the time was up{_with_requests(watch)}; it is left as it is"


def _with_requests(watch: ShadowWatch) -> str:
    return f", with {_counts(watch)} requests" if watch.requests is not None else ""


def _counts(watch: ShadowWatch) -> str:
    counts = watch.requests or {}
    return " and ".join(f"{count:g} ({name})" for name, count in counts.items()) or "no"


def _endpoint_reason(watch: ShadowWatch) -> str:
    said = watch.look.endpoint_failure_reason if watch.look else None
    return f"; of the endpoint SageMaker says: {said}" if said else ""


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


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
