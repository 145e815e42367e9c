"""Which permissions the tasks need that update an endpoint, from their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from airflow_guardrails.aws.deployment_config import alarm_names
from airflow_guardrails.domain.snapshots.abort_switch import NAMESPACE
from airflow_guardrails.permissions import actions as may
from airflow_guardrails.permissions import deployment_actions as deploy
from airflow_guardrails.permissions import deployment_needs as deployment
from airflow_guardrails.permissions.actions import Permission
from airflow_guardrails.permissions.need import ANYTHING, Need, guards_of, switches_of
from airflow_guardrails.permissions.task_arguments import Pattern, TaskArguments, made_name

Needs = Iterator[Need]

_NOT_JUDGED = "nothing is judged, and a warning says so"


def update_needs(task: TaskArguments) -> Needs:
    """Yield what a guarded update needs."""
    target = deployment.target_of(task)
    yield from _launch(task, target=target.configs, artefacts=target.artefacts)
    yield from deployment.creation_needs(task, target)


def rollback_needs(task: TaskArguments) -> Needs:
    """Yield what a rollback to an earlier configuration needs."""
    yield from _launch(task, target=task.patterns("to"))
    yield from deployment.rollback_needs(task)


def _launch(
    task: TaskArguments, *, target: tuple[Pattern, ...], artefacts: tuple[Pattern, ...] = ANYTHING
) -> Needs:
    endpoint = task.patterns("endpoint_name")
    yield Need(may.READ_ENDPOINT, endpoint)
    # The configuration in service may have any name, and so may its models.
    yield Need(may.READ_CONFIG)
    yield Need(may.READ_MODELS)
    yield Need(may.UPDATE, endpoint)
    yield Need(may.UPDATE_TO, target)
    yield Need(may.WRITE_INTENT, target)
    yield Need(may.READ_INTENT, target)
    yield Need(may.COUNT_REQUESTS)
    yield Need(deploy.READ_VERSION)
    yield Need(deploy.READ_ARTEFACTS, artefacts)
    yield from deployment.record_needs(task)
    switches, guards = switches_of(task), guards_of(task)
    alarms = alarms_of(task)
    if task.may_be_true("guards"):
        yield Need(may.CREATE_GUARDS, guards)
        alarms = (*alarms, *guards)
    if task.may_be_true("abort_switch"):
        yield Need(may.CREATE_SWITCH, switches)
        yield Need(may.SET_SWITCH, namespace=NAMESPACE)
        alarms = (*alarms, *switches)
    yield Need(may.READ_ALARMS if alarms else may.READ_ALARMS.optional(may.DELETE_SWITCHES.without or ""))
    # Those of earlier rollouts, which may have had what this one has not.
    yield Need(may.DELETE_SWITCHES, (*switches, *guards))
    if alarms:
        yield Need(may.READ_HISTORY, alarms)
    if analysis := task.value("analysis"):
        needs_pass = getattr(analysis, "needs_pass", True)
        yield Need(may.READ_METRICS if needs_pass else may.READ_METRICS.optional(_NOT_JUDGED))
        if namespace := getattr(analysis, "verdict_namespace", None):
            yield Need(may.PUBLISH, namespace=namespace)
    yield from deferred_needs(task, may.LIST_ENDPOINTS)


def add_shadow_needs(task: TaskArguments) -> Needs:
    """Yield what an update needs that adds a shadow variant."""
    yield from _derived(task, suffix="-shadow")
    yield Need(may.READ_SHADOW_MODELS)


def remove_shadow_needs(task: TaskArguments) -> Needs:
    """Yield what an update needs that removes the shadow variant."""
    yield from _derived(task, suffix="-plain")
    if task.may_be_true("delete_config"):
        yield Need(may.DELETE_CONFIG)


def _derived(task: TaskArguments, *, suffix: str) -> Needs:
    given = task.value("endpoint_config_name_prefix")
    named = made_name if given else partial(made_name, suffix=suffix)
    made = tuple(map(named, task.patterns("endpoint_config_name_prefix" if given else "endpoint_name")))
    yield from _launch(task, target=made)
    yield Need(may.CREATE_CONFIG, made)
    yield from deployment.derivation_needs()


def deferred_needs(task: TaskArguments, permission: Permission) -> Needs:
    """Yield *permission* if the wait of the task may be deferred."""
    if task.may_be_true("deferrable"):
        yield Need(permission)


def alarms_of(task: TaskArguments) -> tuple[Pattern, ...]:
    """Return the alarms that the author names; those of templates are any."""
    names: list[Any] = []
    for given in task.values("alarms"):
        names += given if isinstance(given, list | tuple) else [given]
    for strategy in task.values("strategy"):
        names += alarm_names(strategy)
    return task.patterns_of("alarms", [name for name in names if name])
