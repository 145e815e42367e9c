"""
The checks before an update is started. Each finding has a code, a severity, a text and a fix.

Here belong rules about one update of one endpoint, given everything that can be read about it. A module
holds the checks of one subject. Reading from AWS is in ``operators._launch.preflight``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_guardrails.domain.preflight.context import PreflightContext
    from airflow_guardrails.domain.preflight.findings import Finding


def preflight(context: PreflightContext) -> tuple[Finding, ...]:
    """Return all findings, errors first; empty if there are none. :mod:`.findings` lists the codes."""
    # The report needs the findings' codes when a DAG file is parsed, and a DAG file runs no check.
    from airflow_guardrails.domain.preflight import alarms, analysis, fleets, guards  # noqa: PLC0415

    found: list[Finding] = []
    for check in (*guards.CHECKS, *fleets.CHECKS, *alarms.CHECKS, *analysis.CHECKS):
        found.extend(_naming_guards(finding, context.guards) for finding in check(context))
    return tuple(sorted(found, key=lambda finding: not finding.stops))


def _naming_guards(finding: Finding, guards: Mapping[str, str]) -> Finding:
    """Name a guard in a finding as its author knows it: the name of its alarm is made for the rollout."""
    for alarm, words in guards.items():
        # With the space behind it, because the name of another guard may begin in the same way.
        if f"alarm {alarm} " in finding.text:
            text = finding.text.replace(f"alarm {alarm} ", f"guard {words} ")
            return replace(finding, text=text, fix=finding.fix.replace("from alarms", "from guards"))
    return finding
