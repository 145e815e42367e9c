"""What is wrong with an update before it is asked for; every finding at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airflow_guardrails.domain import preflight_alarms, preflight_analysis, preflight_fleets, preflight_guards
from airflow_guardrails.domain.facts import Facts
from airflow_guardrails.domain.findings import Finding

Check = Callable[[Facts], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    *preflight_guards.CHECKS,
    *preflight_fleets.CHECKS,
    *preflight_alarms.CHECKS,
    *preflight_analysis.CHECKS,
)


def preflight(facts: Facts) -> tuple[Finding, ...]:
    """What is found, errors first; empty if nothing is. The codes stand in :mod:`.findings`."""
    found = [finding for check in CHECKS for finding in check(facts)]
    return tuple(sorted(found, key=lambda finding: not finding.stops))
