"""The approval of an update by a person: for which update, and the answer for the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_guardrails.domain.arguments import shown
from airflow_guardrails.domain.rollout.approval import reported_approval
from airflow_guardrails.exceptions import InvalidArgument

# The XCom of the task that asks.
APPROVAL_KEY = "approval"


def check_update(value: object) -> None:
    """
    Accept a task that updates an endpoint, or None.

    :raises InvalidArgument: if *value* is something else, for example a mapped task.
    """
    # Imported here: the operator imports this module.
    from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator  # noqa: PLC0415

    if value is not None and not isinstance(value, SageMakerGuardedUpdateOperator):
        raise InvalidArgument(
            "update must be a SageMakerGuardedUpdateOperator that is not mapped by expand "
            f"(got {shown(value)})"
        )


def approval_before(
    task: Any, context: Mapping[str, Any], *, warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """
    Return the field ``approval`` of the rollout report; None if nobody was asked, or it cannot be read.

    :param task: the task that updates the endpoint. A task directly before it has asked.
    :param warn: takes the reason if it cannot be read.
    """
    task_instance: Any = context.get("ti")
    if not task.has_dag():
        return None
    try:
        asking = [each.task_id for each in task.upstream_list if _asks(each)]
        # If both are mapped, they have the same map index. A task that is not mapped has none.
        for map_index in dict.fromkeys((task_instance.map_index, -1)) if asking else ():
            value = task_instance.xcom_pull(task_ids=asking[0], key=APPROVAL_KEY, map_indexes=map_index)
            if approval := reported_approval(value):
                return approval
    except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the rollout is reported
        warn(f"XCom {APPROVAL_KEY} could not be read ({type(error).__name__}: {error})")
    return None


def _asks(task: Any) -> bool:
    # A task that is mapped by expand has its class in operator_class.
    return bool(getattr(getattr(task, "operator_class", task), "asks_for_approval", False))
