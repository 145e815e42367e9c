"""Look at the endpoint that is to have a shadow, and refuse what SageMaker would refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.model import account_of
from airflow_guardrails.domain.endpoint import Endpoint
from airflow_guardrails.domain.endpoint_config import EndpointConfig
from airflow_guardrails.domain.shadow_hosts import ModelFacts, Production, production_of, refusals
from airflow_guardrails.exceptions import EndpointBusy, EndpointNotFound, ModelNotFound, ShadowTestRefused

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


def find_production(
    endpoint_name: str, *, shadow_model_name: str, shadow_instance_type: str | None, hook: GuardrailsHook
) -> tuple[Endpoint, Production]:
    """
    Return the endpoint as it is now, and the variant that the shadow is to be compared with.

    :raises EndpointNotFound: if there is no such endpoint.
    :raises ModelNotFound: if there is no model for the shadow.
    :raises EndpointBusy: if the endpoint is being changed.
    :raises ShadowTestRefused: if the endpoint can have no shadow; the text says all that is in the way.
    """
    endpoint = _endpoint(endpoint_name, hook)
    config = _config(endpoint, hook)
    models = _models(config, shadow_model_name, hook)
    reasons = refusals(endpoint, config, models, shadow_instance_type=shadow_instance_type)
    if reasons:
        listed = "\n".join(f"- {reason}" for reason in reasons)
        raise ShadowTestRefused(f"Endpoint {endpoint_name} can have no such shadow test:\n{listed}")
    return endpoint, production_of(endpoint, config)


def _endpoint(name: str, hook: GuardrailsHook) -> Endpoint:
    endpoint = hook.look(name)
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
    answer = hook.endpoint_config(endpoint.endpoint_config_name or "")
    if answer is None:
        raise ShadowTestRefused(
            f"Endpoint {endpoint.name} serves the configuration {endpoint.endpoint_config_name}, which has "
            "been deleted: update the endpoint to one that is there"
        )
    return parse_endpoint_config(answer)


def _models(config: EndpointConfig, shadow_model_name: str, hook: GuardrailsHook) -> list[ModelFacts]:
    account_id = account_of(config.arn)
    shadow = hook.model(shadow_model_name, account_id=account_id)
    if shadow is None:
        raise ModelNotFound(
            f"Model {shadow_model_name} does not exist in {hook.conn_region_name}: create it before this "
            "task, or correct shadow_model_name"
        )
    names = {variant.model_name for variant in config.variants if variant.model_name} - {shadow_model_name}
    serving = [hook.model(name, account_id=account_id) for name in sorted(names)]
    return [shadow, *(model for model in serving if model is not None)]
