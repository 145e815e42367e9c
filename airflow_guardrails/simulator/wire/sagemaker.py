"""
SageMaker's operations on models, configurations, endpoints, experiments and tags, in moto's protocol class.

All other operations are moto's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.sagemaker.responses import SageMakerResponse

from airflow_guardrails.simulator.engine import validation
from airflow_guardrails.simulator.sagemaker.catalogue import Catalogue, is_simulated
from airflow_guardrails.simulator.sagemaker.experiments.service import Experiments
from airflow_guardrails.simulator.sagemaker.service import SageMaker
from airflow_guardrails.simulator.sagemaker.tags import check_keys
from airflow_guardrails.simulator.wire.answers import Answer

_KEPT_BY_MODEL_PACKAGES = (
    "model_approval_status",
    "approval_description",
    "customer_metadata_properties",
)

_Operation = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class SageMakerWire(SageMakerResponse):  # type: ignore[misc]
    """
    One request. The subclass that a server binds sets *simulation*.

    Each method carries out the operation of the same name.
    """

    simulation: Any

    def create_model(self) -> ActionResult:
        return self._answer(self._catalogue.create_model)

    def describe_model(self) -> ActionResult:
        return self._answer(self._catalogue.describe_model)

    def delete_model(self) -> ActionResult:
        return self._answer(self._catalogue.delete_model)

    def list_models(self) -> ActionResult:
        return self._answer(self._catalogue.list_models)

    def create_endpoint_config(self) -> ActionResult:
        return self._answer(self._catalogue.create_endpoint_config)

    def describe_endpoint_config(self) -> ActionResult:
        return self._answer(self._catalogue.describe_endpoint_config)

    def delete_endpoint_config(self) -> ActionResult:
        return self._answer(self._catalogue.delete_endpoint_config)

    def list_endpoint_configs(self) -> ActionResult:
        return self._answer(self._catalogue.list_endpoint_configs)

    def create_endpoint(self) -> ActionResult:
        return self._answer(self._sagemaker.create_endpoint)

    def describe_endpoint(self) -> ActionResult:
        return self._answer(self._sagemaker.describe_endpoint)

    def update_endpoint(self) -> ActionResult:
        return self._answer(self._sagemaker.update_endpoint)

    def update_endpoint_weights_and_capacities(self) -> ActionResult:
        return self._answer(self._sagemaker.update_endpoint_weights_and_capacities)

    def delete_endpoint(self) -> ActionResult:
        return self._answer(self._sagemaker.delete_endpoint)

    def list_endpoints(self) -> ActionResult:
        return self._answer(self._sagemaker.list_endpoints)

    def create_inference_experiment(self) -> ActionResult:
        return self._answer(self._experiments.create_inference_experiment)

    def describe_inference_experiment(self) -> ActionResult:
        return self._answer(self._experiments.describe_inference_experiment)

    def update_inference_experiment(self) -> ActionResult:
        return self._answer(self._experiments.update_inference_experiment)

    def start_inference_experiment(self) -> ActionResult:
        return self._answer(self._experiments.start_inference_experiment)

    def stop_inference_experiment(self) -> ActionResult:
        return self._answer(self._experiments.stop_inference_experiment)

    def delete_inference_experiment(self) -> ActionResult:
        return self._answer(self._experiments.delete_inference_experiment)

    def list_inference_experiments(self) -> ActionResult:
        return self._answer(self._experiments.list_inference_experiments)

    def add_tags(self) -> ActionResult:
        return self._answer(self._catalogue.tags.add) if self._is_ours() else super().add_tags()

    def list_tags(self) -> ActionResult:
        return self._answer(self._catalogue.tags.list) if self._is_ours() else super().list_tags()

    def delete_tags(self) -> ActionResult:
        return self._answer(self._catalogue.tags.delete) if self._is_ours() else super().delete_tags()

    def update_model_package(self) -> ActionResult:
        """Change what the request has; moto also resets what it does not have."""
        backend = self.sagemaker_backend
        arn = self._get_param("ModelPackageArn")
        package = backend.model_packages.get(backend.model_package_name_mapping.get(arn, arn))
        kept = {name: getattr(package, name, None) for name in _KEPT_BY_MODEL_PACKAGES}
        answer = super().update_model_package()
        for name, value in kept.items():
            if getattr(package, name) is None:
                setattr(package, name, value)
        given = self._get_param("CustomerMetadataProperties") or {}
        removed = self._get_param("CustomerMetadataPropertiesToRemove") or ()
        properties = {**(kept["customer_metadata_properties"] or {}), **given}
        package.customer_metadata_properties = {
            key: value for key, value in properties.items() if key not in removed
        } or None
        return answer

    def serialized(self, action_result: ActionResult) -> tuple[int, dict[str, Any], Any]:
        """Write an error's ``message`` in lower case, as SageMaker does and moto does not."""
        status, headers, body = super().serialized(action_result)
        if isinstance(action_result.result, Exception):
            error = json.loads(body)
            body = json.dumps({"__type": error["__type"], "message": error["Message"]})
        return status, headers, body

    @property
    def _sagemaker(self) -> SageMaker:
        sagemaker: SageMaker = self.simulation.world(self.region).sagemaker
        return sagemaker

    @property
    def _catalogue(self) -> Catalogue:
        return self._sagemaker.catalogue

    @property
    def _experiments(self) -> Experiments:
        return self._sagemaker.experiments

    def _is_ours(self) -> bool:
        # moto keeps the tags of its own resources, such as training jobs.
        return is_simulated(self._get_param("ResourceArn") or "")

    def _answer(self, operation: _Operation) -> ActionResult:
        # SageMaker validates the whole request before it looks at any resource.
        validation.check(self._get_action(), self.params)
        check_keys(self.params)
        return Answer(operation(self.params))
