"""The configurations that a guarded update creates: from a model, a model package, or a ``config``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_guardrails.aws.derived_config import PRODUCTION, SHADOW, as_requested, by_name
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.model import model_differences, package_model_request
from airflow_guardrails.aws.model_config import chosen_variant, first_config, with_model
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.domain.snapshots.model_package import NoModelPackage
from airflow_guardrails.exceptions import (
    ConfigNotDerivable,
    InvalidArgument,
    ModelPackageNotApproved,
    ModelPackageNotFound,
)
from airflow_guardrails.operators._launch.created_config import CreatedConfig
from airflow_guardrails.operators._launch.created_model import CreatedModel
from airflow_guardrails.operators._launch.derived_config import DerivedConfig

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_Response = dict[str, Any]


@dataclass(kw_only=True)
class ConfigForModel(DerivedConfig):
    """
    The configuration in service with another model.

    :param model_name: name of the model; of *package_arn* the name that its model gets.
    :param package_arn: a version of the model registry, from which the model is made; ``None``: it exists.
    :param role_arn: execution role of a model made from *package_arn*; ``None``: as the model in service.
    """

    model_name: str
    package_arn: str | None = None
    role_arn: str | None = None
    variant_name: str | None = None
    instance_type: str | None = None
    instance_count: int | None = None
    overrides: Mapping[str, Any] | None = None

    def derive(self, serving: _Response, endpoint: Endpoint) -> _Response:
        """
        Return the request of CreateEndpointConfig without tags.

        :raises ConfigNotDerivable: if the endpoint has inference components.
        :raises ModelNotFound, ModelPackageNotFound, ModelPackageNotApproved: if there is no model to deploy.
        :raises InvalidArgument: if it is not clear which variant gets the model.
        """
        _refuse_components(serving)
        try:
            request, left_out = with_model(
                serving,
                self.model_name,
                name=self.name,
                variants=endpoint.variants,
                variant_name=self.variant_name,
                instance_type=self.instance_type,
                instance_count=self.instance_count,
                overrides=self.overrides,
            )
            chosen = chosen_variant(serving, self.variant_name)
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error
        for text in left_out:
            self.warn(text)
        for spec in request.get(SHADOW) or ():
            self.warn(
                f"The shadow variant {spec['VariantName']} of model {spec.get('ModelName')} is kept "
                "beside the new model; SageMakerRemoveShadowVariantOperator removes it"
            )
        self._plan_model(by_name(serving, PRODUCTION)[chosen].get("ModelName"))
        return request

    def plan_first(self, *, existing: _Response | None) -> EndpointConfig:
        """Return the configuration of an endpoint that does not exist yet, see :meth:`plan`."""
        try:
            request = first_config(
                self.model_name,
                name=self.name,
                variant_name=self.variant_name,
                instance_type=self.instance_type,
                instance_count=self.instance_count,
                overrides=self.overrides,
            )
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error
        self._plan_model(None)
        return self.plan_as_given(request, existing=existing)

    def differences(self, existing: _Response) -> tuple[str, ...]:
        """Return how *existing* differs from the request; SageMaker may have added defaults within values."""
        return super().differences(as_requested(existing, self._request))

    def _plan_model(self, serving_model: str | None) -> None:
        if self.package_arn is None:
            self.require_model(self.model_name, correct="model_name")
            return
        check_package(self.hook, self.package_arn)
        role_arn = self.role_arn or self._role_of(serving_model)
        self.model = CreatedModel(
            request=package_model_request(self.package_arn, name=self.model_name, role_arn=role_arn),
            endpoint_name=self.endpoint_name,
            hook=self.hook,
            log=self.log,
            warn=self.warn,
        )
        self.model.plan()

    def _role_of(self, serving_model: str | None) -> str:
        found = self.hook.read_model(serving_model) if serving_model else None
        if not found or not found.get("ExecutionRoleArn"):
            where = (
                f"model {serving_model} in service has none" if serving_model else "no model is in service"
            )
            raise InvalidArgument(
                f"role_arn must be given (got None): the model of {self.package_arn} needs one, and {where}"
            )
        return str(found["ExecutionRoleArn"])


@dataclass(kw_only=True)
class ConfigAsGiven(CreatedConfig):
    """
    A configuration that *config* describes in full.

    :param request: the request of CreateEndpointConfig, with the name that the configuration gets.
    """

    request: _Response

    def plan(self, endpoint: Endpoint, *, existing: _Response | None) -> EndpointConfig:  # noqa: ARG002 - the factory's signature
        """
        Return the configuration as it is, or as :meth:`create` will create it.

        :raises EndpointConfigDiffers, ModelDiffers: if one of that name has other content.
        :raises ModelNotFound: if one of its models does not exist.
        """
        return self.plan_first(existing=existing)

    def plan_first(self, *, existing: _Response | None) -> EndpointConfig:
        """Return the same for an endpoint that does not exist yet."""
        planned = self.plan_as_given(self.request, existing=existing)
        self.check_models(planned)
        return planned

    def differences(self, existing: _Response) -> tuple[str, ...]:
        """Return how *existing* differs from the request; SageMaker may have added defaults."""
        return tuple(model_differences(existing, self.request))


def check_package(hook: GuardrailsHook, arn: str) -> None:
    """
    Check that a model package may be deployed.

    :raises ModelPackageNotFound: if it does not exist.
    :raises ModelPackageNotApproved: if it is not approved, or not complete.
    """
    package = hook.describe_model_package(arn)
    if isinstance(package, NoModelPackage):
        raise ModelPackageNotFound(
            f"Model package {arn} does not exist in {hook.conn_region_name}: correct model_package_arn"
        )
    if not package.deployable:
        why = package.why_never or f"it is {package.describe()}, and must be Approved and Completed"
        raise ModelPackageNotApproved(
            f"Model package {arn} is not deployed: {why}. Approve it in the registry, or put "
            "SageMakerModelPackageSensor before this task, and clear this task"
        )


def config_as_given(
    request: Mapping[str, Any],
    model: Mapping[str, Any] | None,
    *,
    model_name: str | None,
    role_arn: str | None,
    arguments: Mapping[str, Any],
    expand_role: Callable[[str], str],
) -> ConfigAsGiven:
    """
    Return the factory for the parts ``EndpointConfig`` and ``Model`` of a ``config``.

    :param model: the request of CreateModel; ``None`` if the models must exist.
    :param model_name: the name that the model gets.
    :param role_arn: execution role of the model; ``None``: that in *model*.
    :param arguments: the common arguments of a ``CreatedConfig``.
    :param expand_role: returns the ARN of a role name.
    """
    wanted = {**request, "EndpointConfigName": arguments["name"]}
    factory = ConfigAsGiven(request=wanted, **arguments)
    if model is None or model_name is None:
        return factory
    given = model["ModelName"]
    for kind in (PRODUCTION, SHADOW):
        if kind in wanted:
            wanted[kind] = [
                {**spec, "ModelName": model_name} if spec.get("ModelName") == given else spec
                for spec in wanted[kind]
            ]
    role = role_arn or model.get("ExecutionRoleArn")
    created = {**model, "ModelName": model_name}
    if role:
        # As in amazon's operator, a name without "/" is expanded to the ARN of that role.
        created["ExecutionRoleArn"] = role if "/" in role else expand_role(role)
    factory.model = CreatedModel(
        request=created,
        endpoint_name=factory.endpoint_name,
        hook=factory.hook,
        log=factory.log,
        warn=factory.warn,
    )
    return factory


def _refuse_components(serving: _Response) -> None:
    config = parse_endpoint_config(serving)
    if without := [variant.name for variant in config.variants if variant.model_name is None]:
        raise ConfigNotDerivable(
            f"Endpoint configuration {config.name} has inference components instead of a model (variant "
            f"{', '.join(without)}): update its components"
        )
