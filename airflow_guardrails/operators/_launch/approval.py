"""The approval of an update by a person: the checks that are shown, and the answer for the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_guardrails.domain.deployment.guardrails import Guardrails, RetainedProperties
from airflow_guardrails.domain.deployment.guards import Guard
from airflow_guardrails.domain.rollout.approval import reported_approval
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.operators._launch.request import LaunchRequest

# The XCom of the task that asks.
APPROVAL_KEY = "approval"

# Settings of the update that its checks use; they have the same names in LaunchRequest.
_SETTINGS = (
    "abort_switch",
    "busy_timeout",
    "require_alarms_ok",
    "allow_unguarded",
    "max_wait",
    "on_timeout",
    "analysis",
)


def settings_to_check(update: Any) -> dict[str, Any]:
    """Return the settings of the task *update* that its checks use; none of them is templated."""
    retained = RetainedProperties(
        retain_all=update.retain_all_variant_properties,
        excluded=tuple(update.exclude_retained_variant_properties),
    )
    return {"retained": retained, **{name: getattr(update, name) for name in _SETTINGS}}


def request_to_check(
    endpoint_name: str,
    target: str,
    guardrails: Guardrails,
    guards: Sequence[Guard],
    settings: Mapping[str, Any],
) -> LaunchRequest:
    """
    Return the update as its task will request it, for the checks alone.

    :param target: name of the endpoint configuration to deploy.
    :param guardrails: strategy and alarms, without the abort switch.
    :param settings: from :func:`settings_to_check`.
    """
    # The owner does not matter for the checks.
    switch = AbortSwitch.of(endpoint_name, owner="0" * 20, target=target)
    if settings["abort_switch"]:
        guardrails = replace(guardrails, alarms=(*guardrails.alarms, switch.alarm_name))
    return LaunchRequest(
        endpoint_name=endpoint_name,
        target=target,
        guardrails=guardrails,
        guards=tuple(guards),
        switch=switch,
        **settings,
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
