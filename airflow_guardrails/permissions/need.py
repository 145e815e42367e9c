"""A permission with the names of the resources that a task uses, and their ARNs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix, switch_prefix
from airflow_guardrails.permissions.actions import ARN_FORMS, Kind, Permission
from airflow_guardrails.permissions.task_arguments import ANY, Pattern, TaskArguments

ANYTHING: tuple[Pattern, ...] = (Pattern(ANY),)
_ALL_SWITCHES, _ALL_GUARDS = "airflow-guardrails-abort-", "airflow-guardrails-guard-"


@dataclass(frozen=True, slots=True)
class Need:
    """
    A permission that a task needs.

    :param names: names of the resources, or their ARNs, as patterns; not used if the action has no resource.
    :param namespace: the only namespace of CloudWatch that is needed, if the action has that condition.
    """

    permission: Permission
    names: tuple[Pattern, ...] = ANYTHING
    namespace: str | None = None


def switches_of(task: TaskArguments) -> tuple[Pattern, ...]:
    """Return the alarms of the abort switches of the task's endpoint."""
    return _alarms_made(task, switch_prefix, otherwise=_ALL_SWITCHES)


def guards_of(task: TaskArguments) -> tuple[Pattern, ...]:
    """Return the alarms of the guards of the task's endpoint."""
    return _alarms_made(task, guard_prefix, otherwise=_ALL_GUARDS)


def resources_of(need: Need, *, account: str, region: str, partition: str) -> tuple[str, ...]:
    """Return the ARNs, as patterns, on which *need* is to be allowed."""
    form = ARN_FORMS[need.permission.kind]
    return tuple(
        dict.fromkeys(
            name
            if name.startswith("arn:")
            else form.format(partition=partition, region=region, account=account, name=name)
            for pattern in need.names
            for name in _spellings(need.permission.kind, pattern.text)
        )
    )


def _alarms_made(
    task: TaskArguments, prefix_of: Callable[[str], str], *, otherwise: str
) -> tuple[Pattern, ...]:
    def of(endpoint: Pattern) -> Pattern:
        # The name of the alarm has a hash of the endpoint's name.
        prefix = otherwise if ANY in endpoint.text else prefix_of(endpoint.text)
        return Pattern(f"{prefix}{ANY}", endpoint.note)

    return tuple(map(of, task.patterns("endpoint_name")))


def _spellings(kind: Kind, name: str) -> Iterable[str]:
    if kind in {Kind.ROLE, Kind.READ_ROLE}:
        # A role that is given by its name may have a path.
        return (name,) if name == ANY or name.startswith("arn:") else (name, f"{ANY}/{name}")
    # SageMaker's ARNs are in lower case. Which form IAM compares is not documented, so both are allowed.
    is_sagemaker = kind in {Kind.ENDPOINT, Kind.CONFIG, Kind.MODEL, Kind.SHADOW_TEST, Kind.PACKAGE}
    return (name, name.lower()) if is_sagemaker else (name,)
