"""The commands of ``python -m airflow_guardrails``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from airflow_guardrails.cli.dag_file import load_dags, tasks_of
from airflow_guardrails.cli.errors import CommandError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0, or 2 if it cannot do what was asked."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m airflow_guardrails", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    policy = commands.add_parser(
        "policy",
        help="print the least IAM policy that the tasks of a DAG need",
        description="Print the least IAM policy that this package's tasks in DAG_FILE need.",
    )
    policy.set_defaults(run=_policy)
    _add_dag_arguments(policy)
    policy.add_argument("--account", default="*", help="id of the AWS account (default: any)")
    policy.add_argument("--region", default="*", help="region of tasks without region_name (default: any)")
    policy.add_argument("--aws-conn-id", help="only the tasks of this Airflow connection")
    policy.add_argument(
        "--format",
        choices=("json", "table"),
        default="json",
        help="json: the policy; table: why each action is in it, and which are optional",
    )
    return parser


def _add_dag_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dag_file", metavar="DAG_FILE")
    parser.add_argument("--dag-id", help="only this DAG of the file")
    parser.add_argument("--task-id", help="only this task")


def _policy(given: argparse.Namespace) -> int:
    tasks = tasks_of(load_dags(given.dag_file), dag_id=given.dag_id, task_id=given.task_id)
    # It imports the operators, and so Airflow; the file must be loaded first, as Airflow does.
    from airflow_guardrails.cli.policy import (  # noqa: PLC0415
        LONGEST_MANAGED_POLICY,
        grants_of,
        policy_of,
        text_of,
    )

    found, others = grants_of(tasks, account=given.account, region=given.region)
    if given.aws_conn_id is not None:
        found = tuple(one for one in found if one.connection == given.aws_conn_id)
    if not found:
        raise CommandError("no task of airflow-guardrails that calls AWS is among the chosen ones")
    if others:
        _note(f"Not in the policy: what the tasks {', '.join(others)} need; they are not of this package")
    if given.format == "table":
        print("\n\n".join(map(text_of, found)))
        return 0
    policies = {str(one.connection): policy_of(one.grants) for one in found}
    for connection, policy in policies.items():
        length = len(json.dumps(policy, separators=(",", ":")))
        if length > LONGEST_MANAGED_POLICY:
            _note(f"The policy of {connection} has {length:,} characters; a managed policy has at most 6,144")
    if len(policies) > 1:
        _note("Several connections, so this is one policy for each; --aws-conn-id prints a single one")
    print(json.dumps(policies if len(policies) > 1 else next(iter(policies.values())), indent=2))
    return 0


def _note(text: str) -> None:
    print(text, file=sys.stderr)
