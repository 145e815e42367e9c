"""docs/analysis.md names what there is."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.preflight.findings import Code
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.snapshots.metrics import METRICS_LAG
from tests.support.pages import first_column, page, section

TEXT = page("analysis")


def test_the_page_names_every_argument_and_its_default():
    arguments = [field.name for field in fields(CanaryAnalysis)]

    assert first_column(TEXT.partition("\n## ")[0]) == arguments
    default = CanaryAnalysis()
    minute = timedelta(minutes=1)
    assert (default.every, default.warm_up, default.alpha) == (minute, 2 * minute, 0.05)
    assert (default.observe_only, default.holds, default.verdict_namespace) == (False, True, None)
    assert METRICS_LAG.total_seconds() == 180


def test_the_page_names_every_field_of_the_report_in_its_order():
    assert first_column(section(TEXT, "In the report")) == list(
        AnalysisState(config=CanaryAnalysis()).as_dict()
    )


def test_the_page_names_every_finding():
    codes = [code.value for code in Code if code.value.startswith("analysis_")]

    assert first_column(section(TEXT, "How long to bake")) == codes
