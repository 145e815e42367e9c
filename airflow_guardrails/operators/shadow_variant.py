"""Add a shadow variant to an endpoint by a new configuration, and remove it again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.derived_config import is_derived
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.errors import UnexpectedAnswer, text_for_people
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
from airflow_guardrails.operators._launch.derived_config import DerivedConfig
from airflow_guardrails.operators._shadow.variant_config import (
    ConfigWithoutShadow,
    ConfigWithShadow,
)
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce, Strategy
from airflow_guardrails.tasks.aws_task import AwsTask
from airflow_guardrails.tasks.validation import check_flag, check_left_out

# Production's fleet is replaced by an equal one, so the risk is small; but without a bake nothing could be
# rolled back.
_DEFAULT_STRATEGY = AllAtOnce(termination_wait=timedelta(minutes=5))

_UPDATE_FIELDS = ("strategy", "alarms", "guards", *AwsTask.template_fields)


class _DerivedUpdateOperator(SageMakerGuardedUpdateOperator):
    """A guarded update to a configuration that the subclass creates from the one in service."""

    makes_own_target = True
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "endpoint_config_name_prefix": optional(check_name),
        **SageMakerGuardedUpdateOperator.rendered_checks,
    }

    def __init__(self, *, endpoint_config_name_prefix: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_config_name_prefix = endpoint_config_name_prefix

    @abstractmethod
    def _content(self) -> tuple[str, dict[str, Any]]:
        """Return the default prefix of the name, and the content that the name identifies."""

    def _naming(self) -> tuple[str, dict[str, Any]]:
        prefix, content = self._content()
        return self.endpoint_config_name_prefix or prefix, content


class SageMakerAddShadowVariantOperator(_DerivedUpdateOperator):
    """
    Add a shadow variant to an endpoint: a model that gets copies of its requests. Callers get no response of
    it.

    For accounts that may not use inference experiments, or for a shadow that runs longer than their 30 days.
    The task creates a configuration like the one in service, with the current instance count and weight of
    production, and with the shadow (``ShadowProductionVariants``). Then it updates the endpoint to it like
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`, with preflight, alarms,
    abort switch and adoption by a retry. Such an update replaces the instances of production. AWS does not
    document whether deployment guardrails work for it.

    Returns the rollout report, which is also XCom ``rollout_report``.

    The name of the configuration follows from the task instance and the arguments, so a retry finds it. It is
    not deleted when the task fails.

    An endpoint cannot have a shadow if it has several production variants, serverless or asynchronous
    inference, inference components, models with several containers, multi-model containers, Inf1 instances,
    models of AWS Marketplace, or a running inference experiment. A check without permission
    (``sagemaker:DescribeModel``, ``ListInferenceExperiments``, ``ListTags``) becomes a warning.

    All further arguments are those of
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator` (``alarms``, ``guards``,
    ``deferrable``, ``on_rollback``, ``on_timeout``, ``on_kill``, ``max_wait``, ...), except
    ``endpoint_config_name``, ``if_already_live`` and those for retained properties: production keeps its
    current instance count.

    :param endpoint_name: name of the endpoint, which must exist. (templated)
    :param shadow_model_name: name of the model for the shadow. (templated)
    :param sampling_percentage: percentage of production's requests that are copied to the shadow, 1 to 100.
        (templated)
    :param shadow_variant_name: name of the shadow variant in metrics and captured data; it must differ from
        production's. (templated)
    :param instance_type: instance type of the shadow; default: production's. Required if production uses
        instance pools with several types. With another type, accelerator and AMI version are not copied.
        (templated)
    :param instance_count: instance count of the shadow; default: production's current count. (templated)
    :param endpoint_config_name_prefix: beginning of the new configuration's name, cut to fit; default: the
        endpoint's name and ``-shadow``. (templated)
    :param strategy: as for the guarded update; default: all at once, with a bake of 5 minutes. (templated)
    :raises ShadowVariantExists: if the endpoint has a shadow already; nothing was created.
    :raises ShadowTestRefused: if the endpoint cannot have such a shadow; nothing was created.
    :raises ModelNotFound: if there is no model *shadow_model_name*.
    :raises EndpointConfigDiffers: if a configuration of this name exists with other content.
    :raises EndpointConfigRejected: if SageMaker rejects the configuration.
    """

    template_fields: Sequence[str] = (
        "endpoint_name",
        "shadow_model_name",
        "sampling_percentage",
        "shadow_variant_name",
        "instance_type",
        "instance_count",
        "endpoint_config_name_prefix",
        *_UPDATE_FIELDS,
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
        strategy: Strategy | Mapping[str, Any] = _DEFAULT_STRATEGY,
        **kwargs: Any,
    ) -> None:
        check_left_out(type(self).__name__, kwargs, "exclude_retained_variant_properties")
        super().__init__(
            endpoint_name=endpoint_name,
            endpoint_config_name_prefix=endpoint_config_name_prefix,
            strategy=strategy,
            # The weights of production and shadow belong together, so both come from the new configuration.
            exclude_retained_variant_properties=("DesiredWeight",),
            **kwargs,
        )
        self.shadow_model_name = shadow_model_name
        self.sampling_percentage = sampling_percentage
        self.shadow_variant_name = shadow_variant_name
        self.instance_type = instance_type
        self.instance_count = instance_count

    def _content(self) -> tuple[str, dict[str, Any]]:
        return f"{self.endpoint_name}-shadow", self._shadow().content

    def _config_factory(self) -> DerivedConfig:
        return ConfigWithShadow(shadow=self._shadow(), **self.factory_arguments())

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
    Remove the shadow variant from an endpoint; succeed without an update if it has none.

    The task creates a configuration like the one in service, with the current instance count and weight of
    production, and without the shadow. Then it updates the endpoint to it like
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`. It is always a new
    configuration, so later changes are kept, and each fleet has its own metrics.

    As a teardown it removes any shadow, also one of another DAG.

    Returns the rollout report, which is also XCom ``rollout_report``. If no update was needed, the outcome is
    ``Succeeded``, and target and serving configuration are the unchanged one.

    All further arguments are those of
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`, except
    ``endpoint_config_name``, ``if_already_live`` and those for retained properties.

    :param endpoint_name: name of the endpoint, which must exist. (templated)
    :param endpoint_config_name_prefix: beginning of the new configuration's name, cut to fit; default: the
        endpoint's name and ``-plain``. (templated)
    :param strategy: as for the guarded update; default: all at once, with a bake of 5 minutes. (templated)
    :param delete_config: whether to delete the configuration with the shadow after the update, if
        :class:`SageMakerAddShadowVariantOperator` has created it (a tag says so). Another endpoint with that
        configuration could no longer be updated. Without permission, a warning is logged.
    :raises ShadowTestRefused: if an inference experiment uses the endpoint: stop the experiment instead.
    """

    template_fields: Sequence[str] = ("endpoint_name", "endpoint_config_name_prefix", *_UPDATE_FIELDS)
    ui_color = "#e6e6ee"

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name_prefix: str | None = None,
        strategy: Strategy | Mapping[str, Any] = _DEFAULT_STRATEGY,
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
                "delete_config must be False without wait_for_completion (got True): a rollback needs the "
                "configuration until the update has ended"
            )
        self.delete_config = delete_config

    def end(self, context: Mapping[str, Any], report: RolloutReport) -> RolloutReport:
        """Push and return the report; delete the configuration with the shadow if *delete_config* is set."""
        ended = super().end(context, report)
        before = ended["previous_endpoint_config_name"]
        # Until the update has succeeded, SageMaker may need the configuration for a rollback.
        if self.delete_config and ended["outcome"] == Outcome.SUCCEEDED.value and before:
            self._delete(before)
        return ended

    def _content(self) -> tuple[str, dict[str, Any]]:
        return f"{self.endpoint_name}-plain", {"variant": None}

    def _config_factory(self) -> DerivedConfig:
        return ConfigWithoutShadow(**self.factory_arguments())

    def _delete(self, name: str) -> None:
        # The shadow is removed already, so an error here is only a warning.
        try:
            response = self.hook.describe_endpoint_config(name)
            if response is None:
                return
            config = parse_endpoint_config(response)
            if not config.shadow_variants or not is_derived(self.hook.list_tags(config.arn)):
                self.log.info("Endpoint configuration %s is kept: this package has not created it", name)
                return
            self.hook.delete_endpoint_config(name)
            self.log.info("Endpoint configuration %s is deleted", name)
        except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
            text = text_for_people(error)
            self.log.warning("Endpoint configuration %s could not be deleted: %s", name, text)
