"""Reports as the page shows them: always version 2, and always something, whatever the database has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.domain.rollout.report import parse_report
from airflow_guardrails.domain.shadow.report import parse_shadow_report

UNREADABLE = "This report cannot be read: the XCom holds no report of this package"

# What the page's own code compares or looks up. None or text, whoever wrote the XCom.
_TEXTS = (
    *("summary", "outcome", "name", "endpoint_name", "endpoint_config_name", "started_at"),
    *("region", "account", "ended_at", "ends_at"),
)


def read_report(kind: str, value: Any) -> dict[str, Any]:
    """
    Return the report in *value*, which is an XCom of a task of this package, or what a backend made of it.

    :param kind: ``"rollout"`` or ``"shadow_test"``.
    """
    name = "endpoint_name" if kind == "rollout" else "name"
    if not isinstance(value, Mapping) or not value.get(name) or not isinstance(value[name], str):
        return _read(kind, {"summary": UNREADABLE})
    try:
        return _read(kind, value)
    except (ValueError, LookupError, TypeError, AttributeError):
        return _read(kind, {"summary": UNREADABLE})


def _read(kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    report = dict(parse_report(value) if kind == "rollout" else parse_shadow_report(value))
    for name in _TEXTS:
        if not isinstance(report.get(name, ""), str | None):
            report[name] = str(report[name])
    return report
