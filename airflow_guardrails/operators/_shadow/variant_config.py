"""Create an endpoint configuration from the one in service: with a shadow variant, or without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.shadow_variant import (
    differences,
    is_taken,
    planned_config,
    with_shadow,
    with_tags,
    without_shadow,
    without_tags,
)
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.exceptions import (
    EndpointBusy,
    EndpointConfigDiffers,
    EndpointConfigNotFound,
    EndpointConfigRejected,
    ShadowTestRefused,
    ShadowVariantExists,
)
from airflow_guardrails.operators._shadow.eligibility import models_of, refuse

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


_Response = dict[str, Any]

# CreateEndpointConfig is eventually consistent: a new configuration may not be visible for a moment
# (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html).
_VISIBLE_WITHIN_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(kw_only=True)
class DerivedConfig(ABC):
    """
    A configuration like the one in service except for the shadow; a ``launch.ConfigFactory``.

    :param name: name of the new configuration.
    :param pause: seconds between two calls of DescribeEndpointConfig for a new configuration.
    :param warnings: what the report must say; filled by the methods.
    """

    name: str
    hook: GuardrailsHook
    log: Any
    sleep: Callable[[float], object]
    monotonic: Callable[[], float]
    pause: float
    warnings: list[str] = field(default_factory=list)
    planned_models: Mapping[str, _Response] = field(default_factory=dict)
    _existing: _Response | None = None
    _request: _Response = field(default_factory=dict)
    _serving: dict[str, _Response] = field(default_factory=dict)

    @abstractmethod
    def derive(self, serving: _Response, endpoint: Endpoint) -> _Response:
        """
        Return the request of CreateEndpointConfig without tags; raise if it must not be created.

        :param serving: the response of DescribeEndpointConfig for the configuration in service.
        """

    @property
    def shadow_count(self) -> int | None:
        """How many instances the shadow must have; None if the author has not said."""
        return None

    def is_up_to_date(self, endpoint: Endpoint) -> bool:  # noqa: ARG002 - for subclasses
        """Whether the endpoint already serves what is requested, so that it needs no update."""
        return False

    def plan(self, endpoint: Endpoint, *, existing: _Response | None) -> EndpointConfig:
        """
        Return the configuration as it is, or as :meth:`create` will create it.

        :param existing: the response of DescribeEndpointConfig for *name*; ``None`` if it does not exist.
        :raises EndpointConfigNotFound: if the configuration in service was deleted.
        :raises EndpointConfigDiffers: if *existing* is not what this task would create.
        :raises ShadowTestRefused: if an inference experiment uses the endpoint. See also :meth:`derive`.
        """
        serving = self.serving(endpoint)
        base = parse_endpoint_config(serving)
        self._refuse_during_experiment(endpoint.name)
        self._request = self.derive(serving, endpoint)
        self._existing = existing
        if existing is not None:
            self._compare(existing, base=base.name)
            return parse_endpoint_config(existing)
        self._request = with_tags(self._request, self._tags(base), derived_from=base.name)
        return planned_config(self._request, arn=base.arn)

    def create(self) -> _Response:
        """
        Create the planned configuration, unless it exists; return the response of DescribeEndpointConfig.

        :raises EndpointConfigRejected: if SageMaker rejects it.
        :raises EndpointBusy: if it was just created, and is not visible yet.
        """
        if self._existing is not None:
            return self._existing
        self.log.info("Creating endpoint configuration %s", self.name)
        try:
            self._call_create(self._request)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and errors.is_access_denied(error):
                raise
            if isinstance(error, ClientError) and not errors.is_passing(error):
                raise self._rejection(error) from error
            return self._wait_until_visible(otherwise=error)
        return self._wait_until_visible()

    def serving(self, endpoint: Endpoint) -> _Response:
        """
        Return the response of DescribeEndpointConfig for the configuration in service.

        It is read once for each name, because a configuration never changes.

        :raises EndpointConfigNotFound: if it was deleted.
        """
        name = endpoint.endpoint_config_name or ""
        if name not in self._serving:
            response = self.hook.describe_endpoint_config(name) if name else None
            if response is None:
                raise EndpointConfigNotFound(
                    f"Endpoint {endpoint.name} serves configuration {name}, which was deleted, so nothing "
                    "can be derived from it: update the endpoint to one that exists"
                )
            self._serving[name] = response
        return self._serving[name]

    # Before the creation.

    def _compare(self, existing: _Response, *, base: str) -> None:
        if found := differences(existing, self._request, shadow_count=self.shadow_count):
            raise EndpointConfigDiffers(
                f"Endpoint configuration {self.name} has this task's name, but is not what the task would "
                f"create from {base}, which is in service: {'; '.join(found)}. An earlier try has created it "
                "from another configuration, or somebody else has: delete it, and clear this task"
            )

    def _tags(self, base: EndpointConfig) -> dict[str, str]:
        try:
            return self.hook.list_tags(base.arn)
        except ClientError as error:
            self._warn_if_denied(error, f"The tags of {base.name} are not copied (sagemaker:ListTags)")
            return {}

    def _refuse_during_experiment(self, endpoint_name: str) -> None:
        try:
            experiments = list(self._experiments_on(endpoint_name))
        except ClientError as error:
            self._warn_if_denied(
                error,
                f"It was not checked whether an inference experiment uses endpoint {endpoint_name} "
                "(sagemaker:ListInferenceExperiments, DescribeInferenceExperiment)",
            )
            return
        if experiments:
            raise ShadowTestRefused(
                f"Inference experiment {', '.join(experiments)} uses endpoint {endpoint_name}: stop it or "
                "wait"
            )

    def _experiments_on(self, endpoint_name: str) -> Iterator[str]:
        for listed in self.hook.list_active_experiments():
            found = self.hook.describe_inference_experiment(listed.name)
            if (
                isinstance(found, Experiment)
                and found.endpoint_name == endpoint_name
                and not found.phase.over
            ):
                yield f"{found.name} ({found.status.value})"

    def _warn_if_denied(self, error: ClientError, warning: str) -> None:
        """Continue without a call that is not permitted; raise any other error."""
        if not errors.is_access_denied(error):
            raise error
        self.warn(warning)

    def warn(self, warning: str) -> None:
        """Log *warning*, and keep it for the report."""
        self.log.warning(warning)
        self.warnings.append(warning)

    # The creation.

    def _call_create(self, request: _Response) -> None:
        try:
            self.hook.create_endpoint_config(request)
        except ClientError as error:
            if not errors.is_access_denied(error):
                raise
            # Perhaps only tags are denied.
            self.hook.create_endpoint_config(without_tags(request))
            self._warn_if_denied(error, f"{self.name} was created without tags (sagemaker:AddTags)")

    def _rejection(self, error: ClientError) -> EndpointBusy | EndpointConfigRejected:
        if is_taken(error):
            return EndpointBusy(
                f"Configuration {self.name} was just created and is not visible yet; a retry will find it"
            )
        return EndpointConfigRejected(
            f"SageMaker rejected the endpoint configuration {self.name}; nothing was changed: "
            f"{errors.text_for_people(error)}"
        )

    def _wait_until_visible(self, *, otherwise: Exception | None = None) -> _Response:
        """
        Wait until DescribeEndpointConfig shows it.

        :param otherwise: raised instead of ``EndpointBusy``, if the response of the creation was lost.
        """
        give_up = self.monotonic() + _VISIBLE_WITHIN_SECONDS
        while (found := self.hook.describe_endpoint_config(self.name)) is None:
            if self.monotonic() >= give_up:
                raise otherwise or EndpointBusy(
                    f"Configuration {self.name} was created but is not visible after "
                    f"{_VISIBLE_WITHIN_SECONDS:g} s"
                )
            self.sleep(min(self.pause, _LONGEST_PAUSE_SECONDS))
        return found


@dataclass(kw_only=True)
class ConfigWithShadow(DerivedConfig):
    """The configuration in service, with *shadow* beside its one production variant."""

    shadow: ShadowVariant

    @property
    def shadow_count(self) -> int | None:
        """How many instances the shadow must have; None if the author has not said."""
        return self.shadow.instance_count

    def derive(self, serving: _Response, endpoint: Endpoint) -> _Response:
        """
        Return the request of CreateEndpointConfig without tags.

        :raises ShadowVariantExists: if the endpoint has a shadow already.
        :raises ModelNotFound: if there is no model for the shadow.
        :raises ShadowTestRefused: if the endpoint cannot have such a shadow; the text lists all reasons.
        """
        config = parse_endpoint_config(serving)
        self._refuse_second(endpoint, config)
        models = models_of(config, self.shadow.model_name, hook=self.hook, warn=self.warn)
        refuse(endpoint, config, models, shadow=self.shadow)
        return with_shadow(serving, self.shadow, name=self.name, variants=endpoint.variants)

    def _refuse_second(self, endpoint: Endpoint, config: EndpointConfig) -> None:
        if config.shadow_variants:
            names = ", ".join(f"{each.name} of model {each.model_name}" for each in config.shadow_variants)
            raise ShadowVariantExists(
                f"Endpoint {endpoint.name} already has a shadow variant ({names}, in {config.name}), and can "
                "have one at most: remove it first, with SageMakerRemoveShadowVariantOperator"
            )


@dataclass(kw_only=True)
class ConfigWithoutShadow(DerivedConfig):
    """The configuration in service, without its shadow."""

    def is_up_to_date(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint has no shadow."""
        # After a failed rollback the endpoint serves a mix, whatever the configuration in service says.
        mixed = endpoint.status is not EndpointStatus.IN_SERVICE
        if mixed or parse_endpoint_config(self.serving(endpoint)).shadow_variants:
            return False
        self.log.info(
            "Endpoint %s has no shadow variant (%s): nothing to do",
            endpoint.name,
            endpoint.endpoint_config_name,
        )
        return True

    def derive(self, serving: _Response, endpoint: Endpoint) -> _Response:
        """Return the request of CreateEndpointConfig without tags."""
        return without_shadow(serving, name=self.name, variants=endpoint.variants)
