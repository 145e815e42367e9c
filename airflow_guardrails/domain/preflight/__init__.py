"""
The checks before an update is started. Each finding has a code, a severity, a text and a fix.

Here belong rules about one update of one endpoint, given everything that can be read about it. A module
holds the checks of one subject. Reading from AWS is in ``operators._launch.preflight``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airflow_guardrails.domain.preflight import alarms, analysis, fleets, guards
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Finding

_Check = Callable[[PreflightContext], Iterable[Finding]]

_CHECKS: tuple[_Check, ...] = (
    *guards.CHECKS,
    *fleets.CHECKS,
    *alarms.CHECKS,
    *analysis.CHECKS,
)


def preflight(context: PreflightContext) -> tuple[Finding, ...]:
    """Return all findings, errors first; empty if there are none. :mod:`.findings` lists the codes."""
    found: list[Finding] = []
    for check in _CHECKS:
        found.extend(check(context))
    return tuple(sorted(found, key=lambda finding: not finding.stops))
