"""A watch as plain JSON and back: what a trigger carries, and what survives a restarted triggerer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.aws.deployment_config import deployment_config_request, parse_deployment_config
from airflow_guardrails.domain.analysis import CanaryAnalysis
from airflow_guardrails.domain.analysis_state import Analysis
from airflow_guardrails.domain.endpoint import EndpointStatus, Stage
from airflow_guardrails.domain.findings import Code, Finding, Severity
from airflow_guardrails.domain.guardrails import Guardrails
from airflow_guardrails.domain.rollout import Outcome, Rollout, StageChange, Watch

Memory = dict[str, Any]


def remember(watch: Watch) -> Memory:
    """
    Write down a watch that has no outcome yet.

    Its last look is not kept, a new one is taken first; nor is what an analysis has found: it judges anew
    from all that there is.
    """
    rollout = watch.rollout
    return {
        "rollout": {
            "endpoint_name": rollout.endpoint_name,
            "target": rollout.target,
            "previous": rollout.previous,
            "launched_at": _iso(rollout.launched_at),
            "status_before": rollout.status_before.value if rollout.status_before else None,
            "guardrails": deployment_config_request(rollout.guardrails) if rollout.guardrails else None,
            "grace": rollout.grace.total_seconds(),
            "max_wait": rollout.max_wait.total_seconds() if rollout.max_wait is not None else None,
            "adopted": rollout.adopted,
        },
        "seen_in_flight": watch.seen_in_flight,
        "first_look_at": _iso(watch.first_look_at),
        "started_at": _iso(watch.started_at),
        "stages": [_stage(change) for change in watch.stages],
        "stages_complete": watch.stages_complete,
        "rollback_alarms": list(watch.rollback_alarms),
        "timed_out": watch.timed_out,
        "unanswered": watch.unanswered,
        "warnings": list(watch.warnings),
        "findings": [finding.as_dict() for finding in watch.findings],
        "suspected": watch.suspected.value if watch.suspected else None,
        "analysis": watch.analysis.wish.as_dict() if watch.analysis else None,
    }


def recall(memory: Memory) -> Watch:
    return Watch(
        rollout=_recall_rollout(memory["rollout"]),
        seen_in_flight=memory["seen_in_flight"],
        first_look_at=_moment(memory["first_look_at"]),
        started_at=_moment(memory["started_at"]),
        stages=tuple(_recall_stage(stage) for stage in memory["stages"]),
        stages_complete=memory["stages_complete"],
        rollback_alarms=tuple(memory["rollback_alarms"]),
        timed_out=memory["timed_out"],
        unanswered=memory["unanswered"],
        warnings=tuple(memory["warnings"]),
        findings=tuple(_recall_finding(finding) for finding in memory["findings"]),
        suspected=Outcome(memory["suspected"]) if memory["suspected"] else None,
        analysis=_recall_analysis(memory.get("analysis")),
    )


def _recall_analysis(memory: Memory | None) -> Analysis | None:
    return Analysis(wish=CanaryAnalysis(**memory)) if memory else None


def _recall_finding(memory: Memory) -> Finding:
    return Finding(
        code=Code(memory["code"]),
        severity=Severity(memory["severity"]),
        text=memory["text"],
        fix=memory["fix"],
    )


def _recall_rollout(memory: Memory) -> Rollout:
    return Rollout(
        endpoint_name=memory["endpoint_name"],
        target=memory["target"],
        previous=memory["previous"],
        launched_at=_moment(memory["launched_at"]),
        status_before=EndpointStatus(memory["status_before"]) if memory["status_before"] else None,
        guardrails=_recall_guardrails(memory["guardrails"]),
        grace=timedelta(seconds=memory["grace"]),
        max_wait=timedelta(seconds=memory["max_wait"]) if memory["max_wait"] is not None else None,
        adopted=memory["adopted"],
    )


def _recall_guardrails(deployment_config: Memory | None) -> Guardrails | None:
    # An empty dict is an update without strategy and alarms; None is one nobody has told us of.
    return None if deployment_config is None else parse_deployment_config(deployment_config)


def _stage(change: StageChange) -> Memory:
    return {
        "stage": change.stage.value,
        "at": change.at.isoformat(),
        "instances": change.instances,
        "desired_instances": change.desired_instances,
    }


def _recall_stage(memory: Memory) -> StageChange:
    return StageChange(
        stage=Stage(memory["stage"]),
        at=datetime.fromisoformat(memory["at"]),
        instances=memory["instances"],
        desired_instances=memory["desired_instances"],
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
