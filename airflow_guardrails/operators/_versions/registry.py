"""Write the outcome of a rollout back to the version of the model registry that it deployed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.model_package import outcome_metadata
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.snapshots.model_package import ModelPackage
from airflow_guardrails.domain.times import format_time
from airflow_guardrails.domain.versions.record import whole_second
from airflow_guardrails.tasks.rollout import RolloutTask

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


def write_back(
    task: RolloutTask, report: RolloutReport, package_arn: str, *, at: datetime, run: str | None
) -> None:
    """
    Add the outcome in *report* to the package's CustomerMetadataProperties; other properties stay.

    A repetition changes nothing. Any failure is only a warning of *task*.

    :param at: when the rollout ended.
    :param run: ``dag_id/run_id``.
    """
    cause = report["cause"]
    outcome = {
        "outcome": report["outcome"],
        "endpoint": report["endpoint_name"],
        "config": report["endpoint_config_name"],
        "at": format_time(whole_second(at)),
        "run": run,
        "cause": cause["kind"] if cause else None,
    }
    try:
        _add(task.hook, package_arn, outcome_metadata(outcome))
    except (ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
        task.warn(
            f"The outcome was not written to model package {package_arn} ({errors.text_for_people(error)})"
        )


def _add(hook: GuardrailsHook, package_arn: str, metadata: Mapping[str, str]) -> None:
    package = hook.describe_model_package(package_arn)
    if not isinstance(package, ModelPackage):
        return  # it was deleted
    # All properties are sent: AWS does not document whether those that a request leaves out stay.
    complete = {**package.metadata, **metadata}
    if complete != package.metadata:
        hook.update_model_package_metadata(package_arn, complete)
