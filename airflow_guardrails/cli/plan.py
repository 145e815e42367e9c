"""What the guarded updates of a DAG would do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.cli.errors import CommandError
from airflow_guardrails.domain.rollout.plan import UpdatePlan
from airflow_guardrails.operators._launch.known import known_update
from airflow_guardrails.operators._launch.plan import read_plan
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator


def plans_of(tasks: Iterable[Any]) -> dict[str, UpdatePlan]:
    """
    Return task id -> plan, for the guarded updates among *tasks*, read by the connection of each.

    A template is rendered with the defaults of the params; whatever else it needs is known only in a run.

    :raises CommandError: if none is a guarded update that is not mapped, an argument breaks a rule, or AWS
        refuses a call for another reason than a permission.
    """
    tasks = list(tasks)
    updates = [task for task in tasks if isinstance(task, SageMakerGuardedUpdateOperator)]
    if not updates:
        known = ", ".join(sorted({task.task_id for task in tasks}))
        raise CommandError(
            f"the chosen tasks must have a guarded update that is not mapped by expand (got {known})"
        )
    return {update.task_id: _plan_of(update) for update in updates}


def _plan_of(update: SageMakerGuardedUpdateOperator) -> UpdatePlan:
    params = dict(update.dag.params.dump()) if update.dag else {}
    try:
        with update.public_errors():
            return read_plan(known_update(update, {"params": params}, asking=update)).plan
    except (AirflowException, ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
        raise CommandError(f"{update.task_id}: {errors.text_for_people(error)}") from error
