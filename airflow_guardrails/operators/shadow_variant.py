"""Give a live endpoint a shadow variant by its configuration, and take it away again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.errors import UnexpectedAnswer, text_for_people
from airflow_guardrails.aws.shadow_variant import is_derived
from airflow_guardrails.domain.arguments import (
    Check,
    check_instance_type,
    check_name,
    check_rendered_count,
    check_sampling_percentage,
    optional,
    rendered_number,
)
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.names import guarded_name
from airflow_guardrails.operators._shadow.variant_config import DerivedConfig, WithoutShadow, WithShadow
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce, Strategy
from airflow_guardrails.tasks.aws_task import ConnectedTask
from airflow_guardrails.tasks.validation import check_flag

# Production's fleet is replaced by one like it, so there is little to go wrong; without a bake nothing could
# be undone at all.
DEFAULT_STRATEGY = AllAtOnce(termination_wait=timedelta(minutes=5))

_OF_THE_UPDATE = ("strategy", "alarms", *ConnectedTask.template_fields)


class _DerivedUpdateOperator(SageMakerGuardedUpdateOperator):
    """A guarded update to a configuration that is derived from the live one when the task runs."""

    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "endpoint_config_name_prefix": optional(check_name),
        **SageMakerGuardedUpdateOperator.rendered_checks,
    }

    def __init__(self, *, endpoint_config_name_prefix: str | None, **kwargs: Any) -> None:
        # The name is known when the task runs. It holds the task instance, so what serves under it is ours.
        super().__init__(endpoint_config_name="", if_already_live="succeed", **kwargs)
        self.endpoint_config_name_prefix = endpoint_config_name_prefix

    def execute(self, context: Any) -> RolloutReport:
        # The name is made of templated fields.
        self.check_rendered()
        prefix, content = self._naming()
        self.endpoint_config_name = guarded_name(
            self.endpoint_config_name_prefix or prefix, context, {"endpoint": self.endpoint_name, **content}
        )
        return super().execute(context)

    @abstractmethod
    def _naming(self) -> tuple[str, dict[str, Any]]:
        """Return how the name begins unless the author says, and what makes the configuration this one."""

    def _made_with(self) -> dict[str, Any]:
        return {
            "name": self.endpoint_config_name,
            "hook": self.hook,
            "log": self.log,
            "sleep": self.sleep,
            "monotonic": self.monotonic,
            "pause": self.waiter_delay,
        }


class SageMakerAddShadowVariantOperator(_DerivedUpdateOperator):
    """
    Give an endpoint a shadow variant: a model that gets copies of its requests, and answers nobody.

    For those who may not use inference experiments, or want the shadow for longer than their 30 days. The
    configuration in service is taken as it is, with the instance count and weight that production has now,
    and the shadow is put beside it (``ShadowProductionVariants``); then the endpoint is updated to that as
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator` does it: preflight, alarms,
    abort switch, adoption by a retry, and a report that tells how it ended, which is the return value and
    XCom ``rollout_report``. SageMaker replaces production's instances by new ones for that, and back.
    Whether it guards an update to a shadow as it does others is not documented.

    The configuration is made once, under a name that follows from the task instance and the arguments: a
    retry finds it. A configuration of that name with other content is
    :class:`~airflow_guardrails.exceptions.EndpointConfigDiffers`. It stays when the task fails.

    Refused before anything is created: a second shadow
    (:class:`~airflow_guardrails.exceptions.ShadowVariantExists`), several production variants, serverless
    and asynchronous inference, inference components, models of several containers or for several models,
    Inf1, AWS Marketplace, an inference experiment on the endpoint
    (:class:`~airflow_guardrails.exceptions.ShadowTestRefused`). What the task may not look at
    (``sagemaker:DescribeModel``, ``ListInferenceExperiments``, ``ListTags``) is a warning instead.

    All further arguments are those of
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator` (``alarms``,
    ``deferrable``, ``on_rollback``, ``on_timeout``, ``on_kill``, ``max_wait``, ...), but for
    ``endpoint_config_name``, ``if_already_live`` and those of what is retained: production keeps its live
    count.

    :param endpoint_name: name of the endpoint, which must exist. (templated)
    :param shadow_model_name: name of the model to try. (templated)
    :param sampling_percentage: of the requests to production, how many the shadow gets too: 1 to 100.
        (templated)
    :param shadow_variant_name: what the shadow is called in metrics and captured data; not as production.
        (templated)
    :param instance_type: of the shadow; default: production's. Needed where production draws from pools of
        several types. A shadow of another type takes over neither accelerator nor AMI version. (templated)
    :param instance_count: of the shadow; default: production's as it is scaled when the configuration is
        made. (templated)
    :param endpoint_config_name_prefix: how the name of the new configuration begins, cut to fit; default:
        the endpoint's name and ``-shadow``. (templated)
    :param strategy: as of the guarded update; default: all at once, and 5 minutes until the old fleet goes.
        (templated)
    """

    template_fields: Sequence[str] = (
        "endpoint_name",
        "shadow_model_name",
        "sampling_percentage",
        "shadow_variant_name",
        "instance_type",
        "instance_count",
        "endpoint_config_name_prefix",
        *_OF_THE_UPDATE,
    )
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "shadow_model_name": check_name,
        "sampling_percentage": check_sampling_percentage,
        "shadow_variant_name": check_name,
        "instance_type": optional(check_instance_type),
        "instance_count": optional(check_rendered_count),
        **_DerivedUpdateOperator.rendered_checks,
    }
    ui_color = "#d9e4f2"

    def __init__(
        self,
        *,
        endpoint_name: str,
        shadow_model_name: str,
        sampling_percentage: int | str = 100,
        shadow_variant_name: str = "shadow",
        instance_type: str | None = None,
        instance_count: int | str | None = None,
        endpoint_config_name_prefix: str | None = None,
        strategy: Strategy | Mapping[str, Any] = DEFAULT_STRATEGY,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            endpoint_name=endpoint_name,
            endpoint_config_name_prefix=endpoint_config_name_prefix,
            strategy=strategy,
            # The weights are made for each other, so both are of the new configuration.
            exclude_retained_variant_properties=("DesiredWeight",),
            **kwargs,
        )
        self.shadow_model_name = shadow_model_name
        self.sampling_percentage = sampling_percentage
        self.shadow_variant_name = shadow_variant_name
        self.instance_type = instance_type
        self.instance_count = instance_count

    def _naming(self) -> tuple[str, dict[str, Any]]:
        return f"{self.endpoint_name}-shadow", self._shadow().content

    def _maker(self) -> DerivedConfig:
        return WithShadow(shadow=self._shadow(), **self._made_with())

    def _shadow(self) -> ShadowVariant:
        try:
            return ShadowVariant(
                model_name=self.shadow_model_name,
                name=self.shadow_variant_name,
                sampling_percentage=rendered_number(self.sampling_percentage),
                instance_type=self.instance_type,
                instance_count=rendered_number(self.instance_count),
            )
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error


class SageMakerRemoveShadowVariantOperator(_DerivedUpdateOperator):
    """
    Take the shadow variant away from an endpoint; where it has none, there is nothing to do, and all is well.

    The configuration in service is taken as it is, with the instance count and weight that production has
    now, and without its shadow; then the endpoint is updated to that as
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator` does it. It is always a new
    configuration, also where an older one would be like it: what has been changed since is not lost, and
    every fleet has metrics of its own. A shadow that belongs to an inference experiment is refused
    (:class:`~airflow_guardrails.exceptions.ShadowTestRefused`): stop the experiment.

    As a teardown it removes whatever shadow there is, be it this DAG's or not. Return value and XCom
    ``rollout_report`` are those of the guarded update; where nothing was to be done the outcome is
    ``Succeeded`` too, and target and serving configuration are the one that served before.

    All further arguments are those of
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`, but for
    ``endpoint_config_name``, ``if_already_live`` and those of what is retained.

    :param endpoint_name: name of the endpoint, which must exist. (templated)
    :param endpoint_config_name_prefix: how the name of the new configuration begins, cut to fit; default:
        the endpoint's name and ``-plain``. (templated)
    :param strategy: as of the guarded update; default: all at once, and 5 minutes until the old fleet goes.
        (templated)
    :param delete_config: whether to delete the configuration with the shadow once it is out of service, if
        :class:`SageMakerAddShadowVariantOperator` has made it (a tag says so). By default it is kept: it
        costs nothing, and tells later what was tried. An endpoint that somebody else has made of it could
        not be updated any more. Where it may not be deleted, that is a warning in the log.
    """

    template_fields: Sequence[str] = ("endpoint_name", "endpoint_config_name_prefix", *_OF_THE_UPDATE)
    ui_color = "#e6e6ee"

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name_prefix: str | None = None,
        strategy: Strategy | Mapping[str, Any] = DEFAULT_STRATEGY,
        delete_config: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            endpoint_name=endpoint_name,
            endpoint_config_name_prefix=endpoint_config_name_prefix,
            strategy=strategy,
            **kwargs,
        )
        check_flag("delete_config", delete_config)
        if delete_config and not self.wait_for_completion:
            raise InvalidArgument(
                "delete_config must be False without wait_for_completion (got True): until the update has "
                "ended, it needs the configuration to go back to"
            )
        self.delete_config = delete_config

    def end(self, context: Mapping[str, Any], report: RolloutReport) -> RolloutReport:
        ended = super().end(context, report)
        before = ended["previous_endpoint_config_name"]
        if self.delete_config and ended["outcome"] == Outcome.SUCCEEDED.value and before:
            self._delete(before)
        return ended

    def _naming(self) -> tuple[str, dict[str, Any]]:
        return f"{self.endpoint_name}-plain", {"variant": None}

    def _maker(self) -> DerivedConfig:
        return WithoutShadow(**self._made_with())

    def _delete(self, name: str) -> None:
        """The shadow is gone already, so whatever happens here, the task has done what it is for."""
        try:
            answer = self.hook.describe_endpoint_config(name)
            if answer is None:
                return
            config = parse_endpoint_config(answer)
            if not config.shadow_variants or not is_derived(self.hook.list_tags(config.arn)):
                self.log.info("Endpoint configuration %s is kept: this package has not made it", name)
                return
            self.hook.delete_endpoint_config(name)
            self.log.info("Endpoint configuration %s is deleted", name)
        except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
            said = text_for_people(error)
            self.log.warning("Endpoint configuration %s could not be deleted: %s", name, said)
