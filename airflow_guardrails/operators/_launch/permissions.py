"""What the role of an update lacks, before it is needed."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_guardrails.domain.preflight.findings import Code, Finding, error

_FIX = "allow it; python -m airflow_guardrails policy prints the policy of a DAG"


def permission_findings(denied: Iterable[str]) -> tuple[Finding, ...]:
    """Return a finding for each action of IAM that AWS has denied."""
    return tuple(error(Code.NOT_PERMITTED, f"{action} is denied", fix=_FIX) for action in denied)
