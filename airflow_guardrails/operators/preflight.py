"""Check at the head of a DAG what its guarded update will do, before hours of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_guardrails.domain.arguments import Check
from airflow_guardrails.domain.rollout.plan import UpdatePlan, plan_as_dict, plan_in_text
from airflow_guardrails.exceptions import InvalidArgument, PreflightFailed
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators._launch.approval import check_update
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.tasks.aws_task import AwsTask
from airflow_guardrails.tasks.validation import CONNECTION_CHECKS

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.operators._launch.known import KnownUpdate

# The XCom with the plan.
PLAN_KEY = "rollout_plan"

_CONNECTION = ("aws_conn_id", "region_name", "verify", "botocore_config")


class SageMakerPreflightOperator(AwsTask):
    """
    Check a guarded update before the training, and fail if the update would be refused.

    It stands at the head of the DAG: ``preflight >> train``. It makes the checks of *update* with all that is
    known by then: endpoint, fleet, strategy, guards, alarms, names, permissions, and whether a run with a
    later logical date has deployed. What the training makes does not exist yet: the fleet in service stands
    in for it, and the plan says so. What may be over until the update runs, such as an alarm in ALARM or
    another update in flight, is a warning. If there is no endpoint and the update creates it, that is no
    error.

    It changes nothing in AWS. Whether the role may make the changes of the update, it asks IAM, if it may.

    Returns the plan, which is also XCom ``rollout_plan``, and is there also if the task fails.
    ``docs/plan.md`` lists its fields.

    :param update: the task that updates the endpoint, not mapped by ``expand``. It adds no dependency:
        neither on that task nor on the tasks whose outputs it uses.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. Default of
        this and the next three: as *update* has it.
    :param region_name: AWS region.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises PreflightFailed: if the update would be refused; the text is the plan.
    :raises InvalidArgument: if an argument of *update* breaks a rule.
    """

    template_fields: Sequence[str] = ()
    rendered_checks: ClassVar[Mapping[str, Check]] = {}
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#e3e8d2"

    def __init__(self, *, update: SageMakerGuardedUpdateOperator, **kwargs: Any) -> None:
        if update is None:
            raise InvalidArgument("update must be given (got None)")
        check_update(update)
        self._own_connection = {name: kwargs[name] for name in _CONNECTION if name in kwargs}
        for name, check in CONNECTION_CHECKS.items():
            if name in self._own_connection:
                check(name, self._own_connection[name])
        # Not templated here, so an XComArg among those of the update adds no dependency.
        super().__init__(**{**{name: getattr(update, name) for name in _CONNECTION}, **kwargs})
        self._update = update

    def execute(self, context: Any) -> dict[str, Any]:
        """Read the plan of the update; return it, or fail with it."""
        from airflow_guardrails.operators._launch.known import known_update  # noqa: PLC0415 - not in DAG files

        plan = self._plan(self._connected(known_update(self._update, context, asking=self)))
        report = plan_as_dict(plan)
        self.push(context, PLAN_KEY, report)
        lasting = plan.lasting_errors
        if lasting:
            reasons = "\n".join(f"- {error}" for error in lasting)
            refused = f"Preflight: the update of {plan.endpoint_name} would be refused:\n{reasons}"
            raise PreflightFailed(
                f"{refused}\n\n{report['text']}",
                [finding.as_dict() for finding in plan.findings or ()],
                report,
            )
        self.log.info("%s", plan_in_text(plan))
        for error in plan.errors:
            self.log.warning("The update would be refused now: %s", error)
        return report

    def _connected(self, known: KnownUpdate) -> KnownUpdate:
        """Return the update with the connection of this task, which is that of the update by default."""
        task = known.task
        for name, value in self._own_connection.items():
            setattr(task, name, value)
        unknown = tuple(name for name in known.unknown if name not in self._own_connection)
        self.aws_conn_id, self.region_name, self.verify = task.aws_conn_id, task.region_name, task.verify
        known = replace(known, unknown=unknown)
        if known.is_connected:
            # One hook, so that the connection is looked up once.
            task.__dict__["hook"] = self.hook
        return known

    def _plan(self, known: KnownUpdate) -> UpdatePlan:
        from airflow_guardrails.operators._launch.permissions import (  # noqa: PLC0415 - not in DAG files
            arguments_now,
            check_writes,
            permission_findings,
        )
        from airflow_guardrails.operators._launch.plan import read_plan  # noqa: PLC0415

        # Before the plan is read, which names what the update creates.
        arguments = arguments_now(known, self._update)
        read = read_plan(known)
        plan, missing = read.plan, permission_findings(read.denied)
        if known.is_connected:
            writes = check_writes(arguments, plan, hook=known.task.hook)
            plan = replace(plan, unread=(*plan.unread, *writes.notes))
            missing += writes.findings
        findings = (*(plan.findings or ()), *missing)
        ordered = tuple(sorted(findings, key=lambda finding: not finding.stops))
        checked = plan.findings is not None or missing
        return replace(plan, findings=ordered if checked else None)
