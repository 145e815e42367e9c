"""What is wrong with an update before it is asked for; every finding at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airflow_guardrails.domain.preflight import alarms, analysis, fleets, guards
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Finding

Check = Callable[[PreflightContext], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    *guards.CHECKS,
    *fleets.CHECKS,
    *alarms.CHECKS,
    *analysis.CHECKS,
)


def preflight(facts: PreflightContext) -> tuple[Finding, ...]:
    """What is found, errors first; empty if nothing is. The codes stand in :mod:`.findings`."""
    found = [finding for check in CHECKS for finding in check(facts)]
    return tuple(sorted(found, key=lambda finding: not finding.stops))
