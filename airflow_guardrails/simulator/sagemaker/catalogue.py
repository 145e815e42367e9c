"""The models, endpoint configurations and tags of one region, operation by operation."""

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
from airflow_guardrails.simulator.sagemaker.fleets import variants_of
from airflow_guardrails.simulator.sagemaker.listing import page
from airflow_guardrails.simulator.sagemaker.resources import Kind, Model, Resource, ResourceStore
from airflow_guardrails.simulator.sagemaker.tags import Tags

Request = Mapping[str, Any]
Answer = Mapping[str, Any]

_MODEL = Kind(text="model", arn_word="model", field="Model", not_found=ModelNotFound)
_CONFIG = Kind(
    text="endpoint configuration",
    arn_word="endpoint-config",
    field="EndpointConfig",
    not_found=EndpointConfigNotFound,
)
# Of the 63 characters that a name may have, some are for a number.
_LONGEST_STEM = 58
_EXPERIMENT = "inference-experiment"
_NOT_FOUND = {
    "endpoint": EndpointNotFound,
    _CONFIG.arn_word: EndpointConfigNotFound,
    _MODEL.arn_word: ModelNotFound,
}


class Catalogue:
    """*arn_prefix* ends before the kind of resource, as in ``arn:aws:sagemaker:eu-west-1:123456789012``."""

    def __init__(self, *, arn_prefix: str, account_id: str, clock: Clock, knobs: Knobs) -> None:
        self._arn_prefix = arn_prefix
        self._account_id = account_id
        self._knobs = knobs
        self._models = ResourceStore(_MODEL, clock=clock, arn=self.arn)
        self._configs = ResourceStore(_CONFIG, clock=clock, arn=self.arn)
        self.tags = Tags(self._not_found)

    def arn(self, kind: str, name: str) -> str:
        return f"{self._arn_prefix}:{kind}/{name}"

    def model(self, name: str) -> Model:
        return Model.from_request(self._models.find(name).request)

    def config(self, name: str) -> Request:
        """An endpoint configuration that can be seen already, or EndpointConfigNotFound."""
        return self._configs.find(name, visible_after=self._knobs.config_visible_after_seconds).request

    def keep_config(self, config: Request) -> None:
        """Add an endpoint configuration of SageMaker's own making."""
        self._configs.add(config)

    def free_config_name(self, wanted: str) -> str:
        """A name that no endpoint configuration has: *wanted* or its beginning, numbered where taken."""
        wanted = wanted[:_LONGEST_STEM].rstrip("-")
        numbered = (f"{wanted}-{number}" for number in itertools.count(2))
        return next(name for name in itertools.chain([wanted], numbered) if name not in self._configs)

    def create_model(self, request: Request) -> Answer:
        Model.from_request(request)
        return {"ModelArn": self._add(self._models, request).arn}

    def describe_model(self, request: Request) -> Answer:
        return self._models.describe(request["ModelName"])

    def delete_model(self, request: Request) -> Answer:
        return self._remove(self._models, request["ModelName"])

    def list_models(self, request: Request) -> Answer:
        return page(list(self._models.summaries()), request, kind="Model", key="Models")

    def create_endpoint_config(self, request: Request) -> Answer:
        for variant in variants_of(request):
            self._check_variant(variant)
        if request.get("ShadowProductionVariants"):
            shadows.check_config(request, self.model, knobs=self._knobs, own_account=self._account_id)
        return {"EndpointConfigArn": self._add(self._configs, request).arn}

    def describe_endpoint_config(self, request: Request) -> Answer:
        seconds = self._knobs.config_visible_after_seconds
        return self._configs.describe(request["EndpointConfigName"], visible_after=seconds)

    def delete_endpoint_config(self, request: Request) -> Answer:
        """An endpoint may use it: SageMaker accepts that, and the endpoint cannot be updated any more."""
        return self._remove(self._configs, request["EndpointConfigName"])

    def list_endpoint_configs(self, request: Request) -> Answer:
        rows = list(self._configs.summaries())
        return page(rows, request, kind="EndpointConfig", key="EndpointConfigs")

    def _not_found(self, arn: str) -> ServiceException:
        if kind_of(arn) == _EXPERIMENT:
            return ExperimentNotFound(self._knobs, arn=arn)
        return _NOT_FOUND[kind_of(arn)](arn)

    def _check_variant(self, variant: Mapping[str, Any]) -> None:
        if "ModelName" not in variant:
            raise ValidationException(
                f"Variant {variant['VariantName']} has no ModelName: there are no inference components here."
            )
        self._models.find(variant["ModelName"])

    def _add(self, shelf: ResourceStore, request: Request) -> Resource:
        resource = shelf.add(request)
        self.tags.start(resource.arn, request)
        return resource

    def _remove(self, shelf: ResourceStore, name: str) -> Answer:
        self.tags.forget(shelf.remove(name).arn)
        return {}


def kind_of(arn: str) -> str:
    return arn.rsplit(":", maxsplit=1)[-1].partition("/")[0]


def is_ours(arn: str) -> bool:
    """Whether the resource is kept here and not by moto."""
    return kind_of(arn) in {_EXPERIMENT, *_NOT_FOUND}
