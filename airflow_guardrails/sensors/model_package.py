"""Wait until a version of a model is approved in the model registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf

from airflow_guardrails.domain.arguments import Check, check_model_package_arn, check_name, optional
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.snapshots.model_package import (
    NoModelPackage,
    PackageLook,
    approval_report,
    is_decided,
)
from airflow_guardrails.exceptions import (
    AccessDenied,
    InvalidArgument,
    ModelPackageNotApproved,
    ModelPackageNotFound,
    ReportedError,
)
from airflow_guardrails.tasks.aws_task import AwsTask, fire_floor
from airflow_guardrails.tasks.validation import check_flags, check_interval
from airflow_guardrails.tasks.waiting import report_of

# Airflow's own default for sensors.
_A_WEEK = timedelta(days=7)
_LONGEST_TIMEOUT = timedelta(days=366)


class SageMakerModelPackageSensor(AwsTask, BaseSensorOperator):
    """
    Wait until a model package is approved; return its ARN.

    Give the ARN to the guarded update, which deploys it::

        approved = SageMakerModelPackageSensor(task_id="approved", model_package_arn=register.output)
        update = SageMakerGuardedUpdateOperator(..., model_package_arn=approved.output)

    A package that somebody rejects, or whose creation fails, fails the sensor at once, and is not retried.

    :param model_package_arn: ARN of the model package to wait for. (templated)
    :param model_package_group_name: name of a model package group instead: return the ARN of its newest
        approved version, and wait if it has none. (templated)
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param poke_interval: seconds between two calls of DescribeModelPackage.
    :param timeout: seconds after which the sensor fails, as in every sensor of Airflow; default: a week.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises ModelPackageNotApproved: if the package is rejected, or cannot be deployed.
    :raises ModelPackageNotFound: if there is no such package or group.
    """

    template_fields: Sequence[str] = (
        "model_package_arn",
        "model_package_group_name",
        *AwsTask.template_fields,
    )
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "model_package_arn": optional(check_model_package_arn),
        "model_package_group_name": optional(check_name),
        **AwsTask.rendered_checks,
    }
    ui_color = "#d7ecd9"

    def __init__(
        self,
        *,
        model_package_arn: str | None = None,
        model_package_group_name: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = 300,
        timeout: timedelta | float = _A_WEEK,
        **kwargs: Any,
    ) -> None:
        # Before Airflow's constructor, which raises other errors for wrong values.
        check_interval("poke_interval", poke_interval)
        check_interval("timeout", timeout, most=_LONGEST_TIMEOUT, may_be_zero=True)
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        check_flags(deferrable=deferrable)
        if (model_package_arn is None) == (model_package_group_name is None):
            raise InvalidArgument(
                "Exactly one of model_package_arn and model_package_group_name must be given "
                f"(got {model_package_arn!r} and {model_package_group_name!r})"
            )
        self.model_package_arn = model_package_arn
        self.model_package_group_name = model_package_group_name
        self.deferrable = deferrable

    def execute(self, context: Any) -> Any:
        """Wait for the approval; return the package's ARN."""
        if not self.deferrable:
            return super().execute(context)
        look = self._look()
        if not is_decided(look):
            self._defer_wait()
        return self._finish(approval_report(look))

    def poke(self, context: Any) -> bool | PokeReturnValue:  # noqa: ARG002 - Airflow's interface
        """Look at the package once; return its ARN if it is approved, else False."""
        look = self._look()
        if not is_decided(look):
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._finish(approval_report(look)))

    def execute_complete(self, context: Mapping[str, Any], event: Any = None) -> str:  # noqa: ARG002
        """End with the package in the trigger's event; Airflow calls it when the trigger fired."""
        return self._finish(report_of(event, unwatched=self._unwatched))

    @property
    def _name(self) -> str:
        return str(self.model_package_arn or self.model_package_group_name)

    def _look(self) -> PackageLook:
        self.check_rendered()
        if self.model_package_arn is not None:
            look = self.hook.describe_model_package(self.model_package_arn)
        else:
            look = self.hook.describe_newest_approved(self._name)
        if isinstance(look, NoModelPackage):
            self.log.info("No approved version of %s: %s", self._name, look.reason or "waiting for one")
        else:
            self.log.info("Model package %s is %s", look.arn, look.describe())
        return look

    def _defer_wait(self) -> NoReturn:
        # The trigger brings boto3, which costs half a second that a DAG file need not pay.
        from airflow_guardrails.triggers.model_package import SageMakerModelPackageTrigger  # noqa: PLC0415

        self.defer(
            trigger=SageMakerModelPackageTrigger(
                name=self._name,
                waiter_delay=self.poke_interval,
                fire_floor=fire_floor(),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def _finish(self, report: Mapping[str, Any]) -> str:
        arn, refusal = report["model_package_arn"], report["refusal"]
        if not report["found"]:
            raise ModelPackageNotFound(
                f"Model package {self._name} does not exist in {self.hook.conn_region_name}: register it, or "
                f"correct the argument, region_name or aws_conn_id ({refusal})"
            )
        if refusal:
            raise ModelPackageNotApproved(
                f"Model package {arn} cannot be deployed: {refusal}. Approve it in the model registry, and "
                "clear this task"
            )
        return str(arn)

    def _unwatched(self, error: Unwatchable) -> Exception:
        if error.denied:
            return AccessDenied(self.denied_text(error.denied, error.reason, resource=self._name))
        return ReportedError(f"The wait for model package {self._name} failed: {error.reason}")
