"""The commands of ``python -m airflow_guardrails``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from airflow_guardrails.cli.dag_file import load_dags, tasks_of
from airflow_guardrails.cli.errors import CommandError
from airflow_guardrails.cli.output import stdout_to_stderr

# CloudWatch keeps values by the minute for 15 days.
_MAX_DAYS = 14


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0, 1 if ``plan`` finds an error, 2 if it cannot answer."""
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
    backtest = commands.add_parser(
        "backtest",
        help="replay the alarms and the analysis of a guarded update on the endpoint's last days",
        description="Replay the alarms and the analysis of a guarded update on the endpoint's last days.",
    )
    backtest.set_defaults(run=_backtest)
    backtest.add_argument("dag_file", metavar="DAG_FILE")
    backtest.add_argument("--dag-id", help="DAG of the task, if the file has several")
    backtest.add_argument("--task-id", required=True, help="the guarded update")
    backtest.add_argument("--days", type=_days, default=7, help="how many days to read, 1 to 14 (default: 7)")
    backtest.add_argument("--endpoint-name", help="if endpoint_name is known only when the task runs")
    backtest.add_argument("--aws-conn-id", help='Airflow connection, or "none" (default: that of the task)')
    backtest.add_argument("--format", choices=("json", "table"), default="table")
    plan = commands.add_parser(
        "plan",
        help="print what the guarded updates of a DAG would do",
        description="Print what the guarded updates in DAG_FILE would do. AWS is only read.",
    )
    plan.set_defaults(run=_plan)
    _add_dag_arguments(plan)
    plan.add_argument("--format", choices=("json", "text"), default="text")
    return parser


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= _MAX_DAYS:
        raise ValueError(text)
    return days


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


def _backtest(given: argparse.Namespace) -> int:
    tasks = tasks_of(load_dags(given.dag_file), dag_id=given.dag_id, task_id=given.task_id)
    if len(tasks) > 1:
        raise CommandError(f"--dag-id must be one of {', '.join(sorted(one.dag_id for one in tasks))}")
    from airflow_guardrails.cli.backtest import run_backtest  # noqa: PLC0415 - as above
    from airflow_guardrails.cli.backtest_result import as_dict, text_of  # noqa: PLC0415
    from airflow_guardrails.hooks.guardrails import GuardrailsHook  # noqa: PLC0415

    (task,) = tasks
    hook = None
    with stdout_to_stderr():
        if given.aws_conn_id is not None:
            connection = None if given.aws_conn_id == "none" else given.aws_conn_id
            hook = GuardrailsHook(aws_conn_id=connection, region_name=getattr(task, "region_name", None))
        result = run_backtest(task, days=given.days, hook=hook, endpoint_name=given.endpoint_name)
    print(json.dumps(as_dict(result), indent=2) if given.format == "json" else text_of(result))
    return 0


def _plan(given: argparse.Namespace) -> int:
    tasks = tasks_of(load_dags(given.dag_file), dag_id=given.dag_id, task_id=given.task_id)
    from airflow_guardrails.cli.plan import plans_of  # noqa: PLC0415 - as above
    from airflow_guardrails.domain.rollout.plan import plan_as_dict, plan_in_text  # noqa: PLC0415

    with stdout_to_stderr():
        plans = plans_of(tasks)
    if given.format == "json":
        print(json.dumps({task_id: plan_as_dict(plan) for task_id, plan in plans.items()}, indent=2))
    else:
        several = len(plans) > 1
        print(
            "\n\n".join(
                f"Task {task_id}\n\n{plan_in_text(plan)}" if several else plan_in_text(plan)
                for task_id, plan in plans.items()
            )
        )
    return 1 if any(plan.lasting_errors for plan in plans.values()) else 0


def _note(text: str) -> None:
    print(text, file=sys.stderr)
