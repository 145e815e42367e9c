"""The least IAM policy of tasks, and why each action is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.cli.needs import needs_of
from airflow_guardrails.permissions.actions import Kind
from airflow_guardrails.permissions.need import Need, resources_of
from airflow_guardrails.permissions.task_arguments import ANY, TaskArguments

# Role policies may have 10,240 characters without white space, managed policies 6,144.
LONGEST_MANAGED_POLICY = 6144

_SIDS = {
    Kind.ENDPOINT: "Endpoints",
    Kind.CONFIG: "EndpointConfigs",
    Kind.MODEL: "Models",
    Kind.SHADOW_TEST: "ShadowTests",
    Kind.ALARM: "Alarms",
    Kind.BUCKET: "Buckets",
    Kind.OBJECTS: "Objects",
    Kind.ROLE: "PassedRoles",
    Kind.READ_ROLE: "Roles",
    Kind.PACKAGE: "ModelPackages",
    Kind.ALL: "Everything",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A permission that a task needs, with the resources as ARNs."""

    need: Need
    task: str
    resources: tuple[str, ...]

    @property
    def action(self) -> str:
        """The action of IAM."""
        return self.need.permission.action

    @property
    def without(self) -> str | None:
        """What happens without it; None: the task fails."""
        return self.need.permission.without


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """
    What the tasks of one Airflow connection need.

    :param connection: id of the connection; None: boto3's default credential chain.
    """

    connection: str | None
    grants: tuple[Grant, ...]


def grants_of(
    tasks: Iterable[Any], *, account: str = ANY, region: str = ANY
) -> tuple[tuple[Grants, ...], tuple[str, ...]]:
    """
    Return what *tasks* need, by connection; and the ids of the tasks that are not of this package.

    :param account: the account of all resources.
    :param region: the region of tasks that do not give one.
    :raises CommandError: if the permissions of an operator of this package are not known.
    """
    by_connection: dict[str | None, list[Grant]] = {}
    others: list[str] = []
    for task in tasks:
        arguments = TaskArguments(task)
        needs = needs_of(arguments)
        if needs is None:
            others.append(arguments.task_id)
            continue
        for connection in _connections(arguments):
            found = by_connection.setdefault(connection, [])
            for own in _regions(arguments, region):
                found += [
                    Grant(
                        need=need,
                        task=arguments.task_id,
                        resources=resources_of(
                            need, account=account, region=own, partition=_partition_of(own)
                        ),
                    )
                    for need in needs
                ]
    ordered = sorted(by_connection.items(), key=lambda item: (item[0] is not None, item[0] or ""))
    return (
        tuple(Grants(connection=name, grants=tuple(found)) for name, found in ordered if found),
        tuple(dict.fromkeys(others)),
    )


def policy_of(grants: Iterable[Grant]) -> dict[str, Any]:
    """
    Return the policy: one statement for each set of resources, those that a task can do without apart.

    The Sid of a statement without which the tasks run begins with ``Optional``.
    """
    allowed = _allowed(grants)
    groups: dict[tuple[bool, Kind, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (action, kind, namespaces), (needed, optional) in sorted(
        allowed.items(), key=lambda item: (item[0][0], item[0][2])
    ):
        for is_optional, resources in ((False, needed), (True, optional)):
            if resources:
                groups.setdefault((is_optional, kind, resources, namespaces), []).append(action)
    statements = []
    sids: dict[str, int] = {}
    for (is_optional, kind, resources, namespaces), actions in sorted(
        groups.items(), key=lambda item: (item[0][0], _SIDS[item[0][1]], item[0][2:])
    ):
        sid = f"{'Optional' if is_optional else ''}{_SIDS[kind]}"
        sids[sid] = sids.get(sid, 0) + 1
        statements.append(
            {
                "Sid": sid if sids[sid] == 1 else f"{sid}{sids[sid]}",
                "Effect": "Allow",
                "Action": actions,
                "Resource": list(resources),
                **_condition(kind, namespaces),
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def text_of(found: Grants) -> str:
    """Return why each action is in the policy, for people."""
    by_action: dict[str, list[Grant]] = {}
    for grant in found.grants:
        by_action.setdefault(grant.action, []).append(grant)
    needed = {action: grants for action, grants in by_action.items() if _is_needed(grants)}
    name = found.connection if found.connection is not None else "None (boto3's default credential chain)"
    lines = [f"Connection {name}: {len(needed)} needed, {len(by_action) - len(needed)} optional actions"]
    for title, chosen in (("Needed", needed), ("Optional", by_action.keys() - needed.keys())):
        if chosen:
            lines += ["", title]
            for action in sorted(chosen):
                lines += _lines_of(action, by_action[action])
    notes = {name.note: None for one in found.grants for name in one.need.names if name.note}
    if notes:
        lines += ["", "Names"]
        lines += [f"  {note}" for note in notes]
    return "\n".join(lines)


def _is_needed(grants: Iterable[Grant]) -> bool:
    return any(grant.without is None for grant in grants)


def _lines_of(action: str, grants: list[Grant]) -> list[str]:
    by_reason: dict[tuple[str, tuple[str, ...], str | None], list[str]] = {}
    for grant in grants:
        key = (grant.need.permission.why, grant.resources, grant.without)
        by_reason.setdefault(key, []).append(grant.task)
    lines = [f"  {action}"]
    for (why, resources, without), tasks in by_reason.items():
        lines.append(f"    for {why.replace('`', '')}: {', '.join(dict.fromkeys(tasks))}")
        lines += [f"      on {resource}" for resource in resources]
        if without is not None:
            lines.append(f"      without it: {without.replace('`', '')}")
    return lines


_Key = tuple[str, Kind, tuple[str, ...]]


def _allowed(grants: Iterable[Grant]) -> Mapping[_Key, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the resources that each action needs, and those that are only optional."""
    needed: dict[_Key, list[str]] = {}
    optional: dict[_Key, list[str]] = {}
    for grant in grants:
        namespace = grant.need.namespace
        namespaces: tuple[str, ...] = () if namespace is None else (namespace,)
        key = grant.action, grant.need.permission.kind, namespaces
        (needed if grant.without is None else optional).setdefault(key, []).extend(grant.resources)
    found: dict[_Key, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for key in dict.fromkeys((*needed, *optional)):
        least = _without_covered(needed.get(key, ()))
        more = _without_covered(optional.get(key, ()))
        found[key] = least, tuple(one for one in more if not any(_covers(wide, one) for wide in least))
    return found


def _without_covered(resources: Iterable[str]) -> tuple[str, ...]:
    different = sorted(set(resources))
    return tuple(
        one for one in different if not any(wide != one and _covers(wide, one) for wide in different)
    )


def _covers(wide: str, narrow: str) -> bool:
    """Whether the pattern *wide* matches all that *narrow* matches, by its beginning."""
    return wide == narrow or (wide.endswith(ANY) and narrow.startswith(wide[:-1]))


def _condition(kind: Kind, namespaces: tuple[str, ...]) -> dict[str, Any]:
    if kind is Kind.ROLE:
        return {"Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}}
    if not namespaces:
        return {}
    like = any(ANY in one for one in namespaces)
    value = namespaces[0] if len(namespaces) == 1 else list(namespaces)
    return {"Condition": {"StringLike" if like else "StringEquals": {"cloudwatch:namespace": value}}}


def _connections(task: TaskArguments) -> list[str | None]:
    return list(
        dict.fromkeys(
            None if given is None else pattern.text
            for given in task.values("aws_conn_id")
            for pattern in task.patterns_of("aws_conn_id", [given])
        )
    )


def _regions(task: TaskArguments, default: str) -> list[str]:
    given = [value for value in task.values("region_name") if value]
    return list(dict.fromkeys(one.text for one in task.patterns_of("region_name", given))) or [default]


def _partition_of(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
