"""Models, endpoint configurations and tags of one region."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import ServiceException

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.errors import (
    EndpointConfigNotFound,
    EndpointNotFound,
    ExperimentNotFound,
    ModelNotFound,
    ValidationException,
)
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker import shadows
from airflow_guardrails.simulator.sagemaker.fleets import variant_specs
from airflow_guardrails.simulator.sagemaker.listing import page
from airflow_guardrails.simulator.sagemaker.packages import ModelPackages
from airflow_guardrails.simulator.sagemaker.resources import Model, Resource, ResourceStore, ResourceType
from airflow_guardrails.simulator.sagemaker.tags import Tags

Request = Mapping[str, Any]
Response = Mapping[str, Any]

_MODEL_TYPE = ResourceType(text="model", arn_type="model", field="Model", not_found=ModelNotFound)
_CONFIG_TYPE = ResourceType(
    text="endpoint configuration",
    arn_type="endpoint-config",
    field="EndpointConfig",
    not_found=EndpointConfigNotFound,
)
# A name may have 63 characters; the rest is for a hyphen and a number.
_MAX_BASE_NAME = 58
_EXPERIMENT = "inference-experiment"
_NOT_FOUND = {
    "endpoint": EndpointNotFound,
    _CONFIG_TYPE.arn_type: EndpointConfigNotFound,
    _MODEL_TYPE.arn_type: ModelNotFound,
}


class Catalogue:
    """
    The operations on models, endpoint configurations and tags.

    :param arn_prefix: the ARN before the resource type, such as ``arn:aws:sagemaker:eu-west-1:123456789012``.
    """

    def __init__(self, *, arn_prefix: str, account_id: str, clock: Clock, knobs: Knobs) -> None:
        self._arn_prefix = arn_prefix
        self._account_id = account_id
        self._knobs = knobs
        self._packages = ModelPackages(account_id=account_id, region=arn_prefix.split(":")[3])
        self._models = ResourceStore(_MODEL_TYPE, clock=clock, arn=self.arn)
        self._configs = ResourceStore(_CONFIG_TYPE, clock=clock, arn=self.arn)
        self.tags = Tags(self._not_found)

    def arn(self, kind: str, name: str) -> str:
        """Return an ARN; *kind* is the resource type in it, such as ``endpoint-config``."""
        return f"{self._arn_prefix}:{kind}/{name}"

    def model(self, name: str) -> Model:
        """Return a model; raise ModelNotFound if it does not exist."""
        return Model.from_request(self._packages.unpacked(self._models.find(name).request))

    def config(self, name: str) -> Request:
        """
        Return an endpoint configuration.

        :raises EndpointConfigNotFound: if it does not exist, or is not visible yet.
        """
        # API reference of CreateEndpoint: reads are eventually consistent, so a new one may be missing.
        return self._configs.find(name, visible_after=self._knobs.config_visible_after_seconds).request

    def add_config(self, config: Request) -> None:
        """Add an endpoint configuration that SageMaker makes for an experiment."""
        self._configs.add(config)

    def unused_config_name(self, base_name: str) -> str:
        """Return *base_name* cut to its maximum length, with a number if that name is taken."""
        # The pattern for names allows no hyphen at the end, and the cut may leave one.
        base_name = base_name[:_MAX_BASE_NAME].rstrip("-")
        numbered = (f"{base_name}-{number}" for number in itertools.count(2))
        return next(name for name in itertools.chain([base_name], numbered) if name not in self._configs)

    def create_model(self, request: Request) -> Response:
        """Carry out CreateModel."""
        # Only for its errors: a model is read again when it is used.
        Model.from_request(request)
        return {"ModelArn": self._add(self._models, request).arn}

    def describe_model(self, request: Request) -> Response:
        """Carry out DescribeModel."""
        return self._models.describe(request["ModelName"])

    def delete_model(self, request: Request) -> Response:
        """Carry out DeleteModel."""
        return self._remove(self._models, request["ModelName"])

    def list_models(self, request: Request) -> Response:
        """Carry out ListModels."""
        return page(list(self._models.summaries()), request, prefix="Model", key="Models")

    def create_endpoint_config(self, request: Request) -> Response:
        """
        Carry out CreateEndpointConfig.

        :raises ModelNotFound: if the model of a variant does not exist.
        :raises ShadowRefused: if SageMaker would not run its shadow variant.
        """
        for variant in variant_specs(request):
            self._check_variant(variant)
        if request.get("ShadowProductionVariants"):
            shadows.check_config(request, self.model, knobs=self._knobs, own_account=self._account_id)
        return {"EndpointConfigArn": self._add(self._configs, request).arn}

    def describe_endpoint_config(self, request: Request) -> Response:
        """Carry out DescribeEndpointConfig."""
        seconds = self._knobs.config_visible_after_seconds
        return self._configs.describe(request["EndpointConfigName"], visible_after=seconds)

    def delete_endpoint_config(self, request: Request) -> Response:
        """
        Carry out DeleteEndpointConfig. SageMaker accepts it for a configuration in use; its endpoint cannot
        be updated afterwards.
        """
        return self._remove(self._configs, request["EndpointConfigName"])

    def list_endpoint_configs(self, request: Request) -> Response:
        """Carry out ListEndpointConfigs."""
        rows = list(self._configs.summaries())
        return page(rows, request, prefix="EndpointConfig", key="EndpointConfigs")

    def _not_found(self, arn: str) -> ServiceException:
        # Its text comes from a knob, so this class does not fit into the table.
        if _resource_type(arn) == _EXPERIMENT:
            return ExperimentNotFound(self._knobs, arn=arn)
        return _NOT_FOUND[_resource_type(arn)](arn)

    def _check_variant(self, variant: Mapping[str, Any]) -> None:
        if "ModelName" not in variant:
            raise ValidationException(
                f"Variant {variant['VariantName']} has no ModelName: inference components are not simulated."
            )
        self._models.find(variant["ModelName"])
        if "ManagedInstanceScaling" in variant:
            # hashicorp/terraform-provider-aws, pull request 45926, has AWS's answer.
            raise ValidationException(
                "ManagedInstanceScaling is only supported for inference component endpoints."
            )
        memory = variant.get("ServerlessConfig", {}).get("MemorySizeInMB")
        # API reference of ProductionVariantServerlessConfig. The text is not documented.
        if memory is not None and memory % 1024:
            raise ValidationException(
                f"MemorySizeInMB must be 1024, 2048, 3072, 4096, 5120 or 6144 (got {memory})."
            )

    def _add(self, store: ResourceStore, request: Request) -> Resource:
        resource = store.add(request)
        self.tags.create(resource.arn, request)
        return resource

    def _remove(self, store: ResourceStore, name: str) -> Response:
        self.tags.remove(store.remove(name).arn)
        return {}


def _resource_type(arn: str) -> str:
    return arn.rsplit(":", maxsplit=1)[-1].partition("/")[0]


def is_simulated(arn: str) -> bool:
    """Whether the resource is in this catalogue and not in moto's SageMaker."""
    return _resource_type(arn) in {_EXPERIMENT, *_NOT_FOUND}
