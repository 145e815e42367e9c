"""How the verdict on a rollout is published as metrics of the user's own."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from airflow_guardrails.domain.effects import Effect, LogMessage, NoResponse, PutMetricData
from airflow_guardrails.domain.judge.publishing import NOT_PUBLISHED, TrialKind, not_published, verdict_data
from airflow_guardrails.domain.rollout.report import rollout_report
from airflow_guardrails.domain.rollout.state import RolloutState


def publish_verdict(state: RolloutState) -> Generator[Effect, Any, RolloutState]:
    """
    Publish the last verdict if the analysis has a namespace for it; return the next state.

    The first failure is logged and becomes a warning of the report. Nothing else follows from a failure.
    """
    analysis = state.analysis
    if analysis is None or analysis.verdict is None or analysis.config.verdict_namespace is None:
        return state
    namespace = analysis.config.verdict_namespace
    data = verdict_data(
        analysis.verdict,
        endpoint_name=state.rollout.endpoint_name,
        kind=TrialKind.UPDATE,
        name=state.rollout.target,
    )
    response = yield PutMetricData(namespace, data)
    known = any(warning.startswith(NOT_PUBLISHED) for warning in state.warnings)
    if known or not isinstance(response, NoResponse):
        return state
    warning = not_published(namespace, response.reason, denied=response.denied)
    state = state.with_warning(warning)
    yield LogMessage(warning, rollout_report(state))
    return state
