"""The ``config`` of amazon's SageMakerEndpointOperator, read as a guarded update needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.aws.shapes import fitted
from airflow_guardrails.domain.arguments import InvalidValue, check_name, shown

_MODEL, _CONFIG, _ENDPOINT = "Model", "EndpointConfig", "Endpoint"
_PARTS = (_MODEL, _CONFIG, _ENDPOINT)
# Of CreateEndpoint and of UpdateEndpoint: amazon's operator calls either.
_ENDPOINT_KEYS = (
    "EndpointName",
    "EndpointConfigName",
    "DeploymentConfig",
    "RetainAllVariantProperties",
    "ExcludeRetainedVariantProperties",
    "RetainDeploymentConfig",
    "Tags",
)
_UPLOADS = "S3Operations"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorConfig:
    """
    What *config* asks for.

    :param model: the request of CreateModel; ``None`` if the models must exist.
    :param endpoint_config: the request of CreateEndpointConfig; ``None`` if the configuration must exist.
    :param deployment_config: ``DeploymentConfig``; ``None`` without one.
    :param retain_all: ``RetainAllVariantProperties``; ``None`` without one.
    :param excluded: ``ExcludeRetainedVariantProperties``, as names.
    :param tags: tags of the endpoint, if it is created.
    """

    endpoint_name: str
    endpoint_config_name: str
    model: dict[str, Any] | None = None
    endpoint_config: dict[str, Any] | None = None
    deployment_config: Mapping[str, Any] | None = None
    retain_all: bool | None = None
    excluded: tuple[str, ...] = ()
    tags: tuple[Mapping[str, str], ...] = ()


def parse_operator_config(config: object, shape_of: Callable[[str], Any]) -> OperatorConfig:
    """
    Read *config*: ``{"Model": ..., "EndpointConfig": ..., "Endpoint": ...}``, or ``Endpoint``'s value alone.

    Numbers and flags may be text, as Jinja renders them.

    :param shape_of: returns botocore's description of the request of an operation.
    :raises InvalidValue: for an unknown or missing key, or parts that do not belong together.
    """
    parts = parts_of(config)
    model = _part(parts, _MODEL, shape_of("CreateModel"))
    request = _part(parts, _CONFIG, shape_of("CreateEndpointConfig"))
    endpoint = _endpoint(parts[_ENDPOINT], shape_of)
    name, config_name = endpoint["EndpointName"], endpoint.get("EndpointConfigName")
    check_name("config.Endpoint.EndpointName", name)
    if request is not None:
        check_name("config.EndpointConfig.EndpointConfigName", request.get("EndpointConfigName"))
        if config_name not in {None, request["EndpointConfigName"]}:
            raise _invalid(
                "config.Endpoint.EndpointConfigName must be that of config.EndpointConfig, "
                f"{request['EndpointConfigName']!r} (got {config_name!r})"
            )
        config_name = request["EndpointConfigName"]
    check_name("config.Endpoint.EndpointConfigName", config_name)
    if model is not None:
        _check_model(model, request)
    return OperatorConfig(
        endpoint_name=name,
        endpoint_config_name=str(config_name),
        model=model,
        endpoint_config=request,
        deployment_config=endpoint.get("DeploymentConfig"),
        retain_all=endpoint.get("RetainAllVariantProperties"),
        excluded=tuple(
            str(each.get("VariantPropertyType"))
            for each in endpoint.get("ExcludeRetainedVariantProperties") or ()
        ),
        tags=tuple(endpoint.get("Tags") or ()),
    )


def parts_of(config: object) -> dict[str, Any]:
    """
    Return the parts of *config* by name; its short form is the part ``Endpoint``.

    :raises InvalidValue: if it is no such dict.
    """
    if not isinstance(config, Mapping):
        raise _invalid(f"config must be a dict of {', '.join(_PARTS)} (got {shown(config)})")
    if _UPLOADS in config:
        raise _invalid(
            f"config must not have {_UPLOADS} (got {shown(config[_UPLOADS])}): upload files in a task before"
        )
    parts = dict(config) if any(part in config for part in _PARTS) else {_ENDPOINT: config}
    for key in parts:
        if key not in _PARTS:
            raise _invalid(f"config has the unknown key {key!r} (known: {', '.join(_PARTS)})")
    if not isinstance(parts.get(_ENDPOINT), Mapping):
        raise _invalid(
            f"config.{_ENDPOINT} must be a dict with EndpointName and EndpointConfigName "
            f"(got {shown(parts.get(_ENDPOINT))})"
        )
    return parts


def endpoint_name_in(config: object) -> Any:
    """Return EndpointName of *config* as it is, which may be a template; None if it cannot be read."""
    try:
        return parts_of(config)[_ENDPOINT].get("EndpointName")
    except InvalidValue:
        return None


def _part(parts: Mapping[str, Any], key: str, shape: Any) -> dict[str, Any] | None:
    if parts.get(key) is None:
        return None
    part: dict[str, Any] = fitted(parts[key], shape, f"config.{key}")
    return {name: value for name, value in part.items() if value is not None}


def _endpoint(part: Mapping[str, Any], shape_of: Callable[[str], Any]) -> dict[str, Any]:
    for key in part:
        if key not in _ENDPOINT_KEYS:
            raise _invalid(
                f"config.Endpoint has the unknown key {key!r} (known: {', '.join(_ENDPOINT_KEYS)})"
            )
    members = {**shape_of("CreateEndpoint").members, **shape_of("UpdateEndpoint").members}
    endpoint = {key: fitted(value, members[key], f"config.Endpoint.{key}") for key, value in part.items()}
    if endpoint.get("RetainDeploymentConfig"):
        raise _invalid(
            "config.Endpoint.RetainDeploymentConfig must be left out (got True): give the strategy and the "
            "alarms of this update"
        )
    if endpoint.get("EndpointName") is None:
        raise _invalid("config.Endpoint.EndpointName is missing")
    return endpoint


def _check_model(model: Mapping[str, Any], request: Mapping[str, Any] | None) -> None:
    name = model.get("ModelName")
    check_name("config.Model.ModelName", name)
    if request is None:
        raise _invalid(
            "config.EndpointConfig must be given with config.Model (got None): the model gets a name of its "
            "own for each run, which an existing configuration does not name"
        )
    if name not in {spec.get("ModelName") for spec in request.get("ProductionVariants") or ()}:
        raise _invalid(
            f"config.EndpointConfig.ProductionVariants must name the model of config.Model (got none with "
            f"ModelName {name!r})"
        )


def _invalid(text: str) -> InvalidValue:
    return InvalidValue(text, field="config")
