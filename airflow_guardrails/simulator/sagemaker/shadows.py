"""
Which endpoints can have a shadow variant, in a configuration or in an experiment.

Source: SageMaker developer guide, "Shadow tests", for the features that are excluded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_guardrails.simulator.engine.errors import ShadowRefused
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.resources import Model

_Config = Mapping[str, Any]
_ModelLookup = Callable[[str], Model]


def check_config(config: _Config, model_of: _ModelLookup, *, knobs: Knobs, own_account: str) -> None:
    """Raise ShadowRefused if SageMaker would not run the shadow of this endpoint configuration."""
    if reason := _wrong_variants(config):
        raise ShadowRefused(knobs.shadow_refused_message, reason)
    # The guide has these exclusions for shadow tests. It does not repeat them for configurations.
    if knobs.shadow_exclusions == "reject":
        check_features(config, model_of, knobs=knobs, own_account=own_account)


def check_features(config: _Config, model_of: _ModelLookup, *, knobs: Knobs, own_account: str) -> None:
    """Raise ShadowRefused if *config* uses a feature that shadow tests exclude."""
    for reason in _excluded(config, model_of, own_account):
        raise ShadowRefused(knobs.shadow_refused_message, reason)


def _wrong_variants(config: _Config) -> str | None:
    production, shadow = config["ProductionVariants"], config["ShadowProductionVariants"]
    # API reference of CreateEndpointConfig; the service model itself allows more.
    if len(production) != 1 or len(shadow) != 1:
        return (
            "there must be one production variant and one shadow variant "
            f"(got {len(production)} and {len(shadow)})"
        )
    if production[0]["VariantName"] == shadow[0]["VariantName"]:
        return f"the variants must have different names (got {shadow[0]['VariantName']} twice)"
    return None


def _excluded(config: _Config, model_of: _ModelLookup, own_account: str) -> Iterator[str]:
    if "AsyncInferenceConfig" in config:
        yield "asynchronous inference is not supported"
    for spec in (*config["ProductionVariants"], *config["ShadowProductionVariants"]):
        model, name = model_of(spec["ModelName"]), spec["VariantName"]
        if "ServerlessConfig" in spec:
            yield f"serverless inference is not supported (variant {name})"
        if (spec.get("InstanceType") or "").startswith("ml.inf1."):
            yield f"Inf1 instances are not supported (variant {name})"
        if model.from_marketplace(own_account=own_account):
            yield f"Marketplace containers are not supported (variant {name})"
        if model.container_count > 1:
            yield f"multi-container endpoints are not supported (variant {name})"
        if model.multi_model:
            yield f"multi-model endpoints are not supported (variant {name})"
