"""Check whether an endpoint can have a shadow, before SageMaker would reject it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import account_of, parse_endpoint_config
from airflow_guardrails.domain.shadow.eligibility import (
    ModelTraits,
    Production,
    production_of,
    shadow_refusals,
)
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import EndpointBusy, ModelNotFound, ShadowTestRefused
from airflow_guardrails.operators._launch.reading import missing_endpoint

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_Warn = Callable[[str], None]


def find_production(
    endpoint_name: str, *, shadow: ShadowVariant, hook: GuardrailsHook, warn: _Warn
) -> tuple[Endpoint, Production]:
    """
    Return the endpoint as it is now, and the production variant to compare the shadow with.

    :param warn: gets a text for each check that could not be made.
    :raises EndpointNotFound: if there is no such endpoint.
    :raises EndpointBusy: if the endpoint is being changed.
    :raises ModelNotFound: if there is no model for the shadow.
    :raises ShadowTestRefused: if the endpoint cannot have such a shadow.
    """
    endpoint = _endpoint(endpoint_name, hook)
    config = _config(endpoint, hook)
    refuse(endpoint, config, models_of(config, shadow.model_name, hook=hook, warn=warn), shadow=shadow)
    return endpoint, production_of(endpoint, config)


def refuse(
    endpoint: Endpoint, config: EndpointConfig, models: Sequence[ModelTraits], *, shadow: ShadowVariant
) -> None:
    """
    Raise if the endpoint cannot have such a shadow.

    :raises ShadowTestRefused: with all reasons in its text.
    """
    if reasons := shadow_refusals(endpoint, config, models, shadow=shadow):
        listed = "\n".join(f"- {reason}" for reason in reasons)
        raise ShadowTestRefused(f"Endpoint {endpoint.name} cannot have such a shadow:\n{listed}")


def models_of(
    config: EndpointConfig, shadow_model_name: str, *, hook: GuardrailsHook, warn: _Warn
) -> list[ModelTraits]:
    """
    Describe the models of *config* and of the shadow. A model of production may have been deleted.

    Without permission (sagemaker:DescribeModel) the list is empty, and only SageMaker checks the models.

    :raises ModelNotFound: if there is no model for the shadow.
    """
    names = {shadow_model_name, *(each.model_name for each in config.variants if each.model_name)}
    account_id = account_of(config.arn)
    try:
        found = {name: hook.describe_model(name, account_id=account_id) for name in sorted(names)}
    except ClientError as error:
        if not errors.is_access_denied(error):
            raise
        warn("The models were not checked (no permission for sagemaker:DescribeModel)")
        return []
    if found[shadow_model_name] is None:
        raise ModelNotFound(
            f"Model {shadow_model_name} does not exist in {hook.conn_region_name}: create it before this "
            "task, or correct shadow_model_name"
        )
    return [model for model in found.values() if model is not None]


def _endpoint(name: str, hook: GuardrailsHook) -> Endpoint:
    endpoint = hook.describe_endpoint(name)
    if not isinstance(endpoint, Endpoint):
        raise missing_endpoint(name, hook)
    if endpoint.changing:
        raise EndpointBusy(
            f"Endpoint {name} is {endpoint.status.value} and accepts no shadow now. Let Airflow retry this "
            "task, or put all tasks that change this endpoint in one pool with one slot"
        )
    return endpoint


def _config(endpoint: Endpoint, hook: GuardrailsHook) -> EndpointConfig:
    response = hook.describe_endpoint_config(endpoint.endpoint_config_name or "")
    if response is None:
        raise ShadowTestRefused(
            f"Endpoint {endpoint.name} serves configuration {endpoint.endpoint_config_name}, which was "
            "deleted: update the endpoint to one that exists"
        )
    return parse_endpoint_config(response)
