"""Launch a guarded update of a SageMaker endpoint and tell how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.deployment_config import as_guardrails
from airflow_guardrails.base import OnRollback, RolloutTask, check_choice, check_max_wait, check_seconds
from airflow_guardrails.domain.deadline import longest_rollout
from airflow_guardrails.domain.endpoint import Endpoint, EndpointStatus, MissingEndpoint
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.guardrails import Guardrails
from airflow_guardrails.domain.report import Report, rollout_report
from airflow_guardrails.domain.rollout import Rollout, Watch
from airflow_guardrails.exceptions import (
    AlarmNotFound,
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointConfigNotFound,
    EndpointNotFound,
    EndpointNotUpdatable,
    InvalidArgument,
    UpdateRejected,
)
from airflow_guardrails.links.sagemaker import CloudWatchAlarmLink, SageMakerEndpointLink
from airflow_guardrails.strategies import Strategy
from airflow_guardrails.triggers.live import REPORT_KEY

UPDATABLE = frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED})


class SageMakerGuardedUpdateOperator(RolloutTask):
    """
    Update a SageMaker endpoint under the watch of alarms, and succeed only if the new configuration serves.

    SageMaker ends an update that an alarm has undone as ``InService``, like one that went well; this operator
    compares which configuration serves, and fails with
    :class:`~airflow_guardrails.exceptions.EndpointRolledBack`, naming the alarm. The report is the return
    value and XCom ``rollout_report``, which is there also when the task fails.

    An update to the same configuration that is already in flight is adopted: watched, not launched again.

    :param endpoint_name: name of the endpoint, which must exist. (templated)
    :param endpoint_config_name: name of the endpoint configuration to bring into service; not the one served
        now. (templated)
    :param strategy: one of :mod:`airflow_guardrails.strategies`, or a dict in the form of the API's
        ``DeploymentConfig``, whose numbers may be strings. (templated)
    :param alarms: names of CloudWatch alarms, at most 10; any of them in ALARM during a bake makes SageMaker
        roll back. (templated)
    :param on_rollback: what a rollback does to the task: ``"fail"`` it (without retries), ``"skip"`` it and
        what depends on it, or ``"return"`` the report for the DAG to decide.
    :param wait_for_completion: whether to wait for the end; without, the task ends once the update is
        accepted, and the report's outcome is null.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two looks at the endpoint.
    :param max_wait: how long after the start of the update to wait; default: SageMaker's own limit for it, or
        the schedule's waits and an hour, plus a quarter of an hour. A retry does not extend it.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's own ways. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    template_fields: Sequence[str] = (
        "endpoint_name",
        "endpoint_config_name",
        "strategy",
        "alarms",
        "aws_conn_id",
        "region_name",
        "verify",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"strategy": "json", "alarms": "json"}
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#d7ecd9"

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str,
        strategy: Strategy | Mapping[str, Any],
        alarms: Sequence[str] = (),
        on_rollback: OnRollback = "fail",
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        waiter_delay: float = 30,
        max_wait: timedelta | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("on_rollback", on_rollback, OnRollback)
        check_seconds("waiter_delay", waiter_delay)
        check_max_wait(max_wait)
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.strategy = strategy
        self.alarms = alarms
        self.on_rollback = on_rollback
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.max_wait = max_wait
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.operator_extra_links = (*type(self).operator_extra_links, *_alarm_links(alarms))

    def execute(self, context: Any) -> Report:
        guardrails = self._guardrails()
        watch = self._adopt_or_launch(guardrails)
        self.push_links(context, watch.alarms)
        if not self.wait_for_completion:
            report = rollout_report(watch)
            self.push(context, REPORT_KEY, report)
            return report
        watch = self.observe(watch)
        if watch.outcome is not None:
            return self.end(context, self.conclude(watch))
        if self.deferrable:
            self.defer_watch(watch, every=self.waiter_delay, deadline=self._deadline(watch))
        return self.end(context, self.follow(watch, every=self.waiter_delay, deadline=self._deadline(watch)))

    def _guardrails(self) -> Guardrails:
        try:
            return as_guardrails(self.strategy, self.alarms)
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error

    def _adopt_or_launch(self, guardrails: Guardrails) -> Watch:
        look = self.hook.look(self.endpoint_name)
        if isinstance(look, MissingEndpoint):
            raise EndpointNotFound(
                f"Endpoint {self.endpoint_name} does not exist in {self.hook.conn_region_name}: create it, "
                "or correct endpoint_name, region_name or aws_conn_id"
            )
        if look.pending_config_name == self.endpoint_config_name:
            return self._adopt(look)
        self._check_endpoint(look)
        self._check_config()
        self._check_alarms(guardrails)
        return self._launch(look, guardrails)

    def _adopt(self, look: Endpoint) -> Watch:
        self.log.info(
            "Endpoint %s is already on its way to %s; watching that update instead of launching one",
            self.endpoint_name,
            self.endpoint_config_name,
        )
        rollout = self._rollout(previous=look.endpoint_config_name, guardrails=look.guardrails)
        return Watch(rollout=replace(rollout, adopted="foreign"), stages_complete=False)

    def _check_endpoint(self, look: Endpoint) -> None:
        if look.status.in_flight:
            towards = f" to {look.pending_config_name}" if look.pending else ""
            raise EndpointBusy(
                f"Endpoint {self.endpoint_name} is {look.status.value}{towards}, and takes no update until "
                "that has ended. Let Airflow retry this task, or put the updates of this endpoint in one "
                "pool of one slot"
            )
        if look.status not in UPDATABLE:
            allowed = " or ".join(sorted(status.value for status in UPDATABLE))
            raise EndpointNotUpdatable(
                f"Endpoint {self.endpoint_name} is {look.status.value}; only an endpoint that is {allowed} "
                "can be updated. A Failed one has to be deleted and created again"
            )
        if look.endpoint_config_name == self.endpoint_config_name:
            raise ConfigAlreadyLive(
                f"Endpoint {self.endpoint_name} already serves {self.endpoint_config_name}. An update to "
                "the configuration in service could not be told from its own rollback: create a "
                "configuration with a new name for every rollout"
            )

    def _check_config(self) -> None:
        if self.hook.endpoint_config(self.endpoint_config_name) is None:
            raise EndpointConfigNotFound(
                f"Endpoint configuration {self.endpoint_config_name} does not exist in "
                f"{self.hook.conn_region_name}: create it before this task, or correct endpoint_config_name"
            )

    def _check_alarms(self, guardrails: Guardrails) -> None:
        if not guardrails.alarms:
            return
        found = {alarm.name for alarm in self.hook.alarms(guardrails.alarms)}
        if missing := [name for name in guardrails.alarms if name not in found]:
            raise AlarmNotFound(
                f"No CloudWatch alarm is named {', '.join(missing)} in {self.hook.conn_region_name}, so "
                "nothing would guard the update: create it before this task, or correct alarms (names, not "
                "ARNs)"
            )

    def _launch(self, look: Endpoint, guardrails: Guardrails) -> Watch:
        self.log.info(
            "Updating endpoint %s from %s to %s - %s",
            self.endpoint_name,
            look.endpoint_config_name,
            self.endpoint_config_name,
            guardrails.describe(),
        )
        rollout = self._rollout(previous=look.endpoint_config_name, guardrails=guardrails)
        try:
            launched_at = self.hook.update_endpoint(
                endpoint_name=self.endpoint_name,
                endpoint_config_name=self.endpoint_config_name,
                guardrails=guardrails,
            )
        except (ClientError, BotoCoreError) as error:
            return self._after_refusal(error, rollout)
        return Watch(rollout=replace(rollout, launched_at=launched_at, status_before=look.status))

    def _after_refusal(self, error: Exception, rollout: Rollout) -> Watch:
        """Tell a refusal from an answer that got lost on its way: then the update may well be running."""
        refused = isinstance(error, ClientError) and not errors.is_passing(error)
        if refused and not errors.is_in_progress(error):
            raise UpdateRejected(f"SageMaker refused the update of {self.endpoint_name}: {error}") from error
        look = self.hook.look(self.endpoint_name)
        if isinstance(look, Endpoint) and look.pending_config_name == self.endpoint_config_name:
            return Watch(rollout=replace(rollout, adopted="own"))
        raise EndpointBusy(
            f"The update of endpoint {self.endpoint_name} was not accepted, and none to "
            f"{self.endpoint_config_name} is in flight: {error}"
        ) from error

    def _rollout(self, *, previous: str | None, guardrails: Guardrails | None) -> Rollout:
        return Rollout(
            endpoint_name=self.endpoint_name,
            target=self.endpoint_config_name,
            previous=previous,
            guardrails=guardrails,
            max_wait=self.max_wait or longest_rollout(guardrails or Guardrails(strategy=None)),
        )

    def _deadline(self, watch: Watch) -> float:
        """When to give up by the wall clock; what the rollout has used up already is told by AWS's clock."""
        assert watch.rollout.max_wait is not None
        used = watch.last_look.seen_at - watch.origin if watch.last_look and watch.origin else timedelta(0)
        return self.now() + max(0.0, (watch.rollout.max_wait - used).total_seconds())


def _alarm_links(alarms: Any) -> list[BaseOperatorLink]:
    """Make one link for each alarm; none for alarms that are known only when the task runs."""
    if isinstance(alarms, str) or not isinstance(alarms, Sequence):
        return []
    return [CloudWatchAlarmLink(number, _plain(name)) for number, name in enumerate(alarms, start=1)]


def _plain(name: Any) -> str | None:
    return name if isinstance(name, str) and "{{" not in name else None
