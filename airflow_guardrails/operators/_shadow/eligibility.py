"""Look at the endpoint that is to have a shadow, and refuse what SageMaker would refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import account_of, parse_endpoint_config
from airflow_guardrails.domain.shadow.eligibility import ModelTraits, Production, production_of, refusals
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import EndpointBusy, EndpointNotFound, ModelNotFound, ShadowTestRefused

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

Warn = Callable[[str], None]


def find_production(
    endpoint_name: str, *, shadow: ShadowVariant, hook: GuardrailsHook, warn: Warn
) -> tuple[Endpoint, Production]:
    """
    Return the endpoint as it is now, and the variant that the shadow is to be compared with.

    :raises EndpointNotFound: if there is no such endpoint.
    :raises EndpointBusy: if the endpoint is being changed.
    :raises ModelNotFound: if there is no model for the shadow.
    :raises ShadowTestRefused: if the endpoint can have no such shadow.
    """
    endpoint = _endpoint(endpoint_name, hook)
    config = _config(endpoint, hook)
    refuse(endpoint, config, models_of(config, shadow.model_name, hook=hook, warn=warn), shadow=shadow)
    return endpoint, production_of(endpoint, config)


def refuse(
    endpoint: Endpoint, config: EndpointConfig, models: Sequence[ModelTraits], *, shadow: ShadowVariant
) -> None:
    """:raises ShadowTestRefused: if it can have no such shadow; the text says all that is in the way."""
    if reasons := refusals(endpoint, config, models, shadow=shadow):
        listed = "\n".join(f"- {reason}" for reason in reasons)
        raise ShadowTestRefused(f"Endpoint {endpoint.name} can have no such shadow:\n{listed}")


def models_of(
    config: EndpointConfig, shadow_model_name: str, *, hook: GuardrailsHook, warn: Warn
) -> list[ModelTraits]:
    """
    Describe the models of *config* and of the shadow; those of production may be gone.

    Without permission to look at models (sagemaker:DescribeModel), SageMaker itself will judge.

    :raises ModelNotFound: if there is no model for the shadow.
    """
    names = {shadow_model_name, *(each.model_name for each in config.variants if each.model_name)}
    account_id = account_of(config.arn)
    try:
        found = {
            name: hook.describe_model(name, account_id=account_id)
            for name in sorted(names | {shadow_model_name})
        }
    except ClientError as error:
        if not errors.is_access_denied(error):
            raise
        warn("The models are not known beforehand (sagemaker:DescribeModel)")
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
        raise EndpointNotFound(
            f"Endpoint {name} does not exist in {hook.conn_region_name}: create it, or correct "
            "endpoint_name, region_name or aws_conn_id"
        )
    if endpoint.changing:
        raise EndpointBusy(
            f"Endpoint {name} is {endpoint.status.value}, and takes no shadow until that has ended. Let "
            "Airflow retry this task, or put what changes this endpoint in one pool of one slot"
        )
    return endpoint


def _config(endpoint: Endpoint, hook: GuardrailsHook) -> EndpointConfig:
    answer = hook.describe_endpoint_config(endpoint.endpoint_config_name or "")
    if answer is None:
        raise ShadowTestRefused(
            f"Endpoint {endpoint.name} serves the configuration {endpoint.endpoint_config_name}, which has "
            "been deleted: update the endpoint to one that is there"
        )
    return parse_endpoint_config(answer)
